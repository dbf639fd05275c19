using System.Collections;
using TrainingDynamics.Notebook;

namespace TrainingDynamics.Claims;

/// <summary>
/// The claims of a notebook. Each check shows its verdict; the list shows them all. A host that runs the notebook collects
/// them, and one that does not hold makes the run fail.
/// </summary>
[TypeFormatterSource(typeof(ClaimFormatterSource), PreferredMimeTypes = ["text/html", "text/plain", ClaimFormatterSource.MimeType])]
public sealed class ClaimList : IReadOnlyList<Claim>
{
    private readonly List<Claim> _claims = [];

    /// <summary>measured = predicted ± <paramref name="within"/>, on the mean over the seeds.</summary>
    /// <param name="name">What is claimed.</param>
    /// <param name="predicted">From theory.</param>
    /// <param name="measured">One number for each seed.</param>
    /// <param name="within">The tolerance, in the unit of the numbers.</param>
    /// <param name="source">Where the prediction comes from.</param>
    /// <param name="unit">The unit, if there is one.</param>
    public Claim Check(string name, double predicted, IReadOnlyList<double> measured, double within, string source, string unit = "")
        => Add(name, predicted, Mean(measured), measured, Relation.Within, within, source, unit);

    /// <summary>measured = predicted ± <paramref name="within"/>, for a number that has no seeds.</summary>
    public Claim Check(string name, double predicted, double measured, double within, string source, string unit = "")
        => Check(name, predicted, [measured], within, source, unit);

    /// <summary>measured/predicted = 1 ± <paramref name="within"/>, on the mean over the seeds.</summary>
    public Claim CheckRatio(string name, double predicted, IReadOnlyList<double> measured, double within, string source, string unit = "")
        => Add(name, predicted, Mean(measured), measured, Relation.RatioWithin, within, source, unit);

    /// <summary>measured ≤ <paramref name="bound"/>, for every seed.</summary>
    public Claim AtMost(string name, double bound, IReadOnlyList<double> measured, string source, string unit = "")
        => Add(name, bound, measured.Any(double.IsNaN) ? double.NaN : measured.DefaultIfEmpty().Max(), measured, Relation.AtMost, 0, source, unit);

    /// <summary>measured ≥ <paramref name="bound"/>, for every seed.</summary>
    public Claim AtLeast(string name, double bound, IReadOnlyList<double> measured, string source, string unit = "")
        => Add(name, bound, measured.Any(double.IsNaN) ? double.NaN : measured.DefaultIfEmpty().Min(), measured, Relation.AtLeast, 0, source, unit);

    /// <summary>measured ≤ <paramref name="bound"/> on the mean over the seeds, for what single seeds may miss; the spread says by how much.</summary>
    public Claim MeanAtMost(string name, double bound, IReadOnlyList<double> measured, string source, string unit = "")
        => Add(name, bound, Mean(measured), measured, Relation.AtMost, 0, source, unit);

    /// <summary>measured ≥ <paramref name="bound"/> on the mean over the seeds.</summary>
    public Claim MeanAtLeast(string name, double bound, IReadOnlyList<double> measured, string source, string unit = "")
        => Add(name, bound, Mean(measured), measured, Relation.AtLeast, 0, source, unit);

    private Claim Add(string name, double predicted, double value, IReadOnlyList<double> seeds, Relation relation, double tolerance, string source, string unit)
    {
        if (seeds.Count == 0)
            throw new ArgumentException($"'{name}' has no measured value: one number for each seed is needed", "measured");
        if (!(tolerance >= 0))
            throw new ArgumentException($"the tolerance of '{name}' is {tolerance}, allowed is a number of at least 0", "within");
        var spread = seeds.Count > 1 ? MathNet.Numerics.Statistics.Statistics.StandardDeviation(seeds) : 0;
        var claim = new Claim(name, predicted, value, relation, tolerance, unit, source, seeds.Count, spread);
        _claims.RemoveAll(c => c.Name == name);                                        // a cell may be run twice
        _claims.Add(claim);
        return claim;
    }

    private static double Mean(IReadOnlyList<double> values) => values.DefaultIfEmpty().Average();

    /// <inheritdoc/>
    public int Count => _claims.Count;

    /// <inheritdoc/>
    public Claim this[int index] => _claims[index];

    /// <inheritdoc/>
    public IEnumerator<Claim> GetEnumerator() => _claims.GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}
