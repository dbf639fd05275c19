using TorchSharp;
using TrainingDynamics.Models;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;

namespace TrainingDynamics.Measurement;

/// <summary>
/// Lengths and angles of weights, gradients and updates, in double precision: each gives [replica][block] for the blocks
/// of a layout, over flat buffers (replica, parameter).
/// </summary>
public static class Geometry
{
    /// <summary>‖w‖.</summary>
    public static double[][] Norm(Tensor weights, Layout layout) => Map(SquaredNorm(weights, layout), Math.Sqrt);

    /// <summary>N = ‖w‖².</summary>
    public static double[][] SquaredNorm(Tensor weights, Layout layout) => PerBlock(layout, b => Wide(weights, b).square().sum(1));

    /// <summary>Mean square of a block's entries, square-rooted: ‖w‖/√size.</summary>
    public static double[][] Rms(Tensor weights, Layout layout) => PerBlock(layout, b => Wide(weights, b).square().mean([1]).sqrt());

    /// <summary>cos(a, b) = ⟨a, b⟩/(‖a‖‖b‖): of weight and gradient 0 where the block is scale-invariant (Euler), of two updates their
    /// alignment.</summary>
    public static double[][] Cosine(Tensor a, Tensor b, Layout layout) => PerBlock(layout, block =>
    {
        var (x, y) = (Wide(a, block), Wide(b, block));
        return (x * y).sum(1) / (x.norm(1) * y.norm(1));
    });

    /// <summary>
    /// The angular update θ = ∠(w, w′) in radians, as 2·asin(‖ŵ′ − ŵ‖/2): exact for small angles, where acos of a cosine loses
    /// all digits (below 3.4e-4 rad in float32).
    /// </summary>
    public static double[][] AngularUpdate(Tensor before, Tensor after, Layout layout) => PerBlock(layout, block =>
    {
        var (x, y) = (Wide(before, block), Wide(after, block));
        var chord = ((y / y.norm(1, keepdim: true)) - (x / x.norm(1, keepdim: true))).norm(1);
        return (chord / 2).clamp_max(1).asin() * 2;
    });

    /// <summary>
    /// The gradient's length at the unit vector, ‖g̃‖ = ‖∇f(ŵ)‖ = ‖w‖·‖∇f(w)‖, which is free of the weight's length where the
    /// block is scale-invariant. Its square is the G of the theory.
    /// </summary>
    public static double[][] UnitSphereGradientNorm(Tensor weights, Tensor gradient, Layout layout)
        => PerBlock(layout, b => Wide(weights, b).norm(1) * Wide(gradient, b).norm(1));

    /// <summary>
    /// The effective learning rate of SGD, η/‖w‖²: the rate at which the direction ŵ moves along the gradient at ŵ
    /// (van Laarhoven 2017, arXiv:1706.05350).
    /// </summary>
    /// <param name="rate">η, one for each replica.</param>
    /// <param name="weights">(replica, parameter).</param>
    /// <param name="layout">The blocks.</param>
    public static double[][] EffectiveLearningRateOfSgd(IReadOnlyList<double> rate, Tensor weights, Layout layout)
        => [.. SquaredNorm(weights, layout).Select((row, r) => row.Select(n => rate[r] / n).ToArray())];

    /// <summary>The effective learning rate of Adam and other normalized updates, η/‖w‖: their update does not grow as the weight
    /// shrinks.</summary>
    /// <param name="rate">η, one for each replica.</param>
    /// <param name="weights">(replica, parameter).</param>
    /// <param name="layout">The blocks.</param>
    public static double[][] EffectiveLearningRateOfAdam(IReadOnlyList<double> rate, Tensor weights, Layout layout)
        => [.. Norm(weights, layout).Select((row, r) => row.Select(n => rate[r] / n).ToArray())];

    /// <summary>
    /// Share of a matrix block's gradient along "the same for all outputs", ‖1ᵀ∂L/∂W‖/(√m·‖∂L/∂W‖) with m outputs, [replica][block]:
    /// 0 where a shift of all of a layer's outputs changes nothing, as before LayerNorm.
    /// </summary>
    public static double[][] CommonShift(Tensor gradient, Layout layout) => PerBlock(layout, block =>
    {
        var g = Wide(gradient, block).reshape([gradient.shape[0], .. block.Shape]);
        return g.sum(1).norm(1) / (g.flatten(1).norm(1) * Math.Sqrt(block.Shape[0]));
    });

    private static Tensor Wide(Tensor flat, Block block) => Layout.Slice(flat, block).to(ScalarType.Float64);

    /// <summary>Evaluates (replica) for each block and brings all out at once.</summary>
    internal static double[][] PerBlock(Layout layout, Func<Block, Tensor> measure)
    {
        using var scope = NewDisposeScope();
        using var quiet = no_grad();
        var all = stack([.. layout.Select(measure)], dim: 1);                          // (replica, block)
        return [.. all.ToDoubles().Chunk(layout.Count)];
    }

    private static double[][] Map(double[][] values, Func<double, double> f) => [.. values.Select(row => row.Select(f).ToArray())];
}
