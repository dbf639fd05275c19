namespace TrainingDynamics.Theory;

/// <summary>Steps of one length on a sphere: w ← R·unit(w/R − η·û), ‖û‖ = 1.</summary>
public static class Sphere
{
    /// <summary>The angle of a step, tan θ = η·sin φ/(1 − η·cos φ), φ = ∠(w, û): atan η at a right angle, less where û points inward (cos φ
    /// &lt; 0).</summary>
    /// <param name="rate">η &gt; 0.</param>
    /// <param name="cosine">cos φ in [−1, 1].</param>
    /// <exception cref="ArgumentException">A number is out of its range.</exception>
    public static double Angle(double rate, double cosine)
    {
        Require.Positive(rate, nameof(rate));
        if (!(cosine is >= -1 and <= 1))
            throw new ArgumentException($"{nameof(cosine)} is {cosine}, allowed is a number in [-1, 1]", nameof(cosine));
        return Math.Atan2(rate * Math.Sqrt(1 - (cosine * cosine)), 1 - (rate * cosine));
    }

    /// <summary>
    /// cos φ of a momentum of memory β over white tangential gradients: −ηβ/(1 − β). Each gradient was at right angles to the weight of its
    /// own
    /// time, and the weight has moved against it since.
    /// </summary>
    /// <remarks>
    /// With m = (1−β)Σβ^k g_{t−k} and steps of length η along m/‖m‖, ⟨w, g_{t−k}⟩ = −ηR(1 − β^k)‖g‖²/‖m‖; summed, −ηR·β/(1+β)·‖g‖²/‖m‖, and
    /// ‖m‖² = ‖g‖²(1−β)/(1+β). To first order in η/(1 − β). Ours.
    /// </remarks>
    /// <param name="rate">η &gt; 0.</param>
    /// <param name="momentum">β in [0, 1).</param>
    /// <exception cref="ArgumentException">A number is out of its range, or the first order is past −1, which no cosine is.</exception>
    public static double MomentumCosine(double rate, double momentum)
    {
        var cosine = -Require.Positive(rate, nameof(rate)) * Require.Fraction(momentum, nameof(momentum)) / (1 - momentum);
        return cosine >= -1 ? cosine
            : throw new ArgumentException(
                $"{nameof(rate)} is {rate}, allowed at {nameof(momentum)} {momentum} is a number in (0, {(1 - momentum) / momentum})",
                nameof(rate));
    }
}
