using TorchSharp;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;
using static TrainingDynamics.Runtime.Replicas;

namespace TrainingDynamics.Data;

/// <summary>
/// Queries for items, with a known answer: item a stands at a point v_a of the unit sphere and is wanted with probability p(a) ∝
/// (a + 1)^{−s}; a query for it is q = v_a + σ·ξ, ξ standard normal in every axis. So
/// ln p(a|q) = ln p(a) − ‖q − v_a‖²/(2σ²) + const, and no model can rank better than that.
/// </summary>
public sealed class PlantedRetrieval : IDisposable
{
    private readonly double _noise;

    /// <summary>A world for each replica's seed.</summary>
    /// <param name="items">Items, at least 2.</param>
    /// <param name="width">Axes, at least 2.</param>
    /// <param name="random">The replicas' seeds.</param>
    /// <param name="noise">σ ≥ 1e-100, so that σ² is a number.</param>
    /// <param name="exponent">s ≥ 0; 0 is equal popularity.</param>
    /// <exception cref="ArgumentException">A number is out of its range.</exception>
    public PlantedRetrieval(int items, int width, ReplicaRandom random, double noise, double exponent)
    {
        if (items < 2 || width < 2 || !(noise >= 1e-100 && double.IsFinite(noise)) || !(exponent >= 0 && double.IsFinite(exponent)))
            throw new ArgumentException("planted retrieval needs 2 items and axes, noise in [1e-100, ∞) and an exponent in [0, ∞); got "
                + $"{items}, {width}, {noise} and {exponent}", nameof(noise));
        _noise = noise;
        using var scope = NewDisposeScope();
        var points = random.Normal([items, width], ScalarType.Float64);
        Points = (points / points.norm(-1, keepdim: true)).DetachFromDisposeScope();
        LogPopularity = ((arange(items, dtype: ScalarType.Float64) + 1).log() * -exponent).log_softmax(0).DetachFromDisposeScope();
    }

    /// <summary>v, (replica, item, axis), of length 1.</summary>
    public Tensor Points { get; }

    /// <summary>ln p(a), (item), the same in all replicas: item 0 is the most wanted.</summary>
    public Tensor LogPopularity { get; }

    /// <summary>Queries as visitors send them.</summary>
    /// <param name="count">At least 1.</param>
    /// <param name="random">The replicas' seeds.</param>
    /// <param name="balanced">Whether every item is wanted as often as any other, in place of by popularity.</param>
    /// <returns>Items (replica, query) and queries (replica, query, axis).</returns>
    public (Tensor Items, Tensor Queries) Draw(int count, ReplicaRandom random, bool balanced = false)
    {
        if (count < 1 || random.Replicas != Points.shape[0])
            throw new ArgumentException($"{nameof(count)} is {count}, at least 1 is needed, and {nameof(random)} has {random.Replicas} "
                + $"replicas, the world {Points.shape[0]}", nameof(count));
        using var scope = NewDisposeScope();
        var cumulative = (balanced ? zeros_like(LogPopularity).softmax(0) : LogPopularity.exp()).cumsum(0).contiguous();
        var items = searchsorted(cumulative, random.Uniform([count], ScalarType.Float64).contiguous(), right: true)
            .clamp_max(Points.shape[1] - 1);
        var wanted = Rows(Points, items);
        return (items.MoveToOuterDisposeScope(),
            (wanted + (_noise * random.Normal([count, Points.shape[2]], ScalarType.Float64))).MoveToOuterDisposeScope());
    }

    /// <summary>ln p(a|q), (replica, query, item), by Bayes: normalized.</summary>
    /// <param name="queries">(replica, query, axis).</param>
    /// <param name="byPopularity">Whether with p(a); otherwise as for items that are equally wanted.</param>
    /// <exception cref="ArgumentException">The queries have another shape, or a number is not finite.</exception>
    public Tensor LogPosterior(Tensor queries, bool byPopularity = true)
    {
        if (queries.dim() != 3 || queries.shape[0] != Points.shape[0] || queries.shape[2] != Points.shape[2])
            throw new ArgumentException($"{nameof(queries)} have the shape [{string.Join(", ", queries.shape)}], wanted is "
                + $"({Points.shape[0]}, query, {Points.shape[2]})", nameof(queries));
        if (!queries.isfinite().all().item<bool>())
            throw new ArgumentException($"{nameof(queries)}: {(~queries.isfinite()).sum().item<long>()} numbers are not finite",
                nameof(queries));
        using var scope = NewDisposeScope();
        // ‖q − v‖² = ‖q‖² + 1 − 2⟨q, v⟩, and only the last differs between items.
        var scores = queries.to(ScalarType.Float64).bmm(Points.transpose(1, 2)) / (_noise * _noise);
        return (byPopularity ? scores + LogPopularity : scores).log_softmax(-1).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Points.Dispose();
        LogPopularity.Dispose();
    }
}
