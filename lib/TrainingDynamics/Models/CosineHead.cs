using TorchSharp;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;

namespace TrainingDynamics.Models;

/// <summary>
/// Scores of items by angle alone: s(q, a) = γ·cos(q, e_a), with a vector e_a for each item. The length of e_a has no effect on any score,
/// so its gradient stands at a right angle to it. Blocks: E (item, width), and γ where it is learned. Float64.
/// </summary>
/// <remarks>γ is 1/τ of contrastive losses. Scores span at most 2γ, so no item can be e^{2γ} times as likely as another.</remarks>
public sealed class CosineHead : Model
{
    private readonly double? _scale;
    private readonly long _width;

    /// <summary>One head for each of <paramref name="random"/>'s replicas; vectors start normal with deviation 1/√width.</summary>
    /// <param name="items">Items.</param>
    /// <param name="width">Numbers in a vector.</param>
    /// <param name="scale">γ &gt; 0; where it starts, if it is learned.</param>
    /// <param name="random">The replicas' seeds.</param>
    /// <param name="learnScale">Whether γ is a weight, too.</param>
    /// <exception cref="ArgumentException">A number is out of its range.</exception>
    public CosineHead(int items, int width, double scale, ReplicaRandom random, bool learnScale = false)
        : base(learnScale ? new Layout(Vectors(items, width), new Block("γ", [1])) : new Layout(Vectors(items, width)),
            Start(items, width, scale, random, learnScale))
        => (_width, _scale) = (width, learnScale ? null : scale);

    private static Block Vectors(int items, int width) => new("E", [items, width], Invariance.Rows);

    private static Tensor Start(int items, int width, double scale, ReplicaRandom random, bool learnScale)
    {
        if (items < 1 || width < 1 || !(scale > 0 && double.IsFinite(scale)))
            throw new ArgumentException($"a head needs items and a width of at least 1 and a scale in (0, ∞); got {items}, {width} and "
                + $"{scale}", nameof(scale));
        using var scope = NewDisposeScope();
        var vectors = random.Normal([(long)items * width], ScalarType.Float64) / Math.Sqrt(width);
        return (learnScale ? cat([vectors, full([random.Replicas, 1], scale, dtype: ScalarType.Float64)], 1) : vectors)
            .MoveToOuterDisposeScope();
    }

    /// <summary>γ·cos(q, e_a), (replica, batch, item), of queries (replica or 1, batch, width).</summary>
    /// <exception cref="ArgumentException">The queries have another width or type, or a query or an item's vector has no direction.
    /// </exception>
    public override Tensor Forward(Tensor weights, Tensor inputs)
    {
        using var scope = NewDisposeScope();
        RequireWeights(weights, ScalarType.Float64);
        if (inputs.dim() != 3 || inputs.shape[2] != _width || (inputs.shape[0] != 1 && inputs.shape[0] != weights.shape[0])
            || inputs.dtype != ScalarType.Float64)
            throw new ArgumentException($"{nameof(inputs)} have the shape [{string.Join(", ", inputs.shape)}] of {inputs.dtype}, wanted is "
                + $"({weights.shape[0]} or 1, batch, {_width}) of Float64", nameof(inputs));
        var lengths = inputs.norm(-1, keepdim: true);
        if (!((lengths > 0) & lengths.isfinite()).all().item<bool>())
            throw new ArgumentException($"{nameof(inputs)}: a query is 0 or not finite; it has no direction", nameof(inputs));
        var parts = Layout.Split(weights);
        var sizes = parts[0].norm(-1, keepdim: true);
        if ((sizes == 0).any().item<bool>())
            throw new ArgumentException($"{nameof(weights)}: an item's vector is 0; it has no direction", nameof(weights));
        var units = parts[0] / sizes;
        var cosines = (inputs / lengths).expand(weights.shape[0], -1, -1).bmm(units.transpose(1, 2));
        return (_scale is { } fixedScale ? cosines * fixedScale : cosines * parts[1].unsqueeze(-1)).MoveToOuterDisposeScope();
    }
}

/// <summary>
/// What makes a classifier answer as if all items were equally frequent (Menon et al. 2021, arXiv:2007.07314): cross-entropy learns
/// s = ln p(q|a) + ln p(a) + const, so either ln p(a) is taken off the scores afterwards, or it is added to them while they are learned.
/// </summary>
public static class LogitAdjustment
{
    /// <summary>ln p̂(a) = ln (n_a + κ)/(Σn + κ·items), from counts.</summary>
    /// <param name="counts">n, not negative, (…, item).</param>
    /// <param name="pseudo">κ ≥ 0, counted for every item.</param>
    /// <exception cref="ArgumentException">A count or κ is negative or not finite, or an item was seen by nobody and κ is 0: its logarithm
    /// is −∞, and an adjusted score would be +∞.</exception>
    public static Tensor LogFrequencies(Tensor counts, double pseudo = 0)
    {
        using var scope = NewDisposeScope();
        Require.NotNegative(pseudo, nameof(pseudo));
        var smoothed = counts.to(ScalarType.Float64) + pseudo;
        if (!((counts >= 0) & counts.isfinite()).all().item<bool>() || !(smoothed > 0).all().item<bool>())
            throw new ArgumentException($"{nameof(counts)}: {(smoothed <= 0).sum().item<long>()} items were seen by nobody, or a count is "
                + $"negative or not finite; give every item a pseudo-count above 0 ({nameof(pseudo)} is {pseudo})", nameof(counts));
        return (smoothed.log() - smoothed.sum(-1, keepdim: true).log()).MoveToOuterDisposeScope();
    }

    /// <summary>s + τ·ln p: while learning. The scores s themselves then are those of equally frequent items.</summary>
    /// <param name="scores">(replica, batch, item).</param>
    /// <param name="logFrequencies">ln p, (replica or 1, item), finite.</param>
    /// <param name="strength">τ; 1 is exact.</param>
    /// <exception cref="ArgumentException">A number is not finite, or the shapes do not fit.</exception>
    public static Tensor WhileLearning(Tensor scores, Tensor logFrequencies, double strength = 1)
    {
        if (scores.dim() != 3 || logFrequencies.dim() != 2 || logFrequencies.shape[1] != scores.shape[2]
            || (logFrequencies.shape[0] != 1 && logFrequencies.shape[0] != scores.shape[0])
            || !logFrequencies.isfinite().all().item<bool>() || !double.IsFinite(strength))
            throw new ArgumentException($"{nameof(logFrequencies)} have the shape [{string.Join(", ", logFrequencies.shape)}], the scores "
                + $"[{string.Join(", ", scores.shape)}], {nameof(strength)} is {strength}; wanted are finite numbers, (replica or 1, item) "
                + "for (replica, batch, item)", nameof(logFrequencies));
        return scores + (strength * logFrequencies.unsqueeze(1));
    }

    /// <summary>s − τ·ln p: afterwards.</summary>
    /// <inheritdoc cref="WhileLearning"/>
    public static Tensor Afterwards(Tensor scores, Tensor logFrequencies, double strength = 1)
        => double.IsFinite(strength) ? WhileLearning(scores, logFrequencies, -strength)
            : throw new ArgumentException($"{nameof(strength)} is {strength}, wanted is a finite number", nameof(strength));
}
