using TorchSharp;
using TrainingDynamics.Measurement;
using TrainingDynamics.Models;
using TrainingDynamics.Optimizers;
using TrainingDynamics.Runtime;
using TrainingDynamics.Tasks;
using static TorchSharp.torch;
using static TrainingDynamics.Runtime.Replicas;

namespace TrainingDynamics.Experiments;

/// <summary>A click-prediction task on ids alone.</summary>
public sealed record OneEpochSettings
{
    /// <summary>Users; each has an embedding of its own.</summary>
    public int Users { get; init; } = 20_000;

    /// <summary>Items, likewise.</summary>
    public int Items { get; init; } = 3_000;

    /// <summary>Impressions in the training log, and as many in the test log.</summary>
    public int Impressions { get; init; } = 60_000;

    /// <summary>Items are shown ∝ 1/rank^s; 0 is uniform exposure, which no policy has chosen.</summary>
    public double Zipf { get; init; } = 1;

    /// <summary>The exposure in the test log; that of the training log by default, so that nothing is off-policy.</summary>
    public double? TestZipf { get; init; }

    /// <summary>The rank of the true tastes.</summary>
    public int TruthRank { get; init; } = 4;

    /// <summary>Numbers in an embedding.</summary>
    public int Width { get; init; } = 16;

    /// <summary>Impressions in a batch.</summary>
    public int Batch { get; init; } = 500;

    /// <summary>Adam's rate.</summary>
    public double Rate { get; init; } = 0.01;

    /// <summary>Passes over the log.</summary>
    public int Epochs { get; init; } = 3;

    /// <summary>A new log every epoch instead of the same one again.</summary>
    public bool Fresh { get; init; }
}

/// <summary>What came of it, a point an epoch, one value for each seed.</summary>
/// <param name="Train">The mean log-loss on the batches of the epoch, each before its step.</param>
/// <param name="Test">Log-loss on the test log.</param>
/// <param name="Auc">On the test log.</param>
/// <param name="Truth">The log-loss of the true click rates: nobody can be better.</param>
/// <param name="Abundance">Information abundance of the items' embeddings, Σσ/max σ over singular values (Guo et al. 2024,
/// arXiv:2310.04400): between 1, collapsed, and the width.</param>
/// <param name="TrueAbundance">Of the true tastes for the items.</param>
public sealed record OneEpochRun(Trace Train, Trace Test, Trace Auc, double[] Truth, Trace Abundance, double[] TrueAbundance);

/// <summary>
/// The one-epoch phenomenon (Zhang et al. 2022, arXiv:2209.06053): click models on sparse ids get worse with the second pass over their
/// log. The model's
/// click rate is σ(b₀ + b_u + b_i + ⟨U_u, V_i⟩), the truth σ(−0.4 + 0.7·ξ_i + ⟨u, v⟩/√rank): a case of it, so nothing here is misspecified.
/// </summary>
public static class OneEpoch
{
    /// <summary>Trains on a log, epoch by epoch.</summary>
    /// <param name="settings">The task.</param>
    /// <param name="seeds">A replica each.</param>
    /// <param name="make">The optimizer of the weights; Adam at the settings' rate by default.</param>
    /// <param name="schedule">What the learning rate is multiplied by at a step; 1 by default.</param>
    /// <param name="beforeEpoch">Told the epoch, from 1, before it starts, with the blocks (U, V, b_u, b_i, b_0) and the weights, which it
    /// may reset.</param>
    public static OneEpochRun Run(OneEpochSettings settings, IReadOnlyList<int> seeds, Func<Tensor, Optimizer>? make = null,
        Func<int, double>? schedule = null, Action<int, Layout, Tensor>? beforeEpoch = null)
    {
        if (settings.Batch < 1 || settings.Batch > settings.Impressions)
            throw new ArgumentException(
                $"{nameof(settings.Batch)} is {settings.Batch}, allowed are 1 to {settings.Impressions}, the impressions",
                nameof(settings));
        using var scope = NewDisposeScope();
        using var random = new ReplicaRandom(seeds);
        var (users, items, replicas) = (settings.Users, settings.Items, seeds.Count);
        var (tasteU, tasteV) = (random.Normal([users, settings.TruthRank], ScalarType.Float32),
            random.Normal([items, settings.TruthRank], ScalarType.Float32));
        var appeal = 0.7 * random.Normal([items, 1], ScalarType.Float32);
        Tensor Popularity(double exponent) => (arange(items, dtype: ScalarType.Float64) + 1).pow(-exponent).cumsum(0);
        var (shown, tested) = (Popularity(settings.Zipf), Popularity(settings.TestZipf ?? settings.Zipf));
        // Impressions (replica, n): users uniform, items by popularity, clicks by the truth.
        (Tensor User, Tensor Item, Tensor Click, Tensor Rate) Log(Tensor popularity)
        {
            using var inner = NewDisposeScope();
            var user = random.Integers(users, settings.Impressions);
            var item = searchsorted(popularity, random.Uniform([settings.Impressions], ScalarType.Float64) * popularity[-1],
                right: true).clamp_max(items - 1);
            var rate = (-0.4 + Rows(appeal, item).squeeze(-1)
                + ((Rows(tasteU, user) * Rows(tasteV, item)).sum(-1) / Math.Sqrt(settings.TruthRank))).sigmoid();
            var click = (random.Uniform([settings.Impressions], ScalarType.Float32) < rate).to(ScalarType.Float32);
            // Kept beyond the step that may have asked for it.
            return (user.DetachFromDisposeScope(), item.DetachFromDisposeScope(),
                click.DetachFromDisposeScope(), rate.DetachFromDisposeScope());
        }
        var layout = new Layout(new Block("U", [users, settings.Width]),
            new Block("V", [items, settings.Width]), new Block("b_u", [users, 1]), new Block("b_i", [items, 1]), new Block("b_0", [1]));
        var weights = cat([random.Normal([((long)users + items) * settings.Width], ScalarType.Float32) * 0.05,
            zeros(replicas, (long)users + items + 1)], 1);
        Tensor Scores(Tensor w, Tensor user, Tensor item)
        {
            var parts = layout.Split(w);
            return parts[4] + (Rows(parts[2], user) + Rows(parts[3], item)).squeeze(-1)
                + (Rows(parts[0], user) * Rows(parts[1], item)).sum(-1);
        }
        var (train, test) = (Log(shown), Log(tested));
        var run = new OneEpochRun(new Trace("train", replicas), new Trace("test", replicas), new Trace("AUC", replicas),
            [.. Each(test.Rate, test.Click, ClickPrediction.LogLoss)],
                new Trace("information abundance", replicas), Spectrum.InformationAbundance(tasteV));
        using var optimizer = make?.Invoke(weights) ?? new Adam(weights, settings.Rate);
        var batches = settings.Impressions / settings.Batch;
        var order = arange(settings.Impressions);
        var seen = new double[replicas];
        var step = 0;
        var stream = new Stream(layout, weights, () =>
        {
            if (step % batches == 0)
            {
                beforeEpoch?.Invoke((step / batches) + 1, layout, weights);
                // A new order for every epoch, and a new log where that is asked for.
                if (settings.Fresh && step > 0)
                {
                    Dispose(train);
                    train = Log(shown);
                }
                order.Dispose();
                order = random.Uniform([settings.Impressions], ScalarType.Float32).argsort(1).DetachFromDisposeScope();
            }
            using var inner = NewDisposeScope();
            var rows = order.narrow(1, (long)(step++ % batches) * settings.Batch, settings.Batch);
            var (user, item, click) = (train.User.gather(1, rows), train.Item.gather(1, rows), train.Click.gather(1, rows));
            var (loss, gradient) = Derivatives.LossAndGradient(w =>
                nn.functional.softplus((1 - (2 * click)) * Scores(w, user, item)).mean([1]), weights);
            return (loss.MoveToOuterDisposeScope(), gradient.MoveToOuterDisposeScope());
        });
        Training.Run(stream, optimizer, batches * settings.Epochs, schedule: schedule, observe: o =>
        {
            foreach (var (r, value) in o.Loss.ToDoubles().Index())
                seen[r] += value / batches;
            if (step % batches != 0)
                return;
            using var inner = NewDisposeScope();
            var rate = Scores(weights, test.User, test.Item).sigmoid();
            var epoch = step / batches;
            run.Train.Add(epoch, seen);
            run.Test.Add(epoch, [.. Each(rate, test.Click, ClickPrediction.LogLoss)]);
            run.Auc.Add(epoch, [.. Each(rate, test.Click, ClickPrediction.Auc)]);
            run.Abundance.Add(epoch, Spectrum.InformationAbundance(layout.Split(weights)[1]));
            Array.Clear(seen);
        });
        Dispose(train);
        Dispose(test);
        order.Dispose();
        return run;

        static void Dispose((Tensor User, Tensor Item, Tensor Click, Tensor Rate) log)
        {
            foreach (var tensor in new[] { log.User, log.Item, log.Click, log.Rate })
                tensor.Dispose();
        }
    }

    private static IEnumerable<double> Each(Tensor rate, Tensor click, Func<IReadOnlyList<double>, IReadOnlyList<double>, double> measure)
    {
        var (rates, clicks) = (rate.clamp(1e-7, 1 - 1e-7).ToDoubles(), click.ToDoubles());
        return rates.Chunk((int)rate.shape[1]).Zip(clicks.Chunk((int)rate.shape[1]),
            (p, y) => p.Any(double.IsNaN) ? double.NaN : measure(p, y));
    }

    private sealed record Stream(Layout Layout, Tensor Weights, Func<(Tensor Loss, Tensor Gradient)> Draw) : ITask
    {
        public (Tensor Loss, Tensor Gradient) Next() => Draw();
    }
}
