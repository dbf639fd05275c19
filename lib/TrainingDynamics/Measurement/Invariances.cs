using TorchSharp;
using TrainingDynamics.Models;
using static TorchSharp.torch;

namespace TrainingDynamics.Measurement;

/// <summary>
/// Tests of a model's continuous symmetries at one point: what a symmetry says of weight and gradient, for groups of blocks
/// and for pairs. Each gives one number a replica, 0 (up to rounding) where the symmetry holds.
/// </summary>
public static class Invariances
{
    /// <summary>
    /// Joint scaling of a group: f unchanged when all its blocks are multiplied by one c &gt; 0. Then Σ_b ⟨w_b, g_b⟩ = 0; given
    /// as the cosine of the joined vectors.
    /// </summary>
    public static double[] JointCosine(Tensor weights, Tensor gradient, Layout layout, params IReadOnlyList<string> blocks)
    {
        double[] Sum(Tensor a, Tensor b) => PerReplica(layout, blocks, a, b);
        return [.. Sum(weights, gradient).Zip(Sum(weights, weights), Sum(gradient, gradient))
            .Select(s => s.First / Math.Sqrt(s.Second * s.Third))];
    }

    /// <summary>
    /// Rescaling between two groups: f unchanged when one is multiplied by c and the other divided by c. Then
    /// Σ_a ⟨w_a, g_a⟩ = Σ_b ⟨w_b, g_b⟩; given as the difference over the product of the joined norms.
    /// </summary>
    public static double[] RescaleDifference(Tensor weights, Tensor gradient,
        Layout layout, IReadOnlyList<string> first, IReadOnlyList<string> second)
    {
        double[] Sum(IReadOnlyList<string> blocks, Tensor a, Tensor b) => PerReplica(layout, blocks, a, b);
        var both = first.Concat(second).ToArray();
        var scale = Sum(both, weights, weights).Zip(Sum(both, gradient, gradient), (w, g) => Math.Sqrt(w * g)).ToArray();
        return [.. Sum(first, weights, gradient).Zip(Sum(second, weights, gradient), (a, b) => a - b).Zip(scale, (d, s) => d / s)];
    }

    private static double[] PerReplica(Layout layout, IReadOnlyList<string> blocks, Tensor a, Tensor b)
        => [.. Geometry.PerBlock(layout, block => (Layout.Slice(a, block) * Layout.Slice(b, block)).sum(1).to(ScalarType.Float64))
            .Select(row => blocks.Sum(name => row[layout.IndexOf(name)]))];
}
