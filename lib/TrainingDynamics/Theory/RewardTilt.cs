namespace TrainingDynamics.Theory;

/// <summary>
/// The policy that a logger becomes when its answers are weighed by the exponential of their reward, π_β ∝ π_log·e^{βr}, β = 1/λ: the best
/// trade of reward against KL(π‖π_log) at price λ. Here r may have either sign.
/// </summary>
public static class RewardTilt
{
    /// <summary>π ∝ π_log·e^{r/λ}.</summary>
    /// <param name="logger">π_log, not negative, with a positive sum.</param>
    /// <param name="reward">r, finite, one for each item.</param>
    /// <param name="temperature">λ &gt; 0. Towards 0 the best item that the logger shows; towards ∞ the logger.</param>
    /// <exception cref="ArgumentException">The lists differ in length, or a number is not of its range.</exception>
    public static double[] Of(IReadOnlyList<double> logger, IReadOnlyList<double> reward, double temperature)
        => Noisy(logger, reward, new double[reward.Count], temperature);

    /// <summary>
    /// Where weights e^{R/λ} of single noisy rewards R ~ N(r, σ_a²) end, with endless data: E e^{R/λ} = e^{r/λ + σ_a²/(2λ²)}, so
    /// π ∝ π_log·e^{r/λ + σ_a²/(2λ²)}. One σ for all items cancels; unequal ones are paid as if they were reward. Ours, from the normal's
    /// moment generating function.
    /// </summary>
    /// <param name="logger">π_log.</param>
    /// <param name="reward">r.</param>
    /// <param name="deviation">σ_a ≥ 0, one for each item.</param>
    /// <param name="temperature">λ &gt; 0.</param>
    /// <exception cref="ArgumentException">As for <see cref="Of"/>, or r/λ and σ²/λ² overflow in opposite directions.</exception>
    public static double[] Noisy(IReadOnlyList<double> logger, IReadOnlyList<double> reward, IReadOnlyList<double> deviation,
        double temperature)
    {
        Require.Positive(temperature, nameof(temperature));
        if (logger.Count != reward.Count || logger.Count != deviation.Count || logger.Any(p => !(p >= 0 && double.IsFinite(p)))
            || !logger.Any(p => p > 0) || reward.Any(r => !double.IsFinite(r)) || deviation.Any(s => !(s >= 0 && double.IsFinite(s))))
            throw new ArgumentException($"logger ({logger.Count}), reward ({reward.Count}) and deviation ({deviation.Count}) must have one "
                + "finite number for each item, logger and deviation none that is negative, the logger one above 0", nameof(reward));
        double Exponent(int a, int than) => ((reward[a] - reward[than]) / temperature) + (deviation[a] == deviation[than] ? 0
            : (deviation[a] - deviation[than]) / temperature * ((deviation[a] + deviation[than]) / temperature) / 2);
        // Against the best of the items that are shown: what all have neither overflows nor swallows ln π_log. −∞ is no mass.
        var best = logger.Index().Where(p => p.Item > 0).Select(p => p.Index).Aggregate((one, a) => Exponent(a, one) > 0 ? a : one);
        double[] logs = [.. logger.Select((p, a) => p == 0 ? double.NegativeInfinity : Math.Log(p) + Exponent(a, best))];
        return logs.All(l => l < double.PositiveInfinity) ? Logarithms.Normalized(logs)
            : throw new ArgumentException($"{nameof(temperature)} is {temperature}: the exponents overflow, rewards from "
                + $"{reward.Min()} to {reward.Max()}, greatest deviation {deviation.Max()}", nameof(temperature));
    }

    /// <summary>
    /// Cov_π(f, g) = Σ π·f·g − Σπf·Σπg. Along π_β ∝ π_log·w_β the value V = Σ π·r climbs with dV/dβ = Cov_π(r, d ln w/dβ): for w = e^{βr}
    /// that is Var_π(r), never negative.
    /// </summary>
    /// <exception cref="ArgumentException">The lists differ in length, or a number is not finite.</exception>
    public static double Covariance(IReadOnlyList<double> policy, IReadOnlyList<double> first, IReadOnlyList<double> second)
    {
        if (policy.Count != first.Count || policy.Count != second.Count || policy.Any(p => !(p >= 0))
            || !(Math.Abs(policy.Sum() - 1) < 1e-4) || first.Concat(second).Any(v => !double.IsFinite(v)))
            throw new ArgumentException($"policy ({policy.Count}, sum {policy.Sum()}), first ({first.Count}) and second ({second.Count}) "
                + "must have one finite number for each item, the policy's not negative with sum 1", nameof(first));
        var mass = policy.Sum();
        double[] shares = [.. policy.Select(p => p / mass)];
        var (f, g) = (OffPolicySupervision.Value(shares, first), OffPolicySupervision.Value(shares, second));
        return shares.Select((p, a) => p * (first[a] - f) * (second[a] - g)).Sum();
    }

    /// <summary>
    /// d ln w/dβ of clicks of 0 and 1 under weights e^{β·click}, whose mean is w = 1 + r·(e^β − 1): r·e^β/(1 + r·(e^β − 1)), the click rate
    /// that the item has among weighed impressions.
    /// </summary>
    /// <param name="rate">r in [0, 1].</param>
    /// <param name="temperature">λ = 1/β &gt; 0.</param>
    /// <exception cref="ArgumentException">A number is out of its range.</exception>
    public static double ClickSlope(double rate, double temperature)
    {
        if (!(rate is >= 0 and <= 1))
            throw new ArgumentException($"{nameof(rate)} is {rate}, allowed is a number in [0, 1]", nameof(rate));
        // Both over e^β, which may be more than a double holds.
        var no = Math.Exp(-1 / Require.Positive(temperature, nameof(temperature)));
        return rate == 0 ? 0 : rate / (no - (rate * Logarithms.Expm1(-1 / temperature)));
    }

    /// <summary>
    /// e^{−σ²/λ²}: the factor by which normal noise of deviation σ, the same everywhere, makes the effective sample size (Σw)²/Σw² of
    /// weights e^{R/λ} smaller, E[w]²/E[w²] of a lognormal. E[w²] is carried by noise near 2σ²/λ, so a sample of n shows it only where
    /// n·e^{−2σ²/λ²} is large; a shorter one has an effective size that is too good.
    /// </summary>
    /// <exception cref="ArgumentException">σ is negative, or λ not positive.</exception>
    public static double NoiseShare(double deviation, double temperature)
    {
        var ratio = Require.NotNegative(deviation, nameof(deviation)) / Require.Positive(temperature, nameof(temperature));
        return Math.Exp(-ratio * ratio);
    }

    /// <summary>
    /// ε = σ·√(2·ln(2|A|/δ)): all of |A| independent errors of deviation σ (sub-Gaussian) are within ε with probability 1 − δ (a union
    /// bound).
    /// </summary>
    /// <param name="deviation">σ ≥ 0.</param>
    /// <param name="items">|A| ≥ 1.</param>
    /// <param name="failure">δ in (0, 1).</param>
    /// <exception cref="ArgumentException">A number is out of its range.</exception>
    public static double ErrorRadius(double deviation, int items, double failure = 0.05)
    {
        if (items < 1 || !(failure is > 0 and < 1))
            throw new ArgumentException($"{nameof(items)} is {items}, {nameof(failure)} {failure}; allowed are 1 and more, and a number in "
                + "(0, 1)", nameof(items));
        return Require.NotNegative(deviation, nameof(deviation)) * Math.Sqrt(2 * (Math.Log(2.0 * items) - Math.Log(failure)));
    }

    /// <summary>
    /// R_max·tanh(ε/(2λ)): the most that the tilt by rewards that are each wrong by at most ε may earn less than the tilt by the true ones.
    /// The log-odds of any set of items move by at most 2ε/λ, so its probability by at most tanh(ε/(2λ)), and a value in [0, R_max] by
    /// R_max times that. It always says something. Ours.
    /// </summary>
    /// <param name="radius">ε ≥ 0.</param>
    /// <param name="temperature">λ &gt; 0.</param>
    /// <param name="greatest">R_max, the greatest reward; rewards are not negative.</param>
    /// <exception cref="ArgumentException">A number is out of its range.</exception>
    public static double GreatestLoss(double radius, double temperature, double greatest = 1) => Require.Positive(greatest,
        nameof(greatest)) * Math.Tanh(Require.NotNegative(radius, nameof(radius)) / Require.Positive(temperature, nameof(temperature)) / 2);

    /// <summary>
    /// R_max·(e^{2ε/λ} − 1): a looser bound of the same loss, from e^{±ε/λ} on numerator and normalizer each. From R_max on, at
    /// λ ≤ 2ε/ln 2, it says nothing; <see cref="GreatestLoss"/> does.
    /// </summary>
    /// <param name="radius">ε ≥ 0.</param>
    /// <param name="temperature">λ &gt; 0.</param>
    /// <param name="greatest">R_max, the greatest reward; rewards are not negative.</param>
    /// <exception cref="ArgumentException">A number is out of its range.</exception>
    public static double Allowance(double radius, double temperature, double greatest = 1) => Require.Positive(greatest, nameof(greatest))
        * Logarithms.Expm1(2 * Require.NotNegative(radius, nameof(radius)) / Require.Positive(temperature, nameof(temperature)));
}
