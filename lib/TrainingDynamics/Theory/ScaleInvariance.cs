namespace TrainingDynamics.Theory;

/// <summary>
/// What f(cw) = f(w) for every c &gt; 0 says about derivatives. Differentiating in c and in w gives, for any such f where it is
/// smooth: ⟨w, ∇f(w)⟩ = 0, ∇f(cw) = ∇f(w)/c, ∇²f(cw) = ∇²f(w)/c², ∇²f(w)·w = −∇f(w), wᵀ∇²f(w)w = 0.
/// </summary>
/// <remarks>van Laarhoven 2017, arXiv:1706.05350; Arora, Li and Lyu 2018, arXiv:1812.03981.</remarks>
public static class ScaleInvariance
{
    /// <summary>‖∇f(cw)‖/‖∇f(w)‖ = 1/c.</summary>
    public static double GradientFactor(double c) => 1 / Positive(c);

    /// <summary>‖∇²f(cw)‖/‖∇²f(w)‖ = 1/c²; so is every eigenvalue's ratio.</summary>
    public static double HessianFactor(double c) => 1 / (Positive(c) * c);

    /// <summary>
    /// The factor on SGD's learning rate that keeps the path of directions when the weights start c times as long: c².
    /// From w′ = w − η∇f(w), multiplied by c: cw′ = cw − (c²η)∇f(cw).
    /// </summary>
    public static double RateFactorOfSgd(double c) => Positive(c) * c;

    /// <summary>
    /// The slope of ln|cos(W_l, ∂L/∂W_l)| over ln s when all matrices before norms have size s and a norm's ε is not 0:
    /// −2 for each norm from layer l up to the last.
    /// </summary>
    /// <remarks>
    /// One norm lets through ε/(v + ε) of a relative change of its input's size, v its input's variance ∝ s². A change of W_l's
    /// size must pass the norms of layers l, l+1, …, L to reach the loss, so the violation is ∝ Π ε/(v_k + ε) ∝ s^{−2(L−l+1)}
    /// while ε ≪ v. Scaling one matrix alone gives −2 for it. Ours; follows from the chain rule.
    /// </remarks>
    /// <param name="layer">l, from 1.</param>
    /// <param name="layers">L.</param>
    public static double EpsilonSlope(int layer, int layers) => layer >= 1 && layer <= layers
        ? -2 * (layers - layer + 1)
        : throw new ArgumentOutOfRangeException(nameof(layer), layer, $"there are layers 1 to {layers}");

    private static double Positive(double c) => c > 0 && double.IsFinite(c)
        ? c : throw new ArgumentOutOfRangeException(nameof(c), c, "a scale is a positive number");
}
