using TorchSharp;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;

namespace TrainingDynamics.Data;

/// <summary>Images with labels: (image, pixel) in double precision, one label of 0…<see cref="Classes"/>−1 an image.</summary>
/// <param name="Name">What they are, for titles.</param>
/// <param name="Inputs">Pixels, (image, pixel).</param>
/// <param name="Labels">Labels, (image).</param>
/// <param name="Classes">How many classes there are.</param>
public sealed record Images(string Name, double[,] Inputs, long[] Labels, int Classes)
{
    /// <summary>How many images there are.</summary>
    public int Count => Labels.Length;

    /// <summary>How many pixels an image has.</summary>
    public int Pixels => Inputs.GetLength(1);

    /// <summary>
    /// The same images with every pixel as (x − μ)/σ, μ and σ taken over all pixels of <paramref name="reference"/>
    /// (by default of these images): mean 0 and variance 1 there.
    /// </summary>
    public Images Standardized(Images? reference = null)
    {
        var values = (reference ?? this).Inputs;
        var mean = values.Cast<double>().Average();
        var deviation = Math.Sqrt(values.Cast<double>().Average(v => (v - mean) * (v - mean)));
        var inputs = new double[Count, Pixels];
        for (var i = 0; i < Count; i++)
        {
            for (var j = 0; j < Pixels; j++)
                inputs[i, j] = (Inputs[i, j] - mean) / deviation;
        }
        return this with { Inputs = inputs };
    }

    /// <summary>The images from <paramref name="start"/>, <paramref name="count"/> of them.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There are not that many.</exception>
    public Images Slice(int start, int count)
    {
        if (start < 0 || count < 1 || start + count > Count)
            throw new ArgumentOutOfRangeException(nameof(count),
                count, $"{Name} has {Count} images; {count} from {start} on are not there");
        var inputs = new double[count, Pixels];
        Array.Copy(Inputs, (long)start * Pixels, inputs, 0, (long)count * Pixels);
        return this with { Inputs = inputs, Labels = Labels[start..(start + count)] };
    }

    /// <summary>These images and then others of the same size.</summary>
    /// <exception cref="ArgumentException">The sizes differ.</exception>
    public Images Join(Images other)
    {
        if (other.Pixels != Pixels)
            throw new ArgumentException($"{other.Name} has {other.Pixels} pixels an image, {Name} has {Pixels}", nameof(other));
        var inputs = new double[Count + other.Count, Pixels];
        Array.Copy(Inputs, inputs, Inputs.Length);
        Array.Copy(other.Inputs, 0, inputs, Inputs.Length, other.Inputs.Length);
        return this with { Inputs = inputs, Labels = [.. Labels, .. other.Labels] };
    }
}

/// <summary>The two parts of a data set.</summary>
/// <param name="Train">To fit on.</param>
/// <param name="Test">To measure on.</param>
public sealed record Split(Images Train, Images Test);

/// <summary>Inputs and labels of one step, the same for all replicas (leading size 1) or one set for each.</summary>
/// <param name="Inputs">(replica or 1, batch, input).</param>
/// <param name="Labels">(replica or 1, batch), whole numbers.</param>
public sealed record Batch(Tensor Inputs, Tensor Labels) : IDisposable
{
    /// <summary>All of <paramref name="images"/> as one batch that every replica shares, (1, image, pixel).</summary>
    public static Batch Of(Images images, ScalarType dtype = ScalarType.Float64)
    {
        using var scope = NewDisposeScope();
        return new Batch(
            Aligned.Tensor(images.Inputs, dtype: dtype).unsqueeze(0).MoveToOuterDisposeScope(),
            Aligned.Tensor(images.Labels).unsqueeze(0).MoveToOuterDisposeScope());
    }

    /// <summary>The same batch, no longer disposed of by the scope it was made in.</summary>
    internal Batch Detached()
    {
        Inputs.DetachFromDisposeScope();
        Labels.DetachFromDisposeScope();
        return this;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Inputs.Dispose();
        Labels.Dispose();
    }
}

/// <summary>Something that gives a batch a step.</summary>
public interface IBatches : IDisposable
{
    /// <summary>The next step's batch; the caller disposes of it.</summary>
    Batch Next();
}

/// <summary>The same batch every step: full-batch training.</summary>
public sealed class FullBatch(Images images, ScalarType dtype = ScalarType.Float64) : IBatches
{
    private readonly Batch _all = Batch.Of(images, dtype).Detached();

    /// <inheritdoc/>
    public Batch Next() => new(_all.Inputs.alias(), _all.Labels.alias());

    /// <inheritdoc/>
    public void Dispose() => _all.Dispose();
}

/// <summary>Batches drawn with replacement from images, each replica by its own seed.</summary>
public sealed class Minibatches : IBatches
{
    private readonly Batch _all;
    private readonly Runtime.ReplicaRandom _random;
    private readonly int _size;

    /// <summary>Draws <paramref name="size"/> images a step and replica.</summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="size"/> is less than one.</exception>
    public Minibatches(Images images, int size, Runtime.ReplicaRandom random, ScalarType dtype = ScalarType.Float32)
    {
        if (size < 1)
            throw new ArgumentOutOfRangeException(nameof(size), size, "a batch has at least one image");
        (_all, _random, _size) = (Batch.Of(images, dtype).Detached(), random, size);
    }

    /// <inheritdoc/>
    public Batch Next()
    {
        using var scope = NewDisposeScope();
        var rows = _random.Integers(_all.Labels.shape[1], _size);                        // (replica, batch)
        var flat = rows.reshape(-1);
        return new Batch(
            _all.Inputs[0].index_select(0, flat).reshape(rows.shape[0], _size, -1).MoveToOuterDisposeScope(),
            _all.Labels[0].index_select(0, flat).reshape(rows.shape[0], _size).MoveToOuterDisposeScope());
    }

    /// <inheritdoc/>
    public void Dispose() => _all.Dispose();
}
