namespace TrainingDynamics.Measurement;

/// <summary>A quantity of every replica along a run: what a curve with a band is drawn from.</summary>
/// <param name="name">What is measured, for legends.</param>
/// <param name="replicas">How many replicas there are.</param>
public sealed class Trace(string name, int replicas)
{
    private readonly List<double> _x = [];
    private readonly List<double>[] _values = [.. Enumerable.Range(0, replicas).Select(_ => new List<double>())];
    private readonly double?[] _divergedAt = new double?[replicas];

    /// <summary>What is measured.</summary>
    public string Name { get; } = name;

    /// <summary>How many replicas there are.</summary>
    public int Replicas { get; } = replicas;

    /// <summary>Where it was measured: steps, mostly.</summary>
    public IReadOnlyList<double> X => _x;

    /// <summary>The values of one replica, one for each of <see cref="X"/>.</summary>
    public IReadOnlyList<double> this[int replica] => _values[replica];

    /// <summary>Where the replica's value first was not finite; null if never.</summary>
    public double? DivergedAt(int replica) => _divergedAt[replica];

    /// <summary>Adds a point.</summary>
    /// <exception cref="ArgumentException">There is not one value for each replica, or <paramref name="x"/> is not beyond the last
    /// point: a second run needs a trace of its own.</exception>
    public void Add(double x, IReadOnlyList<double> values)
    {
        if (values.Count != Replicas)
            throw new ArgumentException($"'{Name}' has {Replicas} replicas, got {values.Count} values", nameof(values));
        if (double.IsNaN(x) || (_x.Count > 0 && x <= _x[^1]))
            throw new ArgumentException($"'{Name}' got x = {x}{(_x.Count > 0 ? $" after {_x[^1]}" : "")}: a second run needs a new trace",
                nameof(x));
        _x.Add(x);
        for (var r = 0; r < Replicas; r++)
        {
            _values[r].Add(values[r]);
            if (!double.IsFinite(values[r]))
                _divergedAt[r] ??= x;
        }
    }

    /// <summary>The replicas from <paramref name="first"/>, <paramref name="count"/> of them, as a trace of their own: one setting of a
    /// sweep.</summary>
    public Trace Part(string name, int first, int count)
    {
        var part = new Trace(name, count);
        for (var i = 0; i < _x.Count; i++)
            part.Add(_x[i], Enumerable.Range(first, count).Select(r => _values[r][i]).ToArray());
        return part;
    }

    /// <summary>The last value of each replica.</summary>
    /// <exception cref="InvalidOperationException">Nothing was measured yet.</exception>
    public double[] Last() => _x.Count > 0 ? [.. _values.Select(v => v[^1])]
        : throw new InvalidOperationException($"the trace '{Name}' has no point yet");

    /// <summary>The value of each replica at one place.</summary>
    /// <exception cref="ArgumentException">Nothing was measured at <paramref name="x"/>.</exception>
    public double[] At(double x)
        => _x.IndexOf(x) is >= 0 and var i ? [.. _values.Select(v => v[i])]
            : throw new ArgumentException($"'{Name}' has no point at x = {x}: {Points()}", nameof(x));

    /// <summary>The mean of each replica over the points with <paramref name="after"/> &lt; x ≤ <paramref name="until"/>.</summary>
    /// <exception cref="ArgumentException">There is no such point.</exception>
    public double[] Mean(double after, double until = double.PositiveInfinity)
    {
        int[] there = [.. Enumerable.Range(0, _x.Count).Where(i => _x[i] > after && _x[i] <= until)];
        return there.Length > 0
            ? [.. _values.Select(v => there.Average(i => v[i]))]
            : throw new ArgumentException($"'{Name}' has no point after {after} and until {until}: {Points()}", nameof(after));
    }

    private string Points() => _x.Count == 0 ? "it has none" : $"it has {_x.Count}, from {_x[0]} to {_x[^1]}";

    /// <summary>The greatest |a − b| along two runs, for each replica; infinite where either is not finite.</summary>
    /// <exception cref="ArgumentException">The traces differ in replicas or points.</exception>
    public static double[] GreatestDifference(Trace a, Trace b)
    {
        if (a.Replicas != b.Replicas || a.X.Count != b.X.Count)
            throw new ArgumentException(
                $"'{a.Name}' has {a.Replicas} replicas and {a.X.Count} points, '{b.Name}' has {b.Replicas} and {b.X.Count}", nameof(b));
        return [.. Enumerable.Range(0, a.Replicas).Select(r => a[r]
            .Zip(b[r], (x, y) => double.IsFinite(x) && double.IsFinite(y) ? Math.Abs(x - y) : double.PositiveInfinity).Max())];
    }
}
