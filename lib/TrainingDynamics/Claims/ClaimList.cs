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
    private readonly List<Claim> _unseen = [];

    /// <summary>measured = predicted ± <paramref name="within"/>, on the mean over the seeds.</summary>
    /// <param name="name">What is claimed.</param>
    /// <param name="predicted">From theory.</param>
    /// <param name="measured">One number for each seed.</param>
    /// <param name="within">The tolerance, in the unit of the numbers.</param>
    /// <param name="source">Where the prediction comes from.</param>
    /// <param name="unit">The unit, if there is one.</param>
    /// <param name="kind">What sort of statement it is.</param>
    public Claim Check(string name, double predicted, IReadOnlyList<double> measured,
        double within, string source, string unit = "", Kind kind = Kind.Prediction)
        => Add(name, predicted, Mean(measured), measured, Relation.Within, within, source, unit, kind);

    /// <summary>measured = predicted ± <paramref name="within"/>, for a number that has no seeds.</summary>
    public Claim Check(string name, double predicted, double measured,
        double within, string source, string unit = "", Kind kind = Kind.Prediction)
        => Check(name, predicted, [measured], within, source, unit, kind);

    /// <summary>measured/predicted = 1 ± <paramref name="within"/>, on the mean over the seeds.</summary>
    public Claim CheckRatio(string name, double predicted, IReadOnlyList<double> measured,
        double within, string source, string unit = "", Kind kind = Kind.Prediction)
        => Add(name, predicted, Mean(measured), measured, Relation.RatioWithin, within, source, unit, kind);

    /// <summary>What was run anew agrees with a long table: the means differ by at most three standard errors, by the table's spread over
    /// its seeds, s·√(1/n + 1/m).</summary>
    /// <param name="name">What was run.</param>
    /// <param name="tabled">The table's number of each of its m &gt; 1 seeds.</param>
    /// <param name="measured">The same anew, of each of n seeds.</param>
    /// <param name="unit">The unit, if there is one.</param>
    /// <exception cref="ArgumentException">The table has fewer than two seeds.</exception>
    public Claim CheckAnew(string name, IReadOnlyList<double> tabled, IReadOnlyList<double> measured, string unit = "")
    {
        if (tabled.Count < 2)
            throw new ArgumentException($"the table has {tabled.Count} seeds of '{name}': its spread needs two", nameof(tabled));
        var mean = tabled.Average();
        var spread = Math.Sqrt(tabled.Sum(value => (value - mean) * (value - mean)) / (tabled.Count - 1));
        return Check($"{name}: anew, against the table", mean, measured,
            within: 3 * spread * Math.Sqrt((1.0 / measured.Count) + (1.0 / tabled.Count)), "the long table", unit);
    }

    /// <summary>An identity: |measured| ≤ <paramref name="rounding"/> on every seed, whatever the experiment did.</summary>
    public Claim Identity(string name, double rounding, IReadOnlyList<double> measured, string source, string unit = "")
        => AtMost(name, rounding, measured.Select(Math.Abs).ToArray(), source, unit, Kind.Identity);

    /// <summary>measured ≤ <paramref name="bound"/>, for every seed.</summary>
    public Claim AtMost(string name, double bound, IReadOnlyList<double> measured,
        string source, string unit = "", Kind kind = Kind.Observation)
        => Add(name, bound, measured.Any(double.IsNaN) ? double.NaN : measured.DefaultIfEmpty().Max(),
            measured, Relation.AtMost, 0, source, unit, kind);

    /// <summary>measured ≥ <paramref name="bound"/>, for every seed.</summary>
    public Claim AtLeast(string name, double bound, IReadOnlyList<double> measured,
        string source, string unit = "", Kind kind = Kind.Observation)
        => Add(name, bound, measured.Any(double.IsNaN) ? double.NaN : measured.DefaultIfEmpty().Min(),
            measured, Relation.AtLeast, 0, source, unit, kind);

    /// <summary>measured ≤ <paramref name="bound"/> on the mean over the seeds, for what single seeds may miss; the spread says by how
    /// much.</summary>
    public Claim MeanAtMost(string name, double bound, IReadOnlyList<double> measured,
        string source, string unit = "", Kind kind = Kind.Observation)
        => Add(name, bound, Mean(measured), measured, Relation.AtMost, 0, source, unit, kind);

    /// <summary>measured ≥ <paramref name="bound"/> on the mean over the seeds.</summary>
    public Claim MeanAtLeast(string name, double bound, IReadOnlyList<double> measured,
        string source, string unit = "", Kind kind = Kind.Observation)
        => Add(name, bound, Mean(measured), measured, Relation.AtLeast, 0, source, unit, kind);

    /// <summary>Two arms on the same seeds: the mean of first − second lies more than two of its standard errors above 0.</summary>
    /// <param name="name">What is claimed.</param>
    /// <param name="first">The arm that is to be larger, one number for each seed.</param>
    /// <param name="second">The other arm, the same seeds in the same order.</param>
    /// <param name="source">What says so.</param>
    /// <param name="unit">The unit, if there is one.</param>
    /// <exception cref="ArgumentException">The arms have different numbers of seeds, or less than two.</exception>
    public Claim Greater(string name, IReadOnlyList<double> first, IReadOnlyList<double> second, string source, string unit = "")
        => Compare(name, first, second, Relation.Above, 0, source, unit);

    /// <summary>Two arms on the same seeds: the mean of first − second is 0 ± <paramref name="within"/>. The standard error beside it says
    /// whether that could be seen.</summary>
    public Claim Alike(string name, IReadOnlyList<double> first,
        IReadOnlyList<double> second, double within, string source, string unit = "")
        => Compare(name, first, second, Relation.Within, within, source, unit);

    /// <summary>A paper's number beside ours: no check.</summary>
    public Claim Published(string name, double published, IReadOnlyList<double> measured, string source, string unit = "")
        => Add(name, published, Mean(measured), measured, Relation.Beside, 0, source, unit, Kind.Published);

    /// <summary>What was checked since the last call, as the table of one cell: the first rows shown, further ones folded under
    /// them.</summary>
    /// <param name="show">How many rows are shown; what does not hold is shown in any case.</param>
    /// <exception cref="InvalidOperationException">Nothing was checked since.</exception>
    public CheckedClaims Checked(int show = 2)
    {
        if (_unseen.Count == 0)
            throw new InvalidOperationException("nothing was checked since the last table: Checked() ends a cell that checks");
        var table = new CheckedClaims([.. _unseen], show);
        _unseen.Clear();
        return table;
    }

    private Claim Compare(string name, IReadOnlyList<double> first,
        IReadOnlyList<double> second, Relation relation, double within, string source, string unit)
    {
        if (first.Count != second.Count || first.Count < 2)
            throw new ArgumentException(
                $"'{name}' compares arms of {first.Count} and {second.Count} seeds; wanted are the same seeds, at least two",
                nameof(second));
        double[] differences = [.. first.Zip(second, (a, b) => a - b)];
        return Add(name, 0, Mean(differences), differences, relation, within, source, unit, Kind.Comparison);
    }

    private Claim Add(string name, double predicted, double value,
        IReadOnlyList<double> seeds, Relation relation, double tolerance, string source, string unit, Kind kind)
    {
        if (seeds.Count == 0)
            throw new ArgumentException($"'{name}' has no measured value: one number for each seed is needed", "measured");
        if (!(tolerance >= 0))
            throw new ArgumentException($"the tolerance of '{name}' is {tolerance}, allowed is a number of at least 0", "within");
        var spread = seeds.Count > 1 ? MathNet.Numerics.Statistics.Statistics.StandardDeviation(seeds) : 0;
        var claim = new Claim(name, predicted, value, relation, tolerance, unit, source, seeds.Count, spread) { Kind = kind };
        foreach (var list in (List<Claim>[])[_claims, _unseen])
        {
            list.RemoveAll(c => c.Name == name);                                       // a cell may be run twice
            list.Add(claim);
        }
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
