using TorchSharp;
using TrainingDynamics.Models;
using static TorchSharp.torch;

namespace TrainingDynamics.Optimizers;

/// <summary>
/// Takes the radial part out of another optimizer's direction, block by block: SGDP around <see cref="Sgd"/>, AdamP around
/// <see cref="AdamW"/>.
/// <code>u ← u − ⟨u, ŵ⟩·ŵ</code>
/// Momentum points a little inward or outward even when no gradient does; that part only changes the norm, and with it the
/// effective learning rate.
/// </summary>
/// <remarks>
/// Heo et al. 2021, arXiv:2006.08217. Their code projects only where cos(w, g) is small enough to suspect invariance, by
/// row or whole; here the layout's <see cref="Invariance"/> says what is invariant, and other blocks are left alone.
/// </remarks>
public sealed class Projected : Optimizer
{
    private readonly Optimizer _inner;
    private readonly Layout _layout;

    /// <summary>The projected form of <paramref name="inner"/>, which it owns: rate and decay are the inner one's.</summary>
    public Projected(Optimizer inner, Layout layout)
        : base(inner.Weights, inner.Rates.ToArray(), inner.Decays.ToArray())
    {
        (_inner, _layout) = (Taken(inner), layout);
        TakeBlocks(inner);
    }

    /// <inheritdoc/>
    protected internal override Tensor Direction(Tensor gradient)
    {
        var update = Follow(_inner, gradient);
        return ByBlock(_layout, block =>
        {
            var (u, w) = (Layout.Slice(update, block), Layout.Slice(Weights, block));
            return block.Invariance switch
            {
                Invariance.None => u,
                Invariance.Whole => Tangential(u, w),
                _ => Tangential(u.reshape(Replicas, block.Shape[0], -1), w.reshape(Replicas, block.Shape[0], -1)).reshape(Replicas, -1),
            };
        });
    }

    /// <summary>What is left of u without its part along w, over the last axis.</summary>
    internal static Tensor Tangential(Tensor u, Tensor w) => u - ((u * w).sum(-1, keepdim: true) / w.square().sum(-1, keepdim: true) * w);

    /// <inheritdoc/>
    public override void Dispose()
    {
        _inner.Dispose();
        base.Dispose();
    }
}
