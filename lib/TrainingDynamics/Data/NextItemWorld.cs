using TorchSharp;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;
using static TrainingDynamics.Runtime.Replicas;

namespace TrainingDynamics.Data;

/// <summary>
/// Users of a few hidden types who take one item after the other: p(next|last, type) = (1 − s)·M[last, next] + s·taste[type, next], the
/// first by taste. What is best possible is known: the type's posterior is a Bayes filter, exact at every step.
/// </summary>
public sealed class NextItemWorld : IDisposable
{
    private readonly double _share;

    private NextItemWorld(Tensor after, Tensor taste, double share)
    {
        (After, Taste, _share) = (after.DetachFromDisposeScope(), taste.DetachFromDisposeScope(), share);
    }

    /// <summary>M, (replica, last, next): what follows an item, whoever it is.</summary>
    public Tensor After { get; }

    /// <summary>What each type likes, (replica, type, item).</summary>
    public Tensor Taste { get; }

    /// <summary>Items.</summary>
    public int Items => (int)After.shape[1];

    /// <summary>Hidden types.</summary>
    public int Types => (int)Taste.shape[1];

    /// <summary>A world with M and tastes softmaxes of normal numbers.</summary>
    /// <param name="items">I, at least 2.</param>
    /// <param name="types">Hidden types, at least 1.</param>
    /// <param name="random">Draws them.</param>
    /// <param name="share">s, from 0 (the last item says all) to 1 (it says nothing but of the type).</param>
    /// <param name="scale">The deviation of the softmaxes' logits.</param>
    /// <exception cref="ArgumentException">A number is out of its range.</exception>
    public static NextItemWorld Planted(int items, int types, ReplicaRandom random, double share = 0.5, double scale = 2)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(items, 2);
        ArgumentOutOfRangeException.ThrowIfLessThan(types, 1);
        if (!(share is >= 0 and <= 1))
            throw new ArgumentException($"{nameof(share)} is {share}, allowed is a number in [0, 1]", nameof(share));
        if (!(scale is >= 0 and <= 1e6))
            throw new ArgumentException($"{nameof(scale)} is {scale}, allowed is a number in [0, 1e6]", nameof(scale));
        using var scope = NewDisposeScope();
        return new NextItemWorld((scale * random.Normal([items, items], ScalarType.Float64)).softmax(-1),
            (scale * random.Normal([types, items], ScalarType.Float64)).softmax(-1), share);
    }

    /// <summary>Sequences of items, (replica, user, position), whole numbers; each user's type is drawn evenly.</summary>
    /// <param name="users">At least 1.</param>
    /// <param name="length">At least 1.</param>
    /// <param name="random">As many replicas as the world.</param>
    /// <exception cref="ArgumentException">A number is out of its range.</exception>
    public Tensor Draw(int users, int length, ReplicaRandom random)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(users, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(length, 1);
        if (random.Replicas != After.shape[0])
            throw new ArgumentException($"{nameof(random)} has {random.Replicas} replicas, the world {After.shape[0]}", nameof(random));
        using var scope = NewDisposeScope();
        var taste = Rows(Taste, random.Integers(Types, users));                                                // (replica, user, item)
        var u = random.Uniform([length, users, 1], ScalarType.Float64);
        var items = new List<Tensor>();
        for (var t = 0; t < length; t++)
        {
            var law = t == 0 ? taste : ((1 - _share) * Rows(After, items[t - 1])) + (_share * taste);
            items.Add((law.cumsum(-1) < u.select(1, t)).sum(-1).clamp_max(Items - 1));
        }
        return stack([.. items], -1).MoveToOuterDisposeScope();
    }

    /// <summary>
    /// p(next|history) after every position, (replica, user, position, item), with the hidden type summed over its posterior: the best that
    /// any model can know.
    /// </summary>
    /// <param name="sequences">(replica, user, position), whole numbers from 0 to I − 1.</param>
    /// <exception cref="ArgumentException">They have another shape, or an item is out of its range.</exception>
    public Tensor Filter(Tensor sequences)
    {
        using var scope = NewDisposeScope();
        if (sequences.dim() != 3 || sequences.shape[0] != After.shape[0] || sequences.numel() == 0
            || sequences.dtype != ScalarType.Int64)
            throw new ArgumentException($"{nameof(sequences)} have the shape [{string.Join(", ", sequences.shape)}] of {sequences.dtype}, "
                + $"wanted is ({After.shape[0]}, user, position) of Int64, one at least", nameof(sequences));
        if (((sequences < 0) | (sequences >= Items)).any().item<bool>())
            throw new ArgumentException($"{nameof(sequences)} have items from {sequences.min().item<long>()} to "
                + $"{sequences.max().item<long>()}, allowed are 0 to {Items - 1}", nameof(sequences));
        var (byType, next) = (Taste.transpose(1, 2), new List<Tensor>());                                      // (replica, item, type)
        Tensor? log = null;
        for (var t = 0; t < sequences.shape[2]; t++)
        {
            using var inner = NewDisposeScope();
            var item = sequences.select(2, t);
            var liked = Rows(byType, item);                                                                    // (replica, user, type)
            // ln p(history|type), the item's part of it.
            var part = t == 0 ? liked.log() : (((1 - _share) * Rows(After, sequences.select(2, t - 1)).gather(2, item.unsqueeze(-1)))
                + (_share * liked)).log();
            log = (log is null ? part : log + part).MoveToOuterDisposeScope();
            if (log.amax([-1]).isinf().any().item<bool>())
                throw new ArgumentException($"{nameof(sequences)} have a history of {t + 1} items that no type can have",
                    nameof(sequences));
            next.Add((((1 - _share) * Rows(After, item)) + (_share * log.softmax(-1).bmm(Taste))).MoveToOuterDisposeScope());
        }
        return stack([.. next], 2).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        After.Dispose();
        Taste.Dispose();
    }
}
