using TorchSharp;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;

namespace TrainingDynamics.Data;

/// <summary>
/// Items and reactions with a known law: every item belongs to a cluster (its number modulo the clusters), a user likes or dislikes each
/// cluster with even odds, is shown items at random, and reacts with 1 with probability p to what is liked, 1 − p to what is not. With k
/// ones and m zeros so far in the cluster, the odds that it is liked are (p/(1 − p))^{k − m}: what can be known of the next reaction is
/// one count, of the reactions to the items of one cluster.
/// </summary>
public sealed class PlantedSequences
{
    private readonly int _clusters, _items, _length;
    private readonly double _certainty;

    /// <summary>A world; all replicas share it.</summary>
    /// <param name="clusters">At least 1.</param>
    /// <param name="items">At least as many as clusters.</param>
    /// <param name="length">Impressions of a user, at least 1.</param>
    /// <param name="certainty">p in (½, 1).</param>
    /// <exception cref="ArgumentException">A number is out of its range.</exception>
    public PlantedSequences(int clusters, int items, int length, double certainty = 0.9)
    {
        if (clusters < 1 || items < clusters || length < 1 || !(certainty is > 0.5 and < 1))
            throw new ArgumentException("planted sequences need a cluster, an item for each, an impression and a certainty in (0.5, 1): "
                + $"{clusters}, {items}, {length} and {certainty}", nameof(clusters));
        (_clusters, _items, _length, _certainty) = (clusters, items, length, certainty);
    }

    /// <summary>Items and reactions (0 or 1) of fresh users, each (replica, user, impression), Int64.</summary>
    /// <param name="users">At least 1.</param>
    /// <param name="random">The replicas' seeds.</param>
    public (Tensor Items, Tensor Reactions) Draw(int users, ReplicaRandom random)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(users, 1);
        using var scope = NewDisposeScope();
        var items = random.Integers(_items, users, _length);
        var likes = random.Integers(2, users, _clusters).gather(2, items.remainder(_clusters));
        var sure = (random.Uniform([users, _length], ScalarType.Float64) < _certainty).to(ScalarType.Int64);
        return (items.MoveToOuterDisposeScope(), likes.eq(sure).to(ScalarType.Int64).MoveToOuterDisposeScope());
    }

    /// <summary>The probability that the reaction at each impression is 1, given all before it and the item itself, (replica, user,
    /// impression).</summary>
    /// <param name="items">(replica, user, impression).</param>
    /// <param name="reactions">0 or 1, of the same shape.</param>
    /// <exception cref="ArgumentException">The shapes differ, an item is unknown, or a reaction is neither 0 nor 1.</exception>
    public Tensor Bayes(Tensor items, Tensor reactions)
    {
        if (items.dim() != 3 || !items.shape.SequenceEqual(reactions.shape) || items.numel() == 0
            || items.dtype != ScalarType.Int64 || reactions.dtype != ScalarType.Int64
            || ((items < 0) | (items >= _items)).any().item<bool>() || !((reactions == 0) | (reactions == 1)).all().item<bool>())
            throw new ArgumentException($"{nameof(items)} have the shape [{string.Join(", ", items.shape)}], the reactions "
                + $"[{string.Join(", ", reactions.shape)}]; wanted is one shape, (replica, user, impression) of Int64, items from 0 to "
                + $"{_items - 1} and reactions of 0 and 1", nameof(items));
        using var scope = NewDisposeScope();
        var own = nn.functional.one_hot(items.remainder(_clusters), _clusters).to(ScalarType.Float64);        // (…, impression, cluster)
        var signed = own * ((2 * reactions) - 1).unsqueeze(-1);
        // k − m of the item's cluster, before the impression.
        var before = ((signed.cumsum(2) - signed) * own).sum(-1);
        var liked = (before * Math.Log(_certainty / (1 - _certainty))).sigmoid();
        return ((liked * _certainty) + ((1 - liked) * (1 - _certainty))).MoveToOuterDisposeScope();
    }
}
