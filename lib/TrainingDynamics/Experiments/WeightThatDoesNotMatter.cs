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

/// <summary>How the violations of a network's invariances look at one point.</summary>
/// <param name="Network">Which network.</param>
/// <param name="WholeCosine">Greatest |cos(W, ∂L/∂W)| over the matrices before norms, one a seed.</param>
/// <param name="RowCosine">Root mean square over their rows of cos(row, gradient of row), one a seed.</param>
/// <param name="CommonShift">Greatest share of a matrix' gradient along equal rows, one a seed.</param>
/// <param name="HessianIdentity">‖Hw + g‖/‖g‖ over all parameters, one a seed.</param>
/// <param name="WithBiasCosine">Greatest |cos| of a matrix joined with its bias, one a seed; the matrix' own where there is no
/// bias.</param>
public sealed record InvarianceRow(string Network, double[] WholeCosine,
    double[] RowCosine, double[] CommonShift, double[] HessianIdentity, double[] WithBiasCosine);

/// <summary>The experiments of notebook scale-invariance/01.</summary>
public static class WeightThatDoesNotMatter
{
    /// <summary>Measures the invariances of five networks on one batch: LN, RMSNorm, BN, and after some training the ordinary networks with
    /// biases and a trained head, with LN (and its gains) and without a norm.</summary>
    /// <param name="shape">Their shape; the norm is set here.</param>
    /// <param name="seeds">One replica each.</param>
    /// <param name="batch">Shared by all.</param>
    /// <param name="affineSteps">SGD steps at rate 0.1 before an ordinary network is measured, so that its biases are not 0.</param>
    public static IReadOnlyList<InvarianceRow> Table(MlpShape shape, IReadOnlyList<int> seeds, Batch batch, int affineSteps)
    {
        InvarianceRow Measure(string name, Func<ReplicaRandom, Model> build, int steps = 0)
        {
            using var scope = NewDisposeScope();
            using var random = new ReplicaRandom(seeds);
            using var model = build(random);
            using var sgd = new Sgd(model.Weights, rate: 0.1);
            for (var step = 0; step < steps; step++)
                sgd.Step(model.LossAndGradient(batch).Gradient);
            var (_, gradient) = model.LossAndGradient(batch);
            var hw = Derivatives.HessianVectorProduct(model.LossOn(batch), model.Weights, model.Weights);
            var before = model.Layout.Where(block => block.Shape.Length == 2 && block.Name != "W");
            var rows = Geometry.Cosine(model.Weights, gradient,
                model.Layout.ByRow().Where(block => block.Name.StartsWith('W') && !block.Name.StartsWith("W[")));
            double[] Joint(Block w) => Invariances.JointCosine(model.Weights,
                gradient, model.Layout, [w.Name, .. model.Layout.Where(b => b.Name == "b" + w.Name[1..]).Select(b => b.Name)]);
            var joint = before.Select(Joint).ToArray();
            return new InvarianceRow(name,
                [.. Geometry.Cosine(model.Weights, gradient, before).Select(cos => cos.Max(Math.Abs))],
                [.. rows.Select(cos => Math.Sqrt(cos.Where(double.IsFinite).Average(c => c * c)))],
                [.. Geometry.CommonShift(gradient, before).Select(shift => shift.Max())],
                ((hw + gradient).norm(1) / gradient.norm(1)).ToDoubles(),
                [.. seeds.Select((_, s) => joint.Max(byReplica => Math.Abs(byReplica[s])))]);
        }
        Model Invariant(Normalization norm, ReplicaRandom random) => new ScaleInvariantMlp(shape with { Normalization = norm }, random);
        return
        [
            Measure("LayerNorm", random => Invariant(Normalization.LayerNorm, random)),
            Measure("RMSNorm", random => Invariant(Normalization.RmsNorm, random)),
            Measure("BatchNorm", random => Invariant(Normalization.BatchNorm, random)),
            Measure("LayerNorm, gains and biases", random => new AffineMlp(shape with { Normalization = Normalization.LayerNorm }, random),
                affineSteps),
            Measure("no norm, biases", random => new AffineMlp(shape with { Normalization = Normalization.None }, random), affineSteps),
        ];
    }

    /// <summary>|cos(W_l, ∂L/∂W_l)| of each scale, seed and layer when the norms have an ε: [scale][seed][layer].</summary>
    /// <param name="shape">The network; its ε is the one to look at.</param>
    /// <param name="seeds">One replica each.</param>
    /// <param name="batch">Shared by all.</param>
    /// <param name="scales">What the first weights are multiplied by.</param>
    /// <param name="together">All matrices by the same factor, or each alone while the others keep size 1.</param>
    public static double[][][] EpsilonSweep(MlpShape shape, IReadOnlyList<int> seeds,
        Batch batch, IReadOnlyList<double> scales, bool together)
    {
        using var scope = NewDisposeScope();
        using var random = new ReplicaRandom(seeds);
        using var model = new ScaleInvariantMlp(shape, random);
        double[][] Cosines(Tensor weights) => [.. Geometry.Cosine(weights, Derivatives.Gradient(model.LossOn(batch), weights), model.Layout)
            .Select(row => row.Select(Math.Abs).ToArray())];
        return [.. scales.Select(s =>
        {
            if (together)
                return Cosines(model.Weights * s);
            var alone = model.Layout.Select((block, layer) =>
            {
                var weights = model.Weights.clone();
                Layout.Slice(weights, block).mul_(s);
                return Cosines(weights).Select(row => row[layer]).ToArray();
            }).ToArray();
            return seeds.Select((_, r) => alone.Select(layer => layer[r]).ToArray()).ToArray();
        })];
    }

    /// <summary>The same runs from weights c times as long, all in one graph. Replica i·seeds + s is factor i and seed s.</summary>
    /// <param name="shape">The network.</param>
    /// <param name="images">What it learns, in batches that depend on the seed alone.</param>
    /// <param name="seeds">The seeds of each factor.</param>
    /// <param name="factors">c.</param>
    /// <param name="rates">SGD's learning rate for each factor.</param>
    /// <param name="batch">Images a step.</param>
    /// <param name="steps">Steps.</param>
    /// <param name="progress">Told how far it is.</param>
    /// <returns>The loss at every step, one trace a factor.</returns>
    public static IReadOnlyList<Trace> OneRunInManySizes(MlpShape shape, Images images, IReadOnlyList<int> seeds,
        IReadOnlyList<double> factors, IReadOnlyList<double> rates, int batch, int steps, IProgress<Progress>? progress = null)
    {
        if (rates.Count != factors.Count)
            throw new ArgumentException($"{factors.Count} factors need as many rates, got {rates.Count}", nameof(rates));
        var sweep = new Sweep<(double Factor, double Rate)>([.. factors.Zip(rates)], seeds);
        using var scope = NewDisposeScope();
        using var random = new ReplicaRandom(sweep.Seeds);
        using var model = new ScaleInvariantMlp(shape, random);
        model.Weights.mul_(Aligned.Tensor(sweep.Each(s => s.Factor), dtype: shape.Dtype).reshape(-1, 1));
        using var sgd = new Sgd(model.Weights, rate: sweep.Each(s => s.Rate));
        using var stream = new Minibatches(images, batch, random, shape.Dtype);
        var loss = new Trace("loss", random.Replicas);
        Training.Run(new Learning(model, stream), sgd, steps, seen => loss.Add(seen.Step, seen.Loss.ToDoubles()), progress: progress);
        return sweep.Split(loss, s => $"c = {s.Factor}");
    }
}
