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

/// <summary>Closed forms over their whole admissible range: against simulation, enumeration and plain arithmetic.</summary>
public class ClosedFormTests
{
    private const int D = 1000;

    public static TheoryData<string, double> Settings
    {
        get
        {
            var data = new TheoryData<string, double>();
            foreach (var name in new[] { "sgd", "sgd .5", "sgd .9", "sgd l2", "nesterov", "nesterov l2", "adamw", "lion", "sgdp" })
            {
                foreach (var product in new[] { 1e-4, 0.01, 0.2 })
                    data.Add(name, product);
            }
            return data;
        }
    }

    /// <summary>The angle leaves out what only undoes the decay. Taken as ηU/‖w‖ it is up to 48 % off at these.</summary>
    [Theory, MemberData(nameof(Settings))]
    public void AnEquilibriumTurnsByItsAngleAtAnyProduct(string name, double product)
    {
        var (rate, adamRate, g) = (0.1, 0.01, D - 1.0);
        var (decay, adamDecay) = (product / rate, product / adamRate);
        (EquilibriumPoint Point, Func<Tensor, Layout, Optimizer> Make) c = name switch
        {
            "sgd" => (Equilibrium.Sgd(rate, decay, g), (w, _) => new Sgd(w, rate, decoupledDecay: decay)),
            "sgd .5" => (Equilibrium.Sgd(rate, decay, g, 0.5), (w, _) => new Sgd(w, rate, 0.5, decoupledDecay: decay)),
            "sgd .9" => (Equilibrium.Sgd(rate, decay, g, 0.9), (w, _) => new Sgd(w, rate, 0.9, decoupledDecay: decay)),
            "sgd l2" => (Equilibrium.SgdL2(rate, decay, g, 0.9), (w, _) => new Sgd(w, rate, 0.9, l2: decay)),
            "nesterov" => (Equilibrium.SgdNesterov(rate, decay, g, 0.9),
                (w, _) => new Sgd(w, rate, 0.9, decoupledDecay: decay, nesterov: true)),
            "nesterov l2" => (Equilibrium.SgdNesterovL2(rate, decay, g, 0.9), (w, _) => new Sgd(w, rate, 0.9, l2: decay, nesterov: true)),
            "adamw" => (Equilibrium.AdamW(adamRate, adamDecay, D), (w, _) => new AdamW(w, adamRate, adamDecay, beta2: 0.99)),
            "lion" => (Equilibrium.Lion(adamRate, adamDecay, D), (w, _) => new Lion(w, adamRate, adamDecay)),
            _ => (Equilibrium.Sgdp(rate, decay, g, 0.9), (w, l) => new Projected(new Sgd(w, rate, 0.9, decoupledDecay: decay), l)),
        };
        // What the first steps do to the norm is forgotten after some 1/ηλ.
        var (steps, from) = product < 0.001 ? (25_000, 15_000) : (3500, 500);
        var turning = Settling.OfRandomWalk(c.Point.Norm, c.Make, [1, 2, 3, 4, 5, 6, 7, 8], D, steps, from);
        var measured = Math.Sqrt(turning.Angle.Average(a => a[0] * a[0]));
        Assert.Equal(1, measured / c.Point.Angle, 0.001);
    }

    [Theory]
    [InlineData(2, 1.0)]
    [InlineData(3, 1e-12)]
    [InlineData(100, 1e12)]
    [InlineData(100_000, 1.0)]
    public void TopKIsADistributionThatNoShiftOfMassImproves(int slots, double scale)
    {
        double[] reward = [.. new[] { 0.5, 0.3, 0.1, 0.1, 1e-6 }.Select(r => r * scale)];
        var policy = OffPolicySupervision.TopK(reward, slots);
        Assert.Equal(1, policy.Sum(), 1e-12);
        Assert.Equal(policy[2], policy[3]);
        // Where mass is, one more of it is worth the same; elsewhere no more. In logarithms: (K − 1)·ln(1 − π) + ln r.
        var worth = policy.Zip(reward, (p, r) => ((slots - 1) * Math.Log(1 - p)) + Math.Log(r)).ToArray();
        Assert.All(policy.Zip(worth), w => Assert.True(w.First > 0 ? Math.Abs(w.Second - worth[0]) < 1e-9 * slots : w.Second <= worth[0]));
        Assert.Equal(OffPolicySupervision.TopK([0.5, 0.3, 0.1, 0.1, 1e-6], slots), policy, (a, b) => Math.Abs(a - b) < 1e-12);
    }

    [Fact]
    public void FixedPointsNeitherOverflowNorVanish()
    {
        Close([0, 1], KlMinimal.Regularized([1e-300, 1 - 1e-300], [0, 1], 0.001));
        Close([1, 0], KlMinimal.Regularized([1, 0], [0, 1], 0.001));
        Close([1 / (1 + Math.Exp(-1)), 1 / (1 + Math.E)], KlMinimal.Regularized([0.5, 0.5], [1e-308, 0], 1e-308));
        Close([1, 0, 0], KlMinimal.Regularized([0.5, 0.5, 0], [10, 9, 1e300], 1e-308));
        Close([1, 0], OffPolicySupervision.TopK([1, 5e-324], 2));
        // A decay so small that 1 − ρ² cancels.
        Assert.Equal(1, Equilibrium.AdamW(1e-9, 1e-9, 10, 0).Norm / Math.Sqrt(10 / 2.0), 1e-9);
        Assert.Equal(1, Equilibrium.AdamW(1e-9, 1e-9, 10, 0).Angle / Math.Sqrt(2e-18), 1e-9);
        Assert.Equal(1, Equilibrium.Sgdp(1e-9, 1e-9, 10, 0.9).Angle / Math.Sqrt(2e-18), 1e-9);
        Assert.Equal(Warmup.RAdamLength(1_000_000_000, 0.999), Warmup.RAdamLength(2_000_000_000, 0.999), 1e-9);
        Assert.True(Exponential.OfSgd(0.1, 1e-9)(2_000_000_000) > 1);
        Close([1 / (1 + Math.Exp(1000 * 1e-3)), 1 / (1 + Math.Exp(-1000 * 1e-3))],
            KlMinimal.Regularized([0.5, 0.5], [1e6, 1e6 + 1e-3], 0.001), 1e-6);
        Close([0.25, 0.75], OffPolicySupervision.ExponentialFixedPoint([0.5, 0.5], [0.2, 0.6], 0.001));
        Close([0.5, 0.5], OffPolicySupervision.ExponentialFixedPoint([0.5, 0.5], [0.2, 0.6], 1e300));
        Close([1 + (0.2 * (Math.E - 1)), 1 + (0.6 * (Math.E - 1))],
            OffPolicySupervision.ExponentialFixedPoint([0.5, 0.5], [0.2, 0.6], 1), normalize: true);
        Close([1, 0], OffPolicySupervision.Retrained([0.5, 0.5], [10, 9], 400));
        Close([1, 0], OffPolicySupervision.Retrained([0.5, 0.5], [0.02, 0.01], 200));
        Close([Math.Pow(2, 30), 1], OffPolicySupervision.Retrained([0.5, 0.5], [0.02, 0.01], 30), normalize: true);
        Close([0.3, 0.7], OffPolicySupervision.Retrained([0.3, 0.7], [0, 1], 0));
        // Items of one reward share what is left, in whatever order they come.
        Close([0.2, 0.3, 0.5], OffPolicySupervision.Clipped([0.1, 0.15, 0.75], [1, 1, 0.5], 2));
        Close([0.4, 0.6, 0], OffPolicySupervision.Clipped([0.2, 0.3, 0.5], [1, 1, 0.5], 3));
        foreach (var h in new[] { 1e-12, 1e-6, 0.1, 0.999, 1.001, 30, 1e12 })
        {
            var series = h < 5 ? Enumerable.Range(1, 40)
                .Sum(k => -Math.Pow(-h, k) / Enumerable.Range(1, k + 1).Aggregate(1.0, (f, j) => f * j)) : 1 - (1 / h) + (Math.Exp(-h) / h);
            Assert.Equal(1, OffPolicySupervision.ArrivedShare(h) / series, 1e-12);
        }
        // A first buffer at decays so small that 1 − α cancels: −λ/(1 − γ) to first order.
        Assert.Equal(1, Exponential.FirstBuffer(0.1, 1e-12, 0.9) / (-1e-12 / 0.1), 1e-9);

        static void Close(double[] wanted, double[] got, double within = 1e-12, bool normalize = false)
            => Assert.All(wanted.Zip(got), p => Assert.Equal(normalize ? p.First / wanted.Sum() : p.First, p.Second, within));
    }

    /// <summary>The closed form against the flow itself, integrated: likeliest right answers from 1 in 2 to 1 in 10,000.</summary>
    [Theory]
    [InlineData(0.5, 0.9)]
    [InlineData(0.05, 0.9)]
    [InlineData(0.01, 0.5)]
    [InlineData(0.0001, 0.999)]
    public void TheFlowOfTheExpectedRewardIsWhereItsClosedFormSays(double likeliest, double success)
    {
        double[] policy = [likeliest, likeliest / 3, likeliest / 10,
            .. new[] { 0.7, 0.3 }.Select(p => p * (1 - (likeliest * (1 + (1 / 3.0) + 0.1))))];
        bool[] correct = [true, true, true, false, false];
        // θ̇_i = π_i·(1[i ∈ S] − J), by Runge and Kutta's method in the time that J takes, so that it stops exactly at the success asked
        // for.
        var theta = policy.Select(p => Math.Log(p)).ToArray();
        double[] Softmax(double[] t) => [.. t.Select(l => Math.Exp(l) / t.Sum(Math.Exp))];
        double J(double[] t) => Softmax(t).Zip(correct, (p, c) => c ? p : 0).Sum();
        double[] Slope(double[] t)
        {
            var (p, j) = (Softmax(t), J(t));
            double[] dot = [.. p.Select((v, i) => v * ((correct[i] ? 1 : 0) - j))];
            var speed = p.Select((v, i) => v * dot[i] * ((correct[i] ? 1 : 0) - j)).Sum();                    // dJ/dt
            return [.. dot.Select(d => d / speed)];
        }
        double[] Ahead(double[] t, double[] by, double step) => [.. t.Zip(by, (a, b) => a + (step * b))];
        // In equal steps of the log-odds of J: both ends are slow.
        double LogOdds(double j) => Math.Log(j / (1 - j));
        var (from, to, steps) = (LogOdds(J(theta)), LogOdds(success), 4000);
        for (var k = 0; k < steps; k++)
        {
            double Of(double x) => 1 / (1 + Math.Exp(-x));
            var step = Of(from + ((to - from) * (k + 1) / steps)) - Of(from + ((to - from) * k / steps));
            var one = Slope(theta);
            var two = Slope(Ahead(theta, one, step / 2));
            var three = Slope(Ahead(theta, two, step / 2));
            var four = Slope(Ahead(theta, three, step));
            theta = [.. theta.Select((t, i) => t + (step / 6 * (one[i] + (2 * two[i]) + (2 * three[i]) + four[i])))];
        }
        Assert.All(Softmax(theta).Zip(KlMinimal.VanillaPolicyGradient(policy, correct, success)),
            p => Assert.Equal(p.First, p.Second, 1e-7));
        foreach (var near in new[] { 1 - 1e-9, 1 - 1e-12, 1 - 1e-15 })
            Assert.Equal(1, KlMinimal.VanillaPolicyGradient(policy, correct, near)[3..].Sum() / (1 - near), 1e-9);
    }

    /// <summary>Hyperball as published turns less than atan η, by what its momentum points inward; the projected form does not.</summary>
    [Fact]
    public void AStepOnTheSphereTurnsByItsAngle()
    {
        const double rate = 0.01;
        double Measured(bool project)
        {
            using var random = new ReplicaRandom(1, 2, 3, 4);
            using var walk = new RandomWalk(D, random, dtype: ScalarType.Float64);
            using var ball = new FixedNorm(new Sgd(walk.Weights, 1, momentum: 0.9), walk.Layout, rate, project: project);
            var angle = 0.0;
            Training.Run(walk, ball, 1000, o => angle += Geometry.AngularUpdate(o.Before, o.After, walk.Layout).Average(a => a[0]) / 800,
                s => s > 200);
            return angle;
        }
        Assert.Equal(1, Measured(true) / Math.Atan(rate), 1e-9);
        var turned = Measured(false);
        Assert.Equal(1, turned / Sphere.Angle(rate, Sphere.MomentumCosine(rate, 0.9)), 0.001);
        Assert.True(turned < Math.Atan(rate) * 0.997);
        Assert.Equal(Math.Atan(rate), Sphere.Angle(rate, 0), 1e-15);
        Assert.Equal(0, Sphere.MomentumCosine(rate, 0));
    }

    [Fact]
    public void WhatNoFormulaAnswersIsRefusedByName()
    {
        void Refused(string name, Func<object> ask) => Assert.Equal(name, Assert.ThrowsAny<ArgumentException>(() => ask()).ParamName);
        Refused("rate", () => Warmup.FirstAngleOfAdam(-1, 1));
        Refused("rms", () => Warmup.FirstAngleOfAdam(0.1, 0));
        Refused("rate", () => Warmup.FirstAngleOfAdam(double.NaN, 1));
        Refused("unitGradientNorm", () => Warmup.FirstAngleOfSgd(0.1, -1, 1));
        Refused("norm", () => Warmup.FirstAngleOfSgd(0.1, 0, 0));
        Refused("exponent", () => NormGrowth.TwoTimeCosine(-1));
        Refused("exponent", () => NormGrowth.TwoTimeCosine(double.NaN));
        Refused("firstNorm", () => NormGrowth.SgdEffectiveLearningRate(0.1, 0, 0));
        Refused("reward", () => OffPolicySupervision.Value([0.5, 0.5], [1]));
        Refused("cosine", () => Sphere.Angle(0.1, -1.1));
        Refused("momentum", () => Sphere.MomentumCosine(0.1, 1));
        Refused("rate", () => Sphere.MomentumCosine(1, 0.9));
        Refused("decoupledDecay", () => Equilibrium.Sgd(1e-200, 1e-200, 1));
        Refused("amplification", () => Equilibrium.Measured(0.1, 0.1, 1, 1000));
        Refused("l2", () => Equilibrium.SgdNesterovL2(1, 1.5, 1, 0.9));
        Refused("l2", () => Equilibrium.SgdL2(1, 3.9, 1, 0.9));
        // Beyond a product of one, where a decoupled decay has no equilibrium, L2 with momentum still has.
        Assert.True(Equilibrium.SgdL2(1, 3.7, 1, 0.9).Angle is > 2 and < Math.PI);
    }
}
