using TrainingDynamics.Models;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;

namespace TrainingDynamics.Tasks;

/// <summary>A task whose loss is multiplied by a number: gradients are that much longer, and nothing else changes.</summary>
/// <param name="task">The task.</param>
/// <param name="factor">The number, for all replicas or one for each; ≥ 0.</param>
/// <param name="schedule">What it is multiplied by at this task's step t = 1, 2, …; 1 by default.</param>
public sealed class Louder(ITask task, PerReplica factor, Func<int, double>? schedule = null) : ITask
{
    private readonly double[] _factor = factor.Expand((int)task.Weights.shape[0], nameof(factor));
    private int _steps;

    /// <inheritdoc/>
    public Layout Layout => task.Layout;

    /// <inheritdoc/>
    public Tensor Weights => task.Weights;

    /// <summary>The task's own loss, and the number times its gradient.</summary>
    public (Tensor Loss, Tensor Gradient) Next()
    {
        var (loss, gradient) = task.Next();
        var now = schedule?.Invoke(++_steps) ?? 1;
        if (!(now >= 0 && double.IsFinite(now)))
            throw new ArgumentException($"{nameof(schedule)} is {now} at step {_steps}, allowed is a number in [0, ∞)", nameof(schedule));
        using var factors = PerReplica.Column([.. _factor.Select(f => f * now)], gradient.dtype);
        return (loss, gradient * factors);
    }
}
