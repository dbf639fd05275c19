using TorchSharp;
using static TorchSharp.torch;

namespace TrainingDynamics.Measurement;

/// <summary>Numbers out of tensors and measurements, many at once: the way from torch to tables and figures.</summary>
public static class Tensors
{
    /// <summary>All numbers of a tensor in row order, as double.</summary>
    public static double[] ToDoubles(this Tensor tensor)
    {
        using var scope = NewDisposeScope();
        var plain = tensor.detach().to(ScalarType.Float64).contiguous();
        return System.Runtime.InteropServices.MemoryMarshal.Cast<byte, double>(plain.bytes).ToArray();
    }

    /// <summary>One block's value of every replica, from [replica][block].</summary>
    public static double[] Block(this double[][] values, int block) => [.. values.Select(row => row[block])];

    /// <summary>The sum over blocks of every replica, from [replica][block].</summary>
    public static double[] Sum(this double[][] values) => [.. values.Select(row => row.Sum())];
}
