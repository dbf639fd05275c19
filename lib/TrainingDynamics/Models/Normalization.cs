using TorchSharp;
using static TorchSharp.torch;

namespace TrainingDynamics.Models;

/// <summary>Which norm stands after a linear layer. None of them has gains or shifts of its own here.</summary>
public enum Normalization
{
    /// <summary>No norm.</summary>
    None,

    /// <summary>(h − mean h)/√(var h + ε) over the units of one input (Ba, Kiros and Hinton 2016, arXiv:1607.06450).</summary>
    LayerNorm,

    /// <summary>h/√(mean h² + ε) over the units of one input (Zhang and Sennrich 2019, arXiv:1910.07467).</summary>
    RmsNorm,

    /// <summary>(h − mean h)/√(var h + ε) over the inputs of one batch, unit by unit (Ioffe and Szegedy 2015, arXiv:1502.03167).</summary>
    BatchNorm,
}

/// <summary>Applies a <see cref="Normalization"/>.</summary>
public static class Normalizations
{
    /// <summary>Normalizes <paramref name="h"/> (replica, batch, unit); variances are biased (divided by the count). Where all that is
    /// normalized together is 0 the result is 0, with ε = 0, too: ε is 10⁻²⁴ at least (float64: 10⁻²⁰⁰), which no variance above 3·10⁻¹⁷
    /// (2·10⁻¹⁸⁴) sees.</summary>
    public static Tensor Apply(this Normalization norm, Tensor h, double epsilon)
    {
        if (norm == Normalization.None)
            return h;
        epsilon = Math.Max(epsilon, h.dtype == ScalarType.Float64 ? 1e-200 : 1e-24);
        if (norm == Normalization.LayerNorm)
            return nn.functional.layer_norm(h, [h.shape[^1]], eps: epsilon);          // one fused operation
        using var scope = NewDisposeScope();
        var over = norm == Normalization.BatchNorm ? 1 : -1;
        var centred = norm == Normalization.RmsNorm ? h : h - h.mean([over], keepdim: true);
        return (centred * (centred.square().mean([over], keepdim: true) + epsilon).rsqrt()).MoveToOuterDisposeScope();
    }

    /// <summary>Which scaling of the matrix W before the norm leaves norm(Wx) unchanged when ε = 0.</summary>
    public static Invariance InvarianceBefore(this Normalization norm) => norm switch
    {
        Normalization.None => Invariance.None,
        Normalization.BatchNorm => Invariance.Rows,
        _ => Invariance.Whole,
    };
}
