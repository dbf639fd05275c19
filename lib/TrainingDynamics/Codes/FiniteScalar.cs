using TorchSharp;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;

namespace TrainingDynamics.Codes;

/// <summary>
/// Finite scalar quantization: T numbers of a vector, each pressed into an interval and rounded to one of V levels. No codebook is learned,
/// and none can collapse. The numbers are the first T principal components over their deviations, z;
/// <code>
/// code = round(h·tanh(z + s) − o) + ⌊V/2⌋,   h = (V − 1)(1 + 10⁻³)/2,   o = ½ for even V, else 0,   s = artanh(o/h)
/// </code>
/// A code stands for the mean of the training items' z that have it (where none has, the middle of its interval, at the ends the edge). For
/// even V the levels are not symmetric, so codes depend on the signs of the axes.
/// </summary>
/// <remarks>Mentzer et al. 2023, arXiv:2309.15505, whose encoder is trained; here it is linear.</remarks>
public sealed class FiniteScalar : Quantizer
{
    private readonly Tensor _mean, _axes, _levels;

    private FiniteScalar(Tensor mean, Tensor axes, Tensor levels)
        : base(levels.shape[0], (int)levels.shape[1], (int)levels.shape[2], axes.shape[1]) =>
        (_mean, _axes, _levels) = (mean.DetachFromDisposeScope(), axes.DetachFromDisposeScope(), levels.DetachFromDisposeScope());

    /// <summary>The V − 1 values of z between one level and the next, artanh((k + ½ + o)/h) − s; a standard normal z has a code with the
    /// probability between two of them.</summary>
    /// <param name="values">V, at least 3: of two levels this bound leaves one empty.</param>
    /// <exception cref="ArgumentException">V is less than 3.</exception>
    public static double[] Edges(int values)
    {
        if (values < 3)
            throw new ArgumentException($"{nameof(values)} is {values}, at least 3 is needed", nameof(values));
        var (half, offset, shift) = Bound(values);
        return [.. Enumerable.Range(0, values - 1).Select(k => Math.Atanh((k - (values / 2) + 0.5 + offset) / half) - shift)];
    }

    /// <summary>The axes and the levels' means of the items.</summary>
    /// <param name="items">(replica, item, d), float64 and finite.</param>
    /// <param name="length">T, at most d.</param>
    /// <param name="values">V, 3 to the number of items.</param>
    /// <exception cref="ArgumentException">A number is out of its range, the items have another shape, or vary in fewer than T
    /// directions.</exception>
    public static FiniteScalar Fit(Tensor items, int length, int values)
    {
        using var scope = NewDisposeScope();
        using var quiet = no_grad();
        var width = Fittable(items, length, values, null).shape[2];
        var edges = Edges(values);
        if (length > width)
            throw new ArgumentException($"{nameof(length)} is {length}, allowed are 1 to {width}, the numbers of an item", nameof(length));
        var mean = items.mean([1], keepdim: true);
        var centered = items - mean;
        var (variances, vectors) = linalg.eigh(centered.transpose(1, 2).bmm(centered) / items.shape[1]);                // rising
        var of = variances.narrow(1, width - length, length).flip(1);
        if ((of <= 1e-12 * variances.amax([1], keepdim: true)).any().item<bool>())
            throw new ArgumentException($"{nameof(items)} vary in fewer than {length} directions", nameof(items));
        var axes = vectors.narrow(2, width - length, length).flip(2) * of.sqrt().unsqueeze(1);                         // (replica, d, T)
        var z = centered.bmm(axes) / of.unsqueeze(1);
        var codes = Codes(z, values);
        double[] middles = [.. Enumerable.Range(0, values).Select(k => k == 0 ? edges[0] : k == values - 1 ? edges[^1]
            : (edges[k - 1] + edges[k]) / 2)];
        var counts = zeros(items.shape[0], values, length, dtype: ScalarType.Float64).scatter_add_(1, codes, ones_like(z));
        var sums = zeros_like(counts).scatter_add_(1, codes, z);
        var levels = (sums / counts.clamp_min(1)).where(counts > 0, Aligned.Tensor(middles).reshape(1, -1, 1)).transpose(1, 2);
        return new FiniteScalar(mean, axes, levels.contiguous());
    }

    private static (double Half, double Offset, double Shift) Bound(int values)
    {
        var (half, offset) = ((values - 1) * 1.001 / 2, values % 2 == 0 ? 0.5 : 0);
        return (half, offset, Math.Atanh(offset / half));
    }

    private static Tensor Codes(Tensor z, int values)
    {
        var (half, offset, shift) = Bound(values);
        return (((z + shift).tanh() * half) - offset).round().to(ScalarType.Int64) + (values / 2);
    }

    /// <inheritdoc/>
    protected override Tensor Write(Tensor items) =>
        Codes((items - _mean).bmm(_axes) / _axes.square().sum(1, keepdim: true), Values);

    /// <inheritdoc/>
    protected override Tensor Read(Tensor codes) =>
        _mean + _levels.gather(2, codes.transpose(1, 2)).transpose(1, 2).bmm(_axes.transpose(1, 2));

    /// <inheritdoc/>
    public override void Dispose()
    {
        _mean.Dispose();
        _axes.Dispose();
        _levels.Dispose();
    }
}
