namespace TrainingDynamics.Measurement;

/// <summary>Arithmetic on numbers that belong to replicas: one number each, in the same order.</summary>
public static class Arrays
{
    /// <summary>f of each number.</summary>
    public static double[] Each(this IReadOnlyList<double> values, Func<double, double> f) => [.. values.Select(f)];

    /// <summary>f of each pair.</summary>
    /// <exception cref="ArgumentException">The lists have different lengths.</exception>
    public static double[] Each(this IReadOnlyList<double> first, IReadOnlyList<double> second, Func<double, double, double> f)
        => first.Count == second.Count
            ? [.. first.Zip(second, f)]
            : throw new ArgumentException($"second has {second.Count} numbers, first has {first.Count}", nameof(second));

    /// <summary>first − second, pair by pair.</summary>
    public static double[] Minus(this IReadOnlyList<double> first, IReadOnlyList<double> second) => first.Each(second, (a, b) => a - b);

    /// <summary>first / second, pair by pair.</summary>
    public static double[] Over(this IReadOnlyList<double> first, IReadOnlyList<double> second) => first.Each(second, (a, b) => a / b);

    /// <summary>Each number over one and the same.</summary>
    public static double[] Over(this IReadOnlyList<double> values, double divisor) => values.Each(value => value / divisor);
}
