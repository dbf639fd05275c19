using MathNet.Numerics.LinearAlgebra;
using TorchSharp;
using TrainingDynamics.Measurement;
using TrainingDynamics.Models;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;

namespace TrainingDynamics.Tests;

public class MeasurementTests
{
    public MeasurementTests() => manual_seed(1);

    private static readonly Layout One = new(new Block("w", [3]));

    [Theory]
    [InlineData(1e-9)]
    [InlineData(1e-4)]
    [InlineData(0.3)]
    [InlineData(3.1)]
    public void AnglesKeepAllTheirDigits(double angle)
    {
        using var before = tensor(new[,] { { 2.0, 0, 0 } });
        using var after = tensor(new[,] { { 5 * Math.Cos(angle), 5 * Math.Sin(angle), 0 } });
        Assert.Equal(1, Geometry.AngularUpdate(before, after, One)[0][0] / angle, 1e-6);
    }

    [Fact]
    public void LengthsAreByReplicaAndBlock()
    {
        var layout = new Layout(new Block("a", [2]), new Block("b", [1]));
        using var weights = tensor(new[,] { { 3.0, 4, 2 }, { 0, 1, 5 } });
        Assert.Equal([[5, 2], [1, 5]], Geometry.Norm(weights, layout));
        Assert.Equal([[25, 4], [1, 25]], Geometry.SquaredNorm(weights, layout));
        Assert.Equal([[0.1 / 25, 0.1 / 4], [0.2, 0.2 / 25]], Geometry.EffectiveLearningRateOfSgd([0.1, 0.2], weights, layout));
        Assert.Equal([[0.1 / 5, 0.1 / 2], [0.2, 0.2 / 5]], Geometry.EffectiveLearningRateOfAdam([0.1, 0.2], weights, layout));
        using var gradient = ones_like(weights);
        Assert.Equal(5 * Math.Sqrt(2), Geometry.UnitSphereGradientNorm(weights, gradient, layout)[0][0], 1e-12);
        Assert.Equal(7 / (5 * Math.Sqrt(2)), Geometry.Cosine(weights, gradient, layout)[0][0], 1e-12);
    }

    [Fact]
    public void GradientsAreThoseOfDifferences()
    {
        using var model = Networks.Invariant(Normalization.LayerNorm, 1);
        using var batch = Networks.Batch(16);
        var (loss, gradient) = model.LossAndGradient(batch);
        using var direction = randn_like(model.Weights);
        const double h = 1e-5;
        double At(double t) => model.Loss(model.Weights + (t * direction), batch).ToDoubles()[0];
        Assert.Equal((At(h) - At(-h)) / (2 * h), (gradient * direction).sum().item<double>(), 1e-6);
        Assert.Equal(loss.ToDoubles()[0], At(0), 1e-14);
    }

    [Fact]
    public void HessianVectorProductsAreDerivativesOfGradients()
    {
        using var model = Networks.Invariant(Normalization.RmsNorm);
        using var batch = Networks.Batch(16);
        using var v = randn_like(model.Weights);
        using var product = Derivatives.HessianVectorProduct(model.LossOn(batch), model.Weights, v);
        const double h = 1e-6;
        using var difference = (Derivatives.Gradient(model.LossOn(batch),
            model.Weights + (h * v)) - Derivatives.Gradient(model.LossOn(batch), model.Weights - (h * v))) / (2 * h);
        Assert.True(((difference - product).norm() / product.norm()).item<double>() < 1e-6);
    }

    [Fact]
    public void TheTopEigenvalueIsThatOfTheWholeHessian()
    {
        using var model = new ScaleInvariantMlp(new MlpShape { Inputs = 64, Hidden = [3, 4], Dtype = ScalarType.Float64 },
            new Runtime.ReplicaRandom(1, 2));
        using var batch = Networks.Batch(32);
        var size = (int)model.Layout.Size;
        var columns = Enumerable.Range(0, size).Select(i =>
        {
            using var unit = zeros_like(model.Weights);
            unit.select(1, i).fill_(1);
            return Derivatives.HessianVectorProduct(model.LossOn(batch), model.Weights, unit).ToDoubles();
        }).ToArray();
        var top = Derivatives.TopHessianEigenvalue(model.LossOn(batch), model.Weights, steps: 60);
        for (var r = 0; r < 2; r++)
        {
            var hessian = Matrix<double>.Build.Dense(size, size, (i, j) => columns[j][(r * size) + i]);
            Assert.True((hessian - hessian.Transpose()).L2Norm() < 1e-10);
            Assert.Equal(hessian.Evd(Symmetricity.Symmetric).EigenValues.Max(e => e.Real), top[r], 1e-8);
        }
        using var single = model.Weights.to(ScalarType.Float32);
        Assert.Throws<ArgumentException>(() => Derivatives.TopHessianEigenvalue(w => w.sum(1), single));
    }

    [Fact]
    public void FitsFindTheExponentAndRefuseWhatHasNone()
    {
        double[] x = [1, 2, 4, 8];
        Assert.Equal(0.25, Fit.LogLogSlope(x, x.Select(v => 3 * Math.Pow(v, 0.25)).ToArray()), 1e-12);
        Assert.Contains("-1", Assert.Throws<ArgumentException>(() => Fit.LogLogSlope(x, [1, -1, 2, 3])).Message);
        Assert.Throws<ArgumentException>(() => Fit.LogLogSlope([1], [1]));
    }

    [Fact]
    public void AMeanOverSeedsHasStudentsInterval()
    {
        var interval = Fit.OverSeeds([1, 2, 6]);
        Assert.Equal(3, interval.Mean, 1e-12);
        Assert.Equal(4.302653 * Math.Sqrt(7.0 / 3), interval.HalfWidth, 1e-5);                  // t of two degrees at 97.5 %
        Assert.Equal(0, Fit.OverSeeds([.. Enumerable.Repeat(0.1, 10)]).HalfWidth);              // and no rounding of sums
        Assert.Throws<ArgumentException>(() => Fit.OverSeeds([1]));
    }

    [Fact]
    public void TracesKnowWhereAReplicaDiverged()
    {
        var trace = new Trace("loss", 2);
        Assert.Contains("'loss' has no point yet", Assert.Throws<InvalidOperationException>(() => trace.Last()).Message);
        trace.Add(1, new[] { 1.0, 2.0 });
        trace.Add(2, new[] { 1.0, double.NaN });
        Assert.Null(trace.DivergedAt(0));
        Assert.Equal(2, trace.DivergedAt(1));
        Assert.Equal([2, double.NaN], trace.Part("second", 1, 1)[0]);
        Assert.Throws<ArgumentException>(() => trace.Add(3, new[] { 1.0 }));
        var figure = Figures.Figure.Lines("t", "x", "y").Measured(trace);
        Assert.Contains("1 of 2 diverged", figure.ToCsv());
    }

    [Fact]
    public void TurningIsTheRootMeanSquareOfNormsAndAnglesBlockByBlock()
    {
        using var scope = NewDisposeScope();
        var layout = new Layout(new Block("a", [2]), new Block("b", [2]));
        var turning = new Turning(layout);
        Assert.Throws<InvalidOperationException>(() => turning.Angle);
        Tensor At(double a, double b) => tensor(new[,] { { 3 * Math.Cos(a), 3 * Math.Sin(a), Math.Cos(b), Math.Sin(b) } });
        turning.Add(At(0, 0), At(0.1, 0.2));
        turning.Add(At(0.1, 0.2), At(0.4, 0.2));
        Assert.Equal(2, turning.Steps);
        Assert.Equal([3, 1], turning.Norm[0].Select(v => Math.Round(v, 12)));
        Assert.Equal(Math.Sqrt((0.01 + 0.09) / 2), turning.Angle[0][0], 1e-12);
        Assert.Equal(Math.Sqrt(0.04 / 2), turning.Angle[0][1], 1e-12);
        Assert.Equal(Math.Sqrt(0.1 / 0.04), turning.Spread[0], 1e-12);
    }
}
