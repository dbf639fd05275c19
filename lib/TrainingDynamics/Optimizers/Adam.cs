using TorchSharp;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;

namespace TrainingDynamics.Optimizers;

/// <summary>
/// Adam, and Adam+L2 when λ_L2 &gt; 0:
/// <code>
/// g ← ∂L/∂w + λ_L2·w            L2 in the gradient: divided by √v like everything else
/// m ← β1·m + (1 − β1)·g         m̂ = m/(1 − β1^t)
/// v ← β2·v + (1 − β2)·g²        v̂ = v/(1 − β2^t)
/// u = m̂/(√v̂ + ε)
/// w ← w − η·u
/// </code>
/// <see cref="AdamW"/> is the same with decoupled decay.
/// </summary>
/// <remarks>Kingma and Ba 2015, arXiv:1412.6980.</remarks>
public class Adam : Optimizer
{
    private readonly Tensor _mean, _square, _beta1, _beta2, _l2;
    private readonly double[] _b1, _b2;
    private readonly double _epsilon;
    private readonly bool _hasL2;

    /// <summary>Adam on <paramref name="weights"/>.</summary>
    /// <param name="weights">(replica, parameter), changed in place.</param>
    /// <param name="rate">Learning rate η ≥ 0.</param>
    /// <param name="beta1">Memory of the mean, in [0, 1); 0.9 by default.</param>
    /// <param name="beta2">Memory of the mean square, in [0, 1); 0.999 by default.</param>
    /// <param name="epsilon">ε ≥ 0, added to √v̂.</param>
    /// <param name="l2">λ_L2 ≥ 0, added to the gradient as λ_L2·w.</param>
    /// <exception cref="ArgumentException">A setting is out of its range, or has neither one value nor one for each replica.</exception>
    public Adam(Tensor weights, PerReplica rate, PerReplica? beta1 = null,
        PerReplica? beta2 = null, double epsilon = 1e-8, PerReplica l2 = default)
        : this(weights, rate, default, beta1, beta2, epsilon, l2)
    {
    }

    private protected Adam(Tensor weights, PerReplica rate, PerReplica decoupledDecay,
        PerReplica? beta1, PerReplica? beta2, double epsilon, PerReplica l2)
        : base(weights, rate, decoupledDecay)
    {
        Require.NotNegative(epsilon, nameof(epsilon));
        (_b1, _b2) = (Beta(beta1 ?? 0.9, nameof(beta1)), Beta(beta2 ?? 0.999, nameof(beta2)));
        var coupled = l2.Expand(Replicas, nameof(l2));
        (_mean, _square, _beta1, _beta2, _l2) = (State(), State(), Column(_b1), Column(_b2), Column(coupled));
        (_epsilon, _hasL2) = (epsilon, coupled.Any(v => v > 0));
    }

    /// <inheritdoc/>
    private protected override string? WhyNoDecay => _hasL2 && Decays.All(decay => decay == 0)
        ? "its decay is L2 in the gradient, which is not by block" : null;

    /// <inheritdoc/>
    protected internal override Tensor Direction(Tensor gradient)
    {
        var g = _hasL2 ? gradient + (_l2 * Weights) : gradient;
        return Normalized(g, _mean, _square, _beta1, _beta2, Correction(_b1), Correction(_b2), _epsilon);
    }

    /// <summary>1 − β^t of each replica as a column.</summary>
    private Tensor Correction(double[] betas) => Aligned.Tensor(betas.Select(b => 1 - Math.Pow(b, Steps)).ToArray(),
        dtype: Weights.dtype).reshape(-1, 1);

    /// <summary>The update of both running means and u = (m/c1)/(√(v/c2) + ε).</summary>
    internal static Tensor Normalized(Tensor gradient, Tensor mean,
        Tensor square, Tensor beta1, Tensor beta2, Tensor correction1, Tensor correction2, double epsilon)
    {
        // In place where it can be: a pass over memory is what a step costs.
        mean.mul_(beta1).add_((1 - beta1) * gradient);
        square.mul_(beta2).add_(gradient.square().mul_(1 - beta2));
        return (mean / correction1).div_((square / correction2).sqrt_().add_(epsilon));
    }
}

/// <summary>
/// AdamW: Adam with decoupled decay, multiplied by the learning rate: w ← (1 − η·λ)·w − η·m̂/(√v̂ + ε).
/// </summary>
/// <remarks>
/// Loshchilov and Hutter 2019, arXiv:1711.05101. The paper multiplies λ by the schedule's factor only; PyTorch, and this
/// class, by the whole learning rate.
/// </remarks>
public sealed class AdamW : Adam
{
    /// <summary>AdamW on <paramref name="weights"/>.</summary>
    /// <param name="weights">(replica, parameter), changed in place.</param>
    /// <param name="rate">Learning rate η ≥ 0.</param>
    /// <param name="decoupledDecay">λ ≥ 0, decoupled and multiplied by the learning rate; η·λ &lt; 1. PyTorch's default is 0.01; here it is
    /// said.</param>
    /// <param name="beta1">Memory of the mean, in [0, 1); 0.9 by default.</param>
    /// <param name="beta2">Memory of the mean square, in [0, 1); 0.999 by default.</param>
    /// <param name="epsilon">ε ≥ 0, added to √v̂.</param>
    public AdamW(Tensor weights, PerReplica rate, PerReplica decoupledDecay,
        PerReplica? beta1 = null, PerReplica? beta2 = null, double epsilon = 1e-8)
        : base(weights, rate, decoupledDecay, beta1, beta2, epsilon, default)
    {
    }
}
