namespace TrainingDynamics.Theory;

/// <summary>
/// Decoupled decay makes the weights a weighted sum of the run's updates: unrolled, w_t = (1 − η_tλ_t)·w_{t−1} − η_t·u_t is
/// <code>w_T = k·w_0 − Σ c_i·u_i,   k = Π (1 − η_tλ_t),   c_i = η_i·Π_{t&gt;i} (1 − η_tλ_t)</code>
/// exactly, for every direction u, schedule and network where all weights have one η and one λ, and all of a weight decays (not
/// cautiously). λ_i·c_i are the weights of an average: with k they sum to 1.
/// </summary>
/// <remarks>Wang and Aitchison 2024, arXiv:2405.13698, read AdamW as an exponential moving average; Bergsma et al. 2025, arXiv:2502.15938,
/// the schedule as its window.</remarks>
/// <param name="Kept">k: what is left of the first weights.</param>
/// <param name="Updates">c_i of the steps i = 1 … T, in their order.</param>
public sealed record Averaging(double Kept, double[] Updates)
{
    /// <summary>The window of a run.</summary>
    /// <param name="rates">η_t of every step, schedule included, at least 0.</param>
    /// <param name="decays">λ_t of every step, decoupled and multiplied by η_t, at least 0; η_tλ_t &lt; 1.</param>
    /// <exception cref="ArgumentException">The lists differ in length, are empty, or a number is out of its range.</exception>
    public static Averaging Of(IReadOnlyList<double> rates, IReadOnlyList<double> decays)
    {
        if (rates.Count != decays.Count || rates.Count == 0)
            throw new ArgumentException($"{rates.Count} rates and {decays.Count} decays; wanted are as many of both, at least one",
                nameof(decays));
        var window = new double[rates.Count];
        var kept = 1.0;
        for (var i = rates.Count - 1; i >= 0; i--)
        {
            if (!(rates[i] >= 0 && decays[i] >= 0 && rates[i] * decays[i] < 1 && double.IsFinite(rates[i] + decays[i])))
                throw new ArgumentException($"at step {i + 1} η is {rates[i]} and λ is {decays[i]}; both are at least 0, and η·λ below 1",
                    nameof(rates));
            window[i] = rates[i] * kept;
            kept *= 1 - (rates[i] * decays[i]);
        }
        return new Averaging(kept, window);
    }

    /// <summary>The window of a run with a schedule, η_t = η·s(t), at one decay λ.</summary>
    /// <param name="rate">η ≥ 0.</param>
    /// <param name="decay">λ ≥ 0, decoupled and multiplied by η_t.</param>
    /// <param name="steps">T ≥ 1.</param>
    /// <param name="schedule">s(t), t = 1 … T; 1 by default.</param>
    public static Averaging Of(double rate, double decay, int steps, Func<int, double>? schedule = null)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(steps, 1);
        return Of([.. Enumerable.Range(1, steps).Select(t => rate * (schedule?.Invoke(t) ?? 1))], [.. Enumerable.Repeat(decay, steps)]);
    }

    /// <summary>d·Σc²: what updates of one size per number and of independent signs, AdamW's on white noise, add to ‖w‖² over the
    /// window.</summary>
    /// <param name="size">d, how many numbers the weight has.</param>
    public double AddedByNoise(double size) => size * Updates.Sum(c => c * c);

    /// <summary>(N − k²·N_0)/(d·Σc²): what the updates did add to ‖w‖², over that. 1 on white noise; above it the updates agree from step
    /// to step.</summary>
    /// <param name="before">N_0 = ‖w‖² before the window.</param>
    /// <param name="now">N after it.</param>
    /// <param name="size">d.</param>
    public double Push(double before, double now, double size) => (now - (Kept * Kept * before)) / AddedByNoise(size);

    /// <summary>The share of Σ c_i that the last <paramref name="part"/> of the steps has.</summary>
    /// <param name="part">In [0, 1]; the steps are rounded to whole ones.</param>
    /// <exception cref="ArgumentException"><paramref name="part"/> is out of its range.</exception>
    public double Last(double part)
    {
        if (part is not (>= 0 and <= 1))
            throw new ArgumentException($"{nameof(part)} is {part}, allowed is a number in [0, 1]", nameof(part));
        return Updates.Skip(Updates.Length - (int)Math.Round(part * Updates.Length)).Sum() / Updates.Sum();
    }
}
