using TorchSharp;
using TrainingDynamics.Runtime;
using TrainingDynamics.Theory;
using static TorchSharp.torch;

namespace TrainingDynamics.Optimizers;

/// <summary>
/// Rectified Adam: Adam's step times r_t once the length of its second moment's memory allows, before that momentum alone:
/// <code>
/// ρ_∞ = 2/(1 − β2) − 1,  ρ_t = ρ_∞ − 2t·β2^t/(1 − β2^t)
/// u = r_t·m̂·√(1 − β2^t)/(√v + ε) if ρ_t &gt; 5, else m̂;  r_t² = (ρ_t − 4)(ρ_t − 2)ρ_∞/((ρ_∞ − 4)(ρ_∞ − 2)ρ_t)
/// w ← (1 − η·λ)·w − η·u
/// </code>
/// </summary>
/// <remarks>Liu et al. 2020, arXiv:1908.03265. The paper rectifies from ρ_t &gt; 4; PyTorch, and this class, from ρ_t &gt; 5.</remarks>
public sealed class RAdam : Optimizer
{
    private const double Epsilon = 1e-8;
    private readonly Tensor _mean, _square, _beta1, _beta2;
    private readonly double _b1, _b2;

    /// <summary>RAdam on <paramref name="weights"/>; one pair of betas for all replicas, since the rectification is one for all.</summary>
    /// <param name="weights">(replica, parameter), changed in place.</param>
    /// <param name="rate">Learning rate η ≥ 0.</param>
    /// <param name="decoupledDecay">λ ≥ 0, decoupled and multiplied by the learning rate; η·λ &lt; 1.</param>
    /// <param name="beta1">Memory of the mean, in [0, 1).</param>
    /// <param name="beta2">Memory of the mean square, in [0, 1).</param>
    public RAdam(Tensor weights, PerReplica rate, PerReplica decoupledDecay = default, double beta1 = 0.9, double beta2 = 0.999)
        : base(weights, rate, decoupledDecay)
    {
        (_b1, _b2) = (Beta(beta1, nameof(beta1))[0], Beta(beta2, nameof(beta2))[0]);
        (_mean, _square, _beta1, _beta2) = (State(), State(), Column(Beta(beta1, nameof(beta1))), Column(Beta(beta2, nameof(beta2))));
    }

    /// <inheritdoc/>
    protected internal override Tensor Direction(Tensor gradient)
    {
        Tensor Correction(double beta) => full([1, 1], 1 - Math.Pow(beta, Steps), dtype: Weights.dtype);
        var normalized = Adam.Normalized(gradient, _mean, _square,
            _beta1, _beta2, Correction(_b1), Correction(_b2), Epsilon / Math.Sqrt(1 - Math.Pow(_b2, Steps)));
        return Warmup.RAdamLength(Steps, _b2) > 5 ? normalized * Warmup.RAdamFactor(Steps, _b2) : _mean / Correction(_b1);
    }
}
