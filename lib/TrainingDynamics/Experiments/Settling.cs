using TrainingDynamics.Measurement;
using TrainingDynamics.Models;
using TrainingDynamics.Optimizers;
using TrainingDynamics.Runtime;
using TrainingDynamics.Tasks;
using static TorchSharp.torch;

namespace TrainingDynamics.Experiments;

/// <summary>Where a task settles under an optimizer: what predictions of equilibrium are held against.</summary>
public static class Settling
{
    /// <summary>Trains on, and measures norm and angle of the later steps.</summary>
    /// <param name="task">A random walk, a network with its data.</param>
    /// <param name="optimizer">An optimizer of the task's weights.</param>
    /// <param name="steps">Steps in all, beside those the optimizer has taken.</param>
    /// <param name="from">The number of the last step that does not count yet, of all the optimizer's; after half of these by
    /// default.</param>
    /// <param name="every">Every so many steps one counts.</param>
    /// <param name="schedule">What the learning rate is multiplied by at a step; 1 by default.</param>
    /// <returns>Norm and angle, [replica][block].</returns>
    /// <exception cref="ArgumentException">No step would count.</exception>
    public static Turning Of(ITask task, Optimizer optimizer, int steps,
        int? from = null, int every = 10, Func<int, double>? schedule = null)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(every, 1);
        var (first, last) = (from ?? (optimizer.Steps + (steps / 2)), optimizer.Steps + steps);
        if (last / every <= Math.Max(first, optimizer.Steps) / every)
            throw new ArgumentException($"of {steps} {nameof(steps)} none counts: after step {first}, every {every}, up to {last}",
                nameof(steps));
        var turning = new Turning(task.Layout);
        Training.Run(task, optimizer, steps, o => turning.Add(o.Before, o.After),
            when: step => step > first && step % every == 0, schedule: schedule);
        return turning;
    }

    /// <summary>The same of a random walk of its own.</summary>
    /// <param name="start">‖w_0‖; at the predicted norm the transient is short.</param>
    /// <param name="make">The optimizer of the walk's weights.</param>
    /// <param name="seeds">One replica each.</param>
    /// <param name="dimension">d.</param>
    /// <param name="steps">Steps in all.</param>
    /// <param name="from">The last step that does not count yet; half of all by default.</param>
    /// <param name="gradientScale">σ: the gradient is that much longer.</param>
    /// <returns>Norm and angle, [replica][0].</returns>
    public static Turning OfRandomWalk(double start, Func<Tensor, Layout, Optimizer> make, IReadOnlyList<int> seeds, int dimension = 1000,
        int steps = 4000, int? from = null, double gradientScale = 1)
    {
        using var random = new ReplicaRandom(seeds);
        using var walk = new RandomWalk(dimension, random, start, gradientScale);
        using var optimizer = make(walk.Weights, walk.Layout);
        return Of(walk, optimizer, steps, from);
    }
}
