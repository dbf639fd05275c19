using TrainingDynamics.Measurement;
using TrainingDynamics.Models;
using TrainingDynamics.Optimizers;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;

namespace TrainingDynamics.Experiments;

/// <summary>Where a random walk settles under an optimizer: what predictions of equilibrium are held against.</summary>
public static class Settling
{
    /// <summary>Walks from <paramref name="start"/> and measures norm and angle of the later steps.</summary>
    /// <param name="start">‖w_0‖; at the predicted norm the transient is short.</param>
    /// <param name="make">The optimizer of the walk's weights.</param>
    /// <param name="seeds">One replica each.</param>
    /// <param name="dimension">d.</param>
    /// <param name="steps">Steps in all.</param>
    /// <param name="from">The first step that counts; half of all by default.</param>
    /// <param name="gradientScale">σ: the gradient is that much longer.</param>
    /// <returns>Norm and angle, [replica][0].</returns>
    public static Turning OfRandomWalk(double start, Func<Tensor, Layout, Optimizer> make, IReadOnlyList<long> seeds, int dimension = 1000, int steps = 4000, int? from = null, double gradientScale = 1)
    {
        using var random = new ReplicaRandom(seeds);
        using var walk = new RandomWalk(dimension, random, start, gradientScale);
        using var optimizer = make(walk.Weights, walk.Layout);
        var turning = new Turning(walk.Layout);
        Training.Run(walk, optimizer, steps, o => turning.Add(o.Before, o.After), when: step => step > (from ?? steps / 2) && step % 10 == 0);
        return turning;
    }
}
