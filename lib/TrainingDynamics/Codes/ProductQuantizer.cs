using TorchSharp;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;
using static TrainingDynamics.Runtime.Replicas;

namespace TrainingDynamics.Codes;

/// <summary>
/// Product quantization: the vector, turned by an orthogonal R, is cut into T parts of d/T numbers, and each part's code is the nearest of
/// V centers of its own. Codes are no order of coarse and fine: a beginning says nothing of the rest.
/// </summary>
/// <remarks>Jégou, Douze and Schmid 2011 (PQ, R = 1); Ge, He, Ke and Sun 2013 (OPQ): R and the centers in turn, R = UVᵀ of XᵀX̂ = UΣVᵀ,
/// which is the best rotation of the items to what their codes stand for; the first R deals the principal axes evenly to the
/// parts.</remarks>
public sealed class ProductQuantizer : Quantizer
{
    private ProductQuantizer(Tensor codebooks, Tensor rotation)
        : base(codebooks.shape[0], (int)codebooks.shape[1], (int)codebooks.shape[2], rotation.shape[1]) =>
        (Codebooks, Rotation) = (codebooks.DetachFromDisposeScope(), rotation.DetachFromDisposeScope());

    /// <summary>Centers of each part, (replica, T, V, d/T).</summary>
    public Tensor Codebooks { get; }

    /// <summary>R, (replica, d, d), orthogonal; what is cut is x·R.</summary>
    public Tensor Rotation { get; }

    /// <summary>k-means part by part, and so many rotations in turn with it.</summary>
    /// <param name="items">(replica, item, d), float64 and finite.</param>
    /// <param name="length">T, a divisor of d.</param>
    /// <param name="values">V, 2 to the number of items.</param>
    /// <param name="random">Draws the first centers.</param>
    /// <param name="rotations">0 is PQ, some 20 are OPQ; after each the centers are improved by three iterations.</param>
    /// <param name="iterations">Of Lloyd's algorithm, before the first rotation.</param>
    /// <exception cref="ArgumentException">A number is out of its range, or the items have another shape.</exception>
    public static ProductQuantizer Fit(Tensor items, int length, int values, ReplicaRandom random, int rotations = 0, int iterations = 30)
    {
        using var scope = NewDisposeScope();
        using var quiet = no_grad();
        var width = Fittable(items, length, values, random).shape[2];
        ArgumentOutOfRangeException.ThrowIfNegative(rotations);
        if (width % length != 0)
            throw new ArgumentException($"{nameof(length)} is {length}, wanted is a divisor of {width}, the numbers of an item",
                nameof(length));
        var rotation = rotations == 0 ? eye(width, dtype: ScalarType.Float64).expand(items.shape[0], -1, -1).clone()
            : Allocated(items, length);
        var books = stack([.. Parts(items.bmm(rotation), length).Select(part => KMeans.Fit(part, values, random, iterations))], 1);
        for (var i = 0; i < rotations; i++)
        {
            using var inner = NewDisposeScope();
            var turned = items.bmm(rotation);
            var read = Joined(books, Nearest(turned, books));
            var (u, _, vh) = linalg.svd(items.transpose(1, 2).bmm(read), fullMatrices: false);
            rotation = u.bmm(vh);
            var parts = Parts(items.bmm(rotation), length);
            books = stack([.. parts.Select((part, t) => KMeans.Improve(part, books.select(1, t), 3))], 1).MoveToOuterDisposeScope();
            rotation = rotation.MoveToOuterDisposeScope();
        }
        return new ProductQuantizer(books, rotation);
    }

    // Principal axes, dealt to the parts so that the products of their variances are even: what is best for a Gaussian. Each axis, the
    // greatest variance first, goes to the part with the least product so far that has room.
    private static Tensor Allocated(Tensor items, int length)
    {
        var centered = items - items.mean([1], keepdim: true);
        var (variances, axes) = linalg.eigh(centered.transpose(1, 2).bmm(centered) / items.shape[1]);                   // rising
        var width = (int)items.shape[2];
        return stack([.. variances.unbind(0).Zip(axes.unbind(0), (variance, axis) =>
        {
            var own = variance.ToDoubles();
            var parts = Enumerable.Range(0, length).Select(_ => new List<long>()).ToArray();
            for (var i = width - 1; i >= 0; i--)
                parts.Where(part => part.Count < width / length)
                    .MinBy(part => part.Sum(at => Math.Log(Math.Max(own[at], 1e-300))))!.Add(i);
            return axis.index_select(1, Aligned.Tensor(parts.SelectMany(part => part).ToArray()));
        })]);
    }

    private static Tensor[] Parts(Tensor items, int length) => items.chunk(length, -1);

    private static Tensor Nearest(Tensor turned, Tensor books) => stack([.. Parts(turned, (int)books.shape[1])
        .Select((part, t) => KMeans.Closest(part, books.select(1, t)))], -1);

    private static Tensor Joined(Tensor books, Tensor codes) => cat([.. Enumerable.Range(0, (int)books.shape[1])
        .Select(t => Rows(books.select(1, t), codes.select(2, t)))], -1);

    /// <inheritdoc/>
    protected override Tensor Write(Tensor items) => Nearest(items.bmm(Rotation), Codebooks);

    /// <inheritdoc/>
    protected override Tensor Read(Tensor codes) => Joined(Codebooks, codes).bmm(Rotation.transpose(1, 2));

    /// <inheritdoc/>
    public override void Dispose()
    {
        Codebooks.Dispose();
        Rotation.Dispose();
    }
}
