using TorchSharp;
using static TorchSharp.torch;

namespace TrainingDynamics.Runtime;

/// <summary>Tensors of .NET arrays, in memory of their own.</summary>
public static class Aligned
{
    /// <summary>
    /// A copy of <paramref name="values"/> in torch's own memory, which starts at a multiple of 64 bytes. <c>torch.tensor</c> leaves the
    /// values in
    /// the managed heap, at whatever multiple of 8 they happen to be; matrix products round differently there, and a run would not repeat.
    /// </summary>
    /// <param name="values">Numbers, an array of one or more dimensions.</param>
    /// <param name="dtype">What the tensor holds; the array's own type if not given.</param>
    public static torch.Tensor Tensor(Array values, ScalarType? dtype = null)
    {
        using var managed = from_array(values);
        return managed.to(dtype ?? managed.dtype, copy: true);
    }
}
