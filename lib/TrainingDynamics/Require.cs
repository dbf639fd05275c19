using static TorchSharp.torch;

namespace TrainingDynamics;

/// <summary>What parameters may be, for every room; the error names the parameter, the value and the range.</summary>
internal static class Require
{
    /// <summary>The value, if it is in (0, ∞).</summary>
    /// <exception cref="ArgumentException">It is not.</exception>
    public static double Positive(double value, string name)
        => value > 0 && double.IsFinite(value) ? value
            : throw new ArgumentException($"{name} is {value}, allowed is a number in (0, ∞)", name);

    /// <summary>The value, if it is in [0, ∞).</summary>
    /// <exception cref="ArgumentException">It is not.</exception>
    public static double NotNegative(double value, string name)
        => value >= 0 && double.IsFinite(value) ? value
            : throw new ArgumentException($"{name} is {value}, allowed is a number in [0, ∞)", name);

    /// <summary>The value, if it is in [0, 1).</summary>
    /// <exception cref="ArgumentException">It is not.</exception>
    public static double Fraction(double value, string name)
        => value is >= 0 and < 1 ? value : throw new ArgumentException($"{name} is {value}, allowed is a number in [0, 1)", name);

    /// <summary>Sizes and counts, if each is at least 1.</summary>
    /// <exception cref="ArgumentException">One is not.</exception>
    public static void AtLeastOne(params ReadOnlySpan<(string Name, long Value)> sizes)
    {
        foreach (var (name, value) in sizes)
        {
            if (value < 1)
                throw new ArgumentException($"{name} is {value}, at least 1 is needed", name);
        }
    }

    /// <summary>The type of a model's numbers, if it is one.</summary>
    /// <exception cref="ArgumentException">It is neither float32 nor float64.</exception>
    public static void Floating(ScalarType value, string name)
    {
        if (value is not (ScalarType.Float32 or ScalarType.Float64))
            throw new ArgumentException($"{name} is {value}, allowed are Float32 and Float64", name);
    }

    /// <summary>η·λ, if both are positive and it is below <paramref name="below"/>: what a step of decay takes away.</summary>
    /// <exception cref="ArgumentException">It is not.</exception>
    public static double Product(double rate, double decay, string name, double below = 1)
    {
        var product = Positive(rate, nameof(rate)) * Positive(decay, name);
        return product > 0 && product < below ? product
            : throw new ArgumentException($"{name} is {decay}, η·{name} {product}; allowed is η·{name} in (0, {below:G6})", name);
    }
}
