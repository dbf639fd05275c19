using TorchSharp;
using TrainingDynamics.Data;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;

namespace TrainingDynamics.Models;

/// <summary>Something with weights that gives a gradient a step: a model with its data, or a random walk.</summary>
public interface ITask
{
    /// <summary>The blocks.</summary>
    Layout Layout { get; }

    /// <summary>(replica, parameter), changed in place by an optimizer.</summary>
    Tensor Weights { get; }

    /// <summary>The next step's loss (replica) and gradient (replica, parameter).</summary>
    (Tensor Loss, Tensor Gradient) Next();
}

/// <summary>A model and the batches it learns from.</summary>
public sealed record Learning(Model Model, IBatches Batches) : ITask
{
    /// <inheritdoc/>
    public Layout Layout => Model.Layout;

    /// <inheritdoc/>
    public Tensor Weights => Model.Weights;

    /// <inheritdoc/>
    public (Tensor Loss, Tensor Gradient) Next()
    {
        using var batch = Batches.Next();
        return Model.LossAndGradient(batch);
    }
}

/// <summary>A loss that is a plain function of the weights: no data, no draws.</summary>
/// <param name="Layout">The blocks.</param>
/// <param name="Weights">(replica, parameter).</param>
/// <param name="Loss">The loss of each replica.</param>
public sealed record Minimizing(Layout Layout, Tensor Weights, LossFunction Loss) : ITask
{
    /// <inheritdoc/>
    public (Tensor Loss, Tensor Gradient) Next() => Measurement.Derivatives.LossAndGradient(Loss, Weights);
}

/// <summary>A task whose loss is multiplied by a number: gradients are that much longer, and nothing else changes.</summary>
public sealed record Louder(ITask Task, double Factor) : ITask
{
    /// <inheritdoc/>
    public Layout Layout => Task.Layout;

    /// <inheritdoc/>
    public Tensor Weights => Task.Weights;

    /// <summary>The task's own loss, and <see cref="Factor"/> times its gradient.</summary>
    public (Tensor Loss, Tensor Gradient) Next()
    {
        var (loss, gradient) = Task.Next();
        return (loss, gradient.mul_(Factor));
    }
}

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
    public RandomWalk(long dimension, ReplicaRandom random, PerReplica? norm = null, PerReplica? gradientScale = null, ScalarType dtype = ScalarType.Float32)
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
        return (zeros(_random.Replicas, dtype: Weights.dtype).MoveToOuterDisposeScope(), (tangent * (_scale / square.sqrt())).MoveToOuterDisposeScope());
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _scale.Dispose();
        Weights.Dispose();
    }
}
