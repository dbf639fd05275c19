using TorchSharp;
using TrainingDynamics.Measurement;
using TrainingDynamics.Models;
using TrainingDynamics.Runtime;
using TrainingDynamics.Tasks;
using static TorchSharp.torch;

namespace TrainingDynamics.Objectives;

/// <summary>Prompts with a finite answer set.</summary>
/// <param name="Inputs">What the model is shown, (1, prompt, input).</param>
/// <param name="Reward">r(x, a), (prompt, answer), finite; positive is correct.</param>
/// <param name="Target">q(a|x) of the data or a teacher, (prompt, answer), rows that sum to 1; null where no objective needs one.</param>
public sealed record Prompts(Tensor Inputs, Tensor Reward, Tensor? Target = null) : IDisposable
{
    /// <summary>How many prompts there are.</summary>
    public long Count => Reward.shape[0];

    /// <summary>The same prompts with another target.</summary>
    public Prompts WithTarget(Tensor target) => this with { Target = target };

    /// <inheritdoc/>
    public void Dispose()
    {
        Inputs.Dispose();
        Reward.Dispose();
        Target?.Dispose();
    }
}

/// <summary>
/// Fine-tuning of a policy over a finite answer set by one <see cref="Objective"/>: each step draws prompts, asks the source for
/// answers, and gives the objective's loss and gradient. The base π₀ is the model's weights as they are when this is made.
/// </summary>
public sealed class FineTuningTask : ITask, IDisposable
{
    private readonly Model _model;
    private readonly Prompts _prompts;
    private readonly Objective _objective;
    private readonly ReplicaRandom _random;
    private readonly int? _batch;
    private readonly Tensor _source, _baseLog, _targetLog;
    private readonly Tensor? _kept;
    private int _age;

    /// <summary>A task on <paramref name="model"/>'s weights.</summary>
    /// <param name="model">Its outputs are logits (replica, prompt, answer).</param>
    /// <param name="prompts">Prompts, rewards and, where the source is the target or a teacher is followed, the target.</param>
    /// <param name="objective">What is minimized.</param>
    /// <param name="random">Draws prompts and answers, for each replica by its seed.</param>
    /// <param name="batch">Prompts a step, drawn with replacement; null takes all.</param>
    /// <exception cref="ArgumentException">A reward or target is not finite, the source draws correct answers and a prompt has none, or the
    /// answers are the policy's own and it gives the correct ones no mass.</exception>
    public FineTuningTask(Model model, Prompts prompts, Objective objective, ReplicaRandom random, int? batch = null)
    {
        objective.Source.Validated();
        if (batch < 1)
            throw new ArgumentException($"{nameof(batch)} is {batch}, at least one prompt is needed", nameof(batch));
        (_model, _prompts, _objective, _random, _batch) = (model, prompts, objective, random, batch);
        using var scope = NewDisposeScope();
        using var quiet = no_grad();
        if (!prompts.Reward.is_floating_point())
            throw new ArgumentException($"'{objective.Name}': the rewards are {prompts.Reward.dtype}, wanted are floating-point numbers",
                nameof(prompts));
        if (!prompts.Reward.isfinite().all().item<bool>())
            throw new ArgumentException($"'{objective.Name}': a reward is not finite", nameof(prompts));
        var correct = prompts.Reward > 0;
        if (objective.Source.OnlyCorrect && correct.any(-1).logical_not().nonzero() is var without && without.shape[0] > 0)
            throw new ArgumentException(
                $"'{objective.Name}' draws correct answers, and prompt {without.ToDoubles()[0]} has none: the reward set is empty",
                nameof(prompts));
        if (objective.Source.FromTarget && prompts.Target is null)
            throw new ArgumentException($"'{objective.Name}' draws from a target, and the prompts have none", nameof(prompts));
        if (prompts.Target is { } target)
        {
            if (!target.shape.SequenceEqual(prompts.Reward.shape) || !target.isfinite().all().item<bool>())
                throw new ArgumentException($"'{objective.Name}': the target is [{string.Join(", ", target.shape)}] from "
                    + $"{target.min().ToDouble()} to {target.max().ToDouble()}, "
                    + "wanted is a finite distribution over the answers for each row of the rewards, "
                        + $"[{string.Join(", ", prompts.Reward.shape)}]", nameof(prompts));
            Distributions.Required(target, nameof(prompts.Target));
        }
        if (random.Replicas != model.Weights.shape[0])
            throw new ArgumentException($"{nameof(random)} has {random.Replicas} replicas, the model {model.Weights.shape[0]}",
                nameof(random));
        // (replica, prompt, answer)
        _baseLog = model.Forward(model.Weights, prompts.Inputs).log_softmax(-1);
        if (!_baseLog.shape[1..].SequenceEqual(prompts.Reward.shape))
            throw new ArgumentException(
                $"'{objective.Name}': the model gives [replica, prompt, answer] logits of shape [{string.Join(", ", _baseLog.shape)}], "
                + $"the rewards are [{string.Join(", ", prompts.Reward.shape)}], (prompt, answer)", nameof(prompts));
        var mass = _baseLog.exp().masked_fill(prompts.Reward <= 0, 0).sum(-1);
        if (!objective.Source.FromTarget && ((mass == 0) & correct.any(-1)).any().item<bool>())
            throw new ArgumentException($"'{objective.Name}': the base gives the correct answers of some prompt a mass of 0; it can "
                + "neither draw them nor learn from them", nameof(prompts));
        _baseLog.DetachFromDisposeScope();
        _source = model.Weights.clone().DetachFromDisposeScope();
        _targetLog = (prompts.Target is { } q ? q.to(_baseLog.dtype).log()
            : full_like(prompts.Reward, double.NegativeInfinity).to(_baseLog.dtype)).DetachFromDisposeScope();
        if (objective.Source.Kept)
            _kept = Draw(OnlyCorrect(objective.Source.FromTarget ? _targetLog.unsqueeze(0).expand_as(_baseLog) : _baseLog, prompts.Reward))
                .DetachFromDisposeScope();
    }

    /// <inheritdoc/>
    public Layout Layout => _model.Layout;

    /// <inheritdoc/>
    public Tensor Weights => _model.Weights;

    /// <inheritdoc/>
    public (Tensor Loss, Tensor Gradient) Next()
    {
        using var scope = NewDisposeScope();
        if (_objective.Source is { FromTarget: false, Refresh: not Source.Never } && _age++ % _objective.Source.Refresh == 0)
            _source.copy_(_model.Weights);
        var replicas = Weights.shape[0];
        // (replica, prompt)
        var rows = _batch is { } size ? _random.Integers(_prompts.Count, size) : arange(_prompts.Count).unsqueeze(0).expand(replicas, -1);
        var flat = rows.reshape(-1);
        // (replica, prompt, …)
        Tensor Shared(Tensor table) => table.index_select(0, flat).reshape([replicas, rows.shape[1], .. table.shape[1..]]);
        var inputs = _batch is null ? _prompts.Inputs : Shared(_prompts.Inputs[0]);
        var (reward, targetLog) = (Shared(_prompts.Reward), Shared(_targetLog));
        var baseLog = _baseLog.gather(1, rows.unsqueeze(-1).expand(-1, -1, _baseLog.shape[2]));
        Tensor sourceLog;
        using (no_grad())
        {
            sourceLog = _objective.Source switch
            {
                { FromTarget: true } => targetLog,
                { Refresh: Source.Never } => baseLog,
                _ => _model.Forward(_source, inputs).log_softmax(-1),
            };
            sourceLog = OnlyCorrect(sourceLog, reward);
        }
        var mass = _kept is null ? Draw(sourceLog) : _kept.gather(1, rows.unsqueeze(-1).expand(-1, -1, _kept.shape[2]));
        var (loss, gradient) = Derivatives.LossAndGradient(weights => _objective.Loss(new Answers
        {
            LogPolicy = _model.Forward(weights, inputs).log_softmax(-1),
            AskBase = () => baseLog,
            AskSource = () => sourceLog,
            LogTarget = targetLog,
            Mass = mass,
            Reward = reward.to(baseLog.dtype),
        }), Weights);
        return (loss.MoveToOuterDisposeScope(), gradient.MoveToOuterDisposeScope());
    }

    /// <summary>The source without wrong answers, where it is so.</summary>
    private Tensor OnlyCorrect(Tensor log, Tensor reward) => _objective.Source.OnlyCorrect
        ? log.masked_fill(reward <= 0, double.NegativeInfinity).log_softmax(-1)
        : log;

    /// <summary>The share of G independent draws that fell on each answer, or the probabilities themselves.</summary>
    private Tensor Draw(Tensor log)
    {
        if (_objective.Source.Samples is not { } draws)
            return log.exp();
        // u falls on the first answer whose cumulative probability exceeds it.
        var cumulative = log.exp().cumsum(-1);
        // (replica, prompt, draw)
        var u = _random.Uniform([log.shape[1], draws], log.dtype) * cumulative.narrow(2, -1, 1);
        var which = (u.unsqueeze(-1) >= cumulative.unsqueeze(2)).to(ScalarType.Int64).sum(-1).clamp_max(log.shape[2] - 1);
        return zeros_like(log).scatter_add(2, which, full_like(u, 1.0 / draws));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var tensor in new[] { _source, _baseLog, _targetLog, _kept })
            tensor?.Dispose();
    }
}
