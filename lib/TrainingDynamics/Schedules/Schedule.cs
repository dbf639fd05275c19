namespace TrainingDynamics.Schedules;

/// <summary>
/// Factors on the learning rate by step t = 1, 2, …; all start from or rise to 1. A schedule is a plain function
/// <c>int → double</c>: any lambda is one, and two multiply by multiplying.
/// </summary>
public static class Schedule
{
    /// <summary>Always 1.</summary>
    public static Func<int, double> Constant { get; } = _ => 1;

    /// <summary>t/<paramref name="steps"/> up to 1, then <paramref name="after"/> from its own step 1 (1 by default).</summary>
    public static Func<int, double> Warmup(int steps, Func<int, double>? after = null)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(steps);
        return t => t <= steps ? (double)t / steps : after?.Invoke(t - steps) ?? 1;
    }

    /// <summary>(1 + cos(π·t/<paramref name="steps"/>))/2, from 1 to 0; 0 afterwards (Loshchilov and Hutter 2017,
    /// arXiv:1608.03983).</summary>
    public static Func<int, double> Cosine(int steps)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(steps, 1);
        return t => t >= steps ? 0 : (1 + Math.Cos(Math.PI * t / steps)) / 2;
    }

    /// <summary>1 − t/<paramref name="steps"/>, from 1 to 0; 0 afterwards.</summary>
    public static Func<int, double> Linear(int steps)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(steps, 1);
        return t => Math.Max(0, 1 - ((double)t / steps));
    }

    /// <summary>1, multiplied by <paramref name="factor"/> from each of <paramref name="at"/> on.</summary>
    public static Func<int, double> Step(double factor, params IReadOnlyList<int> at)
    {
        Require.NotNegative(factor, nameof(factor));
        return t => Math.Pow(factor, at.Count(step => t >= step));
    }

    /// <summary>A decay proportional to the rate, λ_t ∝ η_t: the rate's own schedule as the decay's factor (AdamC; Defazio 2025,
    /// arXiv:2506.02285).</summary>
    public static Func<int, double> DecayProportionalTo(Func<int, double> rate) => rate;
}
