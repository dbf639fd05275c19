using TorchSharp;
using TrainingDynamics.Measurement;
using TrainingDynamics.Optimizers;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;

namespace TrainingDynamics.Tests;

public class SgdTests
{
    public SgdTests() => manual_seed(1);

    [Theory]
    [InlineData(ScalarType.Float32, 0, 0, false, 1e-6)]
    [InlineData(ScalarType.Float32, 0.9, 0.01, false, 1e-6)]
    [InlineData(ScalarType.Float32, 0.9, 0.01, true, 1e-6)]
    [InlineData(ScalarType.Float64, 0, 0.1, false, 1e-12)]
    [InlineData(ScalarType.Float64, 0.9, 0.1, false, 1e-12)]
    [InlineData(ScalarType.Float64, 0.9, 0.1, true, 1e-12)]
    public void IsTorchSharpsOwnForTenSteps(ScalarType dtype, double momentum, double l2, bool nesterov, double tolerance)
    {
        using var start = randn(2, 7, dtype: dtype);
        using var ours = start.clone();
        using var theirs = new TorchSharp.Modules.Parameter(start.clone());
        using var sgd = new Sgd(ours, rate: 0.1, momentum: momentum, l2: l2, nesterov: nesterov);
        using var reference = optim.SGD([theirs], 0.1, momentum, weight_decay: l2, nesterov: nesterov);
        for (var step = 0; step < 10; step++)
        {
            // The gradient of a quartic: it depends on where each of the two is.
            sgd.Step(ours.pow(3) - 1);
            reference.zero_grad();
            ((theirs.pow(4) / 4) - theirs).sum().backward();
            reference.step();
            Assert.True((ours - theirs).abs().max().ToDoubles()[0] <= tolerance, $"step {step}");
        }
    }

    [Fact]
    public void DecoupledDecayIsMultipliedByTheRateAndPassesTheMomentumBy()
    {
        const double rate = 0.1, momentum = 0.9, decay = 0.3;
        using var weights = tensor(new[,] { { 2.0, -1.0 } });
        using var sgd = new Sgd(weights, rate, momentum, decoupledDecay: decay);
        double w = 2, v = -1, bw = 0, bv = 0;
        for (var step = 0; step < 10; step++)
        {
            using var gradient = weights.clone();
            sgd.Step(gradient);
            (bw, bv) = ((momentum * bw) + w, (momentum * bv) + v);
            (w, v) = (((1 - (rate * decay)) * w) - (rate * bw), ((1 - (rate * decay)) * v) - (rate * bv));
            Assert.Equal(w, weights.ToDoubles()[0], 1e-14);
            Assert.Equal(v, weights.ToDoubles()[1], 1e-14);
        }
    }

    [Fact]
    public void WithoutMomentumTheTwoDecaysAreOne()
    {
        using var a = ones(1, 3, dtype: ScalarType.Float64);
        using var b = ones(1, 3, dtype: ScalarType.Float64);
        using var decoupled = new Sgd(a, 0.1, decoupledDecay: 0.5);
        using var coupled = new Sgd(b, 0.1, l2: 0.5);
        for (var step = 0; step < 5; step++)
        {
            decoupled.Step(a.sin());
            coupled.Step(b.sin());
        }
        Assert.True((a - b).abs().max().item<double>() < 1e-15);
    }

    [Fact]
    public void EachReplicaHasItsOwnSettings()
    {
        using var weights = ones(3, 2, dtype: ScalarType.Float64);
        using var sgd = new Sgd(weights, rate: [0, 0.1, 0.2], momentum: [0, 0, 0.5], decoupledDecay: 0.0);
        for (var step = 0; step < 2; step++)
            sgd.Step(ones_like(weights));
        Assert.Equal([1, 0.8, 0.5], weights.select(1, 0).ToDoubles().Select(w => Math.Round(w, 12)));
        using var decayed = ones(3, 2, dtype: ScalarType.Float64);
        using var decaying = new Sgd(decayed, rate: 0.1, decoupledDecay: [0, 1, 2]);
        using var coupled = new Sgd(decayed, rate: 0.1, l2: [0, 1, 2]);
        decaying.Step(zeros_like(decayed));
        Assert.Equal([1, 0.9, 0.8], decayed.select(1, 0).ToDoubles().Select(w => Math.Round(w, 12)));
        coupled.Step(zeros_like(decayed));
        Assert.Equal([1, 0.81, 0.64], decayed.select(1, 0).ToDoubles().Select(w => Math.Round(w, 12)));
    }

    [Fact]
    public void AScheduleMultipliesTheRate()
    {
        using var weights = zeros(1, 1, dtype: ScalarType.Float64);
        using var sgd = new Sgd(weights, rate: 0.1);
        sgd.Step(ones_like(weights), rateFactor: 0.5);
        Assert.Equal(-0.05, weights.item<double>(), 1e-15);
        Assert.Throws<ArgumentException>(() => sgd.Step(ones_like(weights), rateFactor: double.NaN));
    }

    [Fact]
    public void BadSettingsAreRefusedByNameAndValue()
    {
        using var weights = ones(2, 3);
        void Refused(string name, string value, Func<Sgd> build)
        {
            var e = Assert.Throws<ArgumentException>(build);
            Assert.Equal(name, e.ParamName);
            Assert.Contains(value, e.Message);
        }
        Refused("rate", "-0.1", () => new Sgd(weights, -0.1));
        Refused("rate", "NaN", () => new Sgd(weights, double.NaN));
        Refused("rate", "3 values", () => new Sgd(weights, [0.1, 0.2, 0.3]));
        Refused("momentum", "1", () => new Sgd(weights, 0.1, momentum: 1));
        Refused("decoupledDecay", "-2", () => new Sgd(weights, 0.1, decoupledDecay: -2));
        Refused("decoupledDecay", "allowed is [0, 1)", () => new Sgd(weights, 0.1, decoupledDecay: 10));
        Refused("l2", "∞", () => new Sgd(weights, 0.1, l2: double.PositiveInfinity));
        Refused("weights", "3", () => new Sgd(ones(3), 0.1));
        using var sgd = new Sgd(weights, 0.1);
        Assert.Contains("3 × 2", Assert.Throws<ArgumentException>(() => sgd.Step(ones(3, 2))).Message);
    }
}
