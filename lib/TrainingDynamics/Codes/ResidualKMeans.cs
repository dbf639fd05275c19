using TorchSharp;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;
using static TrainingDynamics.Runtime.Replicas;

namespace TrainingDynamics.Codes;

/// <summary>
/// Residual quantization: the first code is the nearest of V centers, each further one the nearest of V centers to what is left,
/// x̂ = Σ_t C_t[c_t]. Codes before are coarser, so items that begin alike are alike.
/// </summary>
/// <remarks>The form of TIGER's semantic IDs (arXiv:2305.05065), whose RQ-VAE (Zeghidour et al. 2021, arXiv:2107.03312; Lee et al. 2022,
/// arXiv:2203.01941) trains an encoder with it; here the centers of each level are k-means on what the level before left.</remarks>
public sealed class ResidualKMeans : Quantizer
{
    private ResidualKMeans(Tensor codebooks)
        : base(codebooks.shape[0], (int)codebooks.shape[1], (int)codebooks.shape[2], codebooks.shape[3]) =>
        Codebooks = codebooks.DetachFromDisposeScope();

    /// <summary>C, (replica, T, V, d).</summary>
    public Tensor Codebooks { get; }

    /// <summary>k-means level by level.</summary>
    /// <param name="items">(replica, item, d), float64 and finite.</param>
    /// <param name="length">T.</param>
    /// <param name="values">V, 2 to the number of items.</param>
    /// <param name="random">Draws the first centers.</param>
    /// <param name="iterations">Of Lloyd's algorithm, a level.</param>
    /// <exception cref="ArgumentException">A number is out of its range, or the items have another shape.</exception>
    public static ResidualKMeans Fit(Tensor items, int length, int values, ReplicaRandom random, int iterations = 30)
    {
        using var scope = NewDisposeScope();
        using var quiet = no_grad();
        Fittable(items, length, values, random);
        var (left, books) = (items, new List<Tensor>());
        for (var t = 0; t < length; t++)
        {
            books.Add(KMeans.Fit(left, values, random, iterations));
            left = left - Rows(books[t], KMeans.Closest(left, books[t]));
        }
        return new ResidualKMeans(stack([.. books], 1));
    }

    /// <summary>Of codebooks that were learned otherwise.</summary>
    /// <param name="codebooks">C, (replica, T, V, d), float64; copied.</param>
    /// <exception cref="ArgumentException">They have another shape, or a number is not finite.</exception>
    public static ResidualKMeans Of(Tensor codebooks)
    {
        if (codebooks.dim() != 4 || codebooks.numel() == 0 || codebooks.shape[2] < 2 || codebooks.dtype != ScalarType.Float64
            || !codebooks.isfinite().all().item<bool>())
            throw new ArgumentException($"{nameof(codebooks)} have the shape [{string.Join(", ", codebooks.shape)}] of {codebooks.dtype}, "
                + "wanted is (replica, T, V, d) of Float64, T at least 1, V 2, all finite", nameof(codebooks));
        return new ResidualKMeans(codebooks.detach().clone());
    }

    /// <inheritdoc/>
    protected override Tensor Write(Tensor items)
    {
        var (left, codes) = (items, new List<Tensor>());
        for (var t = 0; t < Length; t++)
        {
            var book = Codebooks.select(1, t);
            codes.Add(KMeans.Closest(left, book));
            left = left - Rows(book, codes[t]);
        }
        return stack([.. codes], -1);
    }

    /// <inheritdoc/>
    protected override Tensor Read(Tensor codes) => Enumerable.Range(0, Length)
        .Select(t => Rows(Codebooks.select(1, t), codes.select(2, t))).Aggregate((sum, part) => sum + part);

    /// <inheritdoc/>
    public override void Dispose() => Codebooks.Dispose();
}
