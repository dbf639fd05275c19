using TorchSharp;
using TrainingDynamics.Data;
using TrainingDynamics.Models;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;

namespace TrainingDynamics.Tests;

/// <summary>Small networks on the shipped digits.</summary>
internal static class Networks
{
    public static readonly int[] Seeds = [1, 2, 3];

    public static Images Digits { get; } = Data.Digits.Load().Train.Standardized();

    public static Batch Batch(int images = 64, ScalarType dtype = ScalarType.Float64) => Data.Batch.Of(Digits.Slice(0, images), dtype);

    public static MlpShape Shape(Normalization norm, ScalarType dtype = ScalarType.Float64, double epsilon = 0)
        => new() { Inputs = 64, Hidden = [16, 12], Normalization = norm, Dtype = dtype, Epsilon = epsilon };

    public static ScaleInvariantMlp Invariant(Normalization norm,
        params int[] seeds) => new(Shape(norm), new ReplicaRandom(seeds.Length == 0 ? Seeds : seeds));
}
