using MathNet.Numerics;

namespace TrainingDynamics.Theory;

/// <summary>
/// Where learning from a logger's clicks ends, for a policy that is free in a context. π_log is the logger, r(a) ≥ 0 the click rates;
/// endless data, full support.
/// </summary>
public static class OffPolicySupervision
{
    /// <summary>The minimum of cross-entropy on clicks: argmin −Σ π_log·r·ln π is π(a) = π_log(a)·r(a)/Σ π_log·r.</summary>
    /// <exception cref="ArgumentException">The lists differ in length, a number is negative or not finite, or no clicks come at
    /// all.</exception>
    public static double[] ClickFixedPoint(IReadOnlyList<double> logger, IReadOnlyList<double> reward) => Retrained(logger, reward, 1);

    /// <summary>The same after <paramref name="rounds"/> rounds, each trained on the clicks that the policy before it got: π_t ∝ π_log·r^t.
    /// Rejection sampling, renewed every round.</summary>
    /// <exception cref="ArgumentException">As for <see cref="ClickFixedPoint"/>, or <paramref name="rounds"/> is negative.</exception>
    public static double[] Retrained(IReadOnlyList<double> logger, IReadOnlyList<double> reward, int rounds)
    {
        if (rounds < 0)
            throw new ArgumentException($"{nameof(rounds)} is {rounds}, allowed are 0 and more", nameof(rounds));
        return Normalized(logger, reward, r => rounds == 0 ? 0 : rounds * Math.Log(r));
    }

    /// <summary>
    /// Where a loop ends whose training impressions are one's own in a share α, and the logger's in the rest, cross-entropy on their clicks
    /// round after round from a policy that shows everything: π ∝ [(1 − α)·π_log + α·π]·r, so
    /// <code>
    /// π(a) = (1 − α)·π_log(a)·r(a)/(Z − α·r(a)),   Z such that it sums to 1 over what the logger shows.
    /// </code>
    /// If α·r(b) of the best item b that the logger never shows is beyond that Z, then Z = α·r(b), and b has what is left: below some α the
    /// loop forgets b, above it b lives on the loop's own impressions alone. α = 0 is <see cref="ClickFixedPoint"/>, α = 1 the best item.
    /// Ours.
    /// </summary>
    /// <param name="logger">π_log.</param>
    /// <param name="reward">r.</param>
    /// <param name="own">α in [0, 1].</param>
    /// <exception cref="ArgumentException">As for <see cref="ClickFixedPoint"/>, or α is outside [0, 1].</exception>
    public static double[] MixedFixedPoint(IReadOnlyList<double> logger, IReadOnlyList<double> reward, double own)
    {
        if (!(own is >= 0 and <= 1))
            throw new ArgumentException($"{nameof(own)} is {own}, allowed is a number in [0, 1]", nameof(own));
        var shares = Retrained(logger, reward, 0);
        // Ties of the best share alike, as from an even start.
        double[] Best(Func<int, bool> among)
        {
            var top = reward.Where((_, a) => among(a)).DefaultIfEmpty(double.NaN).Max();
            bool[] best = [.. reward.Select((r, a) => among(a) && r == top)];
            return [.. best.Select(b => b ? 1.0 / best.Count(x => x) : 0)];
        }
        if (own == 1)
            return Best(_ => true);
        double[] At(double z) => [.. shares.Zip(reward, (share, r) => share * r == 0 ? 0 : (1 - own) * share * r / (z - (own * r)))];
        // Σ falls in Z, from ∞ at α times the best that the logger shows; it is at most 1 at the best in all.
        var (low, high) = (own * shares.Zip(reward, (share, r) => share > 0 ? r : 0).Max(), reward.Max());
        for (var i = 0; i < 200; i++)
        {
            var middle = (low + high) / 2;
            (low, high) = At(middle).Sum() > 1 ? (middle, high) : (low, middle);
        }
        var unseen = own * reward.Where((_, a) => shares[a] == 0).DefaultIfEmpty(0).Max();
        var policy = At(Math.Max(high, unseen));
        return unseen <= high ? [.. policy.Select(p => p / policy.Sum())]
            : [.. policy.Zip(Best(a => shares[a] == 0), (p, b) => p + (b * (1 - policy.Sum())))];
    }

    /// <summary>The minimum under exponential weights e^{r/τ} for clicks of 0 and 1: π ∝ π_log·(1 + r·(e^{1/τ} − 1)). τ → 0 is <see
    /// cref="ClickFixedPoint"/>, τ → ∞ the logger.</summary>
    /// <exception cref="ArgumentException">As for <see cref="ClickFixedPoint"/>, or τ is not positive.</exception>
    public static double[] ExponentialFixedPoint(IReadOnlyList<double> logger, IReadOnlyList<double> reward, double temperature)
    {
        if (!(temperature > 0))
            throw new ArgumentException($"{nameof(temperature)} is {temperature}, allowed is a number in (0, ∞)", nameof(temperature));
        // Without the factor e^{1/τ}, which all have: e^{−1/τ} + r·(1 − e^{−1/τ}).
        var no = Math.Exp(-1 / temperature);
        return Normalized(logger, reward, r => Math.Log(no - (r * Logarithms.Expm1(-1 / temperature))));
    }

    /// <summary>
    /// The best policy of which K independent draws are shown: max Σ r·[1 − (1 − π)^K] is π(a) = max(0, 1 − (λ/r(a))^{1/(K−1)}), λ such
    /// that it sums to 1.
    /// For K = 1 all mass is on the best item.
    /// </summary>
    /// <remarks>Chen et al. 2019, arXiv:1812.02353, optimize this; the closed form is the condition K(1 − π)^{K−1}·r = const where π &gt;
    /// 0. For K = 2 and rewards 10, 9, 1, …: 10/19 and 9/19.</remarks>
    /// <exception cref="ArgumentException">A reward is not positive and finite, or K is less than 1.</exception>
    public static double[] TopK(IReadOnlyList<double> reward, int slots)
    {
        Require.AtLeastOne((nameof(slots), slots));
        if (reward.Count == 0 || reward.Any(r => !(r > 0 && double.IsFinite(r))))
            throw new ArgumentException($"rewards must be positive and finite, got {string.Join(", ", reward)}", nameof(reward));
        var best = reward.Max();
        if (slots == 1)
            return [.. reward.Select(r => r == best ? 1.0 / reward.Count(x => x == best) : 0)];
        // t = (r/best)^{−1/(K−1)} = 1 + d. The m best have π = 1 − (m−1)·t/Σt, m the most for which the last of them is positive.
        double Excess(double r) => Logarithms.Expm1(-Math.Log(r / best) / (slots - 1));
        var (shown, excess) = (0, 0.0);
        foreach (var d in reward.OrderDescending().Select(Excess))
        {
            if (!(1 + excess - ((shown - 1) * d) > 0) || double.IsInfinity(d))
                break;
            (shown, excess) = (shown + 1, excess + d);
        }
        return [.. reward.Select(Excess).Select(d => double.IsInfinity(d)
            ? 0 : Math.Max(0, (1 + excess - ((shown - 1) * d)) / (shown + excess)))];
    }

    /// <summary>
    /// Where clipped IPS ends: max Σ r·min(π, M·π_log) fills the items by falling r, each up to M times what the logger gave it, until
    /// the mass is spent; items of one r share what is left as the logger did.
    /// Without a clip that is the best item; what the clip keeps from it is the price of its quiet.
    /// </summary>
    /// <exception cref="ArgumentException">The lists differ in length, a number is negative or not finite, or <paramref name="clip"/> is
    /// not a finite number of at least 1.</exception>
    public static double[] Clipped(IReadOnlyList<double> logger, IReadOnlyList<double> reward, double clip)
    {
        if (!(clip >= 1 && double.IsFinite(clip)))
            throw new ArgumentException($"{nameof(clip)} is {clip}, allowed is a finite number of at least 1", nameof(clip));
        var shares = Retrained(logger, reward, 0);
        var (policy, left) = (new double[shares.Length], 1.0);
        foreach (var tied in reward.Index().GroupBy(r => r.Item, r => r.Index).OrderByDescending(g => g.Key))
        {
            var room = clip * tied.Sum(a => shares[a]);
            foreach (var a in tied)
                policy[a] = clip * shares[a] * Math.Min(1, room > 0 ? left / room : 0);
            left -= Math.Min(left, room);
        }
        return policy;
    }

    /// <summary>V(π) = Σ π·r.</summary>
    /// <exception cref="ArgumentException">There is not one reward for each item.</exception>
    public static double Value(IReadOnlyList<double> policy, IReadOnlyList<double> reward) => policy.Count == reward.Count
        ? policy.Zip(reward, (p, r) => p * r).Sum()
        : throw new ArgumentException($"the policy has {policy.Count} items, the rewards {reward.Count}", nameof(reward));

    /// <summary>
    /// The share of conversions that has arrived when a model is trained, for visits spread evenly over [0, T] and delays with rate λ:
    /// f = 1 − (1 − e^{−λT})/(λT). Every click rate is low by this factor, whoever chose the items.
    /// </summary>
    /// <remarks>The exponential delay is that of Chapelle 2014 (KDD); the integral is elementary.</remarks>
    /// <param name="horizon">λT &gt; 0.</param>
    public static double ArrivedShare(double horizon)
    {
        if (!(horizon > 0))
            throw new ArgumentException($"{nameof(horizon)} is {horizon}, allowed is a number in (0, ∞)", nameof(horizon));
        if (horizon > 1)
            return 1 + (Logarithms.Expm1(-horizon) / horizon);
        // x/2 − x²/6 + x³/24 − …, since the two terms of the formula cancel.
        var (sum, term) = (0.0, -1.0);
        for (var k = 1; k < 20; k++)
        {
            term *= -horizon / (k + 1);
            sum += term;
        }
        return sum;
    }

    private static double[] Normalized(IReadOnlyList<double> logger, IReadOnlyList<double> reward, Func<double, double> logWeight)
    {
        if (logger.Count != reward.Count || logger.Concat(reward).Any(v => !(v >= 0 && double.IsFinite(v))))
            throw new ArgumentException(
                $"logger ({logger.Count}) and reward ({reward.Count}) must have one finite number that is not negative for each item",
                nameof(reward));
        double[] logs = [.. logger.Zip(reward, (p, r) => Math.Log(p) + logWeight(r))];
        return logs.Any(l => l > double.NegativeInfinity) ? Logarithms.Normalized(logs)
            : throw new ArgumentException("no item is both shown and clicked: there is nothing to learn from", nameof(reward));
    }
}
