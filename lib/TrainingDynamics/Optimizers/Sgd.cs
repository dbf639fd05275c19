using TorchSharp;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;

namespace TrainingDynamics.Optimizers;

/// <summary>
/// Stochastic gradient descent with momentum μ (heavy ball or Nesterov) and either kind of weight decay:
/// <code>
/// g ← ∂L/∂w + λ_L2·w            L2 in the gradient: passes through the momentum
/// b ← μ·b + g                   b starts at 0 or is given, no dampening
/// u ← b, or g + μ·b (Nesterov)
/// w ← (1 − η·λ)·w − η·u         decoupled: multiplied by the learning rate, past the momentum
/// </code>
/// Without momentum the two decays are one and the same. With it they are not: λ_L2 pulls 1/(1 − μ) times as hard as λ.
/// </summary>
/// <remarks>
/// Polyak 1964; Sutskever et al. 2013; decoupled decay: Loshchilov and Hutter 2019, arXiv:1711.05101. The convention is
/// PyTorch's: the rate stands outside the momentum buffer.
/// </remarks>
public sealed class Sgd : Optimizer
{
    private readonly Tensor _momentum, _l2;
    private readonly Tensor? _buffer;
    private readonly bool _nesterov, _hasL2;

    /// <summary>SGD on <paramref name="weights"/>.</summary>
    /// <param name="weights">(replica, parameter), changed in place.</param>
    /// <param name="rate">Learning rate η ≥ 0.</param>
    /// <param name="momentum">μ in [0, 1).</param>
    /// <param name="decoupledDecay">λ ≥ 0, decoupled and multiplied by the learning rate; η·λ &lt; 1.</param>
    /// <param name="l2">λ_L2 ≥ 0, added to the gradient as λ_L2·w.</param>
    /// <param name="nesterov">Whether to look ahead.</param>
    /// <param name="firstBuffer">The momentum buffer's first value b, (replica, parameter); 0 by default.</param>
    /// <exception cref="ArgumentException">A setting is out of its range, or has neither one value nor one for each replica.</exception>
    public Sgd(Tensor weights, PerReplica rate, PerReplica momentum = default,
        PerReplica decoupledDecay = default, PerReplica l2 = default, bool nesterov = false, Tensor? firstBuffer = null)
        : base(weights, rate, decoupledDecay)
    {
        var mu = momentum.Expand(Replicas, nameof(momentum), below: 1);
        var coupled = l2.Expand(Replicas, nameof(l2));
        (_momentum, _l2) = (Column(mu), Column(coupled));
        (_nesterov, _hasL2) = (nesterov, coupled.Any(v => v > 0));
        if (mu.Any(v => v > 0))
            _buffer = State();
        if (firstBuffer is not null)
            (_buffer ?? throw new ArgumentException("a momentum buffer needs a momentum above 0", nameof(firstBuffer))).copy_(firstBuffer);
    }

    /// <inheritdoc/>
    private protected override string? WhyNoDecay => _hasL2 && Decays.All(decay => decay == 0)
        ? "its decay is L2 in the gradient, which is not by block" : null;

    /// <inheritdoc/>
    protected internal override Tensor Direction(Tensor gradient)
    {
        var g = _hasL2 ? gradient + (_l2 * Weights) : gradient;
        return _buffer is null ? g : Momentum(_buffer, g, _momentum, _nesterov);
    }

    /// <summary>b ← μ·b + g, and the update u: b, or g + μ·b.</summary>
    internal static Tensor Momentum(Tensor buffer, Tensor gradient, Tensor momentum, bool nesterov)
    {
        buffer.mul_(momentum).add_(gradient);
        return nesterov ? gradient + (momentum * buffer) : buffer;
    }
}
