namespace TrainingDynamics.Optimizers;

/// <summary>
/// What a decay of another convention is as this library's λ: decoupled, multiplied by the learning rate, w ← (1 − s·η·λ)·w − s·η·u, s the
/// schedule's factor.
/// </summary>
public static class Decay
{
    /// <summary>
    /// Independent decay λ′, w ← (1 − s·λ′)·w − s·η·u, which a change of η leaves as it is: λ = λ′/η. It is the decay of Loshchilov and
    /// Hutter 2019, arXiv:1711.05101, where the schedule multiplies the rate and the decay alike.
    /// </summary>
    /// <param name="rate">η &gt; 0 of each replica.</param>
    /// <param name="independent">λ′ in [0, 1), one number or one for each rate.</param>
    /// <returns>λ of each rate. In blocks with a rate of their own, r times η, a decay of 1/r keeps λ′ what it is.</returns>
    /// <exception cref="ArgumentException">A rate is not positive, or λ′ is out of its range.</exception>
    public static double[] Independent(IReadOnlyList<double> rate, Runtime.PerReplica independent)
    {
        if (rate.FirstOrDefault(eta => !(eta > 0 && double.IsFinite(eta)), 1) is var bad and not 1)
            throw new ArgumentException($"{nameof(rate)} is {bad}, allowed is a number above 0: λ is λ′/η", nameof(rate));
        return [.. rate.Zip(independent.Expand(rate.Count, nameof(independent), below: 1), (eta, decay) => decay / eta)];
    }
}
