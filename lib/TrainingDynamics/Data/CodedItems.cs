using TorchSharp;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;
using static TrainingDynamics.Runtime.Replicas;

namespace TrainingDynamics.Data;

/// <summary>Embeddings of items that are to be written as codes: without structure but their spectrum, or in a tree.</summary>
public sealed class CodedItems : IDisposable
{
    private readonly Tensor _kinds, _sorts;
    private readonly double _noise;

    private CodedItems(Tensor kinds, Tensor sorts, double noise) =>
        (_kinds, _sorts, _noise) = (kinds.DetachFromDisposeScope(), sorts.DetachFromDisposeScope(), noise);

    /// <summary>Items (replica, item, d), normal with the given variances, each direction independent.</summary>
    /// <param name="variances">λ, one for each of the d directions, none negative.</param>
    /// <param name="count">Items, at least 1.</param>
    /// <param name="random">Draws them.</param>
    /// <exception cref="ArgumentException">A number is out of its range.</exception>
    public static Tensor Gaussian(IReadOnlyList<double> variances, int count, ReplicaRandom random)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 1);
        if (variances.Count == 0 || variances.FirstOrDefault(v => !(v >= 0 && double.IsFinite(v))) is var bad && bad != 0)
            throw new ArgumentException(
                $"{nameof(variances)} are {variances.Count}, one {variances.FirstOrDefault(v => !(v >= 0))}; allowed "
                + "are finite numbers of at least 0, one at least", nameof(variances));
        using var scope = NewDisposeScope();
        return (random.Normal([count, variances.Count], ScalarType.Float64) * Aligned.Tensor(variances.ToArray()).sqrt())
            .MoveToOuterDisposeScope();
    }

    /// <summary>Kinds of items, each of as many sorts: an item is its kind's center (deviation 1) plus its sort's plus its own
    /// part.</summary>
    /// <param name="kinds">At least 1.</param>
    /// <param name="sortsOfAKind">At least 1.</param>
    /// <param name="width">d, at least 1.</param>
    /// <param name="random">Draws the centers.</param>
    /// <param name="sortDeviation">Of a sort from its kind, in each direction.</param>
    /// <param name="noise">Deviation of an item from its sort.</param>
    /// <exception cref="ArgumentException">A number is out of its range.</exception>
    public static CodedItems Tree(int kinds, int sortsOfAKind, int width, ReplicaRandom random, double sortDeviation = 0.5,
        double noise = 0.15)
    {
        Require.AtLeastOne((nameof(kinds), kinds), (nameof(sortsOfAKind), sortsOfAKind), (nameof(width), width));
        Require.NotNegative(sortDeviation, nameof(sortDeviation));
        Require.NotNegative(noise, nameof(noise));
        using var scope = NewDisposeScope();
        return new CodedItems(random.Normal([kinds, width], ScalarType.Float64),
            sortDeviation * random.Normal([(long)kinds * sortsOfAKind, width], ScalarType.Float64), noise);
    }

    /// <summary>Items of the tree, (replica, item, d), each sort as likely.</summary>
    /// <param name="count">At least 1.</param>
    /// <param name="random">As many replicas as the tree.</param>
    /// <exception cref="ArgumentException">A number is out of its range.</exception>
    public Tensor Draw(int count, ReplicaRandom random)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 1);
        if (random.Replicas != _kinds.shape[0])
            throw new ArgumentException($"{nameof(random)} has {random.Replicas} replicas, the tree {_kinds.shape[0]}", nameof(random));
        using var scope = NewDisposeScope();
        var sort = random.Integers(_sorts.shape[1], count);
        var kind = sort.div(_sorts.shape[1] / _kinds.shape[1], RoundingMode.floor).to(ScalarType.Int64);
        return (Rows(_kinds, kind) + Rows(_sorts, sort) + (_noise * random.Normal([count, _kinds.shape[2]], ScalarType.Float64)))
            .MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _kinds.Dispose();
        _sorts.Dispose();
    }
}
