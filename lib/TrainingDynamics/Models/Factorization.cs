using TorchSharp;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;

namespace TrainingDynamics.Models;

/// <summary>
/// Scores of items in contexts by factors: s(x, a) = ⟨U_x, V_a⟩ + b_a + c_x. As a policy, π = softmax over the items (c then has no
/// effect);
/// as a click model, the click rate is σ(s). Float64.
/// </summary>
public sealed class Factorization : TableModel
{
    private readonly int _items;

    /// <summary>One for each of <paramref name="random"/>'s replicas; factors start normal with deviation <paramref name="scale"/>, biases
    /// at 0.</summary>
    /// <param name="contexts">Contexts.</param>
    /// <param name="items">Items.</param>
    /// <param name="rank">Numbers in a factor.</param>
    /// <param name="random">The replicas' seeds.</param>
    /// <param name="scale">≥ 0; small: the policy starts nearly uniform.</param>
    public Factorization(int contexts, int items, int rank, ReplicaRandom random, double scale = 0.1)
        : base(new Layout(new Block("U", [contexts, rank]), new Block("V", [items, rank]),
            new Block("b", [items]), new Block("c", [contexts])), Start(contexts, items, rank, random, scale), contexts)
        => _items = items;

    private static Tensor Start(int contexts, int items, int rank, ReplicaRandom random, double scale)
    {
        if (contexts < 1 || items < 1 || rank < 1 || !(scale >= 0 && double.IsFinite(scale)))
            throw new ArgumentException("a factorization needs at least 1 context, item and rank, and a scale of at least 0; got "
                + $"{contexts}, {items}, {rank} and {scale}", nameof(rank));
        using var scope = NewDisposeScope();
        return cat([random.Normal([((long)contexts + items) * rank], ScalarType.Float64) * scale,
            zeros(random.Replicas, (long)items + contexts, dtype: ScalarType.Float64)], 1).MoveToOuterDisposeScope();
    }

    /// <summary>s, (replica, context, item).</summary>
    public override Tensor Scores(Tensor weights)
    {
        var parts = Layout.Split(weights);
        return parts[0].bmm(parts[1].transpose(1, 2)) + parts[2].reshape(-1, 1, _items) + parts[3].reshape(-1, Contexts, 1);
    }

    /// <summary>The click rate σ(s) at the model's weights, (replica, context, item).</summary>
    public Tensor ClickRate()
    {
        using var scope = NewDisposeScope();
        using var quiet = no_grad();
        return Scores(Weights).sigmoid().MoveToOuterDisposeScope();
    }
}

/// <summary>A network that scores the items from a context's features, as a table over all contexts: what is learned for one is felt by the
/// others.</summary>
public sealed class FeaturePolicy : TableModel
{
    private readonly Model _network;
    private readonly Tensor _features;

    /// <summary>The network on these contexts; it keeps its weights, and is disposed with this.</summary>
    /// <param name="network">From features to one score an item.</param>
    /// <param name="features">(replica or 1, context, feature).</param>
    public FeaturePolicy(Model network, Tensor features) : base(network.Layout, network.Weights, (int)features.shape[1])
        => (_network, _features) = (network, features.alias().DetachFromDisposeScope());

    /// <summary>(replica, context, item).</summary>
    public override Tensor Scores(Tensor weights) => _network.Forward(weights, _features);

    /// <inheritdoc/>
    public override void Dispose()
    {
        _features.Dispose();
        _network.Dispose();
        base.Dispose();
    }
}
