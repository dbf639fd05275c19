using MathNet.Numerics.Distributions;
using MathNet.Numerics.Integration;

namespace TrainingDynamics.Theory;

/// <summary>
/// A light model that keeps m of N candidates and a strong one that chooses among them. One candidate is relevant; its scores are normal
/// with mean d′ and deviation 1, the others' standard normal, all independent, the two models' too.
/// </summary>
/// <remarks>Signal detection: Green and Swets 1966. The product is ours; it needs that the strong model does not see what the light one
/// saw.</remarks>
public static class Cascade
{
    /// <summary>P(the relevant one is among the m best of N) = ∫ φ(x − d′)·P(Bin(N − 1, 1 − Φ(x)) ≤ m − 1) dx.</summary>
    /// <param name="candidates">N, at least 1.</param>
    /// <param name="kept">m, 1 to N.</param>
    /// <param name="light">d′ of the model that keeps them.</param>
    /// <exception cref="ArgumentException">A number is out of its range.</exception>
    public static double Survives(int candidates, int kept, double light)
    {
        Require.AtLeastOne((nameof(candidates), candidates));
        if (kept < 1 || kept > candidates)
            throw new ArgumentException($"{nameof(kept)} is {kept}, allowed are 1 to {candidates}, the candidates", nameof(kept));
        if (!double.IsFinite(light))
            throw new ArgumentException($"{nameof(light)} is {light}, wanted is a finite number", nameof(light));
        if (kept == candidates)
            return 1;
        // The probability steps from 0 to 1 around the score that leaves m − ½ rivals before it, within about 1/√m deviations: an integral
        // on each side of the step and one across it.
        var step = Math.Clamp(-Normal.InvCDF(0, 1, Math.Clamp((kept - 0.5) / (candidates - 1), 1e-300, 1 - 1e-16)) - light, -9, 9);
        var width = Math.Min(1, 6 / Math.Sqrt(kept));
        double[] cuts = [-9, Math.Max(-9, step - width), Math.Min(9, step + width), 9];                                 // of x − d′
        return Math.Min(1, Enumerable.Range(0, 3).Where(i => cuts[i] < cuts[i + 1]).Sum(i => GaussLegendreRule.Integrate(x =>
            Normal.PDF(0, 1, x) * Binomial.CDF(Normal.CDF(0, 1, -(x + light)), candidates - 1, kept - 1), cuts[i], cuts[i + 1], 128)));
    }

    /// <summary>P(the relevant one is the best of n) = ∫ φ(x − d′)·Φ(x)^{n−1} dx.</summary>
    /// <param name="candidates">n, at least 1.</param>
    /// <param name="strong">d′ of the model that chooses.</param>
    /// <exception cref="ArgumentException">A number is out of its range.</exception>
    public static double Wins(int candidates, double strong) => double.IsFinite(strong) ? Survives(candidates, 1, strong)
        : throw new ArgumentException($"{nameof(strong)} is {strong}, wanted is a finite number", nameof(strong));

    /// <summary>P(hit) = P(among the m best of N by the light model)·P(the best of m by the strong one).</summary>
    /// <param name="candidates">N, at least 1.</param>
    /// <param name="kept">m, 1 to N.</param>
    /// <param name="light">d′ of the light model.</param>
    /// <param name="strong">d′ of the strong model.</param>
    /// <exception cref="ArgumentException">A number is out of its range.</exception>
    public static double Hit(int candidates, int kept, double light, double strong) =>
        Survives(candidates, kept, light) * Wins(kept, strong);
}
