namespace TrainingDynamics.Theory;

/// <summary>Why the first steps of Adam differ from the later ones.</summary>
public static class Warmup
{
    /// <summary>
    /// rms of Adam's update u_t over a white, zero-mean gradient, with an exact second moment:
    /// √[(1 − β1)/(1 + β1)·(1 + β1^t)/(1 − β1^t)]: 1 at t = 1, √[(1 − β1)/(1 + β1)] in the end.
    /// </summary>
    /// <remarks>
    /// Var m̂_t = Σ_k (1−β1)²β1^{2k}/(1−β1^t)² for independent gradients of unit variance. Assumes √v̂ = 1, exact for β2 → 1
    /// averaged over coordinates; a coherent gradient has rms near 1 throughout.
    /// </remarks>
    /// <param name="step">t, from 1.</param>
    /// <param name="beta1">β1 in [0, 1).</param>
    public static double UpdateRms(int step, double beta1)
    {
        RequireStep(step);
        Require.Fraction(beta1, nameof(beta1));
        var power = Math.Pow(beta1, step);
        return Math.Sqrt((1 - beta1) / (1 + beta1) * (1 + power) / (1 - power));
    }

    /// <summary>The angle of the first step of an optimizer whose update has rms 1 (Adam, Lion): atan(η/rms₀), the update at right angles
    /// to the weight.</summary>
    /// <param name="rate">η.</param>
    /// <param name="rms">The weights' first rms.</param>
    /// <exception cref="ArgumentException">A number is not positive.</exception>
    public static double FirstAngleOfAdam(double rate, double rms) =>
        Math.Atan(Require.Positive(rate, nameof(rate)) / Require.Positive(rms, nameof(rms)));

    /// <summary>The angle of SGD's first step: atan(η·‖g̃‖/‖w‖²), g̃ the gradient at the unit sphere.</summary>
    /// <param name="rate">η &gt; 0.</param>
    /// <param name="unitGradientNorm">‖g̃‖ ≥ 0.</param>
    /// <param name="norm">‖w‖ &gt; 0.</param>
    /// <exception cref="ArgumentException">A number is out of its range.</exception>
    public static double FirstAngleOfSgd(double rate, double unitGradientNorm, double norm)
        => Math.Atan(Require.Positive(rate, nameof(rate)) * Require.NotNegative(unitGradientNorm,
            nameof(unitGradientNorm)) / Require.Positive(norm, nameof(norm)) / norm);

    /// <summary>ρ_t = ρ_∞ − 2t·β2^t/(1 − β2^t), ρ_∞ = 2/(1 − β2) − 1: the length of the simple mean that v̂_t amounts to (Liu et al. 2020,
    /// arXiv:1908.03265).</summary>
    public static double RAdamLength(int step, double beta2)
    {
        RequireStep(step);
        Require.Fraction(beta2, nameof(beta2));
        var power = Math.Pow(beta2, step);
        return (2 / (1 - beta2)) - 1 - (2.0 * step * power / (1 - power));
    }

    /// <summary>r_t = √[(ρ_t − 4)(ρ_t − 2)ρ_∞/((ρ_∞ − 4)(ρ_∞ − 2)ρ_t)], RAdam's factor on the step; 0 while ρ_t ≤ 4, where the variance is
    /// not defined.</summary>
    /// <remarks>
    /// To first order the deviation of 1/√v̂ in the end over that at step t. ρ_t matches the centre of mass of the running mean's
    /// weights, not their variance, √[(1 − β2^t)/(1 + β2^t)], and is up to 6 % below what is measured in between; for the first
    /// steps, where the spread is not small, up to a factor of 2.
    /// </remarks>
    public static double RAdamFactor(int step, double beta2)
    {
        var (now, end) = (RAdamLength(step, beta2), (2 / (1 - beta2)) - 1);
        return now <= 4 ? 0 : Math.Sqrt((now - 4) * (now - 2) * end / ((end - 4) * (end - 2) * now));
    }

    /// <summary>Untuned linear warmup: as many steps as the second moment remembers, 2/(1 − β2) (Ma and Yarats 2021,
    /// arXiv:1910.04209).</summary>
    public static double UntunedSteps(double beta2)
    {
        Require.Fraction(beta2, nameof(beta2));
        return 2 / (1 - beta2);
    }

    private static void RequireStep(int step)
    {
        if (step < 1)
            throw new ArgumentOutOfRangeException(nameof(step), step, "steps count from 1");
    }
}
