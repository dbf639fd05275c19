using System.Runtime.InteropServices;
using TorchSharp;
using static TorchSharp.torch;

namespace TrainingDynamics.Runtime;

/// <summary>Numbers out of tensors, many at once: the way from torch to tables and figures.</summary>
public static class Tensors
{
    /// <summary>All numbers of a tensor in row order, as double.</summary>
    public static double[] ToDoubles(this Tensor tensor)
    {
        using var scope = NewDisposeScope();
        var plain = tensor.detach().to(ScalarType.Float64).contiguous();
        return MemoryMarshal.Cast<byte, double>(plain.bytes).ToArray();
    }
}
