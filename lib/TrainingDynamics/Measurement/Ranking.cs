using TorchSharp;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;

namespace TrainingDynamics.Measurement;

/// <summary>The place of an item in a ranking.</summary>
/// <param name="Before">How many items have a greater score.</param>
/// <param name="Tied">How many have the same, itself among them.</param>
public readonly record struct Rank(int Before, int Tied)
{
    /// <summary>From 1; the mean over the orders of the tied ones.</summary>
    public double Mean => Before + ((Tied + 1) / 2.0);
}

/// <summary>
/// Ranking metrics over full rankings: every item that is not excluded competes. Sampling a hundred competitors instead ranks recommenders
/// in another
/// order (Krichene and Rendle 2020, doi:10.1145/3394486.3403226), so it is not offered; what it
/// would say is a formula, <c>Theory.SampledMetric</c>.
/// </summary>
public static class Ranking
{
    /// <summary>The place of the held-out item among all items.</summary>
    /// <param name="scores">(user, item), finite.</param>
    /// <param name="heldOut">One item for each user.</param>
    /// <param name="excluded">Items that do not compete, such as those a user already had: (user, item), 1 or 0.</param>
    /// <exception cref="ArgumentException">A score is not finite, an item is unknown, or the held-out item is excluded.</exception>
    public static Rank[] Ranks(Tensor scores, IReadOnlyList<long> heldOut, Tensor? excluded = null)
    {
        using var scope = NewDisposeScope();
        if (heldOut.Count != scores.shape[0] || heldOut.Any(item => item < 0 || item >= scores.shape[1]))
            throw new ArgumentException($"held-out items are {heldOut.Count} numbers, wanted is one for each of {scores.shape[0]} users, "
                + $"from 0 to {scores.shape[1] - 1}; got {heldOut.DefaultIfEmpty(-1).Min()} to {heldOut.DefaultIfEmpty(-1).Max()}",
                nameof(heldOut));
        if (!scores.isfinite().all().item<bool>())
            throw new ArgumentException("a score is not finite", nameof(scores));
        var all = scores.to(ScalarType.Float64);
        var index = Aligned.Tensor(heldOut.ToArray()).unsqueeze(1);
        var own = all.gather(1, index);
        var competes = excluded is null ? ones_like(all) : 1 - excluded.to(ScalarType.Float64);
        if ((competes.gather(1, index) == 0).any().item<bool>())
            throw new ArgumentException("a held-out item is excluded from its own ranking", nameof(excluded));
        var before = ((all > own).to(ScalarType.Float64) * competes).sum(1);
        var tied = ((all == own).to(ScalarType.Float64) * competes).sum(1);
        return [.. before.ToDoubles().Zip(tied.ToDoubles(), (b, t) => new Rank((int)b, (int)t))];
    }

    /// <summary>HR@K: the share of users whose held-out item is among the first K; of T tied items each order is as likely.</summary>
    public static double HitRate(IReadOnlyList<Rank> ranks, int slots)
        => Required(ranks, slots).Average(rank => Math.Clamp((slots - rank.Before) / (double)rank.Tied, 0, 1));

    /// <summary>
    /// The hit rate at K in expectation, where the truth is known: of each row the truth's probability of the K items with the greatest
    /// scores; of tied items each order is as likely. No held-out item is drawn, so there is no noise from drawing it.
    /// </summary>
    /// <param name="scores">(…, row, item), finite.</param>
    /// <param name="truth">Probabilities of the next item, of the same shape.</param>
    /// <param name="slots">K, 1 to the number of items.</param>
    /// <returns>(…), the mean over the rows.</returns>
    /// <exception cref="ArgumentException">The shapes differ, a score is not finite, or K is out of its range.</exception>
    public static Tensor ExpectedHitRate(Tensor scores, Tensor truth, int slots)
    {
        using var scope = NewDisposeScope();
        if (scores.dim() < 2 || !scores.shape.SequenceEqual(truth.shape))
            throw new ArgumentException($"{nameof(scores)} have the shape [{string.Join(", ", scores.shape)}], the truth "
                + $"[{string.Join(", ", truth.shape)}]; wanted is one shape, (…, row, item)", nameof(scores));
        if (slots < 1 || slots > scores.shape[^1])
            throw new ArgumentException($"{nameof(slots)} is {slots}, allowed are 1 to {scores.shape[^1]}, the items", nameof(slots));
        if (scores.shape[^2] < 1 || !scores.is_floating_point() || !scores.isfinite().all().item<bool>())
            throw new ArgumentException($"{nameof(scores)} have {scores.shape[^2]} rows of {scores.dtype}, wanted is one at least, and "
                + "finite numbers", nameof(scores));
        truth = Distributions.Required(truth.to(ScalarType.Float64), nameof(truth));
        if (!truth.isfinite().all().item<bool>())
            throw new ArgumentException($"{nameof(truth)}: {(~truth.isfinite()).sum().item<long>()} numbers are not finite", nameof(truth));
        var least = scores.topk(slots, dim: -1).values.amin([-1], keepdim: true);
        var (above, tied) = ((scores > least).to(truth.dtype), (scores == least).to(truth.dtype));
        var left = (slots - above.sum(-1)) / tied.sum(-1);
        return ((above * truth).sum(-1) + ((tied * truth).sum(-1) * left)).mean([-1]).MoveToOuterDisposeScope();
    }

    /// <summary>NDCG@K with one relevant item: the mean of 1/log₂(1 + rank) where the rank is at most K, else 0; the expectation over the
    /// order of ties.</summary>
    public static double Ndcg(IReadOnlyList<Rank> ranks, int slots) => Required(ranks, slots).Average(rank =>
    {
        var sum = 0.0;
        for (var place = rank.Before + 1; place <= Math.Min(slots, rank.Before + rank.Tied); place++)
            sum += 1 / Math.Log2(1 + place);
        return sum / rank.Tied;
    });

    private static IReadOnlyList<Rank> Required(IReadOnlyList<Rank> ranks, int slots) => ranks.Count > 0 && slots > 0
        ? ranks
        : throw new ArgumentException($"a metric at {slots} of {ranks.Count} ranks does not exist", nameof(ranks));
}
