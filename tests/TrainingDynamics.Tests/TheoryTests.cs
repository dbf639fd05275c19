using TorchSharp;
using TrainingDynamics.Data;
using TrainingDynamics.Experiments;
using TrainingDynamics.Measurement;
using TrainingDynamics.Models;
using TrainingDynamics.Optimizers;
using TrainingDynamics.Runtime;
using TrainingDynamics.Schedules;
using TrainingDynamics.Tasks;
using TrainingDynamics.Theory;
using static TorchSharp.torch;

namespace TrainingDynamics.Tests;

/// <summary>Predictions against simulation: inside their range they hold, outside they fail.</summary>
public class TheoryTests
{
    private const int D = 500;

    /// <summary>Norm and angle of a random walk from its predicted norm on, relative to the prediction.</summary>
    private static (double Norm, double Angle) Simulate(EquilibriumPoint predicted,
        Func<Tensor, Layout, Optimizer> make, int steps = 4000, double gradientScale = 1)
        => Relative(Settling.OfRandomWalk(predicted.Norm, make, [1, 2, 3], D, steps, gradientScale: gradientScale), predicted);

    private static (double Norm, double Angle) Relative(Turning turning, EquilibriumPoint predicted)
        => (turning.Norm.Average(n => n[0]) / predicted.Norm, turning.Angle.Average(a => a[0]) / predicted.Angle);

    public static TheoryData<string, double> Inside => new() { { "sgd", 0.01 }, { "sgdm", 0.015 }, { "sgdm l2", 0.015 },
        { "nesterov", 0.015 }, { "adamp", 0.02 }, { "adamw", 0.02 },
        { "radam", 0.02 }, { "lion", 0.02 }, { "adam+l2", 0.03 }, { "muon", 0.03 }, { "sgdp", 0.02 } };

    private static (double Norm, double Angle) Case(string name)
    {
        const double g = D - 1;
        return name switch
        {
            "sgd" => Simulate(Equilibrium.Sgd(0.1, 0.02, g), (w, _) => new Sgd(w, 0.1, decoupledDecay: 0.02)),
            "sgdm" => Simulate(Equilibrium.Sgd(0.1, 0.02, g, 0.9), (w, _) => new Sgd(w, 0.1, 0.9, decoupledDecay: 0.02)),
            "nesterov" => Simulate(Equilibrium.SgdNesterov(0.1, 0.02, g, 0.9),
                (w, _) => new Sgd(w, 0.1, 0.9, decoupledDecay: 0.02, nesterov: true)),
            "adamp" => Simulate(Equilibrium.AdamP(0.01, 0.02, D), (w, l) => new Projected(new AdamW(w, 0.01, 0.02, beta2: 0.99), l)),
            "sgdm l2" => Simulate(Equilibrium.SgdL2(0.1, 0.005, g, 0.9), (w, _) => new Sgd(w, 0.1, 0.9, l2: 0.005)),
            "adamw" => Simulate(Equilibrium.AdamW(0.01, 0.2, D), (w, _) => new AdamW(w, 0.01, 0.2, beta2: 0.99)),
            "radam" => Simulate(Equilibrium.AdamW(0.01, 0.2, D), (w, _) => new RAdam(w, 0.01, 0.2, beta2: 0.99)),
            "lion" => Simulate(Equilibrium.Lion(0.01, 0.2, D), (w, _) => new Lion(w, 0.01, 0.2)),
            "adam+l2" => Simulate(Equilibrium.AdamL2(0.01, 0.002, D, D),
                (w, _) => new Adam(w, 0.01, beta2: 0.99, l2: 0.002), steps: 10_000),
            "sgdp" => Simulate(Equilibrium.Sgdp(0.1, 0.001, g, 0.9),
                (w, l) => new Projected(new Sgd(w, 0.1, 0.9, decoupledDecay: 0.001), l)),
            _ => MuonCase(),
        };
    }

    private static (double Norm, double Angle) MuonCase()
    {
        // A 20 × 25 matrix: U² = 20 exactly, the amplification measured by the norm's own budget.
        var layout = new Layout(new Block("w", [20, 25], Invariance.Whole));
        using var random = new ReplicaRandom(1, 2, 3);
        using var walk = new RandomWalk(D, random, norm: 8, dtype: ScalarType.Float64);
        using var muon = new Muon(walk.Weights, layout, rate: 0.02, momentum: 0.9, decoupledDecay: 0.1, exact: true);
        var (turning, kappa) = Watch(walk, muon, layout, 0.002, 3000);
        return Relative(turning, Equilibrium.Measured(0.02, 0.1, 20, kappa));
    }

    /// <summary>Norm, angle and amplification over the second half of a run.</summary>
    private static (Turning Turning, double Kappa) Watch(ITask task, Optimizer optimizer, Layout layout, double product, int steps)
    {
        var (turning, budget) = (new Turning(layout), new NormBudget(layout, [product, product, product]));
        Training.Run(task, optimizer, steps, o =>
        {
            budget.Add(o.Before, o.After);
            turning.Add(o.Before, o.After);
        }, s => s > steps / 2);
        return (turning, budget.Amplification.Average(k => k[0]));
    }

    /// <summary>A random walk whose noise remembers: ξ_t = a·ξ_{t−1} + √(1 − a²)·fresh. Not the white noise that the equilibria
    /// assume.</summary>
    private sealed class RememberingWalk(RandomWalk walk, ReplicaRandom random, double memory) : ITask, IDisposable
    {
        private readonly Tensor _noise = zeros_like(walk.Weights).DetachFromDisposeScope();

        public void Dispose() => _noise.Dispose();

        public Layout Layout => walk.Layout;

        public Tensor Weights => walk.Weights;

        public (Tensor Loss, Tensor Gradient) Next()
        {
            _noise.mul_(memory).add_(random.Normal([D], Weights.dtype) * Math.Sqrt(1 - (memory * memory)));
            var norm = Weights.norm(1, keepdim: true);
            var tangent = _noise - ((_noise * Weights).sum(1, keepdim: true) / norm.square() * Weights);
            return (zeros(random.Replicas), tangent / norm);
        }
    }

    /// <summary>
    /// Norms assume white noise: they go wrong when it remembers. Angles of SGD do not need it at all, with momentum or
    /// without, since ⟨w, b⟩ = −αη‖b‖²/(1 − α) for any tangential gradients; Adam's, Lion's and Muon's do, a little or a lot.
    /// </summary>
    [Theory]
    [InlineData("sgd", 0.1, 0.02)]
    [InlineData("sgdm", 0.1, 0.02)]
    [InlineData("sgdm l2", 0.1, 0.02)]
    [InlineData("adamw", 0.1, 0.04)]
    [InlineData("radam", 0.1, 0.04)]
    [InlineData("lion", 0.1, null)]
    [InlineData("adam+l2", 0.1, null)]
    [InlineData("muon", 0.04, null)]
    public void TheNormsOfWhiteNoiseFailWhereNoiseRemembers(string name, double normIsOffBy, double? angleWithin)
    {
        const double g = D - 1;
        var layout = name == "muon" ? new Layout(new Block("w", [20, 25], Invariance.Whole))
            : new Layout(new Block("w", [D], Invariance.Whole));
        // Muon's white-noise amplification, momentum 0.9, is about that of the momentum itself.
        (EquilibriumPoint Point, Func<Tensor, Optimizer> Make) c = name switch
        {
            "sgd" => (Equilibrium.Sgd(0.1, 0.02, g), w => new Sgd(w, 0.1, decoupledDecay: 0.02)),
            "sgdm" => (Equilibrium.Sgd(0.1, 0.02, g, 0.9), w => new Sgd(w, 0.1, 0.9, decoupledDecay: 0.02)),
            "sgdm l2" => (Equilibrium.SgdL2(0.1, 0.005, g, 0.9), w => new Sgd(w, 0.1, 0.9, l2: 0.005)),
            "adamw" => (Equilibrium.AdamW(0.01, 0.2, D), w => new AdamW(w, 0.01, 0.2, beta2: 0.99)),
            "radam" => (Equilibrium.AdamW(0.01, 0.2, D), w => new RAdam(w, 0.01, 0.2, beta2: 0.99)),
            "lion" => (Equilibrium.Lion(0.01, 0.2, D), w => new Lion(w, 0.01, 0.2)),
            "adam+l2" => (Equilibrium.AdamL2(0.01, 0.002, D, D), w => new Adam(w, 0.01, beta2: 0.99, l2: 0.002)),
            _ => (Equilibrium.Measured(0.02, 0.1, 20, NormGrowth.Amplification(0.9)),
                w => new Muon(w, layout, rate: 0.02, momentum: 0.9, decoupledDecay: 0.1, exact: true)),
        };
        using var random = new ReplicaRandom(1, 2, 3);
        using var walk = new RandomWalk(D, random, c.Point.Norm);
        using var optimizer = c.Make(walk.Weights);
        using var remembering = new RememberingWalk(walk, random, memory: 0.95);
        var (turning, kappa) = Watch(remembering, optimizer, layout, name.Contains("l2") ? 0 : 0.002, 3000);
        var (norm, angle) = Relative(turning, c.Point);
        Assert.True(Math.Abs(norm - 1) > normIsOffBy, $"‖w‖/‖w‖_eq = {norm}");
        if (angleWithin is { } within)
            Assert.Equal(1, angle, within);
        else
            Assert.True(Math.Abs(angle - 1) > 0.04, $"θ/θ_eq = {angle}");
        // The law itself, with the amplification measured, holds under decoupled decay.
        if (!name.Contains("l2"))
            Assert.Equal(1, turning.Angle.Average(a => a[0]) / Math.Sqrt(2 * 0.002 / kappa), 0.07);
    }

    [Theory]
    [InlineData("sgd")]
    [InlineData("sgdm l2")]
    [InlineData("adamw")]
    [InlineData("lion")]
    public void NoEquilibriumHoldsBeforeItsTime(string name)
    {
        const double g = D - 1;
        var (point, make) = name switch
        {
            "sgd" => (Equilibrium.Sgd(0.1, 0.02, g), (Func<Tensor, Optimizer>)(w => new Sgd(w, 0.1, decoupledDecay: 0.02))),
            "sgdm l2" => (Equilibrium.SgdL2(0.1, 0.005, g, 0.9), w => new Sgd(w, 0.1, 0.9, l2: 0.005)),
            "adamw" => (Equilibrium.AdamW(0.01, 0.2, D), w => new AdamW(w, 0.01, 0.2, beta2: 0.99)),
            _ => (Equilibrium.Lion(0.01, 0.2, D), w => new Lion(w, 0.01, 0.2)),
        };
        var early = Settling.OfRandomWalk(4 * point.Norm, (w, _) => make(w),
            [1, 2, 3], D, steps: (int)(0.5 / point.RelaxationRate), from: 0);
        Assert.True(Relative(early, point).Angle < 0.6, $"θ/θ_eq = {Relative(early, point).Angle}");
    }

    [Theory, MemberData(nameof(Inside))]
    public void EquilibriumIsWhereTheSimulationSettles(string name, double within)
    {
        var (norm, angle) = Case(name);
        Assert.Equal(1, norm, within);
        Assert.Equal(1, angle, within);
    }

    [Theory]
    [InlineData(0.2, 0.9, 4000)]
    [InlineData(0.02, 0.9, 16_000)]
    [InlineData(0.2, 0, 4000)]
    public void CautiousDecaySettlesAtLessThanHalfOfItself(double decay, double beta1, int steps)
    {
        var point = Equilibrium.CautiousAdamW(0.01, decay, D, beta1);
        var (norm, angle) = Simulate(point, (w, _) => new Cautious(new AdamW(w, 0.01, decay, beta1, beta2: 0.99)), steps);
        Assert.Equal(1, norm, 0.01);
        Assert.Equal(1, angle, 0.01);
        // Half of the decay alone would be a norm √2 times AdamW's, to lowest order: it is longer, the more so the larger momentum and ηλ.
        Assert.True(point.Norm / Equilibrium.AdamW(0.01, decay / 2, D, beta1).Norm > (beta1 > 0 && decay > 0.1 ? 1.08 : 1.01));
    }

    [Fact]
    public void CautiousDecayWithALongMemoryStillHasASettledNormUpToWhereTheFirstOrderEnds()
    {
        var far = Equilibrium.CautiousAdamW(0.01, 1, D, 0.99);                                   // ηλ = 1 − β1
        Assert.True(double.IsFinite(far.Norm) && far.Angle > 0 && far.Norm > 1.3 * Equilibrium.AdamW(0.01, 0.5, D, 0.99).Norm);
        Assert.Contains("decoupledDecay is 50: ηλ/(1 − β1) = ",
            Assert.Throws<ArgumentException>(() => Equilibrium.CautiousAdamW(0.01, 50, D)).Message);
    }

    [Fact]
    public void EquilibriumFailsWhereItsAssumptionsDo()
    {
        // SGDP's norm at a large θ/(1−α): the buffer is far from tangential.
        Assert.True(Simulate(Equilibrium.Sgdp(0.1, 0.02, D - 1, 0.9),
            (w, l) => new Projected(new Sgd(w, 0.1, 0.9, decoupledDecay: 0.02), l)).Norm < 0.96);
        // Adam+L2 where λ‖w‖ is no longer small beside the gradient's rms.
        Assert.True(Math.Abs(Simulate(Equilibrium.AdamL2(0.01, 5000, D, D),
            (w, _) => new Adam(w, 0.01, beta2: 0.99, l2: 5000)).Norm - 1) > 0.05);
        // AdamW before its time: after 100 steps at ηλ = 0.0002, from ten times the norm.
        var late = Equilibrium.AdamW(0.01, 0.02, D);
        Assert.True(Simulate(late with { Norm = late.Norm * 10 }, (w, _) => new AdamW(w, 0.01, 0.02), steps: 100).Norm > 0.9);
        Assert.Throws<ArgumentException>(() => Equilibrium.AdamW(0.1, 0, D));
        Assert.Throws<ArgumentException>(() => Equilibrium.Sgd(1, 1, D));
    }

    [Fact]
    public void WhatHasNoEquilibriumOrGrowthIsRefusedByNameAndValue()
    {
        void Refused(string name, string value, Func<object> ask)
        {
            var e = Assert.Throws<ArgumentException>(() => ask());
            Assert.Equal(name, e.ParamName);
            Assert.Contains(value, e.Message);
        }
        Refused("momentum", "1", () => Equilibrium.Sgd(0.1, 0.02, D, 1));
        Refused("gradientSquared", "NaN", () => Equilibrium.SgdL2(0.1, 0.02, double.NaN));
        Refused("l2", "-1", () => Equilibrium.SgdL2(0.1, -1, D));
        Refused("decoupledDecay", "10", () => Equilibrium.AdamW(0.1, 100, D));
        Refused("beta1", "-0.1", () => Equilibrium.AdamW(0.1, 0.1, D, -0.1));
        Refused("beta2", "1", () => Equilibrium.Lion(0.1, 0.1, D, 0.9, 1));
        Refused("dimension", "0", () => Equilibrium.AdamP(0.1, 0.1, 0));
        Refused("amplification", "0", () => Equilibrium.Measured(0.1, 0.1, 1, 0));
        // Where the memory of the buffer and of decay are one, the closed form has no hole.
        Assert.Equal(Equilibrium.SgdNesterov(0.1, 1.000001, D, 0.9).Norm, Equilibrium.SgdNesterov(0.1, 1, D, 0.9).Norm, 1e-4);
        Refused("rate", "-0.1", () => Exponential.OfSgd(-0.1, 0.1));
        Refused("decoupledDecay", "NaN", () => Exponential.OfAdamW(0.1, double.NaN, 0.9, 0.99).Rate);
        Refused("beta2", "1", () => Exponential.OfAdamW(0.1, 0.1, 0.9, 1).Rate);
        Refused("rate", "0", () => NormGrowth.SgdNorm(10, 0, 1));
        Refused("momentum", "1", () => NormGrowth.Amplification(1));
        Refused("firstSquaredNorm", "0", () => NormGrowth.SgdKick(0.1, 1, 0));
    }

    [Fact]
    public void AScaleOfTheGradientMovesAdamL2AndNotAdamW()
    {
        var (adamW, _) = Simulate(Equilibrium.AdamW(0.01, 0.2, D), (w, _) => new AdamW(w, 0.01, 0.2, beta2: 0.99), gradientScale: 8);
        Assert.Equal(1, adamW, 0.02);
        double Chord(double gradientSum) => Math.Sin(Equilibrium.AdamL2(0.01, 0.002, D, gradientSum).Angle / 2);
        Assert.Equal(0.5, Chord(8 * D) / Chord(D), 1e-12);
    }

    [Fact]
    public void RelaxationHasItsRate()
    {
        // SGD: N² returns at 4ηλ. AdamW: N at 2ηλ. Started far above, the excess decays exponentially.
        double Rate(Func<Tensor, Optimizer> make, EquilibriumPoint end, double power, int steps)
        {
            using var random = new ReplicaRandom(1, 2, 3);
            using var walk = new RandomWalk(D, random, end.Norm * 4);
            using var optimizer = make(walk.Weights);
            double Excess() => Geometry.Norm(walk.Weights, walk.Layout).Average(n => Math.Pow(n[0] / end.Norm, power)) - 1;
            var before = Excess();
            Training.Run(walk, optimizer, steps);
            return Math.Log(before / Excess()) / steps;
        }
        var sgd = Equilibrium.Sgd(0.1, 0.02, D - 1);
        Assert.Equal(1, Rate(w => new Sgd(w, 0.1, decoupledDecay: 0.02), sgd, 4, 300) / sgd.RelaxationRate, 0.05);
        var adamW = Equilibrium.AdamW(0.01, 0.2, D);
        Assert.Equal(1, Rate(w => new AdamW(w, 0.01, 0.2, beta2: 0.99), adamW, 2, 500) / adamW.RelaxationRate, 0.05);
    }

    [Fact]
    public void NormsGrowByTheirPowerLawsAndNotOtherwise()
    {
        double[] Slopes(Func<Tensor, Optimizer> make, double norm, out double[] angles)
        {
            using var random = new ReplicaRandom(1, 2, 3);
            using var walk = new RandomWalk(D, random, norm);
            using var optimizer = make(walk.Weights);
            var (norms, angle) = (new Trace("norm", 3), new double[3]);
            Training.Run(walk, optimizer, 8000, o =>
            {
                norms.Add(o.Step, Geometry.Norm(o.After, walk.Layout).Select(n => n[0]).ToArray());
                angle = [.. Geometry.AngularUpdate(o.Before, o.After, walk.Layout).Select(a => a[0])];
            }, s => Training.IsLogPoint(s));
            angles = angle;
            return Fit.LogLogSlopes(norms, 1500);                                          // past the first gradients' memory in v
        }
        Assert.All(Slopes(w => new Sgd(w, 0.1), 1, out var sgd), s => Assert.Equal(0.25, s, 0.01));
        Assert.All(sgd, a => Assert.Equal(1, a / NormGrowth.SgdAngle(8000), 0.1));
        // v remembers the first, larger gradients for a while, which delays the start: the local slope comes down to 1/2 from above.
        Assert.All(Slopes(w => new Adam(w, 0.01, beta2: 0.99), 1, out var adam), s => Assert.InRange(s, 0.5, 0.55));
        Assert.All(adam, a => Assert.Equal(1, a / NormGrowth.AdamAngle(8000, 0.9), 0.1));
        // Outside: from a norm so large that nothing happens, neither law has begun.
        Assert.All(Slopes(w => new Sgd(w, 0.1), 100, out _), s => Assert.True(s < 0.05));
        // Adam's norm from a start, √(N₀ + η²dt); SGD's rate as AdaGrad-Norm's, η/√(N₀² + 2η²ΣG); SGD's kick.
        using (var random = new ReplicaRandom(1, 2, 3))
        {
            using var walk = new RandomWalk(D, random, 20);
            using var adam4 = new Adam(walk.Weights, 0.01, beta2: 0.99);
            Training.Run(walk, adam4, 4000);
            Assert.All(Geometry.Norm(walk.Weights, walk.Layout), n => Assert.Equal(1, n[0] / NormGrowth.AdamNorm(4000, 0.01, D, 20), 0.02));
            Assert.NotInRange(NormGrowth.AdamNorm(4000, 0.01, D, 20) / 20, 0.9, 1.1);
        }
        using (var random = new ReplicaRandom(1, 2, 3))
        {
            using var walk = new RandomWalk(D, random, 10);
            using var sgd2 = new Sgd(walk.Weights, 0.1);
            var sums = new double[3];
            Training.Run(walk, sgd2, 2000,
                o => sums = [.. sums.Zip(Geometry.UnitSphereGradientNorm(o.Before, o.Gradient, walk.Layout), (s, g) => s + (g[0] * g[0]))]);
            Assert.All(Geometry.SquaredNorm(walk.Weights, walk.Layout).Zip(sums),
                r => Assert.Equal(1, 0.1 / r.First[0] / NormGrowth.SgdEffectiveLearningRate(0.1, r.Second, 10), 1e-2));
        }
        Assert.All(Slopes(w => new Adam(w, 0.01, beta2: 0.99), 100, out _), s => Assert.True(s < 0.05));
        using (var random = new ReplicaRandom(1, 2, 3))
        {
            using var small = new RandomWalk(D, random, 0.1);
            using var sgd1 = new Sgd(small.Weights, 0.1);
            double[] kicked = [], unit = [];
            Training.Run(small, sgd1, 1, o => (kicked, unit) = (Geometry.SquaredNorm(o.After, small.Layout).Select(n => n[0]).ToArray(),
                Geometry.UnitSphereGradientNorm(o.Before, o.Gradient, small.Layout).Select(n => n[0]).ToArray()));
            Assert.All(kicked.Zip(unit), k => Assert.Equal(1, k.First / NormGrowth.SgdKick(0.1, k.Second * k.Second, 0.01), 1e-5));
        }
        Assert.Equal(0.841, NormGrowth.TwoTimeCosine(0.25), 1e-3);
        Assert.Equal(19, NormGrowth.Amplification(0.9), 1e-12);
    }

    [Fact]
    public void TheBiasCorrectedUpdateHasItsRms()
    {
        using var random = new ReplicaRandom(1);
        using var w = zeros(1, 40_000, dtype: ScalarType.Float64);
        using var adam = new Adam(w, rate: 1, beta2: 0.9999, epsilon: 0);
        for (var t = 1; t <= 60; t++)
        {
            using var scope = NewDisposeScope();
            var before = w.clone();
            adam.Step(random.Normal([40_000], ScalarType.Float64));
            Assert.Equal(1, (w - before).square().mean().sqrt().item<double>() / Warmup.UpdateRms(t, 0.9), 0.03);
        }
        Assert.Equal(4.36, Warmup.UpdateRms(1, 0.9) / Warmup.UpdateRms(100_000, 0.9), 0.01);
        // Outside: a gradient that is always the same. Its update keeps length 1 instead of shrinking to 0.23.
        using var coherent = new Adam(w, rate: 1, beta2: 0.9999, epsilon: 0);
        for (var t = 1; t <= 60; t++)
        {
            using var scope = NewDisposeScope();
            var before = w.clone();
            coherent.Step(ones_like(w));
            Assert.Equal(1, (w - before).square().mean().sqrt().item<double>(), 1e-9);
        }
        Assert.True(Warmup.UpdateRms(60, 0.9) < 0.24);
        Assert.Equal([0.0173, 0.215, 0.645], new[] { 5, 100, 1000 }.Select(t => Math.Round(Warmup.RAdamFactor(t, 0.999), t == 5 ? 4 : 3)));
        Assert.Equal([0, 0, 0, 0], Enumerable.Range(1, 4).Select(t => Warmup.RAdamFactor(t, 0.999)));
        Assert.Throws<ArgumentOutOfRangeException>(() => Warmup.UpdateRms(0, 0.9));
    }

    [Fact]
    public void RAdamsFactorIsTheDeviationOfTheInverseRootOnceThatIsSmall()
    {
        using var random = new ReplicaRandom(1);
        using var v = zeros(1, 100_000, dtype: ScalarType.Float64);
        var deviation = new Dictionary<int, double>();
        for (var t = 1; t <= 2000; t++)
        {
            using var scope = NewDisposeScope();
            v.mul_(0.99).add_(random.Normal([100_000], ScalarType.Float64).square() * 0.01);
            if (t is 5 or 50 or 200 or 2000)
                deviation[t] = (v / (1 - Math.Pow(0.99, t))).rsqrt().std(1).ToDoubles()[0];
        }
        double Measured(int t) => deviation[2000] / deviation[t];
        // Its ρ_t matches the weights' centre of mass and not their variance, (1 + β^t)/(1 − β^t): 6 % low in between.
        Assert.Equal(1, Measured(200) / Warmup.RAdamFactor(200, 0.99), 0.07);
        Assert.Equal(1, Measured(50) / Warmup.RAdamFactor(50, 0.99), 0.07);
        Assert.Equal(1, Measured(200) / Math.Sqrt((1 - Math.Pow(0.99, 200)) / (1 + Math.Pow(0.99, 200))), 0.01);
        Assert.True(Measured(5) / Warmup.RAdamFactor(5, 0.99) > 1.5);                        // outside: five samples, no small spread
    }

    [Fact]
    public void ExponentialRatesReplaceDecayExactly()
    {
        const double rate = 0.05, decay = 0.05;
        double[][] Losses(Func<Tensor, Optimizer> make, Func<int, double>? schedule = null)
        {
            using var random = new ReplicaRandom(1, 2);
            using var model = new ScaleInvariantMlp(Networks.Shape(Normalization.LayerNorm), random);
            using var optimizer = make(model.Weights);
            using var stream = new Minibatches(Networks.Digits, 16, random, ScalarType.Float64);
            var losses = new List<double[]>();
            Training.Run(new Learning(model, stream), optimizer, 100, o => losses.Add(o.Loss.ToDoubles()), schedule: schedule);
            return [.. losses];
        }
        double Gap(double[][] a, double[][] b) => a.Zip(b,
            (x, y) => x.Zip(y, (u, v) => double.IsFinite(u - v) ? Math.Abs(u - v) : double.PositiveInfinity).Max()).Max();

        var decayed = Losses(w => new Sgd(w, rate, decoupledDecay: decay));
        Assert.True(Gap(decayed, Losses(w => new Sgd(w, rate), Exponential.OfSgd(rate, decay))) < 1e-10);
        Assert.True(Gap(decayed, Losses(w => new Sgd(w, rate), t => Math.Pow(1 - (rate * decay), -t))) > 1e-3);

        const double gamma = 0.9, l2 = 0.02;
        Assert.Equal(0.995844, Exponential.Alpha(0.02, 0.02, gamma), 1e-6);
        var momentum = Losses(w => new Sgd(w, 0.02, gamma, l2: l2));
        Assert.True(Gap(momentum, Losses(w => new Sgd(w, 0.02, gamma, firstBuffer: w * Exponential.FirstBuffer(0.02, l2, gamma)),
            Exponential.OfMomentum(0.02, l2, gamma))) < 1e-10);
        Assert.True(Gap(momentum, Losses(w => new Sgd(w, 0.02, gamma), Exponential.OfMomentum(0.02, l2, gamma))) > 1e-2);

        var (schedule, b1, b2) = Exponential.OfAdamW(0.002, 2.5, 0.9, 0.99);
        var adamW = Losses(w => new AdamW(w, 0.002, 2.5, 0.9, 0.99, epsilon: 1e-150));
        Assert.True(Gap(adamW, Losses(w => new Adam(w, 0.002, b1, b2, epsilon: 1e-150), schedule)) < 1e-10);
        Assert.True(Gap(adamW, Losses(w => new Adam(w, 0.002, 0.9, 0.99, epsilon: 1e-150), schedule)) > 1e-3);

        Assert.Contains("0.002633", Assert.Throws<ArgumentException>(() => Exponential.Alpha(0.1, 0.1, 0.9)).Message);
        Assert.Throws<ArgumentException>(() => Exponential.OfSgd(1, 1));
        Assert.Throws<ArgumentException>(() => Exponential.OfSgd(0.1, 0));
    }

    [Fact]
    public void SchedulesAreWhatTheySay()
    {
        Assert.Equal([0.25, 1, 1], new[] { 1, 4, 9 }.Select(Schedule.Warmup(4)));
        Assert.Equal([1, 0.5, 0], new[] { 0, 5, 10 }.Select(t => Math.Round(Schedule.Cosine(10)(t), 12)));
        Assert.Equal([0.5, 0], new[] { 5, 20 }.Select(Schedule.Linear(10)));
        Assert.Equal([1, 0.1, 0.01], new[] { 1, 5, 8 }.Select(t => Math.Round(Schedule.Step(0.1, 5, 8)(t), 12)));
        Assert.Equal(0.5, Schedule.Warmup(2, Schedule.Linear(10))(7));
        Assert.Throws<ArgumentOutOfRangeException>(() => Schedule.Cosine(0));
        Assert.Throws<ArgumentException>(() => Schedule.Step(-1, 3));
    }

    [Fact]
    public void TheNormsBudgetClosesAndFindsTheAmplification()
    {
        using var random = new ReplicaRandom(1, 2);
        using var walk = new RandomWalk(D, random, norm: 4, dtype: ScalarType.Float64);
        using var sgd = new Sgd(walk.Weights, 0.1, momentum: 0.5, decoupledDecay: 0.01);
        var budget = new NormBudget(walk.Layout, [0.001, 0.001]);
        Training.Run(walk, sgd, 3000, o => budget.Add(o.Before, o.After));
        Assert.All(budget.Closure, c => Assert.Equal(1, c[0], 1e-9));
        Assert.All(budget.Amplification, k => Assert.Equal(NormGrowth.Amplification(0.5), k[0], 0.1));
    }

    [Fact]
    public void TheTeachersStreamRepeatsBySeedAndItsNoiseIsWhatWasAsked()
    {
        using var random = new ReplicaRandom(3, 3, 4);
        using var clean = new TeacherStream(32, 2000, random, labelNoise: 0);
        using var batch = clean.Next();
        Assert.Equal(batch.Labels[0].data<long>().ToArray(), batch.Labels[1].data<long>().ToArray());
        Assert.NotEqual(batch.Labels[0].data<long>().ToArray(), batch.Labels[2].data<long>().ToArray());
        using var one = new ReplicaRandom(3);
        using var noisy = new TeacherStream(32, 2000, one, labelNoise: 0.5);
        using var other = noisy.Next();
        var changed = batch.Labels[0].data<long>().ToArray().Zip(other.Labels[0].data<long>().ToArray())
            .Average(p => p.First == p.Second ? 0.0 : 1.0);
        Assert.InRange(changed, 0.38, 0.5);
        Assert.Throws<ArgumentException>(() => new TeacherStream(3, 3, one, labelNoise: 1.5));
    }
}
