namespace TrainingDynamics.Theory;

/// <summary>The least that a code of so many bits loses of a Gaussian vector.</summary>
public static class RateDistortion
{
    /// <summary>
    /// D(R) by reverse water-filling: D = Σ_i min(θ, λ_i), with the level θ at which Σ_i max(0, ½·log₂(λ_i/θ)) = R. No code of R bits a
    /// vector loses less in the mean over new vectors; of the vectors it was made from it may.
    /// </summary>
    /// <remarks>Cover and Thomas, Elements of Information Theory, theorem 10.3.3.</remarks>
    /// <param name="variances">λ, of the principal directions, none negative, one above 0.</param>
    /// <param name="bits">R, at least 0.</param>
    /// <returns>The mean squared error, in the unit of λ; Σλ at no bits.</returns>
    /// <exception cref="ArgumentException">A number is out of its range.</exception>
    public static double Gaussian(IReadOnlyList<double> variances, double bits)
    {
        Require.NotNegative(bits, nameof(bits));
        if (variances.Count == 0 || variances.Any(v => !(v >= 0 && double.IsFinite(v))) || variances.Max() == 0)
            throw new ArgumentException($"{nameof(variances)} are {variances.Count}, from {variances.DefaultIfEmpty(0).Min()} to "
                + $"{variances.DefaultIfEmpty(0).Max()}; allowed are numbers in [0, ∞), one above 0", nameof(variances));
        // With the k greatest above the water, log₂ θ = (Σ log₂ λ − 2R)/k; the right k is the greatest whose own λ_k is above it.
        double[] falling = [.. variances.Where(v => v > 0).OrderDescending()];
        var (sum, level) = (0.0, 0.0);
        for (var k = 1; k <= falling.Length; k++)
        {
            sum += Math.Log2(falling[k - 1]);
            var water = Math.Pow(2, (sum - (2 * bits)) / k);
            if (k > 1 && water > falling[k - 1])
                break;
            level = water;
        }
        return variances.Sum(v => Math.Min(level, v));
    }
}
