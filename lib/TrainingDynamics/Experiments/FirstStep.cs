using TrainingDynamics.Measurement;
using TrainingDynamics.Models;
using TrainingDynamics.Optimizers;
using TrainingDynamics.Tasks;
using static TorchSharp.torch;

namespace TrainingDynamics.Experiments;

/// <summary>The first step of a method and its optimizer, taken back: what can be known of a run before it is made.</summary>
public static class FirstStep
{
    /// <summary>δ = w₁ − w₀ of one step from where the weights are, (replica, parameter). The weights are put back; the optimizer and the
    /// task have gone a step.</summary>
    /// <param name="task">Gives the gradient.</param>
    /// <param name="optimizer">A fresh one: momentum and second moments begin here. With a large rate, such as 1, δ loses least to
    /// rounding, and its length does not matter.</param>
    /// <exception cref="ArgumentException">The optimizer changes other weights than the task's.</exception>
    public static Tensor Of(ITask task, Optimizer optimizer)
    {
        if (!ReferenceEquals(optimizer.Weights, task.Weights))
            throw new ArgumentException("the optimizer changes other weights than the task's", nameof(optimizer));
        using var scope = NewDisposeScope();
        using var quiet = no_grad();
        var before = task.Weights.clone();
        Tensor gradient;
        using (enable_grad())
            gradient = task.Next().Gradient;
        optimizer.Step(gradient);
        var step = task.Weights - before;
        task.Weights.copy_(before);
        return step.MoveToOuterDisposeScope();
    }

    /// <summary>The quotients of the first steps on several batches, each from the base with a fresh optimizer: their spread is the
    /// batches'.</summary>
    /// <param name="model">The base.</param>
    /// <param name="task">A task on its weights, which draws a batch a step.</param>
    /// <param name="optimizer">Makes a fresh optimizer of the model's weights.</param>
    /// <param name="oldInputs">Inputs of the old task.</param>
    /// <param name="newInputs">Inputs of the new task.</param>
    /// <param name="batches">How many.</param>
    /// <exception cref="ArgumentException"><paramref name="batches"/> is less than 1.</exception>
    public static IReadOnlyList<DirectionalQuotient> Foretell(Model model, ITask task, Func<Optimizer> optimizer,
        Tensor oldInputs, Tensor newInputs, int batches = 8)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(batches, 1);
        return [.. Enumerable.Range(0, batches).Select(_ =>
        {
            using var scope = NewDisposeScope();
            using var fresh = optimizer();
            return DirectionalQuotient.Of(model, Of(task, fresh), oldInputs, newInputs);
        })];
    }
}
