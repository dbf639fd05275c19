using TorchSharp;
using TrainingDynamics.Models;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;

namespace TrainingDynamics.Tasks;

/// <summary>
/// The least that scale invariance says: a weight in R^d whose gradient is isotropic noise at right angles to it, divided by
/// its norm: g = σ·(ξ − ⟨ξ, ŵ⟩ŵ)/‖w‖ with ξ normal. There is nothing to learn; G = E‖g̃‖² = σ²(d − 1).
/// </summary>
public sealed class RandomWalk : ITask, IDisposable
{
    private readonly ReplicaRandom _random;
    private readonly Tensor _scale;
    private readonly long _dimension;

    /// <summary>One walk for each of <paramref name="random"/>'s replicas, from a random direction.</summary>
    /// <param name="dimension">d.</param>
    /// <param name="random">The replicas' seeds.</param>
    /// <param name="norm">‖w_0‖ &gt; 0.</param>
    /// <param name="gradientScale">σ ≥ 0.</param>
    /// <param name="dtype">float32 or float64.</param>
    public RandomWalk(long dimension, ReplicaRandom random, PerReplica? norm = null,
        PerReplica? gradientScale = null, ScalarType dtype = ScalarType.Float32)
    {
        if (dimension < 2)
            throw new ArgumentException($"{nameof(dimension)} is {dimension}, at least 2 are needed for a tangent", nameof(dimension));
        var norms = (norm ?? 1).Expand(random.Replicas, nameof(norm), from: double.Epsilon);
        GradientSquared = [.. (gradientScale ?? 1).Expand(random.Replicas, nameof(gradientScale)).Select(s => s * s * (dimension - 1))];
        (_random, _dimension) = (random, dimension);
        _scale = PerReplica.Column((gradientScale ?? 1).Expand(random.Replicas, nameof(gradientScale)), dtype);
        Layout = new Layout(new Block("w", [dimension], Invariance.Whole));
        using var scope = NewDisposeScope();
        var start = random.Normal([dimension], dtype);
        Weights = (start / start.norm(1, keepdim: true) * PerReplica.Column(norms, dtype)).DetachFromDisposeScope();
    }

    /// <summary>G = E‖g̃‖² of each replica.</summary>
    public IReadOnlyList<double> GradientSquared { get; }

    /// <inheritdoc/>
    public Layout Layout { get; }

    /// <inheritdoc/>
    public Tensor Weights { get; }

    /// <inheritdoc/>
    public (Tensor Loss, Tensor Gradient) Next()
    {
        using var scope = NewDisposeScope();
        var noise = _random.Normal([_dimension], Weights.dtype);
        var square = Weights.square().sum(1, keepdim: true);
        var tangent = noise - ((noise * Weights).sum(1, keepdim: true) / square * Weights);
        return (zeros(_random.Replicas, dtype: Weights.dtype).MoveToOuterDisposeScope(),
            (tangent * (_scale / square.sqrt())).MoveToOuterDisposeScope());
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _scale.Dispose();
        Weights.Dispose();
    }
}
