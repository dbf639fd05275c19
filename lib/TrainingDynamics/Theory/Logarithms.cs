namespace TrainingDynamics.Theory;

/// <summary>Distributions by their logarithms, which neither overflow nor vanish.</summary>
internal static class Logarithms
{
    /// <summary>e^x − 1 = 2·e^{x/2}·sinh(x/2), to the last digits for small x, too. (MathNet.Numerics' is off by 2·10⁻⁷ at 0.07.)
    /// </summary>
    public static double Expm1(double x) => Math.Abs(x) > 1 ? Math.Exp(x) - 1 : 2 * Math.Exp(x / 2) * Math.Sinh(x / 2);

    /// <summary>e^{l_i}/Σe^{l_j}; −∞ is no mass.</summary>
    /// <param name="logs">l, not all −∞, none NaN or +∞.</param>
    public static double[] Normalized(double[] logs)
    {
        var top = logs.Max();
        double[] weights = [.. logs.Select(l => Math.Exp(l - top))];
        var sum = weights.Sum();
        return [.. weights.Select(w => w / sum)];
    }
}
