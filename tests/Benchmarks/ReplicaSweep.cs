using BenchmarkDotNet.Attributes;
using TorchSharp;
using TrainingDynamics.Data;
using TrainingDynamics.Models;
using TrainingDynamics.Optimizers;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;

namespace Benchmarks;

/// <summary>64 runs as replicas of one graph against 64 runs one after the other: width 64, batch 32, float32, SGD with momentum.</summary>
public class ReplicaSweep
{
    private const int Runs = 64;
    private readonly Images _digits = Digits.Load().Train.Standardized();
    private ScaleInvariantMlp _many = null!, _one = null!;
    private Sgd _sgdMany = null!, _sgdOne = null!;
    private Minibatches _batchesMany = null!, _batchesOne = null!;
    private Tensor _gradient = null!;

    /// <summary>Torch's threads.</summary>
    [Params(1, 2)]
    public int TorchThreads { get; set; }

    [GlobalSetup]
    public void Setup()
    {
        Threads.Count = TorchThreads;
        var shape = new MlpShape { Inputs = 64 };
        (_many, _sgdMany, _batchesMany) = Build(Enumerable.Range(1, Runs).ToArray());
        (_one, _sgdOne, _batchesOne) = Build([1]);
        _gradient = ones_like(_many.Weights);

        (ScaleInvariantMlp, Sgd, Minibatches) Build(int[] seeds)
        {
            var random = new ReplicaRandom(seeds);
            var model = new ScaleInvariantMlp(shape, random);
            return (model, new Sgd(model.Weights, 0.1, momentum: 0.9), new Minibatches(_digits, 32, random));
        }
    }

    [Benchmark(Baseline = true, Description = "64 single runs, one step each")]
    public void Single()
    {
        for (var run = 0; run < Runs; run++)
            Step(_one, _sgdOne, _batchesOne);
    }

    [Benchmark(Description = "64 replicas, one step")]
    public void Replicas() => Step(_many, _sgdMany, _batchesMany);

    [Benchmark(Description = "the optimizer's share of 64 replicas' step")]
    public void OptimizerOnly() => _sgdMany.Step(_gradient);

    private static void Step(Model model, Optimizer optimizer, IBatches batches)
    {
        using var scope = NewDisposeScope();
        using var batch = batches.Next();
        optimizer.Step(model.LossAndGradient(batch).Gradient);
    }
}
