using TorchSharp;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;

namespace TrainingDynamics.Codes;

/// <summary>
/// Writes a vector as T codes of V values each, T·log₂V bits, and reads it back: what makes a semantic ID of an item's embedding. A batch
/// of runs: each replica has its own.
/// </summary>
/// <param name="replicas">Runs.</param>
/// <param name="length">T: codes of an item.</param>
/// <param name="values">V: values of a code.</param>
/// <param name="width">d: numbers of a vector.</param>
public abstract class Quantizer(long replicas, int length, int values, long width) : IDisposable
{
    /// <summary>Runs: each has centers of its own.</summary>
    public long Replicas { get; } = replicas;

    /// <summary>T: codes of an item.</summary>
    public int Length { get; } = length;

    /// <summary>V: values of a code.</summary>
    public int Values { get; } = values;

    /// <summary>d: numbers of a vector.</summary>
    public long Width { get; } = width;

    /// <summary>Codes (replica, item, T), whole numbers from 0 to V − 1.</summary>
    /// <param name="items">(replica, item, d), finite.</param>
    /// <exception cref="ArgumentException">They have another shape, or a number is not finite.</exception>
    public Tensor Encode(Tensor items)
    {
        using var scope = NewDisposeScope();
        using var quiet = no_grad();
        if (Required(items).shape[2] != Width || items.shape[0] != Replicas)
            throw new ArgumentException($"{nameof(items)} have {items.shape[0]} replicas of {items.shape[2]} numbers each, the quantizer "
                + $"was made for {Replicas} of {Width}", nameof(items));
        return Write(items).MoveToOuterDisposeScope();
    }

    /// <summary>Vectors (replica, item, d) that codes stand for.</summary>
    /// <param name="codes">(replica, item, T), whole numbers from 0 to V − 1.</param>
    /// <exception cref="ArgumentException">They have another shape, or a code is out of its range.</exception>
    public Tensor Decode(Tensor codes)
    {
        using var scope = NewDisposeScope();
        using var quiet = no_grad();
        if (codes.dim() != 3 || codes.shape[0] != Replicas || codes.shape[2] != Length || codes.dtype != ScalarType.Int64)
            throw new ArgumentException($"{nameof(codes)} have the shape [{string.Join(", ", codes.shape)}] of {codes.dtype}, wanted is "
                + $"({Replicas}, item, {Length}) of Int64", nameof(codes));
        if (codes.numel() > 0 && ((codes < 0) | (codes >= Values)).any().item<bool>())
            throw new ArgumentException($"{nameof(codes)} go from {codes.min().item<long>()} to {codes.max().item<long>()}, allowed are 0 "
                + $"to {Values - 1}", nameof(codes));
        return Read(codes).MoveToOuterDisposeScope();
    }

    /// <summary>Σ‖x − x̂‖²/Σ‖x − x̄‖² over the items: the share of the variance that the codes lose, one for each replica; NaN of items
    /// that are all alike.</summary>
    /// <param name="items">(replica, item, d), finite.</param>
    /// <exception cref="ArgumentException">They have another shape, or a number is not finite.</exception>
    public double[] Distortion(Tensor items)
    {
        using var scope = NewDisposeScope();
        var lost = (items - Decode(Encode(items))).square().sum([1, 2]);
        var all = (items - items.mean([1], keepdim: true)).square().sum([1, 2]);
        return (lost / all).where(all > 0, tensor(double.NaN)).ToDoubles();
    }

    /// <summary>The codes of items that are in order.</summary>
    protected abstract Tensor Write(Tensor items);

    /// <summary>The vectors of codes that are in order.</summary>
    protected abstract Tensor Read(Tensor codes);

    /// <inheritdoc/>
    public abstract void Dispose();

    /// <summary>The items, if they are (replica, item, number), float64 and finite.</summary>
    internal static Tensor Required(Tensor items)
    {
        if (items.dim() != 3 || items.numel() == 0 || items.dtype != ScalarType.Float64)
            throw new ArgumentException($"{nameof(items)} have the shape [{string.Join(", ", items.shape)}] of {items.dtype}, wanted is "
                + "(replica, item, number) of Float64, with one number at least", nameof(items));
        return items.abs().max().item<double>() is var most && most <= 1e100 ? items
            : throw new ArgumentException($"{nameof(items)} have a number of size {most}, allowed are finite ones up to 1e100",
                nameof(items));
    }

    /// <summary>The items, if from them and so many numbers a quantizer can be made.</summary>
    internal static Tensor Fittable(Tensor items, int length, int values, ReplicaRandom? random)
    {
        Required(items);
        Require.AtLeastOne((nameof(length), length));
        if (values < 2 || values > items.shape[1])
            throw new ArgumentException($"{nameof(values)} is {values}, allowed are 2 to {items.shape[1]}, the items", nameof(values));
        if (random is not null && random.Replicas != items.shape[0])
            throw new ArgumentException($"{nameof(random)} has {random.Replicas} replicas, the items {items.shape[0]}", nameof(random));
        return items;
    }
}
