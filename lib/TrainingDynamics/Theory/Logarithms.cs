namespace TrainingDynamics.Theory;

/// <summary>Distributions by their logarithms, which neither overflow nor vanish.</summary>
internal static class Logarithms
{
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
