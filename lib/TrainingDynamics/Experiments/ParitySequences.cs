using System.Runtime.InteropServices;
using TorchSharp;
using TrainingDynamics.Data;
using TrainingDynamics.Measurement;
using TrainingDynamics.Models;
using TrainingDynamics.Notebook;
using TrainingDynamics.Objectives;
using TrainingDynamics.Optimizers;
using TrainingDynamics.Runtime;
using TrainingDynamics.Schedules;
using TrainingDynamics.Tasks;
using static TorchSharp.torch;

namespace TrainingDynamics.Experiments;

/// <summary>A fine-tuned language model at a checkpoint.</summary>
/// <param name="Method">The objective's name.</param>
/// <param name="Base">Which base it started from.</param>
/// <param name="Rate">The learning rate.</param>
/// <param name="Step">Steps.</param>
/// <param name="New">Chance that a sampled answer to the new task is right, nearly without sampling noise.</param>
/// <param name="Old">Chance that a sampled answer to an old task is right, exactly, mean over the old tasks.</param>
/// <param name="OldByTask">The same by task: copy, reverse, plus one, swap.</param>
/// <param name="Forward">KL(π₀‖π) on the new task per answer, nats: exact by position along answers drawn from π₀.</param>
/// <param name="Change">The weights' change.</param>
public sealed record SequenceRun(string Method, int Base, double Rate,
    int Step, double New, double Old, double[] OldByTask, double Forward, SequenceChange Change);

/// <summary>What happened to the weights.</summary>
/// <param name="L2">‖w − w₀‖.</param>
/// <param name="Spectral">Greatest singular value of a matrix' change.</param>
/// <param name="StableRank">Stable rank over full rank, mean of the matrices.</param>
/// <param name="EqualBFloat16">Share of parameters whose bfloat16 value did not change.</param>
/// <param name="EqualFloat32">Share of parameters whose float32 value did not change.</param>
public sealed record SequenceChange(double L2, double Spectral, double StableRank, double EqualBFloat16, double EqualFloat32);

/// <summary>
/// A language model small enough for a notebook: a prompt is a task, four digits and "="; the answer is four digits. Old tasks: copy,
/// reverse, add one to each (mod 10), swap the halves. New task: any four digits of the same parities, 625 right answers of 10,000. The
/// base
/// answers the new task with digits of the right parity in three of four cases and with any digit else, so that a sampled answer is right
/// with probability 0.875⁴ = 0.586, while the likeliest answer is always right.
/// </summary>
public sealed class ParitySequences : IDisposable
{
    /// <summary>Digits of a prompt and of an answer.</summary>
    public const int Length = 4;

    private const int OldTasks = 4, NewTask = 4, FirstTask = 10, Equal = 15;

    /// <summary>Tokens of a prompt: the task, the digits, "=".</summary>
    internal const int Prompt = Length + 2;

    private readonly Tensor _bases, _oldPrompts, _oldAnswers, _newPrompts;
    private readonly int[] _seeds;
    private readonly bool _repeats;

    /// <summary>The transformer: two layers of width 64, RMSNorm, SwiGLU, rotary positions.</summary>
    public static TransformerShape Shape { get; } = new()
    {
        Vocabulary = 16,
        Context = Prompt + Length,
        Layers = 2,
        Width = 64,
        Heads = 4,
        Hidden = 128,
        Epsilon = 1e-5
    };

    private ParitySequences(Tensor bases, int prompts, IReadOnlyList<int>? seeds, bool repeats)
    {
        (_bases, _repeats) = (bases, repeats);
        _seeds = seeds is null ? [.. Enumerable.Range(1, (int)bases.shape[0])] : [.. seeds];
        using var scope = NewDisposeScope();
        using var random = new ReplicaRandom(_seeds.Stream("asked")[0]);
        var old = Enumerable.Range(0, OldTasks).Select(task => Exercise(random, task, prompts)).ToArray();
        _oldPrompts = cat([.. old.Select(o => o.Prompt)], 1).DetachFromDisposeScope();
        _oldAnswers = cat([.. old.Select(o => o.Answer)], 1).DetachFromDisposeScope();
        _newPrompts = Exercise(random, NewTask, prompts).Prompt.DetachFromDisposeScope();
    }

    /// <summary>The shipped bases (<c>data/parity-sequences</c>): three networks of three seeds.</summary>
    /// <param name="prompts">Prompts of each task to measure on.</param>
    /// <param name="seeds">What fine-tuning and the prompts to measure on are drawn by, one for each base; 1, 2, 3 if not given. The
    /// bases stay the shipped ones.</param>
    /// <param name="repeats">Whether a right answer may have a digit twice in a row. Where it may not, what is right depends on what was
    /// answered before.</param>
    /// <exception cref="DataFileException">The file is missing, damaged, or of another shape.</exception>
    /// <exception cref="ArgumentException">There is not one seed for each base.</exception>
    public static ParitySequences Load(int prompts = 200, IReadOnlyList<int>? seeds = null, bool repeats = true)
    {
        var bytes = Shipped.Read(Path.Combine(Shipped.Folder, "parity-sequences"), "bases.f32");
        using var random = new ReplicaRandom(1);
        using var model = new Transformer(Shape, random);
        var count = bytes.Length / sizeof(float) / model.Layout.Size;
        if (seeds is not null && seeds.Count != count)
            throw new ArgumentException($"there are {seeds.Count} seeds, and {count} bases are shipped: one each is needed", nameof(seeds));
        return count * model.Layout.Size * sizeof(float) == bytes.Length
            ? new ParitySequences(Aligned.Tensor(MemoryMarshal.Cast<byte, float>(bytes).ToArray()).reshape(count, -1)
                .DetachFromDisposeScope(), prompts, seeds, repeats)
            : throw new DataFileException($"data/parity-sequences/bases.f32 has {bytes.Length} bytes; a network of this shape has "
                + $"{model.Layout.Size * sizeof(float)}");
    }

    /// <summary>Bases of one's own.</summary>
    /// <param name="bases">Weights, (base, parameter), as <see cref="Base"/> has them.</param>
    /// <param name="seeds">One for each base.</param>
    /// <param name="prompts">As for <see cref="Load"/>.</param>
    /// <param name="repeats">As for <see cref="Load"/>.</param>
    /// <exception cref="ArgumentException">The weights have another shape, or there is not one seed for each.</exception>
    public static ParitySequences Of(Tensor bases, IReadOnlyList<int> seeds, int prompts = 200, bool repeats = true)
    {
        using var random = new ReplicaRandom(seeds);
        using var model = new Transformer(Shape, random);
        return bases.shape.SequenceEqual(model.Weights.shape) && bases.dtype == model.Weights.dtype
            ? new ParitySequences(bases.clone().DetachFromDisposeScope(), prompts, seeds, repeats)
            : throw new ArgumentException($"{nameof(bases)} are [{string.Join(", ", bases.shape)}] of {bases.dtype}, wanted are "
                + $"[{string.Join(", ", model.Weights.shape)}] of {model.Weights.dtype}: one row for each seed, as Base().Weights has them",
                nameof(bases));
    }

    /// <summary>Trains bases from nothing, all tasks in equal parts, and gives their weights as float32 bytes: what <see cref="Load"/>
    /// reads.</summary>
    /// <param name="seeds">One base each.</param>
    /// <param name="steps">Steps of AdamW at 3e-3 with a cosine to 0, after 100 of warmup.</param>
    /// <param name="batch">Prompts a step.</param>
    /// <param name="progress">Told how far it is.</param>
    public static byte[] Pretrain(IReadOnlyList<int> seeds, int steps = 3000, int batch = 100, IProgress<Progress>? progress = null)
    {
        using var random = new ReplicaRandom(seeds);
        using var model = new Transformer(Shape, random);
        using var adam = new AdamW(model.Weights, 3e-3, 0);
        using var stream = new Lessons(random, batch / (OldTasks + 1));
        Training.Run(new Learning(new AnswersOnly(model), stream),
            adam, steps, schedule: Schedule.Warmup(100, Schedule.Cosine(steps - 100)), progress: progress);
        return model.Weights.to(ScalarType.Float32).contiguous().bytes.ToArray();
    }

    /// <summary>How many bases there are.</summary>
    public int Bases => _seeds.Length;

    /// <summary>The new task's prompts to measure on, (1, prompt, 6).</summary>
    public Tensor NewPrompts => _newPrompts;

    /// <summary>The bases as a model of their own, which the caller disposes of: replica i·<see cref="Bases"/> + b is base b.</summary>
    /// <param name="copies">How many times all of them.</param>
    public Transformer Base(int copies = 1)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(copies, 1);
        using var random = new ReplicaRandom([.. Enumerable.Repeat(_seeds, copies).SelectMany(seeds => seeds)]);
        var model = new Transformer(Shape, random);
        using var weights = _bases.repeat(copies, 1);
        model.Weights.copy_(weights);
        return model;
    }

    /// <summary>The bases themselves as a run of no steps: where every fine-tuning starts.</summary>
    public IReadOnlyList<SequenceRun> Start()
    {
        using var model = Base();
        return Look(model, new Sweep<double>([0], _seeds), "base", 0);
    }

    /// <summary>Fine-tunes every base at every rate, in one graph.</summary>
    /// <param name="objective">What is minimized. Rejected draws of a source of correct answers are dropped: of Samples tries those that
    /// are right count alike.</param>
    /// <param name="rates">The learning rates.</param>
    /// <param name="target">The answer digit that demonstrations give to a digit; null where the objective needs none.</param>
    /// <param name="steps">Steps.</param>
    /// <param name="checkpoints">Steps that are looked at; the last by default.</param>
    /// <param name="prompts">Prompts a step.</param>
    /// <param name="name">The method's name; the objective's by default.</param>
    /// <param name="optimizer">The optimizer of a model and its rates; Adam by default.</param>
    public IReadOnlyList<SequenceRun> FineTune(Objective objective, IReadOnlyList<double> rates,
        Func<int, int[]>? target = null, int steps = 100, IReadOnlyList<int>? checkpoints = null, int prompts = 16, string? name = null,
        Func<Model, PerReplica, Optimizer>? optimizer = null)
    {
        if (objective.Source.FromTarget && target is null)
            throw new ArgumentException($"'{objective.Name}' draws from a target, and none is given", nameof(target));
        if (objective.Source.Kept)
            throw new ArgumentException(
                $"'{objective.Name}' keeps its draws; prompts here are drawn anew, so there is nothing to keep them for",
                nameof(objective));
        if (objective.Source.Samples is null)
            throw new ArgumentException(
                $"'{objective.Name}' asks for an exact expectation; sequences are drawn: give its source a number of samples",
                nameof(objective));
        return Tune((model, random) => new Sequences(this, model, objective, target, random, prompts), rates, steps, checkpoints,
            name ?? objective.Name, optimizer);
    }

    /// <summary>Distils a teacher into every base at every rate, token by token: the whole divergence of the next token, at every position
    /// of answers that teacher or policy drew.</summary>
    /// <param name="teacher">q, in closed form from the base.</param>
    /// <param name="ownPrefixes">Whether the policy draws the answers along which it is corrected (on-policy); otherwise the teacher
    /// does.</param>
    /// <param name="reverse">KL(π‖q) of each token instead of KL(q‖π).</param>
    /// <param name="rates">The learning rates.</param>
    /// <param name="steps">Steps.</param>
    /// <param name="checkpoints">Steps that are looked at; the last by default.</param>
    /// <param name="prompts">Prompts a step.</param>
    /// <param name="draws">Answers drawn for each.</param>
    /// <param name="name">The method's name; what it does by default.</param>
    /// <param name="optimizer">The optimizer of a model and its rates; Adam by default.</param>
    /// <remarks>The four corners of Agarwal et al. 2023, arXiv:2306.13649, and Zhao et al. 2026, arXiv:2605.16826. As there, no gradient
    /// goes through the drawing.</remarks>
    public IReadOnlyList<SequenceRun> Distill(SequenceTeacher teacher, bool ownPrefixes, bool reverse, IReadOnlyList<double> rates,
        int steps = 100, IReadOnlyList<int>? checkpoints = null, int prompts = 16, int draws = 4, string? name = null,
        Func<Model, PerReplica, Optimizer>? optimizer = null)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(prompts, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(draws, 1);
        return Tune((model, random) => new Distillation(this, model, teacher, ownPrefixes, reverse, random, prompts, draws), rates, steps,
            checkpoints, name ?? $"{teacher.Name}, {(ownPrefixes ? "own" : "teacher's")} prefixes, {(reverse ? "reverse" : "forward")}",
            optimizer);
    }

    private List<SequenceRun> Tune(Func<Transformer, ReplicaRandom, ITask> task, IReadOnlyList<double> rates, int steps,
        IReadOnlyList<int>? checkpoints, string name, Func<Model, PerReplica, Optimizer>? optimizer)
    {
        var sweep = new Sweep<double>(rates, _seeds);
        using var random = new ReplicaRandom(sweep.Seeds);
        using var model = Base(rates.Count);
        optimizer ??= (model, rate) => new Adam(model.Weights, rate);
        using var steering = optimizer(model, sweep.Each(rate => rate));
        var learning = task(model, random);
        using var owned = learning as IDisposable;
        var at = (checkpoints ?? [steps]).ToHashSet();
        var runs = new List<SequenceRun>();
        Training.Run(learning, steering, steps, o => runs.AddRange(Look(model, sweep, name, o.Step)), when: at.Contains);
        return runs;
    }

    private IReadOnlyList<SequenceRun> Look(Transformer model, Sweep<double> sweep, string method, int step)
    {
        // Its own draws, the same at every look: looking changes no run, and what is compared is drawn alike.
        using var random = new ReplicaRandom(sweep.Seeds.Stream("looks"));
        using var scope = NewDisposeScope();
        using var quiet = no_grad();
        var (replicas, start) = (model.Weights.shape[0], _bases.repeat(sweep.Settings.Count, 1));
        // (replica, task·prompt)
        var old = TokenLog(model, model.Weights, _oldPrompts, _oldAnswers).sum(-1).exp();
        var byTask = old.reshape(replicas, OldTasks, -1).mean([2]).ToDoubles().Chunk(OldTasks).ToArray();
        var prompts = _newPrompts.expand(replicas, -1, -1);
        var news = Success(model, model.Weights, prompts, random).mean([1]).ToDoubles();
        var drawn = Sample(model, start, prompts, random);
        var (p0, p) = (PositionLog(model, start, prompts, drawn), PositionLog(model, model.Weights, prompts, drawn));
        var forward = (p0.exp() * (p0 - p)).sum([-1, -2]).mean([1]).ToDoubles();
        var (l2, spectral, rank) = (WeightChange.L2(start, model.Weights),
            WeightChange.Spectral(start, model.Weights, model.Layout), WeightChange.StableRankShare(start, model.Weights, model.Layout));
        var (bf16, f32) = (WeightChange.EqualBFloat16(start, model.Weights), WeightChange.EqualFloat32(start, model.Weights));
        return [.. Enumerable.Range(0, (int)replicas)
            .Select(r => new SequenceRun(method, r % Bases, sweep.Settings[r / Bases],
            step, news[r], byTask[r].Average(), byTask[r], forward[r],
            new SequenceChange(l2[r], spectral[r], rank[r], bf16[r], f32[r])))];
    }

    /// <summary>Prompts of the new task, (replica, prompt, 6).</summary>
    internal static Tensor Ask(ReplicaRandom random, int count) => Exercise(random, NewTask, count).Prompt;

    /// <summary>Prompts (1 or replica, prompt, 6) and right answers (…, 4) of a task; for the new task the answer is a demonstration of the
    /// base's habit.</summary>
    private static (Tensor Prompt, Tensor Answer) Exercise(ReplicaRandom random, int task, int count)
    {
        var digits = random.Integers(10, count, Length);
        var answer = task switch
        {
            0 => digits,
            1 => digits.flip(-1),
            2 => (digits + 1).remainder(10),
            3 => cat([digits.narrow(-1, Length / 2, Length / 2), digits.narrow(-1, 0, Length / 2)], -1),
            // Three in four of the right parity, the rest any digit.
            _ => where(random.Uniform([count, Length], ScalarType.Float32) < 0.75,
                (random.Integers(5, count, Length) * 2) + digits.remainder(2), random.Integers(10, count, Length)),
        };
        var edge = full([random.Replicas, count, 1], FirstTask + task, dtype: ScalarType.Int64);
        return (cat([edge, digits, full_like(edge, Equal)], -1), answer);
    }

    /// <summary>The tokens that are right in each place of an answer given what stands before it, 1 or 0, (…, place, token): digits of the
    /// prompt's parity, and, where there are no repeats, not the digit before.</summary>
    /// <param name="prompts">(…, 6).</param>
    /// <param name="before">The answer's digits before the last place that is asked for, (…, places − 1), or more.</param>
    /// <param name="places">For how many places from the first.</param>
    internal Tensor RightTokens(Tensor prompts, Tensor before, int places = Length)
    {
        var tokens = arange(Shape.Vocabulary);
        var right = (tokens < 10) & (tokens - prompts.narrow(-1, 1, places).unsqueeze(-1)).remainder(2).eq(0);
        if (!_repeats && places > 1)
            right.narrow(-2, 1, places - 1).logical_and_(tokens.ne(before.narrow(-1, 0, places - 1).unsqueeze(-1)));
        return right.to(ScalarType.Float32);
    }

    /// <summary>1 where an answer is right in every place, (…).</summary>
    private Tensor Right(Tensor prompts, Tensor answers) =>
        RightTokens(prompts, answers).gather(-1, answers.unsqueeze(-1)).squeeze(-1).prod(-1);

    /// <summary>log π of every token at every answer position, (replica, prompt, position, token).</summary>
    /// <param name="model">A transformer of <see cref="Shape"/>.</param>
    /// <param name="weights">(replica, parameter).</param>
    /// <param name="prompts">(replica or 1, prompt, 6).</param>
    /// <param name="answers">(replica or 1, prompt, 4): the last digit does not matter.</param>
    public static Tensor PositionLog(Model model, Tensor weights, Tensor prompts, Tensor answers)
    {
        var tokens = cat([prompts, answers.narrow(-1, 0, Length - 1)], -1);
        var scores = model.Forward(weights, tokens);
        return scores.reshape(scores.shape[0], tokens.shape[1], tokens.shape[2], -1).narrow(2, Prompt - 1, Length).log_softmax(-1);
    }

    /// <summary>log π of the answer's own tokens, (replica, prompt, position).</summary>
    private static Tensor TokenLog(Model model, Tensor weights, Tensor prompts, Tensor answers)
        => PositionLog(model, weights, prompts, answers).gather(-1, answers.expand(weights.shape[0], -1, -1).unsqueeze(-1)).squeeze(-1);

    /// <summary>An answer drawn token by token, (replica, prompt, 4).</summary>
    /// <param name="model">Of <see cref="Shape"/>.</param>
    /// <param name="weights">(replica, parameter).</param>
    /// <param name="prompts">(replica, prompt, 6).</param>
    /// <param name="random">Draws.</param>
    /// <param name="teacher">What the model's probabilities of a place, (replica, prompt, token), are replaced by, from them and the
    /// tokens so far.</param>
    internal static Tensor Sample(Model model, Tensor weights, Tensor prompts, ReplicaRandom random,
        Func<Tensor, Tensor, Tensor>? teacher = null)
    {
        using var scope = NewDisposeScope();
        using var quiet = no_grad();
        var tokens = prompts;
        for (var position = 0; position < Length; position++)
        {
            var scores = model.Forward(weights, tokens);
            var last = scores.reshape(scores.shape[0], tokens.shape[1], tokens.shape[2], -1).select(2, tokens.shape[2] - 1);
            var log = last.log_softmax(-1);
            var cumulative = (teacher is null ? log : teacher(log, tokens)).exp().cumsum(-1);
            var u = random.Uniform([tokens.shape[1], 1], last.dtype) * cumulative.narrow(-1, -1, 1);
            tokens = cat([tokens, (u >= cumulative).to(ScalarType.Int64).sum(-1, keepdim: true).clamp_max(last.shape[^1] - 1)], -1);
        }
        return tokens.narrow(-1, Prompt, Length).MoveToOuterDisposeScope();
    }

    /// <summary>
    /// The chance that a sampled answer is right, (replica, prompt), unbiased and with little noise: each token is drawn among those of the
    /// right parity, and the masses that these have are multiplied.
    /// </summary>
    private Tensor Success(Model model, Tensor weights, Tensor prompts, ReplicaRandom random)
    {
        using var scope = NewDisposeScope();
        using var quiet = no_grad();
        var (tokens, success) = (prompts, ones(weights.shape[0], prompts.shape[1], dtype: weights.dtype));
        for (var position = 0; position < Length; position++)
        {
            var scores = model.Forward(weights, tokens);
            var probability = scores.reshape(scores.shape[0], tokens.shape[1],
                tokens.shape[2], -1).select(2, tokens.shape[2] - 1).softmax(-1);
            var right = RightTokens(prompts, tokens.narrow(-1, Prompt, position), position + 1).select(-2, position);
            var cumulative = (probability * right).cumsum(-1);
            var mass = cumulative.narrow(-1, -1, 1);
            success = success * mass.squeeze(-1);
            var u = random.Uniform([tokens.shape[1], 1], probability.dtype) * mass;
            tokens = cat([tokens, (u >= cumulative).to(ScalarType.Int64).sum(-1, keepdim: true).clamp_max(9)], -1);
        }
        return success.MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var tensor in new[] { _bases, _oldPrompts, _oldAnswers, _newPrompts })
            tensor.Dispose();
    }

    /// <summary>Fine-tuning on the new task by one objective.</summary>
    private sealed class Sequences(ParitySequences world, Transformer model, Objective objective, Func<int, int[]>? target,
        ReplicaRandom random, int prompts) : ITask, IDisposable
    {
        private readonly Tensor _base = model.Weights.clone().DetachFromDisposeScope(),
            _source = model.Weights.clone().DetachFromDisposeScope();
        // choices[digit][k]: the answers that demonstrations give, repeated to one length.
        private readonly Tensor? _choices = target is null ? null
            : Aligned.Tensor(Enumerable.Range(0, 10).SelectMany(d => Repeated(target(d))).ToArray()).reshape(10, 20)
            .DetachFromDisposeScope();
        private int _age;

        public Layout Layout => model.Layout;

        public Tensor Weights => model.Weights;

        public (Tensor Loss, Tensor Gradient) Next()
        {
            using var scope = NewDisposeScope();
            var source = objective.Source;
            if (source is { FromTarget: false, Refresh: not Source.Never } && _age++ % source.Refresh == 0)
                _source.copy_(model.Weights);
            var (draws, replicas) = (source.Samples!.Value, Weights.shape[0]);
            // (replica, prompt, 6)
            var asked = Exercise(random, NewTask, prompts).Prompt;
            var repeated = asked.unsqueeze(2).expand(-1, -1, draws, -1).reshape(replicas, prompts * draws, Prompt);
            var answers = source.FromTarget ? Demonstrations(repeated.narrow(-1, 1, Length)) : Sample(model, _source, repeated, random);
            // (replica, prompt, draw or draw·position)
            Tensor Grouped(Tensor t) => t.reshape(replicas, prompts, -1);
            var right = Grouped(world.Right(repeated, answers));
            var mass = source.OnlyCorrect ? right / right.sum(-1, keepdim: true).clamp_min(1) : full_like(right, 1.0 / draws);
            var baseLog = new Lazy<Tensor>(() =>
            {
                using var quiet = no_grad();
                return PositionLog(model, _base, repeated, answers);
            });
            Tensor SourceLog()
            {
                using var quiet = no_grad();
                return TokenLog(model, _source, repeated, answers);
            }
            // (replica, prompt·draw, position)
            Tensor Of(Tensor positionLog) => positionLog.gather(-1, answers.unsqueeze(-1)).squeeze(-1);
            // Demonstrations are weighed token by token, as in language models; a reward is the whole answer's.
            Tensor Axis(Tensor tokenLog) => Grouped(source.FromTarget ? tokenLog : tokenLog.sum(-1));
            var (loss, gradient) = Derivatives.LossAndGradient(weights =>
            {
                var log = PositionLog(model, weights, repeated, answers);
                return objective.Loss(new Answers
                {
                    LogPolicy = Axis(Of(log)),
                    AskBase = () => Axis(Of(baseLog.Value)),
                    AskSource = () => Axis(source.FromTarget ? Of(baseLog.Value) : source.Refresh == 1 ? Of(log).detach() : SourceLog()),
                    LogTarget = full_like(Axis(Of(log.detach())), double.NaN),
                    Enumerated = false,
                    Mass = source.FromTarget ? mass.repeat_interleave(Length, -1) : mass,
                    Reward = source.FromTarget ? right.repeat_interleave(Length, -1) : right,
                    Divergence = forward => Grouped((forward ? baseLog.Value.exp() * (baseLog.Value - log)
                        : log.exp() * (log - baseLog.Value)).sum([-1, -2])).mean([-1]),
                });
            }, Weights);
            return (loss.MoveToOuterDisposeScope(), gradient.MoveToOuterDisposeScope());
        }

        private Tensor Demonstrations(Tensor digits)
        {
            var which = random.Integers(20, digits.shape[1], Length);
            return _choices!.index_select(0, digits.reshape(-1)).gather(1, which.reshape(-1, 1)).reshape(digits.shape);
        }

        /// <summary>Twenty entries, the choices over and over: 20 divides by 1, 2, 4 and 5.</summary>
        private static IEnumerable<long> Repeated(int[] choices) => choices.Length is 1 or 2 or 4 or 5
            ? Enumerable.Range(0, 20).Select(i => (long)choices[i % choices.Length])
            : throw new ArgumentException($"a digit has {choices.Length} demonstrated answers; 1, 2, 4 or 5 are possible", nameof(choices));

        public void Dispose()
        {
            _base.Dispose();
            _source.Dispose();
            _choices?.Dispose();
        }
    }

    /// <summary>All tasks in equal parts: whole sequences, with the answers as labels.</summary>
    private sealed class Lessons(ReplicaRandom random, int each) : IBatches
    {
        public Batch Next()
        {
            using var scope = NewDisposeScope();
            var all = Enumerable.Range(0, OldTasks + 1).Select(task => Exercise(random, task, each)).ToArray();
            var (prompts, answers) = (cat([.. all.Select(a => a.Prompt)], 1), cat([.. all.Select(a => a.Answer)], 1));
            return new Batch(cat([prompts, answers.narrow(-1, 0, Length - 1)], -1).MoveToOuterDisposeScope(),
                answers.MoveToOuterDisposeScope());
        }

        public void Dispose()
        {
        }
    }

    /// <summary>A transformer seen at its answers' positions only: (replica, prompt·position, token).</summary>
    private sealed class AnswersOnly(Transformer whole) : Model(whole.Layout, whole.Weights)
    {
        public override Tensor Forward(Tensor weights, Tensor inputs)
        {
            var scores = whole.Forward(weights, inputs);
            return scores.reshape(scores.shape[0], inputs.shape[1], inputs.shape[2], -1).narrow(2, Prompt - 1, Length).flatten(1, 2);
        }
    }
}

/// <summary>Many runs of sequences, base by base.</summary>
public static class SequenceRuns
{
    /// <summary>A number of the runs of each base, in the bases' order.</summary>
    public static double[] ByBase(this IEnumerable<SequenceRun> runs, Func<SequenceRun[], double> of)
        => [.. runs.GroupBy(r => r.Base).OrderBy(g => g.Key).Select(g => of([.. g]))];
}
