using TrainingDynamics.Data;
using TrainingDynamics.Models;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;

namespace TrainingDynamics.Experiments;

/// <summary>The loss on what was not trained on.</summary>
public static class TestLoss
{
    /// <summary>
    /// Mean loss of each replica over <paramref name="count"/> batches, in nats, at the model's weights. Models that are to be compared are
    /// given draws of the same seeds: a new stream of fresh seeds each, such as <c>random.Seeds.Stream("test")</c>.
    /// </summary>
    /// <param name="model">The networks.</param>
    /// <param name="batches">Where the batches come from: the held-out part of a text, fresh draws of a stream.</param>
    /// <param name="count">How many batches, at least 1.</param>
    /// <returns>One number for each replica.</returns>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="count"/> is below 1.</exception>
    public static double[] Of(Model model, IBatches batches, int count)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 1);
        using var quiet = no_grad();
        var sum = new double[model.Replicas];
        for (var i = 0; i < count; i++)
        {
            using var scope = NewDisposeScope();
            using var batch = batches.Next();
            foreach (var (r, loss) in model.Loss(model.Weights, batch).ToDoubles().Index())
                sum[r] += loss / count;
        }
        return sum;
    }
}
