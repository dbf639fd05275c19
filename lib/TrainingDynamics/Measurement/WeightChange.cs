using TorchSharp;
using TrainingDynamics.Models;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;

namespace TrainingDynamics.Measurement;

/// <summary>The geometry of an update Δ = w − w₀ from a base to a fine-tuned model, over flat buffers (replica, parameter): [replica]
/// each.</summary>
public static class WeightChange
{
    /// <summary>Σ|Δ|.</summary>
    public static double[] L1(Tensor before, Tensor after) => Of(before, after, (a, b) => (b - a).abs().sum(1));

    /// <summary>‖Δ‖₂.</summary>
    public static double[] L2(Tensor before, Tensor after) => Of(before, after, (a, b) => (b - a).square().sum(1).sqrt());

    /// <summary>√Σ_i F_i·Δ_i², F the diagonal of the Fisher information (<see cref="FisherDiagonal"/>).</summary>
    public static double[] FisherL2(Tensor before, Tensor after,
        Tensor fisher) => Of(before, after, (a, b) => (fisher.to(ScalarType.Float64) * (b - a).square()).sum(1).sqrt());

    /// <summary>The greatest singular value over all matrices' Δ: the spectral norm.</summary>
    public static double[] Spectral(Tensor before, Tensor after, Layout layout)
        // NaN stays NaN
        => Reduce(Singular(before, after, layout), values => values.Aggregate(0.0, (most, v) => Math.Max(most, v[0])));

    /// <summary>
    /// Mean over matrices of the stable rank ‖Δ‖²_F/σ₁² over the full rank min(m, n): 1/min(m, n) for an update of rank one, 1 for one that
    /// stretches all directions alike. A matrix without change is left out.
    /// </summary>
    public static double[] StableRankShare(Tensor before, Tensor after, Layout layout)
        => Reduce(Singular(before, after, layout),
            values => values.Where(v => v[0] != 0).Select(v => v.Sum(s => s * s) / (v[0] * v[0]) / v.Length).DefaultIfEmpty(0).Average());

    /// <summary>Share of parameters whose float32 value is the same before and after.</summary>
    public static double[] EqualFloat32(Tensor before, Tensor after) => Same(before, after, ScalarType.Float32);

    /// <summary>
    /// Share of parameters that round to the same bfloat16 before and after: with 8 bits of significand neighbours are 1/256 to
    /// 1/128 of a weight apart, and a change that is small against that is mostly invisible. What a comparison of two bfloat16 checkpoints
    /// calls sparsity.
    /// </summary>
    public static double[] EqualBFloat16(Tensor before, Tensor after) => Same(before, after, ScalarType.BFloat16);

    /// <summary>
    /// The diagonal of the Fisher information of a policy: F_i = E_x E_{a∼π}[(∂ log π(a|x)/∂w_i)²], by exact enumeration of the answers
    /// and one gradient a prompt and answer; (replica, parameter).
    /// </summary>
    /// <param name="logPolicy">log π(a|x) as a function of the weights: (replica, prompt, answer).</param>
    /// <param name="weights">(replica, parameter).</param>
    public static Tensor FisherDiagonal(Func<Tensor, Tensor> logPolicy, Tensor weights)
    {
        using var scope = NewDisposeScope();
        var leaf = weights.detach().requires_grad_(true);
        var log = logPolicy(leaf);
        var probability = log.detach().exp();
        var fisher = zeros_like(weights);
        for (var x = 0L; x < log.shape[1]; x++)
        {
            for (var a = 0L; a < log.shape[2]; a++)
            {
                using var inner = NewDisposeScope();
                var gradient = Derivatives.Gradient(log.select(2, a).select(1, x).sum(), leaf, retain: true);
                fisher.add_(probability.select(2, a).select(1, x).unsqueeze(1) * gradient.square() / log.shape[1]);
            }
        }
        return fisher.MoveToOuterDisposeScope();
    }

    private static double[] Same(Tensor before, Tensor after, ScalarType type) => Of(before, after, (a, b)
        => where(Replicas.AreFinite(b), a.to(type).eq(b.to(type)).to(ScalarType.Float64).mean([1]), double.NaN));

    private static double[] Of(Tensor before, Tensor after, Func<Tensor, Tensor, Tensor> f)
    {
        if (!before.shape.SequenceEqual(after.shape))
            throw new ArgumentException(
                $"the weights before are {string.Join(" × ", before.shape)}, after {string.Join(" × ", after.shape)}", nameof(after));
        using var scope = NewDisposeScope();
        using var quiet = no_grad();
        return f(before.to(ScalarType.Float64), after.to(ScalarType.Float64)).ToDoubles();
    }

    /// <summary>Singular values of every matrix' change, [matrix][replica][value].</summary>
    private static double[][][] Singular(Tensor before, Tensor after, Layout layout)
    {
        using var scope = NewDisposeScope();
        using var quiet = no_grad();
        return [.. layout.Where(b => b.Shape.Length == 2).Select(block =>
        {
            var change = (Layout.Slice(after, block) - Layout.Slice(before,
                block)).to(ScalarType.Float64).reshape([before.shape[0], .. block.Shape]);
            // By the eigenvalues of the smaller Gram matrix: ten times as fast as a full decomposition, and exact where it matters, at the
            // top.
            var gram = block.Shape[0] > block.Shape[1] ? change.transpose(1, 2).bmm(change) : change.bmm(change.transpose(1, 2));
            return Replicas.Finite(gram, g => linalg.eigvalsh(g)).clamp_min(0).sqrt().flip(-1)
                .ToDoubles().Chunk((int)block.Shape.Min()).ToArray();
        })];
    }

    private static double[] Reduce(double[][][] singular, Func<double[][], double> f)
        => [.. Enumerable.Range(0, singular[0].Length).Select(r => f([.. singular.Select(matrix => matrix[r])]))];
}
