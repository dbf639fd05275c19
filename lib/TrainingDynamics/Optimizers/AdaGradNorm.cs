using TorchSharp;
using TrainingDynamics.Models;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;

namespace TrainingDynamics.Optimizers;

/// <summary>
/// AdaGrad-Norm, block by block: one rate for a block, divided by the root of all squared gradient lengths so far:
/// <code>
/// s ← s + ‖g‖²                  s starts at b₀²
/// w ← w − η·g/√s
/// </code>
/// SGD on a scale-invariant block does this to its direction by itself: there N² = N₀² + 2η²·Σ‖g̃‖² to leading order, N = ‖w‖², so its
/// effective rate η/N has the root of a sum of squared gradient lengths below it.
/// </summary>
/// <remarks>Ward, Wu and Bottou 2019, arXiv:1806.01811; the relation to norms: Tanaka and Kunin 2021, arXiv:2105.02716.</remarks>
public sealed class AdaGradNorm : Optimizer
{
    private readonly Layout _layout;
    private readonly Tensor _sum;

    /// <summary>AdaGrad-Norm on <paramref name="weights"/>.</summary>
    /// <param name="weights">(replica, parameter), changed in place.</param>
    /// <param name="layout">The blocks, each with a rate of its own.</param>
    /// <param name="rate">η ≥ 0.</param>
    /// <param name="start">b₀ &gt; 0.</param>
    public AdaGradNorm(Tensor weights, Layout layout, PerReplica rate, double start = 1e-2) : base(weights, rate, default)
    {
        Require.Positive(start, nameof(start));
        _layout = layout;
        _sum = Own(full([Replicas, layout.Count], start * start, dtype: weights.dtype).DetachFromDisposeScope());
    }

    /// <inheritdoc/>
    protected internal override Tensor Direction(Tensor gradient)
    {
        _sum.add_(stack([.. _layout.Select(b => Layout.Slice(gradient, b).square().sum(1))], 1));
        var i = 0;
        return ByBlock(_layout, block => Layout.Slice(gradient, block) / _sum.narrow(1, i++, 1).sqrt());
    }
}
