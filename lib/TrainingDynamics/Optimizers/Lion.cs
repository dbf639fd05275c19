using TorchSharp;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;

namespace TrainingDynamics.Optimizers;

/// <summary>
/// Lion, the sign of an interpolated momentum:
/// <code>
/// u = sign(β1·m + (1 − β1)·g)
/// m ← β2·m + (1 − β2)·g
/// w ← (1 − η·λ)·w − η·u         decoupled decay, multiplied by the learning rate
/// </code>
/// </summary>
/// <remarks>Chen et al. 2023, arXiv:2302.06675.</remarks>
public sealed class Lion : Optimizer
{
    private readonly Tensor _mean, _beta1, _beta2;

    /// <summary>Lion on <paramref name="weights"/>.</summary>
    /// <param name="weights">(replica, parameter), changed in place.</param>
    /// <param name="rate">Learning rate η ≥ 0.</param>
    /// <param name="decoupledDecay">λ ≥ 0, decoupled and multiplied by the learning rate; η·λ &lt; 1.</param>
    /// <param name="beta1">Weight of the momentum in the update, in [0, 1); 0.9 by default.</param>
    /// <param name="beta2">Memory of the momentum, in [0, 1); 0.99 by default.</param>
    public Lion(Tensor weights, PerReplica rate, PerReplica decoupledDecay = default, PerReplica? beta1 = null, PerReplica? beta2 = null)
        : base(weights, rate, decoupledDecay)
        => (_mean, _beta1, _beta2) = (State(), Column(Beta(beta1 ?? 0.9, nameof(beta1))), Column(Beta(beta2 ?? 0.99, nameof(beta2))));

    /// <inheritdoc/>
    protected internal override Tensor Direction(Tensor gradient)
    {
        var mixed = (_beta1 * _mean) + ((1 - _beta1) * gradient);
        // torch's sign of NaN is 0, which would hide a divergence
        var update = where(mixed.isnan(), mixed, mixed.sign());
        _mean.mul_(_beta2).add_((1 - _beta2) * gradient);
        return update;
    }
}
