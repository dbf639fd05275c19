using TrainingDynamics.Runtime;
using static TorchSharp.torch;

namespace TrainingDynamics.Models;

/// <summary>
/// A policy without a network: one logit for each prompt and answer, π(·|x) = softmax(θ_x). Its inputs are prompt numbers from 0,
/// (replica or 1, prompt, 1).
/// </summary>
public sealed class TabularPolicy : TableModel
{
    private readonly int _answers;

    /// <summary>The same start for every replica.</summary>
    /// <param name="policy">π₀(a|x), [prompt][answer]; positive.</param>
    /// <param name="replicas">Replicas.</param>
    /// <exception cref="ArgumentException">A row is empty, of another length, or has an entry that is not positive.</exception>
    public TabularPolicy(double[][] policy, int replicas)
        : base(new Layout(new Block("θ", [policy.Length, Answers(policy)])),
            Start(policy, replicas), policy.Length) => _answers = Answers(policy);

    private static int Answers(double[][] policy) => policy.Length > 0 && policy[0].Length > 0 ? policy[0].Length
        : throw new ArgumentException($"a tabular policy needs a prompt and an answer; got {policy.Length} prompts", nameof(policy));

    private static Tensor Start(double[][] policy, int replicas)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(replicas, 1);
        if (policy.Any(row => row.Length != policy[0].Length) || policy.SelectMany(row => row).Any(p => !(p > 0 && double.IsFinite(p))))
            throw new ArgumentException("a tabular policy needs rows of one length with positive entries; a softmax has no zeros. Got "
                + $"rows of {string.Join("/", policy.Select(r => r.Length).Distinct())}, least entry "
                + $"{policy.SelectMany(r => r).DefaultIfEmpty(double.NaN).Min()}", nameof(policy));
        using var scope = NewDisposeScope();
        return Aligned.Tensor(policy.SelectMany(row => row).Select(p => Math.Log(p)).ToArray()).unsqueeze(0).repeat(replicas, 1)
            .MoveToOuterDisposeScope();
    }

    /// <summary>The logits θ, (replica, prompt, answer).</summary>
    public override Tensor Scores(Tensor weights) => weights.reshape(weights.shape[0], Contexts, _answers);
}
