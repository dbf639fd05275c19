namespace TrainingDynamics.Theory;

/// <summary>How far numbers are moved when they are written with few bits, as the length of the error over the length of the numbers.
/// Errors are taken as uniform within a step, which needs many steps within the numbers' spread.</summary>
public static class Rounding
{
    /// <summary>
    /// Evenly spaced codes up to the greatest number: a step of max/levels, an error of step/√12, so crest/(levels·√12). The crest is
    /// max|x|/rms(x): one outlier is paid by all.
    /// </summary>
    /// <param name="crest">max|x|/rms(x), at least 1.</param>
    /// <param name="levels">Positive codes: 127 of eight bits.</param>
    /// <exception cref="ArgumentException">A number is out of its range.</exception>
    public static double OfIntegers(double crest, int levels)
    {
        if (!(crest >= 1 && double.IsFinite(crest)) || levels < 1)
            throw new ArgumentException($"{nameof(crest)} is {crest}, {nameof(levels)} {levels}; allowed are 1 and more", nameof(crest));
        return crest / (levels * Math.Sqrt(12));
    }

    /// <summary>
    /// Codes with an exponent and m bits of mantissa: a step of 2^{−m} within [1, 2), so a number of mantissa u is wrong by 2^{−m}/(u·√12)
    /// of itself. The mean square over mantissas that are even in their logarithm is 4^{−m}/12·3/(8·ln 2), the error 2^{−m}/√(32·ln 2): of
    /// numbers of any law, if it is not known where its scale falls within an octave. No crest in it, as long as nothing over- or
    /// underflows.
    /// </summary>
    /// <param name="mantissaBits">m ≥ 0.</param>
    /// <exception cref="ArgumentException">m is negative.</exception>
    public static double OfFloats(int mantissaBits) => mantissaBits >= 0 ? Math.ScaleB(1 / Math.Sqrt(32 * Math.Log(2)), -mantissaBits)
        : throw new ArgumentException($"{nameof(mantissaBits)} is {mantissaBits}, allowed are 0 and more", nameof(mantissaBits));

    /// <summary>1/(2^{m+1} + 1): the greatest relative error of a normal number, halfway between 1 and the next code.</summary>
    /// <param name="mantissaBits">m ≥ 0.</param>
    /// <exception cref="ArgumentException">m is negative.</exception>
    public static double Greatest(int mantissaBits) => mantissaBits >= 0 ? 1 / (Math.ScaleB(2, mantissaBits) + 1)
        : throw new ArgumentException($"{nameof(mantissaBits)} is {mantissaBits}, allowed are 0 and more", nameof(mantissaBits));

    /// <summary>The error of a product of two such matrices: √(ε_w² + ε_a²), to first order and for errors that know nothing of each
    /// other.</summary>
    /// <exception cref="ArgumentException">An error is negative.</exception>
    public static double OfProduct(double weights, double activations) => Math.Sqrt(
        Math.Pow(Require.NotNegative(weights, nameof(weights)), 2) + Math.Pow(Require.NotNegative(activations, nameof(activations)), 2));
}
