using TorchSharp;
using TrainingDynamics.Models;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;

namespace TrainingDynamics.Optimizers;

/// <summary>
/// Training on a hypersphere: each invariant block keeps its first norm R, and every step has one length relative to it:
/// <code>
/// u ← inner direction, without its part along w (projected) or whole, scaled to length 1
/// w ← R·unit(w/R − η·u)
/// </code>
/// Projected, the angle of every step is exactly atan(η): the rate is an angle, and there is no second knob. With the whole direction it is
/// <see cref="Theory.Sphere.Angle"/>, which depends on how far the direction points inward.
/// </summary>
/// <remarks>
/// Hyperball, Wen et al. 2026, arXiv:2606.16899, is the form that does not project; the projected one is that of training on the sphere,
/// Kodryan et al. 2022, arXiv:2209.03695. Blocks without an invariance take w ← w − η·u.
/// </remarks>
public sealed class FixedNorm : Optimizer
{
    private readonly Optimizer _inner;
    private readonly Layout _layout;
    private readonly bool _normalizeUpdate, _project;

    /// <summary>The fixed-norm form of <paramref name="inner"/>, which it owns.</summary>
    /// <param name="inner">Whose direction is followed; its rate and decay are not used, and no block of it has settings of its
    /// own.</param>
    /// <param name="layout">The blocks.</param>
    /// <param name="rate">η: the tangent of the angle, or, without normalized updates, the rate on the unit sphere.</param>
    /// <param name="normalizeUpdate">Whether u is scaled to length 1; without, its length stays what the inner optimizer makes it at the
    /// unit sphere, times R.</param>
    /// <param name="project">Whether u's part along w is taken out first; Hyperball does not.</param>
    public FixedNorm(Optimizer inner, Layout layout, PerReplica rate, bool normalizeUpdate = true, bool project = true)
        : base(inner.Weights, rate, default)
        => (_inner, _layout, _normalizeUpdate, _project) = (Taken(inner, withBlocks: false), layout, normalizeUpdate, project);

    /// <inheritdoc/>
    protected internal override Tensor Direction(Tensor gradient)
    {
        var inner = Follow(_inner, gradient);
        return ByBlock(_layout, block =>
        {
            var (u, w) = (Layout.Slice(inner, block), Layout.Slice(Weights, block));
            if (block.Invariance == Invariance.None)
                return u;
            var tangential = _project ? Projected.Tangential(u, w) : u;
            // A gradient is 1/R of that on the unit sphere, and the step there is R times as long here: R² for the free length.
            return _normalizeUpdate
                ? tangential / tangential.norm(1, keepdim: true).clamp_min(1e-30) * w.norm(1, keepdim: true)
                : tangential * w.square().sum(1, keepdim: true);
        });
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
        Restore(Weights, before, _layout);
    }

    /// <summary>Gives every invariant block of <paramref name="weights"/> the norm it has in <paramref name="before"/>.</summary>
    internal static void Restore(Tensor weights, Tensor before, Layout layout)
    {
        foreach (var block in layout.Where(b => b.Invariance != Invariance.None))
        {
            var w = Layout.Slice(weights, block);
            w.mul_(Layout.Slice(before, block).norm(1, keepdim: true) / w.norm(1, keepdim: true));
        }
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        _inner.Dispose();
        base.Dispose();
    }
}
