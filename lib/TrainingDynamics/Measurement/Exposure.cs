using TorchSharp;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;

namespace TrainingDynamics.Measurement;

/// <summary>How a recommender divides attention among its items. Exposure is the share of all impressions that an item gets, (replica,
/// item).</summary>
public static class Exposure
{
    /// <summary>e(a) = Σ_x ρ(x)·π(a|x), (replica, item), with sum 1.</summary>
    /// <param name="policy">π, (replica or 1, context, item).</param>
    /// <param name="share">ρ, (context), with sum 1.</param>
    public static Tensor Of(Tensor policy, Tensor share)
    {
        using var scope = NewDisposeScope();
        return (share.unsqueeze(-1) * Distributions.Required(policy, nameof(policy)).to(ScalarType.Float64)).sum(1)
            .MoveToOuterDisposeScope();
    }

    /// <summary>
    /// Gini coefficient of each replica, G = Σ_i (2i − n − 1)·e_(i)/(n·Σe), e sorted upward: 0 is equal attention, 1 − 1/n all on one item.
    /// </summary>
    /// <param name="exposure">(replica, item), not negative.</param>
    /// <exception cref="ArgumentException">An exposure is negative, or a replica has none at all.</exception>
    public static double[] Gini(Tensor exposure)
    {
        using var scope = NewDisposeScope();
        var e = Required(exposure).sort(1).Values;
        var n = e.shape[1];
        var rank = (2 * (arange(n, dtype: ScalarType.Float64) + 1)) - n - 1;
        return ((rank * e).sum(1) / (n * e.sum(1))).ToDoubles();
    }

    /// <summary>Effective items, 1/Σ(e/Σe)²: so many items with equal attention would be as concentrated (the inverse Simpson or Herfindahl
    /// index).</summary>
    public static double[] EffectiveItems(Tensor exposure)
    {
        using var scope = NewDisposeScope();
        var e = Required(exposure);
        return (e / e.sum(1, keepdim: true)).square().sum(1).reciprocal().ToDoubles();
    }

    /// <summary>Coverage: the share of items that were shown at all.</summary>
    /// <param name="exposure">(replica, item): counts, or probabilities.</param>
    public static double[] Coverage(Tensor exposure)
    {
        using var scope = NewDisposeScope();
        var e = Required(exposure);
        return where(e.isnan(), e, (e > 0).to(ScalarType.Float64)).mean([1]).ToDoubles();
    }

    /// <summary>Exposure by group, (replica, group): the sum over a group's items.</summary>
    /// <param name="exposure">(replica, item), not negative.</param>
    /// <param name="groups">The group of each item, whole numbers from 0.</param>
    /// <exception cref="ArgumentException">There is not one group for each item, one is negative, or a replica has no exposure.</exception>
    public static Tensor ByGroup(Tensor exposure, IReadOnlyList<int> groups)
    {
        if (exposure.dim() != 2 || groups.Count == 0 || groups.Count != exposure.shape[1] || groups.Any(g => g < 0 || g >= groups.Count))
            throw new ArgumentException($"{nameof(groups)} are {groups.Count} numbers from {groups.DefaultIfEmpty(-1).Min()} to "
                + $"{groups.DefaultIfEmpty(-1).Max()}, wanted is one from 0 to below their number for each item of (replica, item), "
                + $"[{string.Join(", ", exposure.shape)}]", nameof(groups));
        using var scope = NewDisposeScope();
        var e = Required(exposure);
        return zeros(e.shape[0], groups.Max() + 1L, dtype: ScalarType.Float64)
            .index_add(1, Aligned.Tensor(groups.Select(g => (long)g).ToArray()), e, 1).MoveToOuterDisposeScope();
    }

    /// <summary>How alike the lists of two contexts are: |A ∩ B|/|A ∪ B| of their <paramref name="slots"/> likeliest items, the mean over
    /// all pairs of contexts.</summary>
    /// <param name="policy">(replica, context, item), at least two contexts.</param>
    /// <param name="slots">The length of a list.</param>
    public static double[] Jaccard(Tensor policy, int slots)
    {
        var contexts = policy.shape[1];
        if (contexts < 2 || slots < 1 || slots > policy.shape[2])
            throw new ArgumentException($"lists of {slots} of {policy.shape[2]} items in {contexts} contexts have no pairs to compare",
                nameof(slots));
        using var scope = NewDisposeScope();
        var wide = policy.to(ScalarType.Float64);
        var items = wide.topk(slots, dim: -1).indexes;
        // 1 where an item is in the list
        var listed = zeros_like(wide).scatter(2, items, ones_like(items, wide.dtype));
        // (replica, context, context)
        var both = listed.bmm(listed.transpose(1, 2));
        var alike = both / ((2 * slots) - both);
        return where(Replicas.AreFinite(policy), (alike.sum([1, 2]) - contexts) / (contexts * (contexts - 1)), double.NaN).ToDoubles();
    }

    private static Tensor Required(Tensor exposure)
    {
        var e = exposure.to(ScalarType.Float64);
        var finite = Replicas.AreFinite(e);
        if ((finite & ((e < 0).any(1) | (e.sum(1) <= 0))).any().item<bool>())
            throw new ArgumentException(
                $"an exposure is negative, or a replica has none; values go from {e.min().ToDouble()} to {e.max().ToDouble()}",
                nameof(exposure));
        return where(finite.unsqueeze(1), e, double.NaN);
    }
}
