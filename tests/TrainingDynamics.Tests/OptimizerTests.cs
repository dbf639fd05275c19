using MathNet.Numerics.LinearAlgebra;
using TorchSharp;
using TrainingDynamics.Measurement;
using TrainingDynamics.Models;
using TrainingDynamics.Optimizers;
using TrainingDynamics.Runtime;
using TrainingDynamics.Tasks;
using static TorchSharp.torch;

namespace TrainingDynamics.Tests;

public class OptimizerTests
{
    public OptimizerTests() => manual_seed(1);

    private static readonly Layout Matrix = new(new Block("a", [3, 4], Invariance.Whole),
        new Block("b", [5, 2], Invariance.Rows), new Block("c", [3]));

    public static TheoryData<string> Names => ["sgd", "adam", "adam+l2",
        "adamw", "radam", "lion", "sgdp", "adamp", "rotational", "fixed", "muon", "muon svd", "adagrad-norm", "clipped",
        "cautious", "mixed", "by block"];

    private static Optimizer Make(string name, Tensor w, PerReplica rate) => name switch
    {
        "sgd" => new Sgd(w, rate, momentum: 0.9, decoupledDecay: 0.1),
        "adam" => new Adam(w, rate),
        "adam+l2" => new Adam(w, rate, l2: 0.1),
        "adamw" => new AdamW(w, rate, 0.1),
        "radam" => new RAdam(w, rate, 0.1),
        "lion" => new Lion(w, rate, 0.1),
        "sgdp" => new Projected(new Sgd(w, rate, momentum: 0.9), Matrix),
        "adamp" => new Projected(new AdamW(w, rate, 0.1), Matrix),
        "rotational" => new Rotational(new AdamW(w, rate, 0), Matrix, rate),
        "fixed" => new FixedNorm(new Sgd(w, rate), Matrix, rate),
        "muon" => new Muon(w, Matrix, rate),
        "clipped" => new RelativelyClipped(new Sgd(w, rate, decoupledDecay: 0.1), 2),
        "muon svd" => new Muon(w, Matrix, rate, exact: true),
        "cautious" => new Cautious(new AdamW(w, rate, 0.1)),
        "mixed" => new Mixed(Matrix, new AdamW(w, rate, 0.1), (b => b.Name == "a", new Muon(w, Matrix, rate))),
        "by block" => new AdamW(w, rate, 0.1).ForBlocks(Matrix, "c", decay: 0).ForBlocks(Matrix, "b", rate: 0.5),
        _ => new AdaGradNorm(w, Matrix, rate),
    };

    private static Tensor Gradient(Tensor w) => w.pow(3) - w.sin() + 0.3;

    [Theory]
    [InlineData("adam", ScalarType.Float32, 1e-6)]
    [InlineData("adam", ScalarType.Float64, 1e-12)]
    [InlineData("adam+l2", ScalarType.Float32, 1e-6)]
    [InlineData("adam+l2", ScalarType.Float64, 1e-12)]
    [InlineData("adamw", ScalarType.Float32, 1e-6)]
    [InlineData("adamw", ScalarType.Float64, 1e-12)]
    [InlineData("radam", ScalarType.Float64, 1e-12)]
    public void IsTorchSharpsOwnForTenSteps(string name, ScalarType dtype, double tolerance)
    {
        using var scope = NewDisposeScope();
        var start = randn(2, 25, dtype: dtype).mul_(0.3);
        var ours = start.clone();
        var theirs = new TorchSharp.Modules.Parameter(start.clone());
        using var optimizer = name == "radam" ? new RAdam(ours, 1) : Make(name, ours, 0.01);
        using optim.Optimizer reference = name switch
        {
            "adamw" => optim.AdamW([theirs], 0.01, weight_decay: 0.1),
            // its rectified step is multiplied by the rate twice (0.107), so only a rate of 1 compares
            "radam" => optim.RAdam([theirs], 1),
            _ => optim.Adam([theirs], 0.01, weight_decay: name == "adam+l2" ? 0.1 : 0),
        };
        for (var step = 0; step < 10; step++)
        {
            optimizer.Step(Gradient(ours));
            reference.zero_grad();
            ((theirs.pow(4) / 4) + theirs.cos() + (0.3 * theirs)).sum().backward();
            reference.step();
            Assert.Equal(0, (ours - theirs).abs().max().ToDoubles()[0], tolerance);
        }
    }

    [Fact]
    public void LionIsFourLinesOfArithmetic()
    {
        using var w = tensor(new[,] { { 1.0, -2.0, 0.1 } });
        using var lion = new Lion(w, rate: 0.01, decoupledDecay: 0.5, beta1: 0.9, beta2: 0.99);
        var (x, m) = (w.ToDoubles(), new double[3]);
        for (var step = 0; step < 10; step++)
        {
            var g = Gradient(w).ToDoubles();
            lion.Step(Gradient(w));
            for (var i = 0; i < 3; i++)
            {
                x[i] = (x[i] * (1 - 0.005)) - (0.01 * Math.Sign((0.9 * m[i]) + (0.1 * g[i])));
                m[i] = (0.99 * m[i]) + (0.01 * g[i]);
                Assert.Equal(x[i], w.ToDoubles()[i], 1e-14);
            }
        }
    }

    /// <summary>Ten steps of an optimizer on one block of six numbers, and of the same in plain arithmetic: next(w, g, step) gives the new
    /// w.</summary>
    private static void IsArithmetic(Func<Tensor, Layout, Optimizer> make,
        Func<double[], double[], int, double[]> next, long[]? shape = null)
    {
        using var scope = NewDisposeScope();
        var w = tensor(new[,] { { 0.5, -1.2, 0.8, 0.3, 1.1, -0.4 } });
        using var optimizer = make(w, new Layout(new Block("w", shape ?? [6], Invariance.Whole)));
        var x = w.ToDoubles();
        for (var step = 1; step <= 10; step++)
        {
            var g = Gradient(w).ToDoubles();
            optimizer.Step(Gradient(w));
            x = next(x, g, step);
            Assert.All(x.Zip(w.ToDoubles()), p => Assert.Equal(p.First, p.Second, 1e-12));
        }
    }

    private static double Dot(double[] a, double[] b) => a.Zip(b, (x, y) => x * y).Sum();

    private static double Length(double[] a) => Math.Sqrt(Dot(a, a));

    /// <summary>a + c·b.</summary>
    private static double[] Add(double[] a, double c, double[] b) => [.. a.Zip(b, (x, y) => x + (c * y))];

    private static double[] Tangential(double[] u, double[] w) => Add(u, -Dot(u, w) / Dot(w, w), w);

    [Fact]
    public void SgdpIsThreeLinesOfArithmetic()
    {
        var b = new double[6];
        IsArithmetic((w, l) => new Projected(new Sgd(w, 0.05, momentum: 0.9, decoupledDecay: 0.3), l), (w, g, _) =>
        {
            b = Add(g, 0.9, b);
            return Add(Add(w, -0.05 * 0.3, w), -0.05, Tangential(b, w));
        });
    }

    [Fact]
    public void AdamPIsFourLinesOfArithmetic()
    {
        var (m, v) = (new double[6], new double[6]);
        IsArithmetic((w, l) => new Projected(new AdamW(w, 0.05, 0.3), l), (w, g, t) =>
        {
            (m, v) = ([.. m.Zip(g, (a, x) => (0.9 * a) + (0.1 * x))], [.. v.Zip(g, (a, x) => (0.999 * a) + (0.001 * x * x))]);
            double[] u = [.. m.Zip(v, (a, s) => a / (1 - Math.Pow(0.9, t)) / (Math.Sqrt(s / (1 - Math.Pow(0.999, t))) + 1e-8))];
            return Add(Add(w, -0.05 * 0.3, w), -0.05, Tangential(u, w));
        });
    }

    [Fact]
    public void RotationalSgdIsFiveLinesOfArithmetic()
    {
        var (b, s) = (new double[6], 0.0);
        IsArithmetic((w, l) => new Rotational(new Sgd(w, 7, momentum: 0.9), l, angle: 0.02, memory: 0.95), (w, g, t) =>
        {
            b = Add(g, 0.9, b);
            var u = Tangential(b, w);
            s = (0.95 * s) + (0.05 * Dot(u, u));
            var next = Add(w, -0.02 * Length(w) / Math.Sqrt(s / (1 - Math.Pow(0.95, t))), u);
            return [.. next.Select(x => x * Length(w) / Length(next))];
        });
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void FixedNormIsThreeLinesOfArithmetic(bool normalizeUpdate) =>
        IsArithmetic((w, l) => new FixedNorm(new Sgd(w, 7), l, rate: 0.02, normalizeUpdate), (w, g, _) =>
    {
        var u = Tangential(g, w);
        var next = Add(w, -0.02 * (normalizeUpdate ? Length(w) / Length(u) : Dot(w, w)), u);
        return [.. next.Select(x => x * Length(w) / Length(next))];
    });

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void MuonIsAFewLinesOfArithmetic(bool exact)
    {
        var b = new double[6];
        IsArithmetic((w, l) => new Muon(w, l, rate: 0.05, momentum: 0.9, decoupledDecay: 0.3, exact: exact), (w, g, _) =>
        {
            b = [.. b.Zip(g, (a, x) => (0.9 * a) + (0.1 * x))];
            double[] look = [.. b.Zip(g, (a, x) => (0.9 * a) + (0.1 * x))];                    // Nesterov
            var m = Matrix<double>.Build.DenseOfRowMajor(2, 3, look);
            if (exact)
            {
                var svd = m.Svd();
                m = svd.U * svd.VT.SubMatrix(0, 2, 0, 3);
            }
            else
            {
                m /= m.FrobeniusNorm() + 1e-7;
                for (var i = 0; i < 5; i++)
                    m = (3.4445 * m) + (((-4.7750 * (m * m.Transpose())) + (2.0315 * (m * m.Transpose() * m * m.Transpose()))) * m);
            }
            return Add(Add(w, -0.05 * 0.3, w), -0.05, m.ToRowMajorArray());
        }, [2, 3]);
    }

    [Fact]
    public void AdaGradNormDividesByTheLengthsSoFar()
    {
        using var w = tensor(new[,] { { 3.0, 4.0 } });
        using var optimizer = new AdaGradNorm(w, new Layout(new Block("w", [2])), rate: 0.5, start: 1);
        var (x, s) = (w.ToDoubles(), 1.0);
        for (var step = 0; step < 5; step++)
        {
            s += (x[0] * x[0]) + (x[1] * x[1]);
            optimizer.Step(w.clone());
            x = [.. x.Select(v => v - (0.5 * v / Math.Sqrt(s)))];
            Assert.Equal(x, w.ToDoubles().Zip(x, (a, b) => Math.Abs(a - b) < 1e-14 ? b : a));
        }
    }

    [Fact]
    public void ProjectedUpdatesHaveNoPartAlongTheWeight()
    {
        using var scope = NewDisposeScope();
        var w = randn(2, 25, dtype: ScalarType.Float64);
        using var sgdp = new Projected(new Sgd(w, 0.1, momentum: 0.9), Matrix);
        for (var step = 0; step < 5; step++)
        {
            var before = w.clone();
            sgdp.Step(randn_like(w));
            var cos = Geometry.Cosine(before, before - w, Matrix);
            Assert.True(Math.Abs(cos[0][0]) < 1e-14);
            Assert.All(Geometry.Cosine(before, before - w, Matrix.ByRow()).SelectMany(c => c.Skip(3).Take(5)),
                c => Assert.True(Math.Abs(c) < 1e-13));
            Assert.True(Math.Abs(cos[0][2]) > 1e-6);
        }
    }

    [Fact]
    public void OnTheSphereTheAngleIsTheArcTangentOfTheRate()
    {
        using var scope = NewDisposeScope();
        var w = randn(2, 25, dtype: ScalarType.Float64);
        using var optimizer = new FixedNorm(new Sgd(w, 0.1, momentum: 0.5), Matrix, rate: [0.02, 0.3]);
        for (var step = 0; step < 5; step++)
        {
            var before = w.clone();
            optimizer.Step(randn_like(w));
            var angle = Geometry.AngularUpdate(before, w, Matrix);
            Assert.Equal(Math.Atan(0.02), angle[0][0], 1e-12);
            Assert.Equal(Math.Atan(0.3), angle[1][0], 1e-12);
            Assert.Equal(Geometry.Norm(before, Matrix)[1][0], Geometry.Norm(w, Matrix)[1][0], 1e-12);
        }
    }

    [Fact]
    public void RotationalKeepsTheNormAndTurnsByTheAngleInTheMean()
    {
        using var random = new ReplicaRandom(1, 2);
        using var walk = new RandomWalk(500, random, norm: 2, dtype: ScalarType.Float64);
        using var optimizer = new Rotational(new Sgd(walk.Weights, 1, momentum: 0.9), walk.Layout, angle: 0.01);
        var angles = new List<double>();
        Experiments.Training.Run(walk, optimizer, 600, o =>
        {
            angles.AddRange(Geometry.AngularUpdate(o.Before, o.After, walk.Layout).Select(a => a[0]));
            Assert.Equal(2, Geometry.Norm(o.After, walk.Layout)[0][0], 1e-10);
        }, s => s > 200);
        Assert.Equal(0.01, Math.Sqrt(angles.Average(a => a * a)), 3e-4);
    }

    [Fact]
    public void ClippingLeavesShortGradientsAndCutsLongOnes()
    {
        using var scope = NewDisposeScope();
        var w = tensor(new[,] { { 3.0, 4.0 } });
        using var clipped = new RelativelyClipped(new Sgd(w, 0.02, decoupledDecay: 0.01), factor: 2);        // 2·√(2·0.01/0.02)·5 = 10
        clipped.Step(tensor(new[,] { { 6.0, 8.0 } }));
        Assert.Equal([(3 * 0.9998) - 0.12, (4 * 0.9998) - 0.16], w.ToDoubles().Select(v => Math.Round(v, 12)));
        using var again = tensor(new[,] { { 3.0, 4.0 } });
        using var cut = new RelativelyClipped(new Sgd(again, 0.02, decoupledDecay: 0.01), factor: 2);
        cut.Step(tensor(new[,] { { 6000.0, 8000.0 } }));
        Assert.Equal(w.ToDoubles(), again.ToDoubles().Zip(w.ToDoubles(), (a, b) => Math.Abs(a - b) < 1e-12 ? b : a));
        Assert.Throws<ArgumentException>(() => new RelativelyClipped(new Sgd(w, 0.1), 2));
    }

    [Fact]
    public void MuonsUpdateHasSingularValuesOfOne()
    {
        using var scope = NewDisposeScope();
        var matrices = randn(3, 6, 4, dtype: ScalarType.Float64);
        double[] Singular(Tensor t) => linalg.svdvals(t).ToDoubles();
        Assert.All(Singular(Muon.Orthogonalized(matrices)), s => Assert.Equal(1, s, 1e-12));
        // No gradient, no step; and of a gradient of rank 8 eight directions.
        Assert.All(Muon.Orthogonalized(zeros_like(matrices)).ToDoubles(), v => Assert.Equal(0, v));
        var low = randn(2, 32, 8, dtype: ScalarType.Float64).bmm(randn(2, 8, 32, dtype: ScalarType.Float64));
        Assert.Equal([8, 8], Muon.Orthogonalized(low).square().sum([1, 2]).ToDoubles().Select(v => Math.Round(v, 9)));
        Assert.All(Singular(Muon.NewtonSchulz(matrices)), s => Assert.InRange(s, 0.6, 1.25));
        Assert.All(Singular(Muon.NewtonSchulz(matrices.transpose(1, 2))), s => Assert.InRange(s, 0.6, 1.25));
        // The same singular vectors: the product with the exact one's transpose is symmetric.
        var product = Muon.NewtonSchulz(matrices).transpose(1, 2).bmm(Muon.Orthogonalized(matrices));
        Assert.True((product - product.transpose(1, 2)).abs().max().ToDoubles()[0] < 1e-10);
        var w = zeros(1, 24, dtype: ScalarType.Float64);
        using var muon = new Muon(w, new Layout(new Block("w", [6, 4])), rate: 1, exact: true, matchRms: true);
        muon.Step(randn_like(w));
        Assert.Equal(0.2 * Math.Sqrt(6.0 * 4 / 24), Geometry.Rms(w, new Layout(new Block("w", [6, 4])))[0][0], 1e-12);
    }

    [Theory, MemberData(nameof(Names))]
    public void AReplicaAmongOthersTakesTheSameStepsAsAlone(string name)
    {
        using var scope = NewDisposeScope();
        var start = randn(3, 25, dtype: ScalarType.Float64);
        Tensor Run(Tensor w, PerReplica rate)
        {
            using var optimizer = Make(name, w, rate);
            for (var step = 0; step < 12; step++)
                optimizer.Step(Gradient(w), rateFactor: 1.0 / (1 + step));
            return w;
        }
        var together = Run(start.clone(), [0.01, 0.02, 0.03]);
        var alone = Run(start.narrow(0, 1, 1).clone(), 0.02);
        Assert.All(together[1].ToDoubles().Zip(alone[0].ToDoubles()), p => Assert.Equal(p.First, p.Second, 1e-12));
        Assert.All(together.ToDoubles(), v => Assert.True(double.IsFinite(v)));
    }

    [Theory, MemberData(nameof(Names))]
    public void WorksInFloat32LeavesNoTensorBehindAndRefusesBadRates(string name)
    {
        using var w = randn(2, 25);
        var optimizer = Make(name, w, 0.01);
        void Steps()
        {
            using var scope = NewDisposeScope();
            for (var step = 0; step < 10; step++)
                optimizer.Step(Gradient(w));
        }
        Steps();
        var before = Setup.LiveTensors();
        Steps();
        Assert.Equal(before, Setup.LiveTensors());
        optimizer.Dispose();
        Assert.True(Setup.LiveTensors() <= before);
        Assert.Contains("-1", Assert.Throws<ArgumentException>(() => Make(name, w, -1)).Message);
        Assert.Contains("3 values", Assert.Throws<ArgumentException>(() => Make(name, w, [0.1, 0.1, 0.1])).Message);
    }

    [Fact]
    public void BadBetasAreRefusedByNameAndValue()
    {
        using var w = ones(2, 3);
        void Refused(string name, string value, Func<Optimizer> build)
        {
            var e = Assert.Throws<ArgumentException>(build);
            Assert.Equal(name, e.ParamName);
            Assert.Contains(value, e.Message);
        }
        Refused("beta1", "1", () => new Adam(w, 0.1, beta1: 1));
        Refused("beta2", "-0.1", () => new AdamW(w, 0.1, 0, beta2: -0.1));
        Refused("beta2", "NaN", () => new Lion(w, 0.1, beta2: double.NaN));
        Refused("beta1", "2", () => new RAdam(w, 0.1, beta1: 2));
        Refused("momentum", "1.5", () => new Muon(w, new Layout(new Block("w", [3])), 0.1, momentum: 1.5));
        Refused("epsilon", "-1", () => new Adam(w, 0.1, epsilon: -1));
        Refused("decoupledDecay", "allowed is [0, 1)", () => new AdamW(w, 0.1, 10));
        Refused("l2", "-1", () => new Adam(w, 0.1, l2: -1));
        Refused("start", "0", () => new AdaGradNorm(w, new Layout(new Block("w", [3])), 0.1, start: 0));
    }
}
