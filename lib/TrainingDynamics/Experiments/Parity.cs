using TrainingDynamics.Data;
using TrainingDynamics.Measurement;
using TrainingDynamics.Models;
using TrainingDynamics.Notebook;
using TrainingDynamics.Objectives;
using TrainingDynamics.Optimizers;
using TrainingDynamics.Runtime;
using TrainingDynamics.Tasks;
using static TorchSharp.torch;

namespace TrainingDynamics.Experiments;

/// <summary>How the network of the parity experiments is trained first.</summary>
public sealed record ParitySettings
{
    /// <summary>Hidden units.</summary>
    public IReadOnlyList<int> Hidden { get; init; } = [128, 64];

    /// <summary>Images of each task that the base may learn from; the rest of the training images is for fine-tuning.</summary>
    public int PretrainImages { get; init; } = 500;

    /// <summary>How many of them show the new task: few, so that the base is better than chance at it and far from good.</summary>
    public int NewImages { get; init; } = 100;

    /// <summary>Images of each task for fine-tuning and replay.</summary>
    public int FineTuneImages { get; init; } = 800;

    /// <summary>Test images of each task.</summary>
    public int TestImages { get; init; } = 497;

    /// <summary>The first weights' deviation times √(fan in); 1/√3 is PyTorch's default.</summary>
    public double Scale { get; init; } = 1 / Math.Sqrt(3);

    /// <summary>Pretraining steps.</summary>
    public int Steps { get; init; } = 1800;

    /// <summary>Images of each task in a pretraining batch.</summary>
    public int Batch { get; init; } = 16;

    /// <summary>The rate in pretraining.</summary>
    public double Rate { get; init; } = 1e-3;

    /// <summary>The optimizer of pretraining, of a model and its rates; Adam by default.</summary>
    public Func<Model, PerReplica, Optimizer> Optimizer { get; init; } = (model, rate) => new Adam(model.Weights, rate);
}

/// <summary>How far a policy is from the base on one task's test inputs.</summary>
/// <param name="Forward">KL(π₀‖π), nats.</param>
/// <param name="Reverse">KL(π‖π₀), nats.</param>
/// <param name="TotalVariation">½Σ|π₀ − π|.</param>
/// <param name="L2">√Σ(π₀ − π)².</param>
public sealed record PolicyDistance(double Forward, double Reverse, double TotalVariation, double L2)
{
    internal static PolicyDistance[] Of(Tensor baseLog, Tensor log)
    {
        var (forward, reverse) = (Divergence.ForwardKl(baseLog, log), Divergence.ReverseKl(baseLog, log));
        var (variation, l2) = (Divergence.TotalVariation(baseLog, log), Divergence.L2(baseLog, log));
        return [.. forward.Select((kl, r) => new PolicyDistance(kl, reverse[r], variation[r], l2[r]))];
    }
}

/// <summary>A run at one of its checkpoints: what it learned, what it lost, and how far it went.</summary>
/// <param name="Method">The objective's name.</param>
/// <param name="Base">Which base it started from.</param>
/// <param name="Rate">The learning rate.</param>
/// <param name="Step">The checkpoint.</param>
/// <param name="New">Accuracy on the new task (greedy), test images.</param>
/// <param name="Success">J, the probability that a sampled answer is right.</param>
/// <param name="Old">Accuracy on the old task, test images.</param>
/// <param name="Forgetting">The base's old accuracy minus this one.</param>
/// <param name="OnNew">How far its answers to the new task are from the base's, test images.</param>
/// <param name="OnOld">The same of the old task.</param>
/// <param name="Price">The unavoidable part of <see cref="Forward"/>.</param>
/// <param name="WeightL1">Σ|w − w₀|.</param>
/// <param name="WeightL2">‖w − w₀‖.</param>
/// <param name="WeightFisher">√ΣF(w − w₀)², F on the old task.</param>
/// <param name="WeightSpectral">Greatest singular value of a matrix' change.</param>
public sealed record ParityRun(string Method, int Base, double Rate, int Step, double New, double Success, double Old, double Forgetting,
    PolicyDistance OnNew, PolicyDistance OnOld, double Price,
        double WeightL1, double WeightL2, double WeightFisher, double WeightSpectral)
{
    /// <summary>KL(π₀‖π) on the new task, nats.</summary>
    public double Forward => OnNew.Forward;

    /// <summary>KL(π‖π₀) on the new task, nats.</summary>
    public double Reverse => OnNew.Reverse;

    /// <summary>½Σ|π₀ − π| on the new task.</summary>
    public double TotalVariation => OnNew.TotalVariation;

    /// <summary>√Σ(π₀ − π)² on the new task.</summary>
    public double L2 => OnNew.L2;

    /// <summary>Forward minus price: drift that learning did not ask for.</summary>
    public double Gratuitous => Forward - Price;
}

/// <summary>
/// The experiment of RL's Razor: a network learns two tasks at once, told by a bit which one an image belongs to, then is fine-tuned
/// on one of them; how much of the other is left? New task: is the digit even or odd? Any digit of the right parity is a correct
/// answer, so many policies are right. Old task: name the class of other images.
/// </summary>
/// <remarks>Shenfeld, Pari and Agrawal 2025, arXiv:2509.04259, section 4 and appendix B.3. Several bases are replicas of one
/// batch.</remarks>
public sealed class Parity : IDisposable
{
    private readonly ParitySettings _settings;
    private readonly int[] _bases;
    private readonly MlpShape _shape;
    private readonly Images _newTrain, _oldTrain, _newTest, _oldTest;
    private readonly Tensor _weights, _newTestInputs, _oldTestInputs, _newTestCorrect, _baseLog, _oldBaseLog, _fisher;

    private Parity(ParitySettings settings, Images newImages, Images oldImages,
        Images? newTest, Images? oldTest, IReadOnlyList<int> bases, IProgress<Progress>? progress, Tensor? weights)
    {
        (_settings, _bases) = (settings, [.. bases]);
        var (first, second) = (settings.PretrainImages, settings.FineTuneImages);
        Images Test(Images train, Images? test) => (test ?? train.Slice(first + second, train.Count - first - second))
            .Slice(0, settings.TestImages);
        (_newTest, _oldTest) = (WithBit(Test(newImages, newTest), 1), WithBit(Test(oldImages, oldTest), -1));
        (_newTrain, _oldTrain) = (WithBit(newImages.Slice(0, first + second), 1), WithBit(oldImages.Slice(0, first + second), -1));
        _shape = new MlpShape
        {
            Inputs = _newTrain.Pixels,
            Hidden = settings.Hidden,
            Normalization = Normalization.None,
            Scale = settings.Scale
        };
        using var random = new ReplicaRandom(bases);
        using var model = new AffineMlp(_shape, random);
        if (weights is null)
        {
            using var optimizer = settings.Optimizer(model, settings.Rate);
            using var both = new BothTasks(model, _newTrain.Slice(0, settings.NewImages), _oldTrain.Slice(0, first), settings.Batch,
                random);
            Training.Run(both, optimizer, settings.Steps, progress: progress);
        }
        else if (weights.shape.SequenceEqual(model.Weights.shape) && weights.dtype == model.Weights.dtype)
            model.Weights.copy_(weights);
        else
            throw new ArgumentException($"{nameof(weights)} are [{string.Join(", ", weights.shape)}] of {weights.dtype}, wanted are "
                + $"[{string.Join(", ", model.Weights.shape)}] of {model.Weights.dtype}: one row for each base, as Base().Weights has them",
                nameof(weights));
        using var scope = NewDisposeScope();
        _weights = model.Weights.clone().DetachFromDisposeScope();
        _newTestInputs = Inputs(_newTest).DetachFromDisposeScope();
        _oldTestInputs = Inputs(_oldTest).DetachFromDisposeScope();
        _newTestCorrect = Rewards(_newTest).DetachFromDisposeScope();
        using (no_grad())
        {
            var (scores, oldScores) = (model.Forward(_weights, _newTestInputs), model.Forward(_weights, _oldTestInputs));
            (_baseLog, _oldBaseLog) = (scores.log_softmax(-1).DetachFromDisposeScope(), oldScores.log_softmax(-1).DetachFromDisposeScope());
            (OldBefore, NewBefore) = (Accuracy(oldScores, old: true), Accuracy(scores, old: false));
        }
        // Fisher on the old task: 32 of its training images say enough to weight coordinates.
        var oldInputs = Inputs(_oldTrain.Slice(0, 32));
        _fisher = WeightChange.FisherDiagonal(w => model.Forward(w, oldInputs).log_softmax(-1), _weights).DetachFromDisposeScope();
        SuccessBefore = Mean((_baseLog.exp() * _newTestCorrect).sum(-1));
    }

    /// <summary>UCI digits: parity is new; the same digits under one fixed permutation of their pixels are the old task. Which images train
    /// and which test, and the permutation, belong to the data set and follow no seed.</summary>
    /// <param name="bases">A seed for each base.</param>
    /// <param name="settings">Sizes; the defaults fit 1,797 images.</param>
    /// <param name="progress">Told how far pretraining is.</param>
    /// <param name="weights">Bases of one's own, (base, parameter), as <see cref="Base"/> has them; nothing is pretrained then.</param>
    /// <exception cref="ArgumentException">The weights have another shape.</exception>
    public static Parity OnDigits(IReadOnlyList<int> bases, ParitySettings? settings = null, IProgress<Progress>? progress = null,
        Tensor? weights = null)
    {
        var split = Digits.Load();
        var all = Shuffled(split.Train.Join(split.Test), seed: 0);
        return new Parity(settings ?? new ParitySettings(), all, Permuted(all, seed: 1), null, null, bases, progress, weights);
    }

    /// <summary>The paper's setting: parity of MNIST digits is new, Fashion-MNIST is old, 785 → 512 → 256 → 10. Which images are taken
    /// follows no seed.</summary>
    /// <param name="bases">A seed for each base.</param>
    /// <param name="settings">Sizes; 500 images a task in pretraining, as in the paper.</param>
    /// <param name="progress">Told how far pretraining is.</param>
    /// <param name="weights">Bases of one's own, (base, parameter), as <see cref="Base"/> has them; nothing is pretrained then.</param>
    /// <exception cref="ArgumentException">The weights have another shape.</exception>
    public static Parity OnMnist(IReadOnlyList<int> bases, ParitySettings? settings = null, IProgress<Progress>? progress = null,
        Tensor? weights = null)
    {
        var (digits, clothes) = (Mnist.Digits.Load(), Mnist.Fashion.Load());
        return new Parity(settings ?? new ParitySettings
        {
            Hidden = [512, 256],
            FineTuneImages = 4000,
            TestImages = 1000,
            Steps = 400,
            Batch = 64
        },
            Shuffled(digits.Train, 0), Shuffled(clothes.Train, 0), Shuffled(digits.Test, 0), Shuffled(clothes.Test, 0), bases, progress,
            weights);
    }

    /// <summary>Old accuracy of each base before fine-tuning.</summary>
    public double[] OldBefore { get; }

    /// <summary>Parity accuracy of each base before fine-tuning, greedy.</summary>
    public double[] NewBefore { get; }

    /// <summary>J of each base before fine-tuning: the chance that a sampled answer has the right parity.</summary>
    public double[] SuccessBefore { get; }

    /// <summary>How many bases there are.</summary>
    public int Bases => _bases.Length;

    /// <summary>The seed of each base.</summary>
    public IReadOnlyList<int> Seeds => _bases;

    /// <summary>Prompts of the fine-tuning images with a target for SFT.</summary>
    /// <param name="target">q(a) of an image from its digit: 10 numbers that sum to 1. <see cref="Sft1"/>, <see cref="Sft2"/>, <see
    /// cref="TrueDigit"/>, <see cref="Far"/>; null for none.</param>
    public Prompts Prompts(Func<long, double[]>? target = null)
    {
        using var scope = NewDisposeScope();
        var images = _newTrain.Slice(_settings.PretrainImages, _settings.FineTuneImages);
        var q = target is null ? null
            : Aligned.Tensor(images.Labels.SelectMany(target).Select(v => (float)v).ToArray()).reshape(images.Count, 10);
        return new Prompts(Inputs(images).MoveToOuterDisposeScope(),
            Rewards(images).MoveToOuterDisposeScope(), q?.MoveToOuterDisposeScope());
    }

    /// <summary>SFT-1 of the paper: every even digit is called 0, every odd one 1.</summary>
    public static double[] Sft1(long digit) => OneOf(digit % 2);

    /// <summary>SFT-2 of the paper: even digits are called 0 or 4, odd ones 1 or 5, with equal chances.</summary>
    public static double[] Sft2(long digit) => OneOf(digit % 2, (digit % 2) + 4);

    /// <summary>The digit's own name: right in parity, and in line with what the network knows of digits.</summary>
    public static double[] TrueDigit(long digit) => OneOf(digit);

    /// <summary>Another digit of the same parity, one for each: right, as far as <see cref="TrueDigit"/>, and at odds with what the network
    /// knows of digits.</summary>
    public static double[] WrongDigit(long digit) => OneOf((digit + 2) % 10);

    /// <summary>SFT-2's answers with 98 %, the others sharing the rest: a far target that a reverse KL can be taken to.</summary>
    public static double[] Far(long digit) => [.. Sft2(digit).Select(q => (0.98 * q) + (0.02 / 10))];

    private static double[] OneOf(params long[] answers) =>
        [.. Enumerable.Range(0, 10).Select(a => answers.Contains(a) ? 1.0 / answers.Length : 0)];

    /// <summary>
    /// Fine-tunes every base at every rate, all in one graph, and looks at checkpoints: bases × rates × checkpoints runs.
    /// </summary>
    /// <param name="objective">What is minimized.</param>
    /// <param name="rates">The learning rates.</param>
    /// <param name="prompts">Prompts, rewards, targets.</param>
    /// <param name="steps">Steps.</param>
    /// <param name="checkpoints">The steps that are looked at; a fifth to all of them by default.</param>
    /// <param name="batch">Images a step; null takes all of them.</param>
    /// <param name="hold">Adds what retains old knowledge to the task; none by default.</param>
    /// <param name="name">The method's name; the objective's by default.</param>
    /// <param name="optimizer">The optimizer of a model and its rates; Adam by default.</param>
    public IReadOnlyList<ParityRun> FineTune(Objective objective, IReadOnlyList<double> rates, Prompts prompts, int steps = 200,
        IReadOnlyList<int>? checkpoints = null, int? batch = 32, Func<Model, ITask, ITask>? hold = null, string? name = null,
        Func<Model, PerReplica, Optimizer>? optimizer = null)
    {
        var sweep = new Sweep<double>(rates, _bases);
        using var random = new ReplicaRandom(sweep.Seeds);
        using var model = Base(rates.Count);
        optimizer ??= (model, rate) => new Adam(model.Weights, rate);
        using var steering = optimizer(model, sweep.Each(rate => rate));
        using var task = new FineTuningTask(model, prompts, objective, random, batch);
        var at = (checkpoints ?? [steps / 8, steps / 4, steps / 2, steps * 3 / 4, steps]).ToHashSet();
        var runs = new List<ParityRun>();
        Training.Run(hold is null ? task : hold(model, task), steering,
            steps, o => runs.AddRange(Look(model, sweep, name ?? objective.Name, o.Step)), when: at.Contains);
        return runs;
    }

    /// <summary>Batches of the old images that the base learned from, for replay.</summary>
    public IBatches OldImages(ReplicaRandom random, int batch = 32) => new Minibatches(_oldTrain.Slice(0, _settings.PretrainImages),
        batch, random);

    /// <summary>New images dressed as the old task (their bit turned), for learning without forgetting.</summary>
    public Tensor DressedAsOld(int count = 200) => Inputs(WithBit(Unbitten(_newTrain.Slice(_settings.PretrainImages, count)), -1));

    /// <summary>The Fisher diagonal of each base on the old task, for every rate of a sweep.</summary>
    public Tensor Fisher(int rates = 1) => _fisher.repeat(rates, 1);

    /// <summary>The bases as a model of their own, which the caller disposes of: replica i·<see cref="Bases"/> + b is base b.</summary>
    /// <param name="copies">How many times all of them.</param>
    public Model Base(int copies = 1)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(copies, 1);
        using var random = new ReplicaRandom([.. Enumerable.Repeat(_bases, copies).SelectMany(seeds => seeds)]);
        var model = new AffineMlp(_shape, random);
        using var weights = _weights.repeat(copies, 1);
        model.Weights.copy_(weights);
        return model;
    }

    /// <summary>The test images of the new task with its bit, (1, image, input).</summary>
    public Tensor NewInputs => _newTestInputs;

    /// <summary>The test images of the old task with its bit, (1, image, input).</summary>
    public Tensor OldInputs => _oldTestInputs;

    /// <summary>The old task's right answers to <see cref="OldInputs"/>, [image].</summary>
    public IReadOnlyList<long> OldLabels => _oldTest.Labels;

    /// <summary>log π₀ on the new task's test images, (base, prompt, answer).</summary>
    public Tensor BaseLog => _baseLog;

    /// <summary>1 for the answers of the right parity of each test image, (prompt, answer).</summary>
    public Tensor TestCorrect => _newTestCorrect;

    private IEnumerable<ParityRun> Look(Model model, Sweep<double> sweep, string method, int step)
    {
        using var scope = NewDisposeScope();
        using var quiet = no_grad();
        var (scores, oldScores) = (model.Forward(model.Weights, _newTestInputs), model.Forward(model.Weights, _oldTestInputs));
        var (log, oldLog) = (scores.log_softmax(-1), oldScores.log_softmax(-1));
        var (baseLog, start, fisher) = (_baseLog.repeat(sweep.Settings.Count, 1, 1),
            _weights.repeat(sweep.Settings.Count, 1), _fisher.repeat(sweep.Settings.Count, 1));
        var parts = Divergence.Decompose(baseLog, log, _newTestCorrect);
        var (onNew, onOld) = (PolicyDistance.Of(baseLog, log),
            PolicyDistance.Of(_oldBaseLog.repeat(sweep.Settings.Count, 1, 1), oldLog));
        var (success, news, old) = (Mean((log.exp() * _newTestCorrect).sum(-1)),
            Accuracy(scores, old: false), Accuracy(oldScores, old: true));
        var (w1, w2, wf, ws) = (WeightChange.L1(start, model.Weights), WeightChange.L2(start, model.Weights),
            WeightChange.FisherL2(start, model.Weights, fisher), WeightChange.Spectral(start, model.Weights, model.Layout));
        return [.. Enumerable.Range(0, sweep.Seeds.Length)
            .Select(r => new ParityRun(method, r % Bases, sweep.Settings[r / Bases],
            step, news[r], success[r], old[r], OldBefore[r % Bases] - old[r],
            onNew[r], onOld[r], parts.Price[r], w1[r], w2[r], wf[r], ws[r]))];
    }

    /// <summary>Of scores of the test images of a task, (replica, image, answer).</summary>
    private double[] Accuracy(Tensor scores, bool old)
    {
        using var scope = NewDisposeScope();
        var answers = scores.argmax(-1);                                                                               // (replica, image)
        var labels = Aligned.Tensor((old ? _oldTest : _newTest).Labels);
        var right = (old ? answers.eq(labels) : (answers - labels).remainder(2).eq(0)).to(ScalarType.Float64);
        return Mean(where(Replicas.AreFinite(scores).unsqueeze(1), right, double.NaN));
    }

    private static double[] Mean(Tensor perImage)
    {
        using var scope = NewDisposeScope();
        return perImage.to(ScalarType.Float64).mean([1]).ToDoubles();
    }

    /// <summary>r(x, a) = 1 where answer and digit have one parity, (image, 10).</summary>
    private static Tensor Rewards(Images images) => Aligned.Tensor(images.Labels.SelectMany(digit => Enumerable.Range(0, 10)
        .Select(a => (a - digit) % 2 == 0 ? 1f : 0f)).ToArray()).reshape(images.Count, 10);

    private static Tensor Inputs(Images images) => Aligned.Tensor(images.Inputs, dtype: ScalarType.Float32).unsqueeze(0);

    /// <summary>The images with one more pixel that names their task.</summary>
    private static Images WithBit(Images images, double bit)
    {
        var inputs = new double[images.Count, images.Pixels + 1];
        for (var i = 0; i < images.Count; i++)
        {
            for (var j = 0; j < images.Pixels; j++)
                inputs[i, j] = images.Inputs[i, j];
            inputs[i, images.Pixels] = bit;
        }
        return images with { Inputs = inputs };
    }

    private static Images Unbitten(Images images) => Picked(images,
        Enumerable.Range(0, images.Count).ToArray(), Enumerable.Range(0, images.Pixels - 1).ToArray());

    private static Images Shuffled(Images images, int seed) => Picked(images,
        Permutation(images.Count, seed), Enumerable.Range(0, images.Pixels).ToArray());

    private static Images Permuted(Images images, int seed) => Picked(images,
        Enumerable.Range(0, images.Count).ToArray(), Permutation(images.Pixels, seed)) with
    { Name = images.Name + ", pixels permuted" };

    private static int[] Permutation(int count, int seed)
    {
        var order = Enumerable.Range(0, count).ToArray();
        new Random(seed).Shuffle(order);
        return order;
    }

    private static Images Picked(Images images, int[] rows, int[] columns)
    {
        var inputs = new double[rows.Length, columns.Length];
        for (var i = 0; i < rows.Length; i++)
        {
            for (var j = 0; j < columns.Length; j++)
                inputs[i, j] = images.Inputs[rows[i], columns[j]];
        }
        return images with { Inputs = inputs, Labels = [.. rows.Select(i => images.Labels[i])] };
    }

    /// <summary>Pretraining: parity, with a label drawn from the right answers at every visit, and the old task with its own labels, half
    /// and half.</summary>
    private sealed class BothTasks(Model model, Images newImages, Images oldImages, int batch, ReplicaRandom random) : ITask, IDisposable
    {
        private readonly Minibatches _old = new(oldImages, batch, random);
        private readonly Tensor _inputs = Inputs(newImages).DetachFromDisposeScope();
        private readonly Tensor _digits = Aligned.Tensor(newImages.Labels).DetachFromDisposeScope();

        public Layout Layout => model.Layout;

        public Tensor Weights => model.Weights;

        public (Tensor Loss, Tensor Gradient) Next()
        {
            using var scope = NewDisposeScope();
            var old = _old.Next();
            var rows = random.Integers(_inputs.shape[1], batch);
            var fresh = new Batch(_inputs[0].index_select(0, rows.reshape(-1)).reshape(rows.shape[0], batch, -1),
                (random.Integers(5, batch) * 2) + _digits.index_select(0, rows.reshape(-1)).reshape(rows.shape).remainder(2));
            var (loss, gradient) = Derivatives.LossAndGradient(w => (model.Loss(w, old) + model.Loss(w, fresh)) / 2, Weights);
            return (loss.MoveToOuterDisposeScope(), gradient.MoveToOuterDisposeScope());
        }

        public void Dispose()
        {
            _old.Dispose();
            _inputs.Dispose();
            _digits.Dispose();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var tensor in new[] { _weights, _newTestInputs, _oldTestInputs, _newTestCorrect, _baseLog, _oldBaseLog, _fisher })
            tensor.Dispose();
    }
}

/// <summary>Many runs, base by base.</summary>
public static class ParityRuns
{
    /// <summary>A number of the runs of each base, in the bases' order.</summary>
    public static double[] ByBase(this IEnumerable<ParityRun> runs,
        Func<ParityRun[], double> of) => [.. runs.GroupBy(r => r.Base).OrderBy(g => g.Key).Select(g => of([.. g]))];

    /// <summary>Matched-gain forgetting of each base: the least forgotten among the runs that reach an accuracy on the new task.</summary>
    /// <exception cref="ArgumentException">No run of some base reaches it.</exception>
    public static double[] ForgettingAt(this IEnumerable<ParityRun> runs, double gain) =>
        runs.ByBase(of => Pareto.MatchedGainForgetting(of.Where(Finite).Select(r => new Trade(r.New, -r.Forgetting)), gain, before: 0));

    /// <summary>The same; NaN for every base that no run brings so far.</summary>
    public static double[] ForgettingIfReached(this IEnumerable<ParityRun> runs, double gain) => runs.ByBase(of =>
        of.Any(r => Finite(r) && r.New >= gain) ? of.ForgettingAt(gain)[0] : double.NaN);

    /// <summary>Whether a run did not diverge: one that did has reached nothing.</summary>
    private static bool Finite(ParityRun run) => double.IsFinite(run.New) && double.IsFinite(run.Old) && double.IsFinite(run.Forward);

    /// <summary>R² of a quadratic in <paramref name="predictor"/> for the forgetting, one a base.</summary>
    public static double[] R2(this IEnumerable<ParityRun> runs, Func<ParityRun, double> predictor) => runs.Where(Finite)
        .ByBase(of => Regression.Polynomial([.. of.Select(predictor)], [.. of.Select(r => r.Forgetting)]).R2);

    /// <summary>The runs as trades of new for old accuracy, [base][run].</summary>
    public static Trade[][] Trades(this IEnumerable<ParityRun> runs) =>
        [.. runs.Where(Finite).GroupBy(r => r.Base).OrderBy(g => g.Key).Select(g => g.Select(r => new Trade(r.New, r.Old)).ToArray())];
}
