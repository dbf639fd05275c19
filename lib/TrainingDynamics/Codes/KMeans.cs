using TorchSharp;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;
using static TrainingDynamics.Runtime.Replicas;

namespace TrainingDynamics.Codes;

/// <summary>Lloyd's k-means (1957, 1982) for a batch of runs.</summary>
public static class KMeans
{
    /// <summary>
    /// Centers (replica, V, d) from so many iterations of: each item to its nearest center, each center to the mean of its items. The first
    /// centers are items drawn without repeating; a center without items moves to the item that is farthest from its own.
    /// </summary>
    /// <param name="items">(replica, item, d), float64 and finite.</param>
    /// <param name="values">V, 2 to the number of items.</param>
    /// <param name="random">Draws the first centers.</param>
    /// <param name="iterations">At least 1.</param>
    /// <exception cref="ArgumentException">A number is out of its range, or the items have another shape.</exception>
    public static Tensor Fit(Tensor items, int values, ReplicaRandom random, int iterations = 30)
    {
        using var scope = NewDisposeScope();
        Quantizer.Fittable(items, 1, values, random);
        var first = random.Uniform([items.shape[1]], ScalarType.Float64).argsort(1).narrow(1, 0, values);
        return Improve(items, Rows(items, first), iterations).MoveToOuterDisposeScope();
    }

    /// <summary>The same from given centers.</summary>
    /// <param name="items">(replica, item, d), float64 and finite.</param>
    /// <param name="centers">(replica, V, d).</param>
    /// <param name="iterations">At least 1.</param>
    /// <exception cref="ArgumentException">A number is out of its range, or the shapes do not fit.</exception>
    public static Tensor Improve(Tensor items, Tensor centers, int iterations = 30)
    {
        using var scope = NewDisposeScope();
        using var quiet = no_grad();
        ArgumentOutOfRangeException.ThrowIfLessThan(iterations, 1);
        Quantizer.Required(items);
        Fitting(items, centers);
        if (centers.shape[1] > items.shape[1])
            throw new ArgumentException($"{nameof(centers)} are {centers.shape[1]}, allowed are as many as the items, {items.shape[1]}",
                nameof(centers));
        for (var i = 0; i < iterations; i++)
        {
            using var inner = NewDisposeScope();
            var own = Closest(items, centers);
            var counts = zeros_like(centers.select(2, 0)).scatter_add_(1, own, ones_like(items.select(2, 0)));
            var sums = zeros_like(centers).scatter_add_(1, own.unsqueeze(-1).expand_as(items), items);
            // The k-th empty center goes to the k-th farthest item.
            var empty = counts == 0;
            var farthest = (items - Rows(centers, own)).square().sum(-1).argsort(1, descending: true);
            var refuge = Rows(items, farthest.gather(1, (empty.to(ScalarType.Int64).cumsum(1) - 1).clamp_min(0)));
            var moved = (sums / counts.clamp_min(1).unsqueeze(-1)).where(empty.logical_not().unsqueeze(-1), refuge);
            if (i > 0)
                centers.Dispose();
            centers = moved.MoveToOuterDisposeScope();
        }
        return centers.MoveToOuterDisposeScope();
    }

    /// <summary>The nearest center of each item, (replica, item), whole numbers.</summary>
    /// <param name="items">(replica, item, d).</param>
    /// <param name="centers">(replica, V, d).</param>
    /// <exception cref="ArgumentException">The shapes do not fit, or a number is not finite.</exception>
    public static Tensor Nearest(Tensor items, Tensor centers)
    {
        Quantizer.Required(items);
        Fitting(items, centers);
        return Closest(items, centers);
    }

    /// <summary>The nearest, of items and centers that are in order.</summary>
    internal static Tensor Closest(Tensor items, Tensor centers)
    {
        using var scope = NewDisposeScope();
        // ‖x − c‖² up to ‖x‖², which all centers share; from the items' mean, as digits are lost far from it.
        var mean = items.mean([1], keepdim: true);
        var from = centers - mean;
        var apart = from.square().sum(-1).unsqueeze(1) - (2 * (items - mean).bmm(from.transpose(1, 2)));
        return apart.argmin(-1).MoveToOuterDisposeScope();
    }

    private static void Fitting(Tensor items, Tensor centers)
    {
        if (centers.dim() != 3 || centers.shape[0] != items.shape[0] || centers.shape[1] < 1 || centers.shape[2] != items.shape[2]
            || centers.dtype != ScalarType.Float64)
            throw new ArgumentException($"{nameof(centers)} have the shape [{string.Join(", ", centers.shape)}] of {centers.dtype}, the "
                + $"items [{string.Join(", ", items.shape)}]; wanted are as many replicas and numbers, of Float64", nameof(centers));
        if (!centers.isfinite().all().item<bool>())
            throw new ArgumentException($"{nameof(centers)}: {(~centers.isfinite()).sum().item<long>()} numbers are not finite",
                nameof(centers));
    }
}
