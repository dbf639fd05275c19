namespace TrainingDynamics.Objectives;

/// <summary>Where a step's answers come from.</summary>
/// <param name="FromTarget">From the target distribution of the data (demonstrations, a teacher's answers); otherwise from the
/// policy.</param>
/// <param name="Refresh">How many steps a copy of the policy serves as the source before it is renewed: 1 is on-policy, <see cref="Never"/>
/// keeps the base.</param>
/// <param name="OnlyCorrect">Whether wrong answers are thrown away and drawn again: rejection sampling, π(a|correct).</param>
/// <param name="Samples">Draws for each prompt; null is the exact expectation over the finite set.</param>
/// <param name="Kept">Whether a prompt's draws are made once and kept, as in a data set; otherwise each visit draws anew.</param>
public sealed record Source(bool FromTarget, int Refresh = 1, bool OnlyCorrect = false, int? Samples = null, bool Kept = false)
{
    /// <summary>A refresh that never comes: the source stays the base.</summary>
    public const int Never = int.MaxValue;

    /// <summary>The target of the data, exactly or by draws.</summary>
    public static Source Target(int? samples = null) => new(FromTarget: true, Samples: samples);

    /// <summary>The policy's own answers, right and wrong.</summary>
    public static Source Policy(int? samples = null, int refresh = 1) => new(FromTarget: false, refresh, Samples: samples);

    /// <summary>The policy's own correct answers.</summary>
    public static Source Rejection(int refresh, int? samples = null) => new(FromTarget: false, refresh, OnlyCorrect: true, samples);

    /// <summary>The source, if its numbers are in range.</summary>
    /// <exception cref="ArgumentException">A refresh or a number of samples is less than 1.</exception>
    internal Source Validated()
    {
        if (Refresh < 1)
            throw new ArgumentException($"{nameof(Refresh)} is {Refresh}, allowed is a number of steps from 1", nameof(Refresh));
        if (Kept && (Samples is null || (!FromTarget && Refresh != Never)))
            throw new ArgumentException($"{nameof(Kept)} draws need a number of samples and a source that does not change, got {this}",
                nameof(Kept));
        if (Samples < 1)
            throw new ArgumentException(
                $"{nameof(Samples)} is {Samples}, allowed is a number of draws from 1, or null for the exact expectation", nameof(Samples));
        return this;
    }
}
