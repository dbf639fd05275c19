using TorchSharp;
using static TorchSharp.torch;

namespace TrainingDynamics.Runtime;

/// <summary>
/// A setting of a batch of runs: one number for all replicas, or one for each. Written as a number or an array where it
/// is wanted: <c>rate: 0.1</c>, <c>rate: [0.1, 0.2, 0.4]</c>.
/// </summary>
[System.Runtime.CompilerServices.CollectionBuilder(typeof(PerReplica), nameof(Create))]
public readonly struct PerReplica
{
    private readonly double[]? _values;

    private PerReplica(double[] values) => _values = values;

    /// <summary>One value for every replica.</summary>
    public static implicit operator PerReplica(double value) => new([value]);

    /// <summary>One value for each replica, in order.</summary>
    public static implicit operator PerReplica(double[] values) => new([.. values]);

    /// <summary>One value for each replica, in order.</summary>
    public static PerReplica Create(ReadOnlySpan<double> values) => new(values.ToArray());

    /// <summary>Enumerates the values as they were given.</summary>
    public IEnumerator<double> GetEnumerator() => ((IEnumerable<double>)(_values ?? [0])).GetEnumerator();

    /// <summary>The value of each of <paramref name="replicas"/> replicas.</summary>
    /// <param name="replicas">How many replicas the run has.</param>
    /// <param name="name">The setting's name, for the error.</param>
    /// <param name="from">The least value allowed.</param>
    /// <param name="below">The value to stay below.</param>
    /// <exception cref="ArgumentException">The count is neither one nor <paramref name="replicas"/>, or a value is not finite or outside
    /// [<paramref name="from"/>, <paramref name="below"/>).</exception>
    public double[] Expand(int replicas, string name, double from = 0, double below = double.PositiveInfinity)
    {
        var values = _values ?? [0];
        if (values.Length != 1 && values.Length != replicas)
            throw new ArgumentException(
                $"{name} has {values.Length} values, but the run has {replicas} replicas: give one value, or one for each replica", name);
        foreach (var value in values)
        {
            if (!double.IsFinite(value) || value < from || value >= below)
                throw new ArgumentException(
                    $"{name} is {value}, allowed is a number in {(from == double.Epsilon ? "(0" : $"[{from}")}, "
                    + $"{(double.IsPositiveInfinity(below) ? "∞" : below)})", name);
        }
        return values.Length == replicas ? values : [.. Enumerable.Repeat(values[0], replicas)];
    }

    /// <summary>A column (replica, 1) of <paramref name="values"/>, owned by the caller and outside every dispose scope.</summary>
    internal static Tensor Column(double[] values, ScalarType dtype)
    {
        using var scope = NewDisposeScope();
        return Aligned.Tensor(values, dtype: dtype).reshape(values.Length, 1).DetachFromDisposeScope();
    }
}
