using MathNet.Numerics.Distributions;
using MathNet.Numerics.Statistics;

namespace TrainingDynamics.Measurement;

/// <summary>A mean over seeds and how well it is known.</summary>
/// <param name="Mean">The mean.</param>
/// <param name="HalfWidth">Half the 95 % confidence interval, by Student's t.</param>
public sealed record Interval(double Mean, double HalfWidth)
{
    /// <inheritdoc/>
    public override string ToString() => FormattableString.Invariant($"{Mean:G4} ± {HalfWidth:G2}");
}

/// <summary>Fits of straight lines and means over seeds, by MathNet.Numerics.</summary>
public static class Fit
{
    /// <summary>The exponent p of y ≈ c·x^p: the slope of ln y over ln x by least squares.</summary>
    /// <exception cref="ArgumentException">Less than two points, different counts, or a value that is not positive and finite.</exception>
    public static double LogLogSlope(IReadOnlyList<double> x, IReadOnlyList<double> y)
    {
        if (x.Count != y.Count || x.Count < 2)
            throw new ArgumentException($"a slope needs at least two points, each with x and y; got {x.Count} and {y.Count}", nameof(y));
        if (x.Concat(y).Where(v => !(v > 0 && double.IsFinite(v))).Cast<double?>().FirstOrDefault() is { } bad)
            throw new ArgumentException($"a power law needs positive finite values, got {bad}", nameof(y));
        return MathNet.Numerics.Fit.Line([.. x.Select(v => Math.Log(v))], [.. y.Select(v => Math.Log(v))]).B;
    }

    /// <summary>The exponent of each replica of a trace, over its points from <paramref name="from"/> on.</summary>
    public static double[] LogLogSlopes(Trace trace, double from = 0)
    {
        var at = Enumerable.Range(0, trace.X.Count).Where(i => trace.X[i] >= from).ToArray();
        return [.. Enumerable.Range(0, trace.Replicas)
            .Select(r => LogLogSlope([.. at.Select(i => trace.X[i])], [.. at.Select(i => trace[r][i])]))];
    }

    /// <summary>The mean over seeds with its 95 % confidence interval.</summary>
    /// <exception cref="ArgumentException">Less than two seeds.</exception>
    public static Interval OverSeeds(IReadOnlyList<double> values)
    {
        if (values.Count < 2)
            throw new ArgumentException($"an interval over seeds needs at least two, got {values.Count}", nameof(values));
        var t = StudentT.InvCDF(0, 1, values.Count - 1, 0.975);
        // Of equal values the sums' rounding would be left.
        var deviation = double.IsFinite(values[0]) && values.All(value => value == values[0]) ? 0 : values.StandardDeviation();
        return new Interval(values.Average(), t * deviation / Math.Sqrt(values.Count));
    }
}
