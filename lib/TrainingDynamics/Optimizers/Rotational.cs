using TorchSharp;
using TrainingDynamics.Models;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;

namespace TrainingDynamics.Optimizers;

/// <summary>
/// Keeps every invariant block's norm and turns it by a prescribed angle on average, along another optimizer's direction:
/// rotational SGD, AdamW or Lion.
/// <code>
/// u ← inner direction without its part along w
/// s ← β·s + (1 − β)·‖u‖²,  ŝ = s/(1 − β^t)
/// w ← ‖w‖·unit(w/‖w‖ − θ·u/√ŝ)
/// </code>
/// What weight decay does in the mean and after a while, this does at once: equilibrium without the transient.
/// </summary>
/// <remarks>
/// After Kosson, Messmer and Jaggi 2024, arXiv:2305.17212 (their rotational variants also centre rows and treat gains apart).
/// The learning rate is the angle θ in radians. Blocks without an invariance are left to w ← w − θ·u.
/// </remarks>
public sealed class Rotational : Optimizer
{
    private readonly Optimizer _inner;
    private readonly Layout _layout;
    private readonly Tensor _square;
    private readonly double _memory;

    /// <summary>The rotational form of <paramref name="inner"/>, which it owns.</summary>
    /// <param name="inner">Whose direction is followed; its rate and decay are not used, and no block of it has settings of its
    /// own.</param>
    /// <param name="layout">The blocks.</param>
    /// <param name="angle">θ, the root mean square angle of a step in radians; a schedule multiplies it.</param>
    /// <param name="memory">β of the running mean of ‖u‖², in [0, 1).</param>
    public Rotational(Optimizer inner, Layout layout, PerReplica angle, double memory = 0.99) : base(inner.Weights, angle, default)
    {
        (_inner, _layout, _memory) = (Taken(inner, withBlocks: false), layout, Beta(memory, nameof(memory))[0]);
        _square = Own(zeros(Replicas, layout.Count, dtype: Weights.dtype).DetachFromDisposeScope());
    }

    /// <inheritdoc/>
    protected internal override Tensor Direction(Tensor gradient)
    {
        var inner = Follow(_inner, gradient);
        var update = ByBlock(_layout, block => block.Invariance == Invariance.None
            ? Layout.Slice(inner, block)
            : Projected.Tangential(Layout.Slice(inner, block), Layout.Slice(Weights, block)));
        var squares = stack([.. _layout.Select(b => Layout.Slice(update, b).square().sum(1))], 1);         // (replica, block)
        _square.mul_(_memory).add_((1 - _memory) * squares);
        var scale = (_square / (1 - Math.Pow(_memory, Steps))).sqrt();
        return ByBlock(_layout, block => block.Invariance == Invariance.None
            ? Layout.Slice(update, block)
            : Layout.Slice(update, block) / scale.narrow(1, _layout.IndexOf(block.Name),
                1) * Layout.Slice(Weights, block).norm(1, keepdim: true));
    }

    /// <inheritdoc/>
    private protected override bool StepsByItself => true;

    /// <inheritdoc/>
    private protected override string? WhyNoDecay => "it keeps norms and does not decay";

    /// <inheritdoc/>
    private protected override void Apply(Tensor update, StepSize size)
    {
        var before = Weights.clone();
        base.Apply(update, size with { Shrink = null });
        FixedNorm.Restore(Weights, before, _layout);
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        _inner.Dispose();
        base.Dispose();
    }
}
