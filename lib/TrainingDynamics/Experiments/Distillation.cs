using TrainingDynamics.Models;
using TrainingDynamics.Runtime;
using TrainingDynamics.Tasks;
using static TorchSharp.torch;

namespace TrainingDynamics.Experiments;

/// <summary>A teacher of sequences in closed form: its log-probabilities of the next token from the base's and from what is right
/// there.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Log">log q(token | prompt, answer so far), (…, token), of the base's log-probabilities (…, token) and of what is right,
/// (…, token), 1 or 0.</param>
public sealed record SequenceTeacher(string Name, Func<Tensor, Tensor, Tensor> Log)
{
    /// <summary>The base conditioned on the right parity, token by token; the odds of wrong tokens are e⁻¹⁰ of the base's, so that the
    /// reverse KL is finite.</summary>
    public static SequenceTeacher Near { get; } = new("near", (log, right) => (log - (10 * (1 - right))).log_softmax(-1));

    /// <summary>The right ones of 0, 1, 4 and 5, alike, with 98 %; the rest is the base's.</summary>
    public static SequenceTeacher Far { get; } = new("far", (log, right) =>
    {
        var taught = zeros_like(right);
        foreach (var digit in new[] { 0, 1, 4, 5 })
            taught.select(-1, digit).copy_(right.select(-1, digit));
        return ((0.98 * taught / taught.sum(-1, keepdim: true)) + (0.02 * log.exp())).log();
    });

    /// <summary>The base itself: what there is to learn is nothing.</summary>
    public static SequenceTeacher Base { get; } = new("base", (log, _) => log);
}

/// <summary>
/// Distillation on the new task, token by token: answers drawn by teacher or policy, and at each of their places the whole divergence of
/// the next token:
/// <code>
/// L = E_x E_{y∼source} Σ_i KL(q(·|x, y_{&lt;i}) ‖ π(·|x, y_{&lt;i}))     forward
/// L = E_x E_{y∼source} Σ_i KL(π(·|x, y_{&lt;i}) ‖ q(·|x, y_{&lt;i}))     reverse
/// </code>
/// </summary>
internal sealed class Distillation(ParitySequences world, Transformer model, SequenceTeacher teacher, bool ownPrefixes, bool reverse,
    ReplicaRandom random, int prompts, int draws) : ITask, IDisposable
{
    private readonly Tensor _base = model.Weights.clone().DetachFromDisposeScope();

    public Layout Layout => model.Layout;

    public Tensor Weights => model.Weights;

    public (Tensor Loss, Tensor Gradient) Next()
    {
        using var scope = NewDisposeScope();
        var replicas = Weights.shape[0];
        var asked = ParitySequences.Ask(random, prompts);
        // (replica, prompt·draw, 6)
        var repeated = asked.unsqueeze(2).expand(-1, -1, draws, -1).reshape(replicas, prompts * draws, ParitySequences.Prompt);
        var answers = ownPrefixes ? ParitySequences.Sample(model, model.Weights, repeated, random)
            : ParitySequences.Sample(model, _base, repeated, random, (log, tokens) => TeacherOfPlace(log, repeated, tokens));
        Tensor taught;
        using (no_grad())
        {
            // (replica, prompt·draw, position, token)
            var baseLog = ParitySequences.PositionLog(model, _base, repeated, answers);
            taught = Ask(baseLog, world.RightTokens(repeated, answers));
        }
        var (loss, gradient) = Derivatives.LossAndGradient(weights =>
        {
            var log = ParitySequences.PositionLog(model, weights, repeated, answers);
            var divergence = reverse ? log.exp() * (log - taught) : taught.exp() * (taught - log);
            return divergence.sum([-1, -2]).mean([1]);
        }, Weights);
        return (loss.MoveToOuterDisposeScope(), gradient.MoveToOuterDisposeScope());
    }

    private Tensor TeacherOfPlace(Tensor log, Tensor asked, Tensor tokens)
    {
        var place = (int)tokens.shape[^1] - ParitySequences.Prompt;
        var right = world.RightTokens(asked, tokens.narrow(-1, ParitySequences.Prompt, place), place + 1);
        return Ask(log, right.select(-2, place));
    }

    private Tensor Ask(Tensor log, Tensor right)
    {
        var taught = teacher.Log(log, right);
        if (!taught.shape.SequenceEqual(log.shape) || taught.isnan().any().item<bool>())
            throw new ArgumentException($"the teacher '{teacher.Name}' gives [{string.Join(", ", taught.shape)}] for log-probabilities of "
                + $"shape [{string.Join(", ", log.shape)}]; wanted are as many, none of them NaN", nameof(teacher));
        return taught;
    }

    public void Dispose() => _base.Dispose();
}
