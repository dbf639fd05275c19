using BenchmarkDotNet.Attributes;
using TorchSharp;
using TrainingDynamics.Models;
using TrainingDynamics.Optimizers;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;

namespace Benchmarks;

/// <summary>
/// AdamW's step with decay on some blocks only against its step with one decay for all: a transformer of two layers, six replicas,
/// float32, one thread, at a constant rate and on a schedule.
/// </summary>
public class BlockStep
{
    private AdamW _plain = null!, _byBlock = null!;
    private Tensor _gradient = null!;

    /// <summary>What the schedule multiplies η by.</summary>
    [Params(1, 0.5)]
    public double Factor { get; set; }

    [GlobalSetup]
    public void Setup()
    {
        Threads.Count = 1;
        var random = new ReplicaRandom([1, 2, 3, 4, 5, 6]);
        var shape = new TransformerShape { Vocabulary = 64, Context = 32, Layers = 2, Width = 32, Heads = 4 };
        var model = new Transformer(shape, random);
        (_plain, _byBlock) = (Make(), Make());
        _byBlock.ForBlocks(model.Layout, block => block.Shape.Length < 2, decay: 0).ForBlocks(model.Layout, "U", decay: 0);
        _gradient = randn_like(model.Weights);

        AdamW Make() => new(model.Weights.clone(), 1e-3, 0.1);
    }

    [Benchmark(Baseline = true, Description = "one decay for all")]
    public void Plain() => _plain.Step(_gradient, Factor);

    [Benchmark(Description = "by block")]
    public void ByBlock() => _byBlock.Step(_gradient, Factor);
}
