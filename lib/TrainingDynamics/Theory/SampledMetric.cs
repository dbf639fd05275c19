using MathNet.Numerics.Distributions;

namespace TrainingDynamics.Theory;

/// <summary>What a ranking metric becomes when the relevant item competes with a few sampled items and not with all.</summary>
/// <remarks>Krichene and Rendle 2020, doi:10.1145/3394486.3403226.</remarks>
public static class SampledMetric
{
    /// <summary>
    /// The hit rate at K against n rivals drawn evenly, with repeating, from the I − 1 other items:
    /// Σ_R P(R)·P(Bin(n, (R − 1)/(I − 1)) ≤ K − 1), R the full rank, from 1.
    /// </summary>
    /// <param name="ranks">P(R) at index R − 1, of I items, with sum 1.</param>
    /// <param name="rivals">n, at least 1.</param>
    /// <param name="slots">K, at least 1.</param>
    /// <exception cref="ArgumentException">A number is out of its range, or the ranks are no distribution.</exception>
    public static double HitRate(IReadOnlyList<double> ranks, int rivals, int slots)
    {
        if (ranks.Count < 2 || ranks.Any(p => !(p >= 0)) || Math.Abs(ranks.Sum() - 1) > 1e-6)
            throw new ArgumentException($"{nameof(ranks)} are no distribution over two ranks or more: {ranks.Count} of them, sum "
                + $"{ranks.Sum()}", nameof(ranks));
        Require.AtLeastOne((nameof(rivals), rivals), (nameof(slots), slots));
        double First(int before) => slots > rivals ? 1 : Binomial.CDF(before / (ranks.Count - 1.0), rivals, slots - 1);
        return ranks.Select((p, before) => p == 0 ? 0 : p * First(before)).Sum();
    }
}
