using TorchSharp;
using TrainingDynamics.Data;
using TrainingDynamics.Measurement;
using TrainingDynamics.Models;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;

namespace TrainingDynamics.Tests;

public class ModelTests
{
    public ModelTests() => manual_seed(1);

    public static TheoryData<Normalization> Norms => new([Normalization.LayerNorm, Normalization.RmsNorm, Normalization.BatchNorm]);

    [Theory, MemberData(nameof(Norms))]
    public void TheFunctionIsTheSameForEveryScaleOfEveryMatrix(Normalization norm)
    {
        using var model = Networks.Invariant(norm);
        using var batch = Networks.Batch();
        using var loss = model.Loss(model.Weights, batch);
        foreach (var (block, c) in model.Layout.SelectMany(b => new[] { 0.01, 0.5, 7, 300 }, (b, c) => (b, c)))
        {
            using var scaled = model.Weights.clone();
            Layout.Slice(scaled, block).mul_(c);
            using var again = model.Loss(scaled, batch);
            Assert.All(loss.ToDoubles().Zip(again.ToDoubles()), p => Assert.Equal(p.First, p.Second, 1e-12));
        }
    }

    [Theory, MemberData(nameof(Norms))]
    public void GradientIsOrthogonalAndFallsAsOneOverTheLength(Normalization norm)
    {
        using var model = Networks.Invariant(norm);
        using var batch = Networks.Batch();
        using var gradient = Derivatives.Gradient(model.LossOn(batch), model.Weights);
        Assert.All(Geometry.Cosine(model.Weights, gradient, model.Layout).SelectMany(c => c),
            c => Assert.True(Math.Abs(c) < 1e-12, $"cosine {c}"));
        foreach (var c in new[] { 0.1, 5.0 })
        {
            using var longer = model.Weights * c;
            using var smaller = Derivatives.Gradient(model.LossOn(batch), longer);
            using var difference = ((smaller * c) - gradient).norm() / gradient.norm();
            Assert.True(difference.item<double>() < 1e-12);
        }
    }

    [Theory, MemberData(nameof(Norms))]
    public void WhereThereIsNothingToNormalizeTheResultIsZeroAndItsGradientFinite(Normalization norm)
    {
        foreach (var dtype in new[] { ScalarType.Float32, ScalarType.Float64 })
        {
            using var scope = NewDisposeScope();
            using var model = new ScaleInvariantMlp(new MlpShape { Inputs = 3, Hidden = [4, 4], Normalization = norm, Dtype = dtype },
                new ReplicaRandom(1));
            var inputs = randn(1, 5, 3, dtype: dtype);
            (norm == Normalization.BatchNorm ? inputs : inputs.narrow(1, 0, 1)).zero_();
            var scores = model.Forward(model.Weights, inputs);
            Assert.Equal(0, scores[0, 0].abs().max().ToDouble());
            Assert.True(Derivatives.Gradient(model.LossOn(new Batch(inputs, zeros(1, 5, dtype: ScalarType.Int64))), model.Weights)
                .isfinite().all().item<bool>());
        }
    }

    [Fact]
    public void BatchNormIsInvariantRowByRowAndLayerNormIsNot()
    {
        double Worst(Normalization norm)
        {
            using var model = Networks.Invariant(norm);
            using var batch = Networks.Batch();
            using var gradient = Derivatives.Gradient(model.LossOn(batch), model.Weights);
            return Geometry.Cosine(model.Weights, gradient, model.Layout.ByRow()).SelectMany(c => c).Where(double.IsFinite).Max(Math.Abs);
        }
        Assert.True(Worst(Normalization.BatchNorm) < 1e-10);
        Assert.True(Worst(Normalization.LayerNorm) > 0.1);
        Assert.True(Worst(Normalization.None) > 0.1);
    }

    [Fact]
    public void OnlyLayerNormIgnoresACommonShift()
    {
        double Worst(Normalization norm)
        {
            using var model = Networks.Invariant(norm);
            using var batch = Networks.Batch();
            using var gradient = Derivatives.Gradient(model.LossOn(batch), model.Weights);
            return Geometry.CommonShift(gradient, model.Layout).SelectMany(c => c).Max();
        }
        Assert.True(Worst(Normalization.LayerNorm) < 1e-12);
        Assert.True(Worst(Normalization.RmsNorm) > 1e-2);
        Assert.True(Worst(Normalization.BatchNorm) > 1e-2);
    }

    [Fact]
    public void EpsilonLeaksOncePerNormOnTheWayOut()
    {
        using var batch = Networks.Batch();
        double[] sizes = [0.1, 0.4];
        var cosine = Experiments.WeightThatDoesNotMatter.EpsilonSweep(Networks.Shape(Normalization.LayerNorm, epsilon: 1e-5),
            Networks.Seeds, batch, sizes, together: true);
        for (var layer = 1; layer <= 2; layer++)
        {
            var slope = Fit.LogLogSlope(sizes, cosine.Select(seeds => seeds[0][layer - 1]).ToArray());
            Assert.Equal(Theory.ScaleInvariance.EpsilonSlope(layer, 2), slope, 0.05);
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void AReplicaAmongOthersIsTheSameNetworkAsAlone(bool affine)
    {
        Model Build(params int[] seeds) => affine ? new AffineMlp(Networks.Shape(Normalization.LayerNorm), new ReplicaRandom(seeds))
            : new ScaleInvariantMlp(Networks.Shape(Normalization.LayerNorm), new ReplicaRandom(seeds));
        using var three = Build(1, 2, 3);
        using var one = Build(2);
        using var batch = Networks.Batch();
        var (together, gradients) = three.LossAndGradient(batch);
        var (alone, gradient) = one.LossAndGradient(batch);
        Assert.Equal(alone.ToDoubles()[0], together.ToDoubles()[1], 1e-14);
        Assert.All(gradient.ToDoubles().Zip(gradients[1].ToDoubles()), p => Assert.Equal(p.First, p.Second, 1e-14));
    }

    [Fact]
    public void CrossEntropyOfEqualScoresIsTheLogarithmOfTheClasses()
    {
        using var model = Networks.Invariant(Normalization.None);
        using var batch = Networks.Batch();
        using var nothing = zeros_like(model.Weights);
        Assert.All(model.Loss(nothing, batch).ToDoubles(), loss => Assert.Equal(Math.Log(10), loss, 1e-12));
    }

    [Fact]
    public void TheLossIsTorchSharps()
    {
        using var model = Networks.Invariant(Normalization.LayerNorm, 5);
        using var batch = Networks.Batch();
        using var scores = model.Forward(model.Weights, batch.Inputs)[0];
        using var expected = nn.functional.cross_entropy(scores, batch.Labels[0]);
        Assert.Equal(expected.item<double>(), model.Loss(model.Weights, batch).ToDoubles()[0], 1e-13);
    }

    [Fact]
    public void TheNormsAreTorchSharps()
    {
        using var h = randn(2, 8, 16, dtype: ScalarType.Float64);
        using var layer = nn.functional.layer_norm(h, [16], eps: 1e-5);
        Assert.True((layer - Normalization.LayerNorm.Apply(h, 1e-5)).abs().max().item<double>() < 1e-12);
        using var batch = nn.functional.batch_norm(h[0], zeros(16, dtype: ScalarType.Float64),
            ones(16, dtype: ScalarType.Float64), training: true, eps: 1e-5);
        Assert.True((batch - Normalization.BatchNorm.Apply(h, 1e-5)[0]).abs().max().item<double>() < 1e-12);
    }

    [Theory]
    [InlineData("Inputs", 0, 1.0, 0.0)]
    [InlineData("Scale", 64, 0.0, 0.0)]
    [InlineData("Scale", 64, double.NaN, 0.0)]
    [InlineData("Epsilon", 64, 1.0, -1.0)]
    public void BadShapesAreRefusedByName(string name, int inputs, double scale, double epsilon)
    {
        var e = Assert.Throws<ArgumentException>(() =>
            new ScaleInvariantMlp(new MlpShape { Inputs = inputs, Scale = scale, Epsilon = epsilon }, new ReplicaRandom(1)));
        Assert.Equal(name, e.ParamName);
    }

    [Fact]
    public void SeedsThatRepeatDrawTheSameNumbers()
    {
        using var random = new ReplicaRandom(4, 9, 4);
        using var x = random.Normal([5], ScalarType.Float64);
        Assert.Equal(x[0].ToDoubles(), x[2].ToDoubles());
        Assert.NotEqual(x[0].ToDoubles(), x[1].ToDoubles());
        Assert.Throws<ArgumentException>(() => new ReplicaRandom());
    }

    [Fact]
    public void BlocksAreViewsOfTheBuffer()
    {
        var layout = new Layout(new Block("a", [2, 3]), new Block("b", [4]));
        using var flat = arange(20, dtype: ScalarType.Float64).reshape(2, 10);
        var parts = layout.Split(flat);
        Assert.Equal([2, 2, 3], parts[0].shape);
        Assert.Equal([6, 7, 8, 9, 16, 17, 18, 19], parts[1].ToDoubles());
        parts[1].zero_();
        Assert.Equal(0, flat[1, 9].item<double>());
        Assert.Equal(["a[0]", "a[1]", "b"], layout.ByRow().Select(b => b.Name));
        Assert.Contains("'c'", Assert.Throws<ArgumentException>(() => layout["c"]).Message);
        Assert.Throws<ArgumentException>(() => new Layout(new Block("a", [1]), new Block("a", [1])));
    }
}
