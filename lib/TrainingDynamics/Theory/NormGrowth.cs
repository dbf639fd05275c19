namespace TrainingDynamics.Theory;

/// <summary>
/// How the norm of a scale-invariant weight grows without decay. N = ‖w‖², G = ‖g̃‖² the squared gradient length at the unit
/// sphere, t steps.
/// </summary>
public static class NormGrowth
{
    /// <summary>
    /// SGD's ‖w‖ after t steps at constant G: N_t² = N_0² + 2η²·G·t (to leading order in the step's angle), so ‖w‖ ~ (2η²Gt)^{1/4}.
    /// </summary>
    /// <remarks>Arora, Li and Lyu 2018, arXiv:1812.03981. Exact is N_t² = N_0² + 2η²ΣG + η⁴Σ(G/N)². Assumes no momentum, no decay, exact
    /// invariance.</remarks>
    public static double SgdNorm(double step, double rate, double gradientSquared, double firstNorm = 0)
    {
        Require.Positive(rate, nameof(rate));
        var grown = 2 * rate * rate * Require.Positive(gradientSquared, nameof(gradientSquared)) * Require.NotNegative(step, nameof(step));
        return Math.Pow(Math.Pow(Require.NotNegative(firstNorm, nameof(firstNorm)), 4) + grown, 0.25);
    }

    /// <summary>SGD's angle of a step late in growth: 1/√(2t), whatever η and the gradient's scale.</summary>
    public static double SgdAngle(double step) => 1 / Math.Sqrt(2 * Require.Positive(step, nameof(step)));

    /// <summary>SGD's effective learning rate η/N = η/√(N_0² + 2η²ΣG): layerwise AdaGrad-Norm (Tanaka and Kunin 2021,
    /// arXiv:2105.02716).</summary>
    /// <exception cref="ArgumentException">A number is out of its range, or there is neither a first norm nor a gradient: no weight, no
    /// rate.</exception>
    public static double SgdEffectiveLearningRate(double rate, double sumOfGradientSquares, double firstNorm)
    {
        Require.Positive(rate, nameof(rate));
        var grown = 2 * rate * rate * Require.NotNegative(sumOfGradientSquares, nameof(sumOfGradientSquares));
        var fourth = Math.Pow(Require.NotNegative(firstNorm, nameof(firstNorm)), 4) + grown;
        return fourth > 0 ? rate / Math.Sqrt(fourth)
            : throw new ArgumentException(
                $"{nameof(firstNorm)} is {firstNorm} and {nameof(sumOfGradientSquares)} {sumOfGradientSquares}: one must be positive",
                nameof(firstNorm));
    }

    /// <summary>SGD's squared norm after its first step, N_1 = N_0 + η²G_0/N_0: the kick. For large η the effective rate after it falls as
    /// N_0/(ηG_0).</summary>
    public static double SgdKick(double rate, double gradientSquared, double firstSquaredNorm)
    {
        Require.Positive(rate, nameof(rate));
        Require.Positive(gradientSquared, nameof(gradientSquared));
        return Require.Positive(firstSquaredNorm, nameof(firstSquaredNorm)) + (rate * rate * gradientSquared / firstSquaredNorm);
    }

    /// <summary>Adam's ‖w‖ after t steps of a white gradient in d dimensions: N_t = N_0 + η²·d·t, for any β1.</summary>
    /// <remarks>The momentum's per-step length is √(d(1−β1)/(1+β1)), its amplification (1+β1)/(1−β1): the product is d. Assumes rms u as
    /// for an exact second moment.</remarks>
    public static double AdamNorm(double step, double rate, double dimension, double firstNorm = 0)
    {
        Require.Positive(rate, nameof(rate));
        var grown = rate * rate * Require.Positive(dimension, nameof(dimension)) * Require.NotNegative(step, nameof(step));
        return Math.Sqrt((Require.NotNegative(firstNorm, nameof(firstNorm)) * firstNorm) + grown);
    }

    /// <summary>Adam's angle of a step late in growth: √[(1−β1)/(1+β1)]/√t.</summary>
    public static double AdamAngle(double step, double beta1) =>
        Math.Sqrt((1 - Require.Fraction(beta1, nameof(beta1))) / (1 + beta1) / Require.Positive(step, nameof(step)));

    /// <summary>cos(w_T, w_2T) of a norm that grows like t^p: (T/2T)^p = 2^{−p}. For SGD (p = 1/4) 0.841, for Adam (p = 1/2)
    /// 0.707.</summary>
    /// <remarks>w_2T = w_T + tangential noise at right angles to w_T in the mean, so the cosine is ‖w_T‖/‖w_2T‖.</remarks>
    public static double TwoTimeCosine(double exponent) => Math.Pow(2, -Require.NotNegative(exponent, nameof(exponent)));

    /// <summary>κ = 1 + 2Σ_k corr(u_t, u_{t+k}) = (1+β)/(1−β): how much faster momentum β makes the squared norm grow for the same per-step
    /// length.</summary>
    public static double Amplification(double momentum) => (1 + Require.Fraction(momentum, nameof(momentum))) / (1 - momentum);
}
