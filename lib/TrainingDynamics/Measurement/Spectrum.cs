using TorchSharp;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;

namespace TrainingDynamics.Measurement;

/// <summary>What the singular values of a matrix say.</summary>
public static class Spectrum
{
    /// <summary>Information abundance Σσ/max σ over the singular values σ (Guo et al. 2024, arXiv:2310.04400): between 1, where embeddings
    /// have collapsed to one direction, and their width. One number for each replica, NaN for one that has diverged.</summary>
    /// <param name="embeddings">(replica, row, width).</param>
    /// <exception cref="ArgumentException">There are not three axes.</exception>
    public static double[] InformationAbundance(Tensor embeddings)
    {
        if (embeddings.dim() != 3)
            throw new ArgumentException($"{nameof(embeddings)} have the shape [{string.Join(", ", embeddings.shape)}], wanted is (replica, "
                + "row, width)", nameof(embeddings));
        using var scope = NewDisposeScope();
        var values = Replicas.Finite(embeddings.to(ScalarType.Float64), e => linalg.svdvals(e));
        return (values.sum(1) / values.amax([1])).ToDoubles();
    }
}
