using MathNet.Numerics;

namespace TrainingDynamics.Theory;

/// <summary>
/// The expected pull of group-relative policy gradients on one parameter, exactly. G draws of outcomes k with probabilities p_k, rewards
/// r_k and scores s_k (the derivative of ln p by the parameter); draw i is weighed by its advantage A_i = r_i − r̄, or A_i/(sd + ε) with
/// the group's biased deviation.
/// </summary>
public static class GroupAdvantage
{
    private const int MostGroups = 2_000_000;

    /// <summary>E[(1/G)·Σ_i A_i·s_i] with A = (r − r̄)/(sd + ε), a sum over all groups that can be drawn (multinomial). A group whose
    /// rewards are all the same pulls nothing.</summary>
    /// <param name="probability">p, not negative, with sum 1.</param>
    /// <param name="reward">r, finite.</param>
    /// <param name="score">s, finite.</param>
    /// <param name="group">G, at least 2: one draw has no other to be compared with.</param>
    /// <param name="epsilon">ε ≥ 0.</param>
    /// <exception cref="ArgumentException">The lists differ in length, a number is out of its range, or there are more than two million
    /// different groups.</exception>
    public static double Pull(IReadOnlyList<double> probability, IReadOnlyList<double> reward, IReadOnlyList<double> score, int group,
        double epsilon = 0)
    {
        Required(probability, reward, score, group);
        Require.NotNegative(epsilon, nameof(epsilon));
        // What is never drawn is in no group.
        int[] drawn = [.. probability.Index().Where(p => p.Item > 0).Select(p => p.Index)];
        (probability, reward, score) = ([.. drawn.Select(k => probability[k])], [.. drawn.Select(k => reward[k])],
            [.. drawn.Select(k => score[k])]);
        var kinds = probability.Count;
        if ((kinds > 1 && group > MostGroups) || SpecialFunctions.BinomialLn(group + kinds - 1, kinds - 1) > Math.Log(MostGroups))
            throw new ArgumentException($"{nameof(group)} is {group}: with {kinds} outcomes there are more than {MostGroups} different "
                + "groups", nameof(group));
        // At the size of the greatest reward: squares neither over- nor underflow. Equal rewards whose mean is rounded are no deviation.
        var size = reward.Max(Math.Abs) is var greatest and > 0 ? greatest : 1;
        double[] scaled = [.. reward.Select(r => r / size)];
        const double rounding = 1e-12;
        var (total, counts) = (0.0, new int[kinds]);
        Fill(0, group, SpecialFunctions.FactorialLn(group));
        return total;

        // All ways to give the draws that are left to the outcomes from k on; log is the logarithm of the probability so far.
        void Fill(int k, int left, double log)
        {
            if (k == kinds - 1)
            {
                counts[k] = left;
                total += Math.Exp(log + Term(k)) * OfGroup();
                return;
            }
            for (counts[k] = 0; counts[k] <= left; counts[k]++)
                Fill(k + 1, left - counts[k], log + Term(k));
        }

        double Term(int k) => counts[k] == 0 ? 0 : (counts[k] * Math.Log(probability[k])) - SpecialFunctions.FactorialLn(counts[k]);

        double OfGroup()
        {
            var mean = counts.Select((n, k) => n * scaled[k]).Sum() / group;
            var deviation = Math.Sqrt(counts.Select((n, k) => n * (scaled[k] - mean) * (scaled[k] - mean)).Sum() / group);
            return deviation <= rounding ? 0
                : counts.Select((n, k) => n * (scaled[k] - mean) * score[k]).Sum() / group / (deviation + (epsilon / size));
        }
    }

    /// <summary>The same with A = r − r̄: ((G − 1)/G)·Cov(r, s).</summary>
    /// <exception cref="ArgumentException">As for <see cref="Pull"/>.</exception>
    public static double MeanPull(IReadOnlyList<double> probability, IReadOnlyList<double> reward, IReadOnlyList<double> score, int group)
    {
        Required(probability, reward, score, group);
        return (group - 1.0) / group * RewardTilt.Covariance(probability, reward, score);
    }

    /// <summary>
    /// E[sd] of G draws of 0 or 1, biased: Σ_k Bin(k; G, p)·√(k/G·(1 − k/G)). Where all of a group's rewards are alike but for a price c
    /// of an action with probability p, A_i = −(a_i − ā)/(sd + ε/c): as c → 0⁺ (ε smaller still) the pull on the action's logit is
    /// −E[sd], and has no c in it. Ours.
    /// </summary>
    /// <param name="probability">p in [0, 1].</param>
    /// <param name="group">G ≥ 2.</param>
    /// <exception cref="ArgumentException">A number is out of its range.</exception>
    public static double TiedDeviation(double probability, int group)
    {
        if (!(probability is >= 0 and <= 1))
            throw new ArgumentException($"{nameof(probability)} is {probability}, allowed is a number in [0, 1]", nameof(probability));
        RequireGroup(group);
        if (group > MostGroups)
            throw new ArgumentException($"{nameof(group)} is {group}, at most {MostGroups} are summed over", nameof(group));
        return Enumerable.Range(0, group + 1).Sum(k => MathNet.Numerics.Distributions.Binomial.PMF(probability, group, k)
            * Math.Sqrt((double)k / group * (1 - ((double)k / group))));
    }

    private static void RequireGroup(int group)
    {
        if (group < 2)
            throw new ArgumentException($"{nameof(group)} is {group}, at least 2 are needed: one draw has no other to be compared with",
                nameof(group));
    }

    private static void Required(IReadOnlyList<double> probability, IReadOnlyList<double> reward, IReadOnlyList<double> score, int group)
    {
        RequireGroup(group);
        if (probability.Count == 0 || probability.Count != reward.Count || probability.Count != score.Count
            || probability.Any(p => !(p >= 0)) || !(Math.Abs(probability.Sum() - 1) < 1e-9)
            || reward.Concat(score).Any(v => !double.IsFinite(v)))
            throw new ArgumentException($"probability ({probability.Count}, sum {probability.Sum()}), reward ({reward.Count}) and score "
                + $"({score.Count}) must have one number for each outcome, the probabilities not negative with sum 1, the others finite",
                nameof(probability));
    }
}
