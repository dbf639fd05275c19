using TorchSharp;
using static TorchSharp.torch;

namespace TrainingDynamics.Runtime;

/// <summary>
/// Random numbers for a batch of runs: each replica draws from a generator of its own seed, so a replica gets the same
/// numbers alone as among others, and two replicas of one seed get the same numbers as each other.
/// </summary>
/// <remarks>A sweep pairs its settings by repeating the seeds: seeds 1, 2, 3 under two rates are the six replicas 1, 2, 3, 1, 2,
/// 3.</remarks>
public sealed class ReplicaRandom : IDisposable
{
    private readonly Generator[] _generators;
    private readonly Tensor? _which;
    private bool _disposed;

    /// <summary>One generator for each distinct seed.</summary>
    /// <param name="seeds">The seed of each replica.</param>
    /// <exception cref="ArgumentException"><paramref name="seeds"/> is empty.</exception>
    public ReplicaRandom(params IReadOnlyList<int> seeds)
    {
        if (seeds.Count == 0)
            throw new ArgumentException("at least one replica's seed is needed, got none", nameof(seeds));
        Seeds = seeds;
        var distinct = seeds.Distinct().ToList();
        _generators = [.. distinct.Select(seed => new Generator((ulong)seed))];
        if (distinct.Count < seeds.Count)
            _which = Aligned.Tensor(seeds.Select(seed => (long)distinct.IndexOf(seed)).ToArray()).DetachFromDisposeScope();
    }

    /// <summary>The seed of each replica.</summary>
    public IReadOnlyList<int> Seeds { get; }

    /// <summary>How many replicas there are.</summary>
    public int Replicas => Seeds.Count;

    /// <summary>Standard normal numbers, (replica, <paramref name="shape"/>).</summary>
    public Tensor Normal(ReadOnlySpan<long> shape, ScalarType dtype)
    {
        var size = shape.ToArray();
        return Stack(generator => randn(size, dtype: dtype, generator: generator));
    }

    /// <summary>Uniform numbers in [0, 1), (replica, <paramref name="shape"/>).</summary>
    public Tensor Uniform(ReadOnlySpan<long> shape, ScalarType dtype)
    {
        var size = shape.ToArray();
        return Stack(generator => rand(size, dtype: dtype, generator: generator));
    }

    /// <summary>Whole numbers from 0 to below <paramref name="below"/>, each as likely, (replica, <paramref name="shape"/>).</summary>
    public Tensor Integers(long below, params ReadOnlySpan<long> shape)
    {
        var size = shape.ToArray();
        return Stack(generator => randint(0, below, size, dtype: ScalarType.Int64, generator: generator));
    }

    private Tensor Stack(Func<Generator, Tensor> draw)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        using var scope = NewDisposeScope();
        var drawn = stack(_generators.Select(draw).ToArray());
        return (_which is null ? drawn : drawn.index_select(0, _which)).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _disposed = true;
        foreach (var generator in _generators)
            generator.Dispose();
        _which?.Dispose();
    }
}
