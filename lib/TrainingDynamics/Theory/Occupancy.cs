using static MathNet.Numerics.SpecialFunctions;

namespace TrainingDynamics.Theory;

/// <summary>Items thrown into cells: how many cells are used, and how many pairs of items share one.</summary>
/// <remarks>Feller, An Introduction to Probability Theory, volume 1: the classical occupancy problem.</remarks>
public static class Occupancy
{
    /// <summary>E of the cells in use, M(1 − (1 − 1/M)^N): of N items, each in one of M cells, all as likely.</summary>
    /// <param name="cells">M, 1 or from 2 to 10¹⁰⁰.</param>
    /// <param name="items">N, at least 0.</param>
    /// <exception cref="ArgumentException">A number is out of its range.</exception>
    public static double Used(double cells, double items) => Required(cells, items) == 1
        ? Math.Min(1, items) : cells * Math.Abs(Logarithms.Expm1(items * Log1p(-1 / cells)));

    /// <summary>The standard deviation of the cells in use: Var = M·q₁ + M(M − 1)·q₂ − M²·q₁², with q_k = (1 − k/M)^N the probability that
    /// k given cells are empty.</summary>
    /// <param name="cells">M, 1 or from 2 to 10¹⁰⁰.</param>
    /// <param name="items">N, at least 0.</param>
    /// <exception cref="ArgumentException">A number is out of its range.</exception>
    public static double Deviation(double cells, double items)
    {
        if (Required(cells, items) == 1 || items == 0)
            return 0;
        // Few items in many cells: as many fewer cells as pairs that share one, which are Poisson.
        if (items / cells < 1e-8)
            return Math.Sqrt(Math.Max(0, items * (items - 1) / 2 / cells));
        // M·q₁(1 − q₁) + M(M − 1)(q₂ − q₁²), each difference by itself: for many cells the plain sum loses all its digits. q₂/q₁² is
        // (1 − 1/(M − 1)²)^N.
        var one = items * Log1p(-1 / cells);
        var (q1, ratio) = (Math.Exp(one), cells == 2 ? -1 : Logarithms.Expm1(items * Log1p(-1 / ((cells - 1) * (cells - 1)))));
        return Math.Sqrt(Math.Max(0, (cells * q1 * -Logarithms.Expm1(one)) + (cells * (cells - 1) * q1 * q1 * ratio)));
    }

    /// <summary>E of the cells in use where cell i has probability p_i: Σ_i 1 − (1 − p_i)^N.</summary>
    /// <param name="probabilities">p, with sum 1.</param>
    /// <param name="items">N, at least 0.</param>
    /// <exception cref="ArgumentException">They are no distribution, or N is negative.</exception>
    public static double Used(IReadOnlyList<double> probabilities, double items)
    {
        Require.NotNegative(items, nameof(items));
        return Distribution(probabilities).Sum(p => p >= 1 ? Math.Min(1, items) : -Logarithms.Expm1(items * Log1p(-p)));
    }

    /// <summary>E of the pairs that share a cell, N(N − 1)/2·Σ_i p_i² = N(N − 1)/2·2^{−H₂}: it depends on the law by its Rényi-2 entropy
    /// alone.</summary>
    /// <param name="items">N, at least 0.</param>
    /// <param name="renyi">H₂ in bits, at least 0.</param>
    /// <exception cref="ArgumentException">A number is out of its range.</exception>
    public static double SharingPairs(double items, double renyi) =>
        Require.NotNegative(items, nameof(items)) * Math.Max(0, items - 1) / 2 * Math.Pow(2, -Require.NotNegative(renyi, nameof(renyi)));

    /// <summary>H₂ = −log₂ Σ_i p_i², in bits.</summary>
    /// <param name="probabilities">p, with sum 1.</param>
    /// <exception cref="ArgumentException">They are no distribution.</exception>
    public static double Renyi(IReadOnlyList<double> probabilities) => Math.Abs(Math.Log2(Distribution(probabilities).Sum(p => p * p)));

    /// <summary>
    /// H₂ of a law that is known by a sample: Σ_i n_i(n_i − 1)/(N(N − 1)), the share of pairs that are alike, is an unbiased estimate of
    /// Σ_i p_i².
    /// </summary>
    /// <param name="counts">n, how often each cell was seen; two items at least.</param>
    /// <exception cref="ArgumentException">A count is negative, there are fewer than two items, or no two are alike: the entropy is then
    /// not known, only that it is large.</exception>
    public static double RenyiOfCounts(IReadOnlyList<long> counts)
    {
        var (items, alike) = (counts.Sum(n => (double)n), counts.Sum(n => (double)n * (n - 1)));
        if (counts.Any(n => n < 0) || items < 2 || alike == 0)
            throw new ArgumentException($"{nameof(counts)} are {items} items, the least of a cell {counts.DefaultIfEmpty(0).Min()}; wanted "
                + "are two items that are alike at least", nameof(counts));
        return -Math.Log2(alike / (items * (items - 1)));
    }

    private static double Required(double cells, double items)
    {
        if (!(cells is 1 or (>= 2 and <= 1e100)))
            throw new ArgumentException($"{nameof(cells)} is {cells}, allowed are 1 and numbers from 2 to 1e100", nameof(cells));
        Require.NotNegative(items, nameof(items));
        return cells;
    }

    private static IReadOnlyList<double> Distribution(IReadOnlyList<double> probabilities) =>
        probabilities.Count > 0 && probabilities.All(v => v >= 0) && Math.Abs(probabilities.Sum() - 1) < 1e-6 ? probabilities
            : throw new ArgumentException($"{nameof(probabilities)} are no distribution: {probabilities.Count} of them, the least "
                + $"{probabilities.DefaultIfEmpty(0).Min()}, their sum {probabilities.Sum()}", nameof(probabilities));
}
