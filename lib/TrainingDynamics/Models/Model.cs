using TorchSharp;
using TrainingDynamics.Data;
using static TorchSharp.torch;

namespace TrainingDynamics.Models;

/// <summary>A loss of a batch of runs as a function of their weights: (replica, parameter) to (replica).</summary>
/// <param name="weights">The flat buffer of every replica.</param>
public delegate Tensor LossFunction(Tensor weights);

/// <summary>
/// A batch of networks of one shape: weights (replica, parameter) in one flat buffer, and a function of any such buffer.
/// One replica is just one run.
/// </summary>
/// <param name="layout">The parameters' names and shapes.</param>
/// <param name="weights">Their first values; the model owns them.</param>
public abstract class Model(Layout layout, Tensor weights) : IDisposable
{
    /// <summary>The parameters' names, shapes and places.</summary>
    public Layout Layout { get; } = layout;

    /// <summary>The weights, (replica, parameter). Optimizers change them in place.</summary>
    public Tensor Weights { get; } = weights.DetachFromDisposeScope();

    /// <summary>How many replicas there are.</summary>
    public int Replicas => (int)Weights.shape[0];

    /// <summary>The networks' outputs at <paramref name="weights"/>: (replica, batch, class) scores for a classifier.</summary>
    /// <param name="weights">(replica, parameter); need not be the model's own.</param>
    /// <param name="inputs">(replica or 1, batch, input).</param>
    public abstract Tensor Forward(Tensor weights, Tensor inputs);

    /// <summary>Mean cross-entropy over the batch in nats, (replica): −(1/B) Σ_b log softmax(f(x_b))[y_b].</summary>
    public Tensor Loss(Tensor weights, Batch batch)
    {
        using var scope = NewDisposeScope();
        var scores = Forward(weights, batch.Inputs);                                   // (replica, batch, class)
        // (replica, batch, 1); a sequence counts position by position
        var labels = batch.Labels.flatten(1).expand(scores.shape[0], -1).unsqueeze(-1);
        return nn.functional.log_softmax(scores, -1).gather(-1, labels).mean([1, 2]).neg().MoveToOuterDisposeScope();
    }

    /// <summary>The loss on one batch as a function of the weights.</summary>
    public LossFunction LossOn(Batch batch) => weights => Loss(weights, batch);

    /// <summary>Loss (replica) and gradient (replica, parameter) at the model's weights.</summary>
    public (Tensor Loss, Tensor Gradient) LossAndGradient(Batch batch) => Derivatives.LossAndGradient(LossOn(batch), Weights);

    /// <summary>Nothing, if the weights are such a buffer: (replica, parameter) of this model's type. Torch ends the process where a
    /// product has two types.</summary>
    /// <exception cref="ArgumentException">They are not.</exception>
    protected void RequireWeights(Tensor weights, ScalarType dtype)
    {
        if (weights.dim() != 2 || weights.shape[0] < 1 || weights.shape[1] != Layout.Size || weights.dtype != dtype)
            throw new ArgumentException($"{nameof(weights)} have the shape [{string.Join(", ", weights.shape)}] of {weights.dtype}, wanted "
                + $"is (replica, {Layout.Size}) of {dtype}", nameof(weights));
    }

    /// <summary>Nothing, if the inputs are (replica or 1, batch, <paramref name="width"/>) of the weights' type.</summary>
    /// <exception cref="ArgumentException">They are not, or the weights are not (replica, parameter).</exception>
    protected void RequireInputs(Tensor weights, Tensor inputs, long width)
    {
        RequireWeights(weights, weights.dtype);
        if (inputs.dim() != 3 || inputs.shape[2] != width || (inputs.shape[0] != 1 && inputs.shape[0] != weights.shape[0])
            || inputs.dtype != weights.dtype)
            throw new ArgumentException($"{nameof(inputs)} have the shape [{string.Join(", ", inputs.shape)}] of {inputs.dtype}, wanted "
                + $"is ({weights.shape[0]} or 1, batch, {width}) of {weights.dtype}", nameof(inputs));
    }

    /// <summary>The tokens as Int64, if they are whole numbers of a vocabulary.</summary>
    /// <exception cref="ArgumentException">They are not, or there is none.</exception>
    protected static Tensor RequireTokens(Tensor inputs, int vocabulary, string name = "inputs")
    {
        if (inputs.dtype is not (ScalarType.Int64 or ScalarType.Int32) || inputs.numel() == 0)
            throw new ArgumentException($"{name} have the shape [{string.Join(", ", inputs.shape)}] of {inputs.dtype}, wanted "
                + "are whole numbers, Int64 or Int32, one at least", name);
        var tokens = inputs.to(ScalarType.Int64);
        return ((tokens < 0) | (tokens >= vocabulary)).any().item<bool>()
            ? throw new ArgumentException($"{name} are tokens from {tokens.min().item<long>()} to {tokens.max().item<long>()}, "
                + $"allowed are 0 to {vocabulary - 1}", name)
            : tokens;
    }

    /// <inheritdoc/>
    public virtual void Dispose()
    {
        Weights.Dispose();
        GC.SuppressFinalize(this);
    }
}
