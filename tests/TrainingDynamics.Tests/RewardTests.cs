using TorchSharp;
using TrainingDynamics.Bandits;
using TrainingDynamics.Data;
using TrainingDynamics.Experiments;
using TrainingDynamics.Models;
using TrainingDynamics.Objectives;
using TrainingDynamics.Optimizers;
using TrainingDynamics.Runtime;
using TrainingDynamics.Tasks;
using TrainingDynamics.Theory;
using static TorchSharp.torch;

namespace TrainingDynamics.Tests;

/// <summary>Weights that exponentiate rewards, advantages within a group, and heads that score by angle: closed forms against differences,
/// enumeration, simulation and training.</summary>
public class RewardTests
{
    private static readonly double[] _logger = [0.5, 0.3, 0.15, 0.05], _reward = [0.2, 0.5, -0.3, 0.9];

    [Theory]
    [InlineData(0.05)]
    [InlineData(0.5)]
    [InlineData(5)]
    public void TheTiltIsTheBestTradeAndClimbsByItsVariance(double temperature)
    {
        var tilt = RewardTilt.Of(_logger, _reward, temperature);
        double Goal(double[] policy) => policy.Zip(_reward, (p, r) => p * r).Sum()
            - (temperature * policy.Zip(_logger, (p, q) => p == 0 ? 0 : p * Math.Log(p / q)).Sum());
        for (var (a, step) = (0, 1e-4); a < 4; a++)
        {
            var moved = tilt.Select((p, b) => (p + (a == b ? step : 0)) / (1 + step)).ToArray();
            Assert.True(Goal(moved) < Goal(tilt));
        }
        double V(double beta) => OffPolicySupervision.Value(RewardTilt.Of(_logger, _reward, 1 / beta), _reward);
        var (at, h) = (1 / temperature, 1e-5 / temperature);
        Assert.Equal((V(at + h) - V(at - h)) / (2 * h), RewardTilt.Covariance(tilt, _reward, _reward), 1e-6);

        double[] rates = [0.1, 0.4, 0, 0.9];
        double[] Clicks(double beta) => OffPolicySupervision.ExponentialFixedPoint(_logger, rates, 1 / beta);
        double[] slopes = [.. rates.Select(r => RewardTilt.ClickSlope(r, temperature))];
        Assert.Equal((OffPolicySupervision.Value(Clicks(at + h), rates) - OffPolicySupervision.Value(Clicks(at - h), rates)) / (2 * h),
            RewardTilt.Covariance(Clicks(at), rates, slopes), 1e-6);
    }

    [Fact]
    public void NoiseOfOneLawCancelsAndUnequalNoiseIsPaidAsReward()
    {
        var plain = RewardTilt.Of(_logger, _reward, 0.3);
        Assert.All(RewardTilt.Noisy(_logger, _reward, [0.4, 0.4, 0.4, 0.4], 0.3).Zip(plain), p => Assert.Equal(p.Second, p.First, 1e-12));
        double[] deviation = [0, 0.1, 0.5, 0.2];
        double[] paid = [.. _reward.Zip(deviation, (r, s) => r + (s * s / 0.6))];
        Assert.All(RewardTilt.Noisy(_logger, _reward, deviation, 0.3).Zip(RewardTilt.Of(_logger, paid, 0.3)),
            p => Assert.Equal(p.Second, p.First, 1e-12));
        // Extremes: no overflow, no NaN.
        Assert.Equal(1, RewardTilt.Of(_logger, _reward, 1e-300)[3], 1e-12);
        Assert.All(RewardTilt.Of(_logger, _reward, 1e300).Zip(_logger), p => Assert.Equal(p.Second, p.First, 1e-12));
        Assert.Equal(0, RewardTilt.Of([0, 1], [9, 0], 0.1)[0]);
        Assert.Equal(1, RewardTilt.ClickSlope(0.3, 1e-3), 1e-12);
    }

    [Fact]
    public void NoiseTakesItsShareOfTheSample()
    {
        using var scope = NewDisposeScope();
        using var world = ClickWorld.Planted(5, 8, new ReplicaRandom(1, 2));
        var logger = world.ZipfLogger();
        foreach (var (sigma, temperature) in new[] { (0.2, 0.5), (0.4, 0.5) })
        {
            var noisy = world.DrawReal(logger, 400_000, full([1], sigma, dtype: ScalarType.Float64), new ReplicaRandom(3, 4));
            var quiet = world.DrawReal(logger, 400_000, zeros(1), new ReplicaRandom(3, 4));
            var (with, without) = (Size(noisy, temperature), Size(quiet, temperature));
            Assert.All(with.Zip(without), p => Assert.Equal(RewardTilt.NoiseShare(sigma, temperature), p.First / p.Second, 0.01));
        }

        double[] Size(LoggedBandit log, double temperature)
            => RewardWeights.EffectiveSampleSize(RewardWeights.Exponential(log, temperature));
    }

    [Fact]
    public void WeightsNeverOverflowAndOnlyTheirRatiosCount()
    {
        using var scope = NewDisposeScope();
        using var world = ClickWorld.Planted(3, 4, new ReplicaRandom(1));
        var log = world.DrawReal(world.ZipfLogger(), 200, full([1], 0.5), new ReplicaRandom(2));
        var logs = RewardWeights.Exponential(log, 1e-4);
        var weighted = RewardWeights.Weighted(log, logs);
        Assert.True(weighted.Rewards.isfinite().all().item<bool>());
        Assert.Equal(200, weighted.Rewards.sum().ToDouble(), 1e-6);
        Assert.All(RewardWeights.Weighted(log, logs + 1e6).Rewards[0].ToDoubles().Zip(weighted.Rewards[0].ToDoubles()),
            p => Assert.Equal(p.Second, p.First, 1e-6));
        Assert.Equal(200, RewardWeights.EffectiveSampleSize(zeros(1, 200))[0], 1e-9);
        Assert.Equal(1, RewardWeights.EffectiveSampleSize(tensor(new[] { 0, -1e9, -1e9 }).unsqueeze(0))[0], 1e-12);
    }

    [Fact]
    public void WeightedCrossEntropyOnAnEndlessLogEndsAtTheTilt()
    {
        // Two contexts' worth of rewards without noise: each impression's weight is its cell's, and the empirical tilt is exact.
        using var scope = NewDisposeScope();
        using var world = ClickWorld.Planted(2, 5, new ReplicaRandom(1, 2));
        var log = world.DrawReal(world.ZipfLogger(), 20_000, zeros(1), new ReplicaRandom(3, 4));
        using var table = RewardWeights.Weighted(log, RewardWeights.Exponential(log, 0.2)).Table(2, 5);
        using var shown = log.Table(2, 5);
        using var model = new TabularPolicy([.. Enumerable.Range(0, 2).Select(_ => Enumerable.Repeat(0.2, 5).ToArray())], 2);
        using var adam = new Adam(model.Weights, 0.05);
        Training.Run(new Minimizing(model.Layout, model.Weights, OffPolicyLearning.ClickCrossEntropy().On(model, table)), adam, 800,
            schedule: step => 1 - (step / 800.0));
        var frequency = shown.Shown / shown.Shown.sum(-1, keepdim: true);
        var tilt = Policies.PerContext(frequency, world.Reward, (p, r) => RewardTilt.Of(p, r, 0.2));
        Assert.True((model.Policy() - tilt).abs().max().ToDouble() < 1e-4);
    }

    [Fact]
    public void AShrunkMeanIsThePosteriorAndTheRidgeIsItsRegression()
    {
        using var scope = NewDisposeScope();
        using var world = ClickWorld.Planted(2, 3, new ReplicaRandom(1, 2));
        var log = world.DrawReal(world.ZipfLogger(), 40, full([1], 0.5), new ReplicaRandom(3, 4));
        var prior = full([1, 2, 3], 0.25, dtype: ScalarType.Float64);
        var means = log.ShrunkMeans(prior, 3);
        for (var r = 0; r < 2; r++)
        {
            var (x, a, reward) = (log.Contexts[r].ToDoubles(), log.Items[r].ToDoubles(), log.Rewards[r].ToDoubles());
            for (var cell = 0; cell < 6; cell++)
            {
                double[] own = [.. reward.Where((_, i) => x[i] == cell / 3 && a[i] == cell % 3)];
                Assert.Equal((own.Sum() + 0.75) / (own.Length + 3), means[r, cell / 3, cell % 3].ToDouble(), 1e-12);
            }
        }
        // A table of scores with a ridge is the shrunk mean around 0.
        using var table = log.Table(2, 3);
        using var model = new TabularPolicy([[0.4, 0.3, 0.3], [0.4, 0.3, 0.3]], 2);
        using var sgd = new Sgd(model.Weights, 1);
        var loss = OffPolicyLearning.RewardRegression(model, table, new[] { 3.0, 0.5 });
        Training.Run(new Minimizing(model.Layout, model.Weights, loss), sgd, 2_000);
        Assert.True((model.Scores(model.Weights)[0] - log.ShrunkMeans(prior * 0, 3)[0]).abs().max().ToDouble() < 1e-9);
        Assert.True((model.Scores(model.Weights)[1] - log.ShrunkMeans(prior * 0, 0.5)[1]).abs().max().ToDouble() < 1e-9);
    }

    [Fact]
    public void NoErrorWithinTheRadiusCostsMoreThanTheBoundAndTheWorstAlmostThat()
    {
        using var random = new ReplicaRandom(1);
        foreach (var (radius, temperature) in new[] { (0.1, 1.0), (0.3, 0.2), (1, 0.3) })
        {
            var bound = RewardTilt.GreatestLoss(radius, temperature);
            Assert.True(bound < RewardTilt.Allowance(radius, temperature));
            for (var trial = 0; trial < 50; trial++)
            {
                var u = random.Uniform([3, 6], ScalarType.Float64).ToDoubles();
                double[] logger = u[..6], reward = u[6..12], wrong = [.. reward.Zip(u[12..], (r, e) => r + (radius * Math.Sign(e - 0.5)))];
                var lost = OffPolicySupervision.Value(RewardTilt.Of(logger, reward, temperature), reward)
                    - OffPolicySupervision.Value(RewardTilt.Of(logger, wrong, temperature), reward);
                Assert.True(lost <= bound);
            }
            // Two items, one of value 1 that the tilt shows with odds e^{ε/λ}, and errors against it.
            double[] two = [Math.Exp((radius - 1) / temperature), 1];
            double[] against = [1 - radius, radius];
            var worst = OffPolicySupervision.Value(RewardTilt.Of(two, [1, 0], temperature), [1, 0])
                - OffPolicySupervision.Value(RewardTilt.Of(two, against, temperature), [1, 0]);
            Assert.Equal(bound, worst, 1e-12);
        }
    }

    // Outcomes of one tool: (called, hit). Enumerating 2^G·… orders by hand is the definition.
    private static double ByOrders(double[] p, double[] r, double[] s, int group, Func<double[], double[]> advantage)
    {
        var total = 0.0;
        for (var code = 0; code < Math.Pow(p.Length, group); code++)
        {
            int[] drawn = [.. Enumerable.Range(0, group).Select(i => code / (int)Math.Pow(p.Length, i) % p.Length)];
            var a = advantage([.. drawn.Select(k => r[k])]);
            total += drawn.Select(k => p[k]).Aggregate((x, y) => x * y) * drawn.Select((k, i) => a[i] * s[k]).Average();
        }
        return total;
    }

    [Theory]
    [InlineData(2)]
    [InlineData(5)]
    public void PullsOfAGroupAreThoseOfAllItsOrders(int group)
    {
        double[] p = [0.4, 0.3, 0.2, 0.1], r = [0, 1, -0.1, 0.9], s = [-0.3, -0.3, 0.7, 0.7];
        double[] Over(double[] rewards, double epsilon)
        {
            var mean = rewards.Average();
            var deviation = Math.Sqrt(rewards.Average(x => (x - mean) * (x - mean)));
            return [.. rewards.Select(x => deviation < 1e-12 ? 0 : (x - mean) / (deviation + epsilon))];
        }
        foreach (var epsilon in new[] { 0, 0.01, 1 })
            Assert.Equal(ByOrders(p, r, s, group, x => Over(x, epsilon)), GroupAdvantage.Pull(p, r, s, group, epsilon), 1e-12);
        Assert.Equal(ByOrders(p, r, s, group, x => [.. x.Select(v => v - x.Average())]), GroupAdvantage.MeanPull(p, r, s, group), 1e-12);
    }

    [Fact]
    public void APullHasNoScaleAndAShrunkMeanOfADivergedReplicaIsNone()
    {
        double[] p = [0.7, 0.3], s = [-0.3, 0.7];
        foreach (var size in new[] { 1e200, 1e-170 })
            Assert.Equal(GroupAdvantage.Pull(p, [1, 0], s, 8), GroupAdvantage.Pull(p, [size, 0], s, 8), 1e-12);
        using var scope = NewDisposeScope();
        using var world = ClickWorld.Planted(2, 3, new ReplicaRandom(1, 2));
        var policy = world.ZipfLogger().repeat(2, 1, 1);
        policy[0, 0, 0] = double.NaN;
        using var log = world.Draw(policy, 20, new ReplicaRandom(3, 4));
        Assert.True(log.ShrunkMeans(zeros(1, 2, 3), 1)[0].isnan().all().item<bool>());
        Assert.True(log.ShrunkMeans(zeros(1, 2, 3), 1)[1].isfinite().all().item<bool>());
    }

    [Fact]
    public void APriceInATiedGroupHasNoSize()
    {
        foreach (var price in new[] { 1e-9, 1e-3, 10 })
        {
            double[] p = [0.7, 0.3], r = [1, 1 - price], s = [-0.3, 0.7];
            Assert.Equal(-GroupAdvantage.TiedDeviation(0.3, 8), GroupAdvantage.Pull(p, r, s, 8), 1e-7);
        }
        Assert.Equal(0.464, GroupAdvantage.TiedDeviation(0.5, 8), 5e-4);
    }

    [Fact]
    public void AdvantagesAreTheirFormulasAndAgreeingGroupsPullNothing()
    {
        using var scope = NewDisposeScope();
        Answers Of(double[] mass, double[] reward) => new()
        {
            LogPolicy = zeros(1, 1, mass.Length),
            AskBase = () => zeros(1),
            AskSource = () => zeros(1),
            LogTarget = zeros(1),
            Mass = tensor(mass).reshape(1, 1, -1),
            Reward = tensor(reward).reshape(1, 1, -1),
        };
        var mixed = Of([0.25, 0.75], [1, 0]);
        Assert.Equal(0.75, Advantage.Mean.Of(mixed)[0, 0, 0].ToDouble(), 1e-12);
        Assert.Equal(0.75 / Math.Sqrt(3.0 / 16), Advantage.Deviation.Of(mixed)[0, 0, 0].ToDouble(), 1e-12);
        Assert.Equal(0.75 / (Math.Sqrt(3.0 / 16) + 0.1), Advantage.DeviationPlus(0.1).Of(mixed)[0, 0, 0].ToDouble(), 1e-12);
        Assert.Equal(0, Advantage.Deviation.Of(Of([0.3, 0.7], [0.1, 0.1])).abs().max().ToDouble());
        Assert.Contains("samples is 1", Assert.Throws<ArgumentException>(() => FineTuning.Grpo(1)).Message);
        Assert.Contains("epsilon is -1", Assert.Throws<ArgumentException>(() => Advantage.DeviationPlus(-1)).Message);
    }

    [Fact]
    public void AnItemsLengthChangesNoCosineAndItsGradientIsAtARightAngle()
    {
        using var scope = NewDisposeScope();
        using var head = new CosineHead(7, 5, 12, new ReplicaRandom(1, 2));
        var queries = new ReplicaRandom(3, 4).Normal([6, 5], ScalarType.Float64);
        var scores = head.Forward(head.Weights, queries);
        Assert.True((head.Forward(head.Weights * 3, queries) - scores).abs().max().ToDouble() < 1e-12);
        Assert.True(scores.abs().max().ToDouble() <= 12 + 1e-12);
        var (e, q) = (head.Weights.reshape(2, 7, 5), queries);
        Assert.Equal(12 * (e[1, 3] * q[1, 2]).sum().ToDouble() / e[1, 3].norm().ToDouble() / q[1, 2].norm().ToDouble(),
            scores[1, 2, 3].ToDouble(), 1e-12);
        var (_, gradient) = Derivatives.LossAndGradient(w => head.Forward(w, queries).log_softmax(-1).select(2, 0).mean([1]).neg(),
            head.Weights);
        Assert.True((gradient.reshape(2, 7, 5) * e).sum(-1).abs().max().ToDouble() < 1e-15);
        using var learned = new CosineHead(7, 5, 12, new ReplicaRandom(1, 2), learnScale: true);
        Assert.True((learned.Forward(learned.Weights, queries) - scores).abs().max().ToDouble() < 1e-12);
    }

    [Fact]
    public void RetrievalsPosteriorIsBayesAndAdjustmentTakesThePriorOff()
    {
        using var scope = NewDisposeScope();
        using var world = new PlantedRetrieval(6, 3, new ReplicaRandom(1, 2), 0.4, 1.1);
        var (items, queries) = world.Draw(60_000, new ReplicaRandom(3, 4));
        var with = world.LogPosterior(queries);
        for (var a = 0; a < 6; a++)
        {
            var log = world.LogPopularity[a].ToDouble() - ((queries[0, 5] - world.Points[0, a]).square().sum().ToDouble() / 0.32);
            var first = world.LogPopularity[0].ToDouble() - ((queries[0, 5] - world.Points[0, 0]).square().sum().ToDouble() / 0.32);
            Assert.Equal(log - first, (with[0, 5, a] - with[0, 5, 0]).ToDouble(), 1e-9);
            // Calibrated: of queries the posterior says what the items are.
            var own = (items == a).to(ScalarType.Float64).mean([1]);
            Assert.True((with.exp().select(2, a).mean([1]) - own).abs().max().ToDouble() < 0.006);
        }
        var off = LogitAdjustment.Afterwards(with, world.LogPopularity.unsqueeze(0)).log_softmax(-1);
        Assert.True((off - world.LogPosterior(queries, byPopularity: false)).abs().max().ToDouble() < 1e-9);
        Assert.True((LogitAdjustment.WhileLearning(off, world.LogPopularity.unsqueeze(0)).log_softmax(-1) - with).abs().max().ToDouble()
            < 1e-9);
        var (wanted, _) = world.Draw(60_000, new ReplicaRandom(3, 4), balanced: true);
        Assert.All(wanted[0].ToDoubles().CountBy(a => a), count => Assert.Equal(10_000, count.Value, 400.0));
        Assert.Equal(Math.Log(3.0 / 12), LogitAdjustment.LogFrequencies(tensor(new[] { 2.0, 7, 0 }), 1)[0].ToDouble(), 1e-12);
    }

    [Fact]
    public void AtTheEndsOfTheRangeNumbersAreWhatTheFormulaSays()
    {
        // What all items have says nothing, however large; towards λ = 0 the best item that is shown.
        Assert.All(RewardTilt.Of([0.3, 0.7], [1e6, 1e6], 1e-12).Zip([0.3, 0.7]), p => Assert.Equal(p.Second, p.First, 1e-12));
        Assert.All(RewardTilt.Noisy([0.3, 0.7], [0, 0], [1, 1], 1e-8).Zip([0.3, 0.7]), p => Assert.Equal(p.Second, p.First, 1e-12));
        Assert.Equal([0.5, 0.5], RewardTilt.Noisy([0.5, 0.5], [0, 0], [1, 1], 1e-309));
        Assert.Equal([1, 0, 0], RewardTilt.Of([0.5, 0.5, 0], [-1, -2, 5], 1e-320));
        // e^x − 1 by its series, where MathNet's loses half of the digits.
        foreach (var x in new[] { 1e-9, 0.07, 0.5, 0.99, 1.5 })
        {
            var (sum, term) = (0.0, 1.0);
            for (var k = 1; k < 30; k++)
                sum += term *= x / k;
            Assert.Equal(1, RewardTilt.Allowance(x / 2, 1) / sum, 1e-14);
        }
        Assert.True(double.IsFinite(RewardTilt.ErrorRadius(1, 1, 1e-320)));
        Assert.Equal(0, RewardTilt.Covariance([0.5, 0.50009], [1e6, 1e6], [1e6, 1e6]), 1e-3);
        // What is never drawn sets no scale: E[sd of a pair of two rewards] = ¼ of their difference each, over sd.
        Assert.Equal(0.5, GroupAdvantage.Pull([0, 0.5, 0.5], [1, 1e-13, 2e-13], [0, -1, 1], 2), 1e-9);
        Assert.Equal([5.0], Measurement.Exposure.EffectiveItems(full([1, 5], 1e200, ScalarType.Float64)).Select(v => Math.Round(v, 9)));
        Assert.Equal(-400 * Math.Log(10), LogitAdjustment.LogFrequencies(tensor(new[] { 1e-200, 1e200 }))[0].ToDouble(), 1e-9);
        // Tied rewards are 0 at any ε, also at one that the type does not hold.
        Assert.Equal(0, Answers(full([1, 1, 4], 7f)).StandardizedReward(1e-60).abs().max().ToDouble());
        Assert.Equal(0, Answers(full([1, 1, 100], 0.1, ScalarType.Float64)).StandardizedReward(1e-40).abs().max().ToDouble());
    }

    private static Answers Answers(Tensor reward) => new()
    {
        LogPolicy = zeros_like(reward),
        AskBase = () => zeros_like(reward),
        AskSource = () => zeros_like(reward),
        LogTarget = zeros_like(reward),
        Mass = full_like(reward, 1.0 / reward.shape[^1]),
        Reward = reward,
    };

    [Fact]
    public void BadInputIsNamed()
    {
        void Refused(string name, Action act) => Assert.Contains(name, Assert.ThrowsAny<ArgumentException>(act).Message);
        Refused("temperature is 0", () => RewardTilt.Of(_logger, _reward, 0));
        Refused("temperature is NaN", () => RewardTilt.Of(_logger, _reward, double.NaN));
        Refused("overflow", () => RewardTilt.Noisy([0.5, 0.5], [0, 1e300], [1e300, 0], 1e-300));
        Refused("sum 4", () => RewardTilt.Covariance([2, 2], [1, 1], [1, 1]));
        Refused("group is 2147483647", () => GroupAdvantage.Pull([0.5, 0.5], [1, 0], [0, 0], int.MaxValue));
        Refused("reward (2)", () => RewardTilt.Of(_logger, [1, 2], 1));
        Refused("deviation (4)", () => RewardTilt.Noisy(_logger, _reward, [0, 0, -1, 0], 1));
        Refused("rate is 1.5", () => RewardTilt.ClickSlope(1.5, 1));
        Refused("items is 0", () => RewardTilt.ErrorRadius(1, 0));
        Refused("temperature is -1", () => RewardTilt.Allowance(1, -1));
        Refused("group is 1", () => GroupAdvantage.Pull([1], [1], [0], 1));
        Refused("sum 0.9", () => GroupAdvantage.MeanPull([0.9], [1], [0], 2));
        Refused("group is 4000", () => GroupAdvantage.Pull([0.25, 0.25, 0.25, 0.25], [1, 2, 3, 4], [0, 0, 0, 0], 4000));
        Refused("probability is 2", () => GroupAdvantage.TiedDeviation(2, 8));
        Refused("crest is 0.5", () => Rounding.OfIntegers(0.5, 127));
        Refused("mantissaBits is -1", () => Rounding.OfFloats(-1));

        using var scope = NewDisposeScope();
        using var world = ClickWorld.Planted(2, 3, new ReplicaRandom(1));
        using var log = world.Draw(world.ZipfLogger(), 20, new ReplicaRandom(1));
        using var endless = world.Endless(world.ZipfLogger());
        Refused("enumerates", () => RewardWeights.Exponential(endless, 1));
        Refused("random has 2 replicas", () => world.DrawReal(world.ZipfLogger(), 5, zeros(1), new ReplicaRandom(1, 2)));
        Refused("shape [4]", () => world.DrawReal(world.ZipfLogger(), 5, zeros(4), new ReplicaRandom(1)));
        Refused("temperature is 0", () => RewardWeights.Exponential(log, 0));
        Refused("temperature is 1E-320", () => RewardWeights.Exponential(log, 1e-320));
        Refused("the greatest ", () => RewardWeights.EffectiveSampleSize(full([1, 2], double.PositiveInfinity)));
        Refused("one above −∞", () => RewardWeights.EffectiveSampleSize(full([1, 2], double.NegativeInfinity)));
        Refused("[1, 2]", () => RewardWeights.Weighted(log, zeros(1, 2)));
        Refused("deviation goes from -1", () => world.DrawReal(world.ZipfLogger(), 5, full([1], -1.0), new ReplicaRandom(1)));
        Refused("strength is -1", () => log.ShrunkMeans(zeros(1, 2, 3), -1));
        Refused("enumerates", () => endless.ShrunkMeans(zeros(1, 2, 3), 1));
        Refused("seen by nobody", () => LogitAdjustment.LogFrequencies(tensor(new[] { 1.0, 0 })));
        Refused("strength is NaN", () => LogitAdjustment.Afterwards(zeros(1, 1, 2), zeros(1, 2), double.NaN));
        Refused("0 and 0", () => new PlantedRetrieval(5, 5, new ReplicaRandom(1), 0, 0));
        using var head = new CosineHead(3, 2, 1, new ReplicaRandom(1));
        Refused("has no direction", () => head.Forward(head.Weights, zeros(1, 1, 2, dtype: ScalarType.Float64)));
        Refused("[1, 1, 3]", () => head.Forward(head.Weights, ones(1, 1, 3, dtype: ScalarType.Float64)));
        Refused("an item's vector is 0", () => head.Forward(zeros_like(head.Weights), ones(1, 1, 2, dtype: ScalarType.Float64)));
        Refused("first (2)", () => RewardTilt.Covariance([0.5, 0.5], [1, double.NaN], [1, 1]));
        Refused("random has 2 replicas", () => world.Draw(world.ZipfLogger(), 5, new ReplicaRandom(1, 2)));
        Refused("click has the shape [0]", () => new ClickWorld(zeros(0)));
        Refused("payoff has the shape [7]", () => new ClickWorld(zeros(1, 2, 3), payoff: zeros(7)));
        Refused("policy has the shape [3]", () => log.Missing(ones(3)));
        using var retrieval = new PlantedRetrieval(5, 2, new ReplicaRandom(1), 0.5, 1);
        Refused("queries: 2 numbers", () => retrieval.LogPosterior(full([1, 1, 2], double.NaN, ScalarType.Float64)));
        Refused("Largest is 960", () => new Codes.FloatFormat("wide", 4, 3, 960));
        Refused("groups are 0 numbers", () => Measurement.Exposure.ByGroup(zeros(2, 0), []));
        Refused("Normalization is 9", () => new AffineMlp(new MlpShape { Inputs = 2, Normalization = (Normalization)9 },
            new ReplicaRandom(1)));
        Refused("samples is 0", () => FineTuning.GroupRelative(Advantage.Mean, 0));
        // A loss of other weights would end the process in torch.
        using var other = zeros(1, 2, dtype: ScalarType.Float32).requires_grad_(true);
        Refused("does not depend", () => new Streaming(new Layout(new Block("w", [2])), ones(1, 2), () => _ => other.sum(1)).Next());
        Refused("does not depend", () => Derivatives.Directional(_ => other.unsqueeze(1), ones(1, 2), ones(1, 2)));
        Refused("does not depend", () => Measurement.WeightChange.FisherDiagonal(_ => other.unsqueeze(1), ones(1, 2)));
        Assert.Equal(0, Derivatives.HessianVectorProduct(w => (w * other).sum(1), ones(1, 2), ones(1, 2)).abs().max().ToDouble());
        using (no_grad())
            Assert.Equal(2, Derivatives.HessianVectorProduct(w => w.square().sum(1), ones(1, 2), ones(1, 2))[0, 0].ToDouble(), 1e-6);
        Refused("the loss has the shape []", () => new Streaming(new Layout(new Block("w", [2])), ones(1, 2), () => w => w.sum()).Next());
        Refused("the weights have the shape [1, 2] of Int64", () => new Streaming(new Layout(new Block("w", [2])), ones(1, 2,
            dtype: ScalarType.Int64), () => w => w.sum(1)).Next());
    }
}
