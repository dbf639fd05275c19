using System.Diagnostics;
using TorchSharp;
using TrainingDynamics.Data;
using TrainingDynamics.Measurement;
using TrainingDynamics.Models;
using TrainingDynamics.Notebook;
using TrainingDynamics.Optimizers;
using TrainingDynamics.Runtime;
using TrainingDynamics.Tasks;
using static TorchSharp.torch;

namespace TrainingDynamics.Experiments;

/// <summary>One step of training as an observer sees it. The tensors live until the observer returns.</summary>
/// <param name="Step">Its number, from 1, of all the steps that the optimizer has taken.</param>
/// <param name="Loss">The loss before the step, (replica).</param>
/// <param name="Gradient">Its gradient, (replica, parameter).</param>
/// <param name="Before">The weights before the step.</param>
/// <param name="After">The weights after it.</param>
public sealed record Observation(int Step, Tensor Loss, Tensor Gradient, Tensor Before, Tensor After);

/// <summary>The training loop that all experiments share: batch, loss, gradient, step, look.</summary>
public static class Training
{
    /// <summary>
    /// Trains in place and returns, for each replica, the step at which its loss first was not finite, or null. Steps count from the first
    /// that
    /// the optimizer took: a run that is continued with its optimizer goes on in its schedules and its observations.
    /// </summary>
    /// <param name="task">What is trained, and on what.</param>
    /// <param name="optimizer">An optimizer of the task's weights.</param>
    /// <param name="steps">How many steps.</param>
    /// <param name="observe">Called after the steps that <paramref name="when"/> picks.</param>
    /// <param name="when">Which steps are observed; all by default.</param>
    /// <param name="schedule">What the learning rate is multiplied by at a step; 1 by default.</param>
    /// <param name="decaySchedule">What the decoupled decay is multiplied by at a step, beside the learning rate; 1 by default.</param>
    /// <param name="progress">Told about every hundredth step, and the last; a <see cref="ProgressBar"/> by default.</param>
    /// <param name="cancellation">Stops between two steps.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="steps"/> is negative.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static int?[] Run(ITask task, Optimizer optimizer, int steps, Action<Observation>? observe = null, Func<int, bool>? when = null,
        Func<int, double>? schedule = null, Func<int, double>? decaySchedule = null,
            IProgress<Progress>? progress = null, CancellationToken cancellation = default)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(steps);
        if (!ReferenceEquals(optimizer.Weights, task.Weights))
            throw new ArgumentException("the optimizer changes other weights than the task's", nameof(optimizer));
        if (steps > int.MaxValue - 1 - optimizer.Steps)
            throw new ArgumentOutOfRangeException(nameof(steps),
                steps, $"the optimizer has taken {optimizer.Steps}, and steps are counted up to {int.MaxValue - 1}");
        var divergedAt = new int?[task.Weights.shape[0]];
        progress ??= new ProgressBar();
        var clock = Stopwatch.StartNew();
        var done = optimizer.Steps;
        for (var step = done + 1; step <= done + steps; step++)
        {
            cancellation.ThrowIfCancellationRequested();
            using var scope = NewDisposeScope();
            var (loss, gradient) = task.Next();
            var watched = observe is not null && when?.Invoke(step) != false;
            var before = watched ? task.Weights.clone() : task.Weights;
            optimizer.Step(gradient, schedule?.Invoke(step) ?? 1, decaySchedule?.Invoke(step) ?? 1);
            if (watched)
                observe!(new Observation(step, loss, gradient, before, task.Weights));
            foreach (var (r, value) in loss.ToDoubles().Index())
            {
                if (!double.IsFinite(value))
                    divergedAt[r] ??= step;
            }
            if (step - done is var now && (now % 100 == 0 || now == steps))
                progress.Report(new Progress(now, steps, now / clock.Elapsed.TotalSeconds, clock.Elapsed * ((double)(steps - now) / now)));
        }
        return divergedAt;
    }

    /// <summary>Whether a step is among about <paramref name="perDecade"/> evenly spaced ones in each power of ten: for logarithmic
    /// axes.</summary>
    public static bool IsLogPoint(int step, int perDecade = 20)
        => step > 0 && (step == 1 || Math.Floor(perDecade * Math.Log10(step)) > Math.Floor(perDecade * Math.Log10(step - 1)));
}
