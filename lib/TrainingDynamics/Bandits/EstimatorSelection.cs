using MathNet.Numerics.Distributions;
using TorchSharp;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;

namespace TrainingDynamics.Bandits;

/// <summary>Which estimator to trust, from the log alone: nobody knows the truth, so nobody knows a bias.</summary>
public static class EstimatorSelection
{
    /// <summary>
    /// SLOPE, selection by Lepski's principle (Su, Srinath and Krishnamurthy 2020, arXiv:2002.07729): of estimators that are ordered from
    /// the noisiest and least biased to the quietest, the last one whose interval still meets those of all before it,
    /// <code>
    /// max{i : I_1 ∩ … ∩ I_i ≠ ∅},   I_i = V̂_i ± 2c_i,   c_i = z·se_i.
    /// </code>
    /// Where biases rise along the order and the c_i are right, its error is the best one's up to a constant. The normal c_i is ours; where
    /// an estimator is noisier than the one before it, it is given that one's c, as the order says it is no worse.
    /// </summary>
    /// <param name="ordered">At least one; from the finest to the coarsest.</param>
    /// <param name="confidence">Of V̂ ± c, in (0, 1).</param>
    /// <returns>The index of the chosen estimator, for each replica.</returns>
    /// <exception cref="ArgumentException">There is none, they differ in replicas, or a number is out of its range.</exception>
    public static int[] Slope(IReadOnlyList<Estimate> ordered, double confidence = 0.95)
    {
        RequireAlike(ordered, nameof(ordered));
        if (!(confidence is > 0 and < 1))
            throw new ArgumentException($"{nameof(confidence)} is {confidence}, allowed is a number in (0, 1)", nameof(confidence));
        var z = Normal.InvCDF(0, 1, (1 + confidence) / 2);
        double[][] errors = [.. ordered.Select(estimate => estimate.StandardError)];
        return [.. ordered[0].Value.Select((_, replica) =>
        {
            var (low, high, width) = (double.NegativeInfinity, double.PositiveInfinity, double.PositiveInfinity);
            var last = -1;
            for (var i = 0; i < ordered.Count; i++)
            {
                // What is not a number says nothing, and is not taken.
                if (!double.IsFinite(ordered[i].Value[replica]) || double.IsNaN(errors[i][replica]))
                    continue;
                width = Math.Min(width, 2 * z * errors[i][replica]);
                (low, high) = (Math.Max(low, ordered[i].Value[replica] - width), Math.Min(high, ordered[i].Value[replica] + width));
                if (low > high)
                    break;
                last = i;
            }
            return last >= 0 ? last : throw new ArgumentException($"no estimate of replica {replica} is a number", nameof(ordered));
        })];
    }

    /// <summary>The estimator with the least estimated mean squared error, b̂² + se²: the rule by which the thresholds of Switch (Wang,
    /// Agarwal and Dudík 2017, arXiv:1612.01205) and the shrinkage of DRos (Su et al. 2020, arXiv:1907.09623) are tuned.</summary>
    /// <param name="candidates">At least one, in any order.</param>
    /// <param name="bias">b̂ of each, [candidate][replica]: an estimate such as <see cref="DirectBias"/>, or a bound such as
    /// <see cref="SwitchBiasBound"/>.</param>
    /// <returns>The index of the chosen estimator, for each replica.</returns>
    /// <exception cref="ArgumentException">There is none, or the biases do not go with them.</exception>
    public static int[] LeastError(IReadOnlyList<Estimate> candidates, IReadOnlyList<double[]> bias)
    {
        RequireAlike(candidates, nameof(candidates));
        if (bias.Count != candidates.Count || bias.Any(b => b.Length != candidates[0].Value.Length))
            throw new ArgumentException($"{nameof(bias)} has {bias.Count} rows of "
                + $"{string.Join(", ", bias.Select(b => b.Length).Distinct())} numbers, wanted are {candidates.Count} of "
                + $"{candidates[0].Value.Length}", nameof(bias));
        double[][] errors = [.. candidates.Select(candidate => candidate.StandardError)];
        // A sum that is not a number is no least one.
        double Error(int i, int replica) => Math.Pow(bias[i][replica], 2) + Math.Pow(errors[i][replica], 2) is var error
            && double.IsFinite(error + candidates[i].Value[replica]) ? error : double.PositiveInfinity;
        return [.. candidates[0].Value.Select((_, replica) =>
            Enumerable.Range(0, candidates.Count).MinBy(i => Error(i, replica)) is var best && double.IsFinite(Error(best, replica)) ? best
            : throw new ArgumentException($"no estimate of replica {replica} is a number", nameof(candidates)))];
    }

    /// <summary>The direct estimate of a bias: V̂ minus that of an unbiased estimator on the same log. It has that one's noise.</summary>
    /// <param name="candidates">The estimators.</param>
    /// <param name="unbiased">IPS or doubly robust, on the same log.</param>
    /// <exception cref="ArgumentException">They differ in replicas.</exception>
    public static double[][] DirectBias(IReadOnlyList<Estimate> candidates, Estimate unbiased)
    {
        RequireAlike([.. candidates, unbiased], nameof(candidates));
        return [.. candidates.Select(candidate => candidate.Value.Zip(unbiased.Value, (v, reference) => v - reference).ToArray())];
    }

    /// <summary>What Switch's bias is at most: R·mean over impressions of Σ_a π(a|x)·1[w(x, a) &gt; τ], the policy's mass above the
    /// threshold times the greatest error of the model (Wang, Agarwal and Dudík 2017).</summary>
    /// <param name="log">The log; its logger known.</param>
    /// <param name="policy">π, (replica or 1, context, item).</param>
    /// <param name="threshold">τ ≥ 0.</param>
    /// <param name="greatest">R, the greatest |r − q̂|; 1 for clicks.</param>
    /// <exception cref="ArgumentException">The whole logger is not known, or a number is out of its range.</exception>
    public static double[] SwitchBiasBound(LoggedBandit log, Tensor policy, double threshold, double greatest = 1)
    {
        if (!(threshold >= 0))
            throw new ArgumentException($"{nameof(threshold)} is {threshold}, allowed is a number in [0, ∞]", nameof(threshold));
        Require.NotNegative(greatest, nameof(greatest));
        var logger = log.Logger ?? throw new ArgumentException("the bound needs the whole logger: it counts what was not shown, too",
            nameof(log));
        using var scope = NewDisposeScope();
        Distributions.Required(policy, nameof(policy));
        var unshown = (logger == 0) | (double.IsInfinity(threshold) ? zeros_like(logger, ScalarType.Bool) : policy > threshold * logger);
        var above = (policy.to(ScalarType.Float64) * unshown).sum(-1);
        return [.. log.OverContexts(above, policy.shape[2]).Select(mass => greatest * mass)];
    }

    private static void RequireAlike(IReadOnlyList<Estimate> estimates, string name)
    {
        if (estimates.Count == 0 || estimates.Any(e => e.Value.Length != estimates[0].Value.Length))
            throw new ArgumentException($"{name} are {estimates.Count} estimates of {string.Join(", ",
                estimates.Select(e => e.Value.Length).Distinct())} replicas; wanted is at least one, all of the same", name);
    }
}
