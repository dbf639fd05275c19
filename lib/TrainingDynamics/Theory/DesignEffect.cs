namespace TrainingDynamics.Theory;

/// <summary>What it costs that samples come in clusters.</summary>
public static class DesignEffect
{
    /// <summary>
    /// 1 + (C − 1)·ρ: the variance of the mean of clusters of C over that of as many independent samples. n clustered samples are worth n
    /// over it.
    /// </summary>
    /// <remarks>Kish, Survey Sampling, 1965.</remarks>
    /// <param name="size">C, samples of a cluster, at least 1.</param>
    /// <param name="correlation">ρ, within a cluster, from −1/(C − 1), and not below −1, to 1.</param>
    /// <exception cref="ArgumentException">A number is out of its range.</exception>
    public static double Of(double size, double correlation)
    {
        if (!(size >= 1 && double.IsFinite(size)))
            throw new ArgumentException($"{nameof(size)} is {size}, at least 1 is needed", nameof(size));
        var effect = 1 + ((size - 1) * correlation);
        return Math.Abs(correlation) <= 1 && effect >= -1e-12 ? Math.Max(0, effect)
            : throw new ArgumentException($"{nameof(correlation)} is {correlation}, allowed are numbers from "
                + $"{Math.Max(-1, -1 / (size - 1))} to 1", nameof(correlation));
    }
}
