using TorchSharp;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;

namespace TrainingDynamics.Optimizers;

/// <summary>
/// Clips the gradient by the length that equilibrium gives it, over all parameters of a replica together:
/// <code>g ← g·min(1, c·√(2λ/η)·‖w‖/‖g‖)</code>
/// At the equilibrium of SGD with decay ‖g‖ = √(2λ/η)·‖w‖, so an ordinary step is left alone and an outlier cannot lengthen
/// the weight for long.
/// </summary>
/// <remarks>
/// Li et al. 2022, arXiv:2202.00980; our c is their √C. λ is decoupled decay, multiplied by the learning rate. λ and η are those the
/// optimizer was made with: a schedule moves the equilibrium, and not this threshold.
/// </remarks>
public sealed class RelativelyClipped : Optimizer
{
    private readonly Optimizer _inner;
    private readonly Tensor _threshold;

    /// <summary>The clipped form of <paramref name="inner"/>, which it owns: rate and decay are the inner one's and must be
    /// positive.</summary>
    /// <param name="inner">Plain SGD with decoupled decay, in the paper's recipe.</param>
    /// <param name="factor">c &gt; 0.</param>
    /// <exception cref="ArgumentException">The factor, a rate or a decay is not positive, or a block has settings of its own: the threshold
    /// is one for all.</exception>
    public RelativelyClipped(Optimizer inner, PerReplica factor) : base(inner.Weights, inner.Rates.ToArray(), inner.Decays.ToArray())
    {
        var factors = factor.Expand(Replicas, nameof(factor), from: double.Epsilon);
        if (inner.Rates.Concat(inner.Decays).Any(v => v <= 0))
            throw new ArgumentException($"rates {string.Join(", ", inner.Rates)} and decays {string.Join(", ", inner.Decays)} must be "
                + "positive: the threshold is √(2λ/η)·‖w‖", nameof(inner));
        _inner = Taken(inner, withBlocks: false);
        _threshold = Column([.. factors.Select((c, r) => c * Math.Sqrt(2 * inner.Decays[r] / inner.Rates[r]))]);
    }

    /// <inheritdoc/>
    protected internal override Tensor Direction(Tensor gradient)
    {
        var most = _threshold * Weights.norm(1, keepdim: true);
        return Follow(_inner, gradient * (most / gradient.norm(1, keepdim: true)).clamp_max(1));
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        _inner.Dispose();
        base.Dispose();
    }
}
