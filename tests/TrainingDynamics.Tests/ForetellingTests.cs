using TorchSharp;
using TrainingDynamics.Experiments;
using TrainingDynamics.Measurement;
using TrainingDynamics.Models;
using TrainingDynamics.Objectives;
using TrainingDynamics.Optimizers;
using TrainingDynamics.Runtime;
using TrainingDynamics.Tasks;
using static TorchSharp.torch;

namespace TrainingDynamics.Tests;

/// <summary>What is foretold from a base, against steps that are taken.</summary>
public class ForetellingTests
{
    private static readonly MlpShape s_shape = new()
    {
        Inputs = 6,
        Hidden = [16, 8],
        Classes = 5,
        Normalization = Normalization.None,
        Dtype = ScalarType.Float64
    };

    [Fact]
    public void ADirectionalDerivativeIsLinearInItsDirectionAndThatOfADifference()
    {
        using var scope = NewDisposeScope();
        using var random = new ReplicaRandom(1, 2);
        using var model = new AffineMlp(s_shape, random);
        var (inputs, first, second) = (random.Normal([7, 6], ScalarType.Float64), Like(model, random), Like(model, random));
        Tensor Along(Tensor direction) => Derivatives.Directional(w => model.Forward(w, inputs), model.Weights, direction).Derivative;
        Assert.Equal(0, (Along(first + (2 * second)) - Along(first) - (2 * Along(second))).abs().max().ToDouble(), 1e-12);
        Tensor Moved(double s)
        {
            using var quiet = no_grad();
            return model.Forward(model.Weights + (s * first), inputs);
        }
        Assert.Equal(0, (((Moved(1e-6) - Moved(-1e-6)) / 2e-6) - Along(first)).abs().max().ToDouble(), 1e-7);
    }

    [Fact]
    public void TheKlOfASmallStepIsHalfItsForm()
    {
        using var scope = NewDisposeScope();
        using var random = new ReplicaRandom(1, 2, 3);
        using var model = new AffineMlp(s_shape, random);
        var (old, fresh, direction) = (random.Normal([40, 6], ScalarType.Float64), random.Normal([30, 6], ScalarType.Float64) + 1,
            Like(model, random));
        var quotient = DirectionalQuotient.Of(model, direction, old, fresh);
        double[] Kl(Tensor inputs, double s)
        {
            using var quiet = no_grad();
            return Divergence.ForwardKl(model.Forward(model.Weights, inputs).log_softmax(-1),
                model.Forward(model.Weights + (s * direction), inputs).log_softmax(-1));
        }
        var (klOld, klNew) = (Kl(old, 1e-4), Kl(fresh, 1e-4));
        for (var r = 0; r < 3; r++)
        {
            Assert.Equal(1, klOld[r] / (0.5e-8 * quotient.Old[r]), 1e-2);
            Assert.Equal(quotient.Rho[r], klOld[r] / klNew[r], 1e-2 * quotient.Rho[r]);
        }
        // The length of the direction does not matter, and a replica's number is its own.
        Assert.All(DirectionalQuotient.Of(model, 7 * direction, old, fresh).Rho.Zip(quotient.Rho),
            pair => Assert.Equal(pair.Second, pair.First, 1e-9));
        var alone = DirectionalQuotient.Form(model, direction * tensor(new[] { 1.0, 0, 0 }).unsqueeze(1), old);
        Assert.Equal(quotient.Old[0], alone[0], 1e-12);
        Assert.Equal([0, 0], alone[1..]);
    }

    [Fact]
    public void AQuotientRefusesWhatItCannotUse()
    {
        using var scope = NewDisposeScope();
        using var random = new ReplicaRandom(1, 2);
        using var model = new AffineMlp(s_shape, random);
        var inputs = random.Normal([4, 6], ScalarType.Float64);
        Assert.Contains("direction is 1 × 3", Assert.Throws<ArgumentException>(
            () => DirectionalQuotient.Of(model, zeros(1, 3), inputs, inputs)).Message);
        Assert.All(DirectionalQuotient.Of(model, zeros_like(model.Weights), inputs, inputs).Rho, rho => Assert.True(double.IsNaN(rho)));
        Assert.Contains("at least one direction", Assert.Throws<ArgumentException>(() => DirectionalQuotient.Pooled([])).Message);
        var pooled = DirectionalQuotient.Pooled([new([1], [2]), new([3], [2])]);
        Assert.Equal([1.0], pooled.Rho);
    }

    [Fact]
    public void AFirstStepIsTakenBackToTheBit()
    {
        using var parity = Parity.OnDigits([1, 2], new ParitySettings { Steps = 50, Hidden = [16], TestImages = 100 });
        using var model = parity.Base();
        using var random = new ReplicaRandom(parity.Seeds);
        using var prompts = parity.Prompts(Parity.Sft1);
        using var task = new FineTuningTask(model, prompts, FineTuning.Sft(), random);
        using var before = model.Weights.clone();
        using var sgd = new Sgd(model.Weights, 0.5);
        using var step = FirstStep.Of(task, sgd);
        Assert.True(model.Weights.Equals(before));
        var (loss, gradient) = task.Next();
        using (loss)
        using (gradient)
            Assert.Equal(0, (step + (0.5 * gradient)).abs().max().item<float>(), 1e-6f);
        // A fresh optimizer for every batch, and the same direction where the batch is all there is.
        var several = FirstStep.Foretell(model, task, () => new Adam(model.Weights, 1), parity.OldInputs, parity.NewInputs, 3);
        Assert.Equal(3, several.Count);
        Assert.Equal(several[0].Rho, several[2].Rho);
        Assert.True(model.Weights.Equals(before));
        using var other = new Sgd(before.clone(), 1);
        Assert.Contains("other weights", Assert.Throws<ArgumentException>(() => FirstStep.Of(task, other)).Message);
        Assert.Throws<ArgumentOutOfRangeException>(
            () => FirstStep.Foretell(model, task, () => new Adam(model.Weights, 1), parity.OldInputs, parity.NewInputs, 0));
    }

    [Fact]
    public void ParityTakesAnyOptimizerAndMeasuresBothTasks()
    {
        var settings = new ParitySettings { Steps = 60, Hidden = [16], TestImages = 100 };
        using var parity = Parity.OnDigits([1, 2], settings);
        using var prompts = parity.Prompts(Parity.Sft1);
        var byDefault = parity.FineTune(FineTuning.Sft(), [1e-3], prompts, steps: 5, checkpoints: [5]);
        Assert.Equal(byDefault, parity.FineTune(FineTuning.Sft(), [1e-3], prompts, steps: 5, checkpoints: [5],
            optimizer: (model, rate) => new Adam(model.Weights, rate)));
        var still = parity.FineTune(FineTuning.Sft(), [0], prompts, steps: 1, checkpoints: [1],
            optimizer: (model, rate) => new Sgd(model.Weights, rate));
        Assert.All(still, run => Assert.Equal((0, 0, 0, 0), (run.OnOld.Forward, run.OnNew.Reverse, run.OnOld.L2, run.WeightL2)));
        Assert.All(byDefault, run => Assert.True(run.OnOld.Forward > 0 && run.OnOld.TotalVariation > 0));
        Assert.Equal(100, parity.OldLabels.Count);
        Assert.Throws<ArgumentOutOfRangeException>(() => parity.Base(0));
        using var other = Parity.OnDigits([1, 2], settings with { Optimizer = (model, rate) => new Sgd(model.Weights, rate), Rate = 0.1 });
        Assert.NotEqual(parity.OldBefore, other.OldBefore);
    }

    [Fact]
    public void BasesOfOnesOwnAreTakenAsTheyAre()
    {
        var settings = new ParitySettings { Steps = 60, Hidden = [16], TestImages = 100 };
        using var parity = Parity.OnDigits([1, 2], settings);
        using var model = parity.Base();
        using var again = Parity.OnDigits([1, 2], settings, weights: model.Weights);
        using var prompts = parity.Prompts(Parity.Sft1);
        IReadOnlyList<ParityRun> Tuned(Parity of) => of.FineTune(FineTuning.Sft(), [1e-3], prompts, steps: 5, checkpoints: [5]);
        Assert.Equal((parity.OldBefore[0], parity.SuccessBefore[1]), (again.OldBefore[0], again.SuccessBefore[1]));
        Assert.Equal(Tuned(parity), Tuned(again));
        Assert.Contains("weights are [1, ", Assert.Throws<ArgumentException>(() =>
            Parity.OnDigits([1, 2], settings, weights: model.Weights.narrow(0, 0, 1))).Message);

        using var sequences = ParitySequences.Load(prompts: 20);
        using var bases = sequences.Base();
        using var same = ParitySequences.Of(bases.Weights, [1, 2, 3], prompts: 20);
        Assert.Equal(sequences.Start().Select(run => run.New), same.Start().Select(run => run.New));
        Assert.Contains("bases are [3, ", Assert.Throws<ArgumentException>(() => ParitySequences.Of(bases.Weights, [1, 2])).Message);
    }

    [Fact]
    public void WithoutRepeatsTheBaseIsRightAsOftenAsItsHabitSays()
    {
        using var world = ParitySequences.Load(prompts: 100, repeats: false);
        Assert.All(world.Start(), start => Assert.Equal(0.875 * Math.Pow(0.7875, 3), start.New, 0.03));
    }

    [Fact]
    public void ATeacherThatIsTheBaseTeachesNothingAndANearOneTheTask()
    {
        using var world = ParitySequences.Load(prompts: 50, repeats: false);
        var start = world.Start();
        foreach (var (own, reverse) in new[] { (false, false), (false, true), (true, false), (true, true) })
        {
            var still = world.Distill(SequenceTeacher.Base, own, reverse, [0.1], steps: 2, prompts: 4, draws: 2,
                optimizer: (model, rate) => new Sgd(model.Weights, rate));
            Assert.All(still, run => Assert.True(run.Change.L2 < 1e-5, $"moved by {run.Change.L2}"));
        }
        foreach (var teacher in new[] { SequenceTeacher.Near, SequenceTeacher.Far })
        {
            var taught = world.Distill(teacher, ownPrefixes: true, reverse: false, [1e-3], steps: 30, prompts: 8);
            Assert.All(taught, run => Assert.True(run.New > start[run.Base].New + 0.1, $"{teacher.Name}: {run.New}"));
            Assert.Equal($"{teacher.Name}, own prefixes, forward", taught[0].Method);
        }
        Assert.Contains("teacher 'flat' gives [3]", Assert.Throws<ArgumentException>(
            () => world.Distill(new SequenceTeacher("flat", (_, _) => zeros(3)), false, false, [1e-3], steps: 1)).Message);
        Assert.Throws<ArgumentOutOfRangeException>(() => world.Distill(SequenceTeacher.Near, true, true, [1e-3], draws: 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => world.Distill(SequenceTeacher.Near, true, true, [1e-3], prompts: 0));
    }

    private static Tensor Like(Model model, ReplicaRandom random) => random.Normal([model.Layout.Size], model.Weights.dtype);
}
