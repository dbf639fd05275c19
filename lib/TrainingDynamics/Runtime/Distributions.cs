using TorchSharp;
using static TorchSharp.torch;

namespace TrainingDynamics.Runtime;

/// <summary>Whether what is given as a policy is one.</summary>
internal static class Distributions
{
    /// <summary>How far from 1 a row may sum, for float32 softmaxes over many items.</summary>
    private const double Tolerance = 1e-4;

    /// <summary>The policy, if each row over the last axis is not negative and sums to 1. Rows that are not finite belong to a diverged
    /// replica and pass.</summary>
    /// <exception cref="ArgumentException">A finite row is no distribution.</exception>
    public static Tensor Required(Tensor policy, string name)
    {
        using var scope = NewDisposeScope();
        using var quiet = no_grad();
        var (sum, least) = (policy.sum(-1), policy.amin([-1]));
        var bad = ((sum - 1).abs() > Tolerance) | (least < 0);                          // NaN is neither
        if ((bad & sum.isfinite()).any().item<bool>())
        {
            var at = (bad & sum.isfinite()).nonzero()[0];
            var row = policy;
            for (var axis = 0; axis < at.shape[0]; axis++)
                row = row[at[axis].item<long>()];
            var where = string.Join(", ", Enumerable.Range(0, (int)at.shape[0]).Select(axis => at[axis].item<long>()));
            var (total, lowest) = (row.sum().to(ScalarType.Float64).item<double>(), row.min().to(ScalarType.Float64).item<double>());
            throw new ArgumentException($"{name} is no distribution: row ({where}) sums to {total}, its least entry is {lowest}", name);
        }
        return policy;
    }

    /// <summary>The same of logarithms: Σ e^l = 1 over the last axis.</summary>
    /// <exception cref="ArgumentException">A row is no distribution; probabilities in place of their logarithms, say.</exception>
    public static Tensor RequiredLog(Tensor log, string name)
    {
        using var scope = NewDisposeScope();
        using var quiet = no_grad();
        var sum = log.logsumexp(-1);
        if (((sum.abs() > Tolerance) & ~sum.isnan()).any().item<bool>())
            throw new ArgumentException($"{name} are no log-probabilities: Σ exp over the answers goes from {sum.exp().min().ToDouble()} "
                + $"to {sum.exp().max().ToDouble()}, "
                + "and must be 1 everywhere", name);
        return log;
    }
}
