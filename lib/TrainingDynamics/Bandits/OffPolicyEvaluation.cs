using MathNet.Numerics.Distributions;
using TorchSharp;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;

namespace TrainingDynamics.Bandits;

/// <summary>What an estimator says of a policy's value from a log, one number for each replica.</summary>
/// <param name="Name">The estimator.</param>
/// <param name="Value">V̂.</param>
/// <param name="Deviation">The standard deviation of one impression's term. For a ratio, of its linear part (delta method).</param>
/// <param name="EffectiveSampleSize">(Σw)²/Σw²: so many impressions of the policy itself would weigh as much (Kish 1965). The log's length
/// where no weights are used.</param>
/// <param name="Unseen">The share of the policy's mass that the logger never shows: no log of any length says anything about it. NaN where
/// the logger is not known.</param>
/// <param name="Count">Impressions.</param>
public sealed record Estimate(string Name, double[] Value, double[] Deviation, double[] EffectiveSampleSize, double[] Unseen, long Count)
{
    /// <summary>Whether the log was without an end (<see cref="ClickWorld.Endless"/>): its rows enumerate, and nothing is
    /// uncertain.</summary>
    public bool Endless { get; init; }

    /// <summary>s/√n with the sample's s² = Deviation²·n/(n − 1), so Deviation/√(n − 1); NaN from a single impression, which tells nothing
    /// of its spread; 0 from a log without an end.</summary>
    public double[] StandardError => [.. Deviation.Select(d => Endless ? 0 : Count > 1 ? d / Math.Sqrt(Count - 1) : double.NaN)];

    /// <summary>The normal interval V̂ ± z·se: right for long logs and weights that are not too uneven.</summary>
    /// <param name="confidence">In (0, 1).</param>
    /// <exception cref="InvalidOperationException">The log has a single impression.</exception>
    public (double Low, double High)[] Interval(double confidence = 0.95)
    {
        RequireProbability(confidence, nameof(confidence));
        if (Count < 2)
            throw new InvalidOperationException($"'{Name}': an interval needs at least two impressions, the log has {Count}");
        var z = Normal.InvCDF(0, 1, (1 + confidence) / 2);
        return [.. Value.Zip(StandardError, (v, e) => (v - (z * e), v + (z * e)))];
    }

    /// <summary>
    /// The lower bound that holds at every length: V ≥ V̂ − √(2·s²·ln(2/δ)/n) − 7·R·ln(2/δ)/(3(n − 1)) with probability 1 − δ, s² the
    /// sample variance of
    /// the terms, R the width of their range (Maurer and Pontil 2009, arXiv:0907.3740, theorem 4). For means of terms; for a ratio it is no
    /// theorem.
    /// </summary>
    /// <param name="range">R: for IPS with rewards in [0, 1], the greatest weight.</param>
    /// <param name="delta">δ in (0, 1).</param>
    public double[] EmpiricalBernsteinBound(double range, double delta = 0.05)
    {
        RequireProbability(delta, nameof(delta));
        if (Endless)
            return [.. Value];
        if (!(range > 0) || Count < 2)
            throw new ArgumentException(
                $"{nameof(range)} is {range} and the log has {Count} impressions; a bound needs a positive range and two impressions",
                nameof(range));
        var log = Math.Log(2 / delta);
        return [.. Value.Zip(Deviation, (v, d) => v - Math.Sqrt(2 * d * d * Count / (Count - 1) * log / Count)
            - (7 * range * log / (3 * (Count - 1))))];
    }

    private static void RequireProbability(double value, string name)
    {
        if (!(value is > 0 and < 1))
            throw new ArgumentException($"{name} is {value}, allowed is a number in (0, 1)", name);
    }
}

/// <summary>
/// The value of a policy from another policy's log. w = π(a|x)/p; q̂ is a model of the reward, q̂(x, π) = Σ_a π(a|x)·q̂(x, a). Every
/// estimator
/// is a mean over impressions, or a ratio of two: the endless log (<see cref="ClickWorld.Endless"/>) gives the expectation and deviation of
/// a mean exactly, of a ratio to first order in 1/n.
/// </summary>
public static class OffPolicyEvaluation
{
    /// <summary>Inverse propensity scoring, mean of w·r; with a clip, of min(w, clip)·r: less noise, and a bias of −Σ ρ·r·max(0, π −
    /// clip·π_log). Unbiased without.</summary>
    /// <param name="log">The log.</param>
    /// <param name="policy">π, (replica or 1, context, item).</param>
    /// <param name="clip">The greatest weight.</param>
    /// <param name="seenOnly">Accept a policy with mass where the logger shows nothing; the estimate is then of the rest.</param>
    public static Estimate Ips(LoggedBandit log, Tensor policy, double clip = double.PositiveInfinity, bool seenOnly = false)
    {
        if (!(clip > 0))
            throw new ArgumentException($"{nameof(clip)} is {clip}, allowed is a number in (0, ∞]", nameof(clip));
        return Mean(double.IsPositiveInfinity(clip) ? "IPS" : $"IPS, clip {clip}",
            log, policy, seenOnly, w => w.clamp_max(clip), w => w * log.Rewards);
    }

    /// <summary>
    /// Marginalized IPS over groups of items, mean of w(x, e)·r with w = π(e|x)/π_log(e|x) (Saito and Joachims 2022, arXiv:2202.06317; here
    /// the embedding is one known group an item). Its deviation is that of the groups' weights; its bias is V(π̃) − V(π) with
    /// π̃ of <see cref="ItemGroups.Marginalized"/>. One group for each item is IPS, one for all the mean reward of the log.
    /// </summary>
    /// <param name="log">The log; its logger known.</param>
    /// <param name="policy">π, (replica or 1, context, item).</param>
    /// <param name="groups">The group of each item.</param>
    /// <param name="seenOnly">Accept a policy with mass on groups that the logger never shows.</param>
    /// <exception cref="ArgumentException">The whole logger is not known, or it never shows a group that the policy shows.</exception>
    public static Estimate Mips(LoggedBandit log, Tensor policy, ItemGroups groups, bool seenOnly = false)
    {
        var logger = log.Logger ?? throw new ArgumentException("MIPS needs the whole logger: what it gives a group is a sum over items "
            + "that may not be in the log; estimate it (LoggedBandit.WithEstimatedPropensities)", nameof(log));
        using var scope = NewDisposeScope();
        var name = $"MIPS, {groups.Count} groups";
        RequireShape(policy, logger);
        using var unseen = groups.UnseenBy(Distributions.Required(policy, nameof(policy)), logger);
        var share = log.OverContexts(unseen, policy.shape[2]);
        if (!seenOnly)
            RequireSeen(name, share);
        // What is left of the policy need not sum to one.
        var weight = log.At(groups.Marginalized(policy, logger)) / log.Propensities.clamp_min(1e-300);
        weight = where(log.Probability > 0, weight, 0);
        return Of(name, log, weight * log.Rewards, share, weight);
    }

    /// <summary>Self-normalized IPS, Σw·r/Σw: never outside the rewards' range, biased by order 1/n (Swaminathan and Joachims
    /// 2015).</summary>
    public static Estimate Snips(LoggedBandit log, Tensor policy,
        bool seenOnly = false) => Ratio("SNIPS", log, policy, seenOnly, w => w * log.Rewards, 0);

    /// <summary>Direct method, mean of q̂(x, π): no weights, and the whole bias of the model. Its deviation is that of the contexts, and
    /// says nothing of the model's error.</summary>
    /// <param name="log">The log: its contexts only.</param>
    /// <param name="policy">π.</param>
    /// <param name="rewardModel">q̂, (replica or 1, context, item).</param>
    public static Estimate DirectMethod(LoggedBandit log, Tensor policy, Tensor rewardModel)
    {
        using var scope = NewDisposeScope();
        return Of("DM", log, log.At(Expected(policy, rewardModel)), UnseenBy(log, policy), null);
    }

    /// <summary>Doubly robust, mean of q̂(x, π) + w·(r − q̂(x, a)): unbiased whatever the model, and less noisy the better it is (Dudík,
    /// Langford and Li 2011, arXiv:1103.4601).</summary>
    public static Estimate DoublyRobust(LoggedBandit log, Tensor policy, Tensor rewardModel,
        bool seenOnly = false) => Switch(log, policy, rewardModel, double.PositiveInfinity, seenOnly) with { Name = "DR" };

    /// <summary>Self-normalized doubly robust, mean of q̂(x, π) + Σw·(r − q̂)/Σw.</summary>
    public static Estimate SelfNormalizedDoublyRobust(LoggedBandit log, Tensor policy, Tensor rewardModel, bool seenOnly = false)
    {
        using var scope = NewDisposeScope();
        var (model, chosen) = (log.At(Expected(policy, rewardModel)), log.At(rewardModel));
        return Ratio("SNDR", log, policy, seenOnly, w => w * (log.Rewards - chosen), model);
    }

    /// <summary>Switch: doubly robust where w ≤ threshold, the direct method elsewhere: mean of q̂(x, π) + 1[w ≤ τ]·w·(r − q̂(x, a)) (Wang,
    /// Agarwal and Dudík 2017, arXiv:1612.01205, with DR as the estimator below the threshold).</summary>
    /// <param name="log">The log.</param>
    /// <param name="policy">π.</param>
    /// <param name="rewardModel">q̂.</param>
    /// <param name="threshold">τ ≥ 0: 0 is the direct method, ∞ doubly robust.</param>
    /// <param name="seenOnly">Accept a policy with mass where the logger shows nothing.</param>
    public static Estimate Switch(LoggedBandit log, Tensor policy, Tensor rewardModel, double threshold, bool seenOnly = false)
    {
        if (!(threshold >= 0))
            throw new ArgumentException($"{nameof(threshold)} is {threshold}, allowed is a number in [0, ∞]", nameof(threshold));
        return Corrected($"Switch, τ = {threshold}", log, policy, rewardModel, seenOnly, w => where(w <= threshold, w, 0));
    }

    /// <summary>Doubly robust with optimistic shrinkage, mean of q̂(x, π) + ŵ·(r − q̂(x, a)), ŵ = λw/(w² + λ): about w where w² is small
    /// beside λ, about λ/w where it is large; λ = 0 is the direct method, ∞ doubly robust (DRos; Su, Dimakopoulou, Krishnamurthy and
    /// Dudík 2020, arXiv:1907.09623).</summary>
    /// <param name="log">The log.</param>
    /// <param name="policy">π.</param>
    /// <param name="rewardModel">q̂.</param>
    /// <param name="shrinkage">λ ≥ 0.</param>
    /// <param name="seenOnly">Accept a policy with mass where the logger shows nothing.</param>
    public static Estimate ShrunkDoublyRobust(LoggedBandit log, Tensor policy, Tensor rewardModel, double shrinkage, bool seenOnly = false)
    {
        if (!(shrinkage >= 0))
            throw new ArgumentException($"{nameof(shrinkage)} is {shrinkage}, allowed is a number in [0, ∞]", nameof(shrinkage));
        // w/(1 + w²/λ), which is right at λ = ∞ as well; at λ = 0 it is w = 0 alone that would not be.
        return Corrected($"DRos, λ = {shrinkage}", log, policy, rewardModel, seenOnly,
            w => shrinkage == 0 ? zeros_like(w) : w / (1 + (w.square() / shrinkage)));
    }

    // The model's value, corrected by weighted residuals: q̂(x, π) + ŵ·(r − q̂(x, a)).
    private static Estimate Corrected(string name, LoggedBandit log, Tensor policy, Tensor rewardModel, bool seenOnly,
        Func<Tensor, Tensor> weight)
    {
        using var scope = NewDisposeScope();
        var (model, chosen) = (log.At(Expected(policy, rewardModel)), log.At(rewardModel));
        return Mean(name, log, policy, seenOnly, weight, w => model + (w * (log.Rewards - chosen)));
    }

    /// <summary>
    /// An estimator with a model that is fitted to the log itself, each fold judged with what the others say: mean over all impressions,
    /// the model independent of the impression that it is held against. So doubly robust is unbiased again; with a model fitted to the same
    /// impressions it is not.
    /// </summary>
    /// <param name="log">A sampled log.</param>
    /// <param name="folds">2 or more; impression i is in fold i mod folds.</param>
    /// <param name="fit">The model, from the other folds.</param>
    /// <param name="judge">The estimate, of a fold with the model.</param>
    /// <exception cref="ArgumentException">There are fewer than two folds, or fewer impressions than folds.</exception>
    public static Estimate CrossFitted(LoggedBandit log, int folds, Func<LoggedBandit, Tensor> fit,
        Func<LoggedBandit, Tensor, Estimate> judge)
    {
        using var scope = NewDisposeScope();
        var parts = log.Folds(folds).Select(part =>
        {
            using var inner = NewDisposeScope();
            var (others, fold) = part;
            using (others)
            using (fold)
            {
                var estimate = judge(fold, fit(others));
                return estimate.Count == fold.Count && estimate.Value.Length == log.Rewards.shape[0] ? estimate
                    : throw new ArgumentException($"{nameof(judge)} gave an estimate of {estimate.Count} impressions in "
                        + $"{estimate.Value.Length} replicas; the fold that it was given has {fold.Count} in {log.Rewards.shape[0]}",
                        nameof(judge));
            }
        }).ToArray();
        double[] Pooled(Func<Estimate, int, double> of) => [.. parts[0].Value.Select((_, replica) =>
            parts.Sum(part => part.Count * of(part, replica)) / log.Count)];
        var value = Pooled((part, r) => part.Value[r]);
        // The variance of all impressions' terms: within the folds and between them.
        var square = Pooled((part, r) => Math.Pow(part.Deviation[r], 2) + Math.Pow(part.Value[r] - value[r], 2));
        return parts[0] with
        {
            Name = $"{parts[0].Name}, cross-fitted",
            Value = value,
            Deviation = [.. square.Select(Math.Sqrt)],
            EffectiveSampleSize = [.. value.Select((_, r) => parts.Sum(part => part.EffectiveSampleSize[r]))],
            Unseen = Pooled((part, r) => part.Unseen[r]),
            Count = log.Count,
        };
    }

    /// <summary>The share of the policy's mass, weighed by the log's contexts, that the logger never shows: [replica], or NaN where the
    /// logger is not known.</summary>
    public static double[] UnseenBy(LoggedBandit log, Tensor policy)
    {
        using var scope = NewDisposeScope();
        if (log.Logger is null)
            return [.. Enumerable.Repeat(double.NaN, (int)log.Rewards.shape[0])];
        RequireShape(policy, log.Logger);
        return log.OverContexts((policy.to(ScalarType.Float64) * (log.Logger == 0).to(ScalarType.Float64)).sum(-1), policy.shape[2]);
    }

    private static Tensor Expected(Tensor policy, Tensor rewardModel)
    {
        if (policy.dim() != 3 || rewardModel.dim() != 3 || !policy.shape[1..].SequenceEqual(rewardModel.shape[1..]))
            throw new ArgumentException($"{nameof(rewardModel)} has the shape [{string.Join(", ", rewardModel.shape)}], the policy "
                + $"[{string.Join(", ", policy.shape)}]; wanted is (replica or 1, context, item), alike", nameof(rewardModel));
        return (Distributions.Required(policy, nameof(policy)).to(ScalarType.Float64) * rewardModel).sum(-1, keepdim: true)
            .expand(-1, -1, policy.shape[2]);
    }

    private static Estimate Mean(string name, LoggedBandit log,
        Tensor policy, bool seenOnly, Func<Tensor, Tensor> limit, Func<Tensor, Tensor> terms)
    {
        using var scope = NewDisposeScope();
        var (weight, unseen) = Weights(name, log, policy, seenOnly);
        weight = limit(weight);
        return Of(name, log, terms(weight), unseen, weight);
    }

    /// <summary>Σ terms/Σ w plus the mean of <paramref name="model"/>, with the deviation of (terms − V·w)/mean w + model.</summary>
    private static Estimate Ratio(string name, LoggedBandit log, Tensor policy, bool seenOnly,
        Func<Tensor, Tensor> terms, Scalar model) => Ratio(name, log, policy, seenOnly, terms, full_like(log.Rewards, model));

    private static Estimate Ratio(string name, LoggedBandit log, Tensor policy, bool seenOnly, Func<Tensor, Tensor> terms, Tensor model)
    {
        using var scope = NewDisposeScope();
        var (weight, unseen) = Weights(name, log, policy, seenOnly);
        var mean = (log.Probability * weight).sum(1, keepdim: true);
        if ((mean == 0).any().item<bool>())
            throw new ArgumentException($"{name}: no impression of the log has any probability under the policy; there is nothing to weigh",
                nameof(policy));
        var ratio = (log.Probability * terms(weight)).sum(1, keepdim: true) / mean;
        return Of(name, log, ratio + model + ((terms(weight) - (ratio * weight)) / mean), unseen, weight);
    }

    private static (Tensor Weight, double[] Unseen) Weights(string name, LoggedBandit log, Tensor policy, bool seenOnly)
    {
        var unseen = UnseenBy(log, policy);
        if (!seenOnly)
            RequireSeen(name, unseen);
        Distributions.Required(policy, nameof(policy));
        return (where(log.Probability > 0, log.At(policy) / log.Propensities.clamp_min(1e-300), 0), unseen);
    }

    private static void RequireShape(Tensor policy, Tensor logger)
    {
        if (policy.dim() != 3 || !policy.shape[1..].SequenceEqual(logger.shape[1..]))
            throw new ArgumentException($"{nameof(policy)} has the shape [{string.Join(", ", policy.shape)}], the logger "
                + $"[{string.Join(", ", logger.shape)}]; wanted is (replica or 1, context, item), alike", nameof(policy));
    }

    private static void RequireSeen(string name, double[] unseen)
    {
        if (unseen.FirstOrDefault(u => u > 1e-12) is > 0 and var share)
            throw new ArgumentException($"{name}: the logger never shows {share:P1} of the policy's mass, and no log says anything about "
                + "it; ask for the rest (seenOnly), or use a model of the reward", "policy");
    }

    private static Estimate Of(string name, LoggedBandit log, Tensor terms, double[] unseen, Tensor? weight)
    {
        var mean = (log.Probability * terms).sum(1, keepdim: true);
        var deviation = (log.Probability * (terms - mean).square()).sum(1).sqrt();
        var effective = weight is null ? full(log.Rewards.shape[0], (double)log.Count, dtype: ScalarType.Float64)
            : log.Count * (log.Probability * weight).sum(1).square() / (log.Probability * weight.square()).sum(1).clamp_min(1e-300);
        return new Estimate(name, mean.ToDoubles(), deviation.ToDoubles(),
            effective.ToDoubles(), unseen, log.Count)
        { Endless = log.Endless };
    }
}
