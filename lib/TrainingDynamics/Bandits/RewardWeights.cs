using TorchSharp;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;

namespace TrainingDynamics.Bandits;

/// <summary>Weights of a log's impressions, kept as logarithms: weights such as e^{R/λ} are soon more than a double holds, and only their
/// ratios matter.</summary>
public static class RewardWeights
{
    /// <summary>ln w = R/λ: each impression by the exponential of its own reward (reward-weighted regression, Peters and Schaal
    /// 2007).</summary>
    /// <param name="log">The impressions.</param>
    /// <param name="temperature">λ &gt; 0, one for all replicas or one each.</param>
    /// <returns>(replica, impression).</returns>
    /// <exception cref="ArgumentException">A temperature is not positive, or so small that R/λ overflows.</exception>
    public static Tensor Exponential(LoggedBandit log, PerReplica temperature)
    {
        if (log.Endless)
            throw new ArgumentException("a log that enumerates has no impressions to weigh; its rows have probabilities", nameof(log));
        using var scope = NewDisposeScope();
        var all = temperature.Expand((int)log.Rewards.shape[0], nameof(temperature), from: double.Epsilon);
        var logs = log.Rewards / Aligned.Tensor(all).unsqueeze(1);
        if ((logs.isinf() & log.Rewards.isfinite()).any().item<bool>())
            throw new ArgumentException($"{nameof(temperature)} is {all.Min()}: with rewards of up to "
                + $"{log.Rewards.abs().max().ToDouble()} the exponents overflow", nameof(temperature));
        return logs.MoveToOuterDisposeScope();
    }

    /// <summary>(Σw)²/Σw² of each replica, 1 to the number of impressions: so many equally weighed ones would leave a mean of the same
    /// variance (Kish 1965), if rewards and weights knew nothing of each other.</summary>
    /// <param name="logWeights">ln w, (replica, impression); −∞ is no weight.</param>
    /// <exception cref="ArgumentException">There is a weight of +∞, or none at all.</exception>
    public static double[] EffectiveSampleSize(Tensor logWeights)
    {
        using var scope = NewDisposeScope();
        return Shares(logWeights).square().sum(1).reciprocal().ToDoubles();
    }

    /// <summary>The log with rewards N·w/Σw: of mean 1, so <see cref="OffPolicyLearning.ClickCrossEntropy"/> on it is weighted
    /// cross-entropy at one scale, whatever the weights'.</summary>
    /// <param name="log">The impressions, sampled.</param>
    /// <param name="logWeights">ln w, (replica, impression).</param>
    /// <exception cref="ArgumentException">As for <see cref="EffectiveSampleSize"/>, shapes differ, or the log enumerates.</exception>
    public static LoggedBandit Weighted(LoggedBandit log, Tensor logWeights)
    {
        if (log.Endless || !logWeights.shape.SequenceEqual(log.Rewards.shape))
            throw new ArgumentException($"{nameof(logWeights)} have the shape [{string.Join(", ", logWeights.shape)}], wanted is "
                + $"[{string.Join(", ", log.Rewards.shape)}], of a sampled log" + (log.Endless ? "; this one enumerates" : ""),
                nameof(logWeights));
        using var scope = NewDisposeScope();
        return log.WithRewards(Shares(logWeights) * log.Count);
    }

    private static Tensor Shares(Tensor logWeights)
    {
        if (logWeights.dim() != 2 || logWeights.numel() == 0 || !logWeights.is_floating_point()
            || (logWeights == double.PositiveInfinity).any().item<bool>()
            || (logWeights == double.NegativeInfinity).all(1).any().item<bool>())
            throw new ArgumentException($"{nameof(logWeights)} have the shape [{string.Join(", ", logWeights.shape)}] of "
                + $"{logWeights.dtype}, the greatest "
                + $"{(logWeights.numel() == 0 ? double.NaN : logWeights.to(ScalarType.Float64).max().ToDouble())}; wanted is (replica, "
                + "impression), none +∞, and in each replica one above −∞", nameof(logWeights));
        return logWeights.to(ScalarType.Float64).softmax(1);
    }
}
