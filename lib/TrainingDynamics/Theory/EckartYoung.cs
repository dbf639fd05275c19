namespace TrainingDynamics.Theory;

/// <summary>What the best matrix of a rank loses.</summary>
/// <remarks>Eckart and Young 1936.</remarks>
public static class EckartYoung
{
    /// <summary>‖H − H_r‖² = Σ_{i&gt;r} σ_i², in the Frobenius norm: of all matrices of rank r none is nearer to H than its first r
    /// singular directions.</summary>
    /// <param name="singularValues">σ, none negative, in any order.</param>
    /// <param name="rank">r, at least 0.</param>
    /// <exception cref="ArgumentException">A number is out of its range.</exception>
    public static double Loss(IReadOnlyList<double> singularValues, int rank)
    {
        if (singularValues.Count == 0 || singularValues.Any(v => !(v >= 0 && double.IsFinite(v))))
            throw new ArgumentException($"{nameof(singularValues)} are {singularValues.Count}, the least "
                + $"{singularValues.DefaultIfEmpty(double.NaN).Min()}; allowed are finite numbers of at least 0, one at least",
                nameof(singularValues));
        return rank >= 0 ? singularValues.OrderDescending().Skip(rank).Sum(v => v * v)
            : throw new ArgumentException($"{nameof(rank)} is {rank}, at least 0 is needed", nameof(rank));
    }
}
