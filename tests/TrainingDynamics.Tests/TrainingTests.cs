using TorchSharp;
using TrainingDynamics.Data;
using TrainingDynamics.Experiments;
using TrainingDynamics.Measurement;
using TrainingDynamics.Models;
using TrainingDynamics.Notebook;
using TrainingDynamics.Optimizers;
using TrainingDynamics.Runtime;
using TrainingDynamics.Tasks;
using static TorchSharp.torch;

namespace TrainingDynamics.Tests;

public class TrainingTests
{
    private static double[] Train(int steps, IReadOnlyList<int> seeds,
        PerReplica rate, List<Observation>? seen = null, ScalarType dtype = ScalarType.Float32, int?[]? diverged = null)
    {
        using var scope = NewDisposeScope();
        using var random = new ReplicaRandom(seeds);
        using var model = new ScaleInvariantMlp(Networks.Shape(Normalization.LayerNorm, dtype), random);
        using var sgd = new Sgd(model.Weights, rate, momentum: 0.9);
        using var stream = new Minibatches(Networks.Digits, 32, random, dtype);
        Training.Run(new Learning(model, stream), sgd, steps, seen is null ? null : seen.Add, step => step == steps)
            .CopyTo(diverged ?? new int?[seeds.Count], 0);
        return model.Weights.ToDoubles();
    }

    [Fact]
    public void OneSeedOnOneThreadRepeatsBitwise() => Assert.Equal(Train(50, [1, 2], 0.1), Train(50, [1, 2], 0.1));

    /// <summary>Two runs of one optimizer are one run: weights, schedule, counts, whatever factor the task has.</summary>
    [Fact]
    public void AContinuedRunContinues()
    {
        (double[] Weights, int[] Seen) Run(params int[] parts)
        {
            using var scope = NewDisposeScope();
            using var random = new ReplicaRandom(1, 2);
            using var walk = new RandomWalk(20, random, dtype: ScalarType.Float64);
            using var adam = new AdamW(walk.Weights, 0.1, 0.1);
            var louder = new Louder(walk, [1, 3], t => 1.0 / t);
            var seen = new List<int>();
            foreach (var steps in parts)
                Training.Run(louder, adam, steps, o => seen.Add(o.Step), schedule: t => 1 / Math.Sqrt(t), decaySchedule: t => t);
            return (walk.Weights.ToDoubles(), [.. seen]);
        }
        var (whole, inParts) = (Run(9), Run(4, 5));
        Assert.Equal(whole.Weights, inParts.Weights);
        Assert.Equal(Enumerable.Range(1, 9), inParts.Seen);

        // What settles goes on likewise, and a window without a step is said.
        using var random = new ReplicaRandom(1, 2);
        using var walk = new RandomWalk(20, random, dtype: ScalarType.Float64);
        using var sgd = new Sgd(walk.Weights, 0.1);
        Settling.Of(walk, sgd, 40, every: 10);
        Assert.All(Settling.Of(walk, sgd, 40, every: 10).Norm, r => Assert.True(r[0] > 0));
        Assert.Equal(80, sgd.Steps);
        Assert.Contains("none counts", Assert.Throws<ArgumentException>(() => Settling.Of(walk, sgd, 40, from: 120)).Message);
        Assert.Throws<ArgumentOutOfRangeException>(() => Training.Run(walk, sgd, int.MaxValue));
    }

    [Fact]
    public void ATaskMayBeLouderForOneReplicaAndOneStep()
    {
        using var scope = NewDisposeScope();
        using var weights = ones(3, 2, dtype: ScalarType.Float64);
        var louder = new Louder(new Minimizing(new Layout(new Block("w", [2])), weights, w => w.sum(1)), [1, 2, 4], t => t);
        Assert.Equal([1, 1, 2, 2, 4, 4], louder.Next().Gradient.ToDoubles());
        Assert.Equal([2, 2, 4, 4, 8, 8], louder.Next().Gradient.ToDoubles());
        Assert.Throws<ArgumentException>(() => new Louder(louder, [1, 2]));
    }

    [Fact]
    public void AHundredFurtherStepsLeaveNoTensorBehind()
    {
        using var random = new ReplicaRandom(1, 2);
        using var model = new ScaleInvariantMlp(Networks.Shape(Normalization.LayerNorm), random);
        using var sgd = new Sgd(model.Weights, 0.1, momentum: 0.9, decoupledDecay: 0.1);
        using var stream = new Minibatches(Networks.Digits, 32, random, ScalarType.Float64);
        var loss = new Trace("loss", 2);
        void Steps() => Training.Run(new Learning(model, stream), sgd, 100, o =>
        {
            loss.Add(o.Step, o.Loss.ToDoubles());
            Geometry.AngularUpdate(o.Before, o.After, model.Layout);
            Geometry.Cosine(o.Before, o.Gradient, model.Layout);
        });
        Steps();
        var before = Setup.LiveTensors();
        Steps();
        Assert.Equal(before, Setup.LiveTensors());
    }

    [Fact]
    public void MemoryDoesNotGrowWithTheSteps()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "it asks glibc what is allocated");
        // What is in use, not what the process holds: caches and the collector's budget come and go with the machine.
        static (double Native, double Managed) InUse()
        {
            var managed = GC.GetTotalMemory(forceFullCollection: true);
            return (Glibc.InUse(), managed);
        }
        // A leak grows in every round; what the compiler and caches take, they take once.
        var grown = new List<(double Native, double Managed)>();
        for (var round = 0; round < 6; round++)
        {
            var before = InUse();
            Train(1000, [1, 2, 3], 0.1);
            var after = InUse();
            grown.Add((after.Native - before.Native, after.Managed - before.Managed));
        }
        // 1,000 steps of leaked gradients alone would be 1,000 × 3 × 1,216 × 4 bytes = 15 MB, a leaked scalar a step 32 KB.
        Assert.True(grown.Min(g => g.Native) < 20e3 && grown.Min(g => g.Managed) < 20e3, $"bytes a round: {string.Join("; ", grown)}");
    }

    [Fact]
    public void ADivergedReplicaIsMarkedAndTheOthersGoOn()
    {
        var diverged = new int?[3];
        using var random = new ReplicaRandom(1, 1, 1);
        using var model = new ScaleInvariantMlp(Networks.Shape(Normalization.None, ScalarType.Float32), random);
        using var sgd = new Sgd(model.Weights, rate: [0.01, 1e30, 0.01]);
        using var stream = new Minibatches(Networks.Digits, 32, random);
        diverged = Training.Run(new Learning(model, stream), sgd, 50);
        Assert.Null(diverged[0]);
        Assert.InRange(diverged[1]!.Value, 2, 50);
        Assert.Equal(model.Weights[0].ToDoubles(), model.Weights[2].ToDoubles());
        Assert.All(model.Weights[0].ToDoubles(), w => Assert.True(double.IsFinite(w)));
    }

    [Fact]
    public void TheDirectionsPathDependsOnRateOverSquaredLengthOnly()
    {
        var runs = WeightThatDoesNotMatter.OneRunInManySizes(Networks.Shape(Normalization.LayerNorm),
            Networks.Digits, [1, 2], [0.3, 1, 4], [0.09 * 0.05, 0.05, 16 * 0.05], 32, 60);
        Assert.All(Enumerable.Range(0, 2), s => Assert.All(runs[0][s].Zip(runs[2][s]), p => Assert.Equal(p.First, p.Second, 1e-11)));
    }

    [Fact]
    public void AStepOnTheSphereObeysPythagoras()
    {
        using var random = new ReplicaRandom(1);
        using var model = new ScaleInvariantMlp(Networks.Shape(Normalization.LayerNorm), random);
        using var sgd = new Sgd(model.Weights, 0.5);
        using var stream = new Minibatches(Networks.Digits, 32, random, ScalarType.Float64);
        Training.Run(new Learning(model, stream), sgd, 20, o =>
        {
            var (before, after, gradient) = (Geometry.SquaredNorm(o.Before, model.Layout)[0],
                Geometry.SquaredNorm(o.After, model.Layout)[0], Geometry.SquaredNorm(o.Gradient, model.Layout)[0]);
            for (var l = 0; l < before.Length; l++)
                Assert.Equal(1, after[l] / (before[l] + (0.25 * gradient[l])), 1e-12);
        });
    }

    [Fact]
    public void ProgressIsToldAndCancellationHeard()
    {
        using var random = new ReplicaRandom(1);
        using var model = new ScaleInvariantMlp(Networks.Shape(Normalization.LayerNorm), random);
        using var sgd = new Sgd(model.Weights, 0.1);
        using var stream = new Minibatches(Networks.Digits, 8, random, ScalarType.Float64);
        using var cancel = new CancellationTokenSource();
        var told = new List<int>();
        Assert.Throws<OperationCanceledException>(() => Training.Run(new Learning(model, stream),
            sgd, 1000, progress: new Teller(p => { told.Add(p.Step); if (p.Step == 300) cancel.Cancel(); }), cancellation: cancel.Token));
        Assert.Equal([100, 200, 300], told);
    }

    [Fact]
    public void LogPointsAreEvenOnALogarithmicAxis()
    {
        var points = Enumerable.Range(1, 10000).Where(s => Training.IsLogPoint(s)).ToArray();
        Assert.Equal(1, points[0]);
        Assert.InRange(points.Count(p => p is > 1000 and <= 10000), 19, 21);
    }

    private sealed class Teller(Action<Progress> tell) : IProgress<Progress>
    {
        public void Report(Progress value) => tell(value);
    }

    /// <summary>Bytes that malloc has given out and not got back.</summary>
    private static class Glibc
    {
        public static long InUse()
        {
            var info = Information();
            return (long)(info.InUseInArenas + info.InMappings);
        }

        [System.Runtime.InteropServices.DllImport("libc", EntryPoint = "mallinfo2")]
        private static extern Mallinfo2 Information();

        /// <summary>struct mallinfo2 of malloc.h, all size_t.</summary>
        private readonly record struct Mallinfo2(nuint Arena, nuint FreeChunks, nuint FastbinBlocks,
            nuint Mappings, nuint InMappings, nuint Most, nuint InFastbins, nuint InUseInArenas, nuint Free, nuint TopMost);
    }
}
