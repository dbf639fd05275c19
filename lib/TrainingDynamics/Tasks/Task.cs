using TrainingDynamics.Data;
using TrainingDynamics.Models;
using static TorchSharp.torch;

namespace TrainingDynamics.Tasks;

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
    public (Tensor Loss, Tensor Gradient) Next() => Derivatives.LossAndGradient(Loss, Weights);
}

/// <summary>A loss that is drawn anew for every step: a stream of data that never comes twice.</summary>
/// <param name="Layout">The blocks.</param>
/// <param name="Weights">(replica, parameter).</param>
/// <param name="Draw">Draws a step's data, and gives the loss on them.</param>
public sealed record Streaming(Layout Layout, Tensor Weights, Func<LossFunction> Draw) : ITask
{
    /// <inheritdoc/>
    public (Tensor Loss, Tensor Gradient) Next() => Derivatives.LossAndGradient(Draw(), Weights);
}
