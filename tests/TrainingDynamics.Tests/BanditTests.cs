using TorchSharp;
using TrainingDynamics.Bandits;
using TrainingDynamics.Experiments;
using TrainingDynamics.Measurement;
using TrainingDynamics.Models;
using TrainingDynamics.Optimizers;
using TrainingDynamics.Runtime;
using TrainingDynamics.Tasks;
using TrainingDynamics.Theory;
using static TorchSharp.torch;

namespace TrainingDynamics.Tests;

/// <summary>Learning and evaluation from logs, against closed forms, enumeration and simulation.</summary>
public class BanditTests
{
    // The world of Chen et al. 2019: ten items, r = i, shown the more often the worse they are.
    private static readonly double[] Logger = [.. Enumerable.Range(1, 10).Select(i => (11 - i) / 55.0)];
    private static readonly double[] Reward = [.. Enumerable.Range(1, 10).Select(i => i / 10.0)];

    private static ClickWorld TenItems(int replicas = 1) => new(tensor(Reward).reshape(1, 1, 10).repeat(replicas, 1, 1));

    private static Tensor Row(double[] policy) => tensor(policy).reshape(1, 1, policy.Length);

    /// <summary>The fixed point against the loop itself, ten thousand rounds from an even start, with a full logger and with one that never
    /// shows the best items: below some share of own impressions they are lost, above it they live.</summary>
    [Theory]
    [InlineData(0, false)]
    [InlineData(0.3, false)]
    [InlineData(0.9, false)]
    [InlineData(1, false)]
    [InlineData(0.2, true)]
    [InlineData(0.9, true)]
    public void ALoopOnAMixtureOfLogsEndsWhereTheClosedFormSays(double own, bool narrow)
    {
        double[] logger = narrow ? [.. Logger.Select((p, a) => a >= 8 ? 0 : p)] : Logger;
        logger = [.. logger.Select(p => p / logger.Sum())];
        double[] policy = [.. Reward.Select(_ => 1.0 / Reward.Length)];
        for (var round = 0; round < 10_000; round++)
        {
            policy = [.. policy.Zip(logger, (p, l) => ((1 - own) * l) + (own * p)).Zip(Reward, (p, r) => p * r)];
            var sum = policy.Sum();
            policy = [.. policy.Select(p => p / sum)];
        }
        var closed = OffPolicySupervision.MixedFixedPoint(logger, Reward, own);
        Assert.Equal(1, closed.Sum(), 1e-12);
        Assert.All(closed.Zip(policy), p => Assert.Equal(p.Second, p.First, 1e-9));
        if (narrow)
            Assert.Equal(own > 0.5, closed[9] > 0.01);
        Assert.Contains("own is 1.5", Assert.Throws<ArgumentException>(() =>
            OffPolicySupervision.MixedFixedPoint(logger, Reward, 1.5)).Message);
    }

    [Fact]
    public void TheWorldOfTenItemsHasItsPublishedValues()
    {
        double[] Values(params int[] rounds) =>
            [.. rounds.Select(t => 10 * OffPolicySupervision.Value(OffPolicySupervision.Retrained(Logger, Reward, t), Reward))];
        Assert.Equal(4.0, 10 * OffPolicySupervision.Value(Logger, Reward), 1e-12);
        Assert.Equal(5.5, 10 * OffPolicySupervision.Value(OffPolicySupervision.ClickFixedPoint(Logger, Reward), Reward), 1e-12);
        Assert.All(Values(1, 2, 3, 10).Zip([5.5, 6.564, 7.283, 9.154]), v => Assert.Equal(v.Second, v.First, 5e-4));
        using var world = TenItems();
        Assert.Equal(0.4, world.Value(Row(Logger))[0], 1e-12);
        Assert.Equal(1.0, world.Value(world.Best())[0], 1e-12);
        var two = OffPolicySupervision.TopK([10, 9, 1, 1, 1, 1, 1, 1, 1, 1], 2);
        Assert.Equal(10 / 19.0, two[0], 1e-10);
        Assert.Equal(9 / 19.0, two[1], 1e-10);
        Assert.All(two.Skip(2), p => Assert.Equal(0, p, 1e-12));
        // Clipped at 2, three items of a uniform logger may have 2/10 each, a fourth 2/10, a fifth the rest; unclipped the best has all.
        double[] uniform = [.. Enumerable.Repeat(0.1, 10)];
        Assert.Equal([0.2, 0.2, 0.2, 0.2, 0.2, 0, 0, 0, 0, 0],
            OffPolicySupervision.Clipped(uniform, [10, 9, 8, 7, 6, 5, 4, 3, 2, 1], 2).Select(p => Math.Round(p, 12)));
        Assert.Equal(1, OffPolicySupervision.Clipped(uniform, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 100)[9], 1e-12);
        Assert.Throws<ArgumentException>(() => OffPolicySupervision.Clipped(uniform, uniform, 0.5));
        Assert.Equal([0.6], world.Regret(Row(Logger)).Select(v => Math.Round(v, 12)));
    }

    [Theory]
    [InlineData("click")]
    [InlineData("exponential")]
    [InlineData("advantage")]
    [InlineData("ips-ce")]
    [InlineData("top-k")]
    [InlineData("clipped")]
    public void TrainingEndsAtTheClosedForm(string name)
    {
        using var scope = NewDisposeScope();
        using var world = TenItems();
        using var model = new TabularPolicy([Logger], 1);
        var table = world.Endless(Row(Logger)).Table(1, 10);
        var (objective, end) = name switch
        {
            "click" => (OffPolicyLearning.ClickCrossEntropy(), OffPolicySupervision.ClickFixedPoint(Logger, Reward)),
            "exponential" => (OffPolicyLearning.ExponentialWeights(0.5), OffPolicySupervision.ExponentialFixedPoint(Logger, Reward, 0.5)),
            "advantage" => (OffPolicyLearning.AdvantageWeights(0.5), OffPolicySupervision.ExponentialFixedPoint(Logger, Reward, 0.5)),
            "clipped" => (OffPolicyLearning.Ips(clip: 3), OffPolicySupervision.Clipped(Logger, Reward, 3)),
            "ips-ce" => (OffPolicyLearning.IpsCrossEntropy(), [.. Reward.Select(r => r / Reward.Sum())]),
            _ => (OffPolicyLearning.TopK(3), OffPolicySupervision.TopK(Reward, 3)),
        };
        using var adam = new Adam(model.Weights, 0.02);
        Training.Run(new Minimizing(model.Layout, model.Weights, objective.On(model, table)),
            adam, 3000, schedule: s => s < 2000 ? 1 : 0.05);
        Assert.All(model.Policy().ToDoubles().Zip(end), p => Assert.Equal(p.Second, p.First, name is "top-k" or "clipped" ? 2e-3 : 1e-4));
    }

    [Fact]
    public void OnAnEndlessLogIpsAndDoublyRobustAreThePolicyGradient()
    {
        using var scope = NewDisposeScope();
        using var random = new ReplicaRandom(1, 2);
        using var world = ClickWorld.Planted(7, 12, random);
        using var model = new Factorization(7, 12, 3, random, scale: 1);
        var table = world.Endless(world.ZipfLogger()).Table(7, 12);
        var q = random.Uniform([7, 12], ScalarType.Float64);
        var exact = Derivatives.Gradient(OnPolicyLearning.Reinforce(model, world), model.Weights).ToDoubles();
        foreach (var objective in new[] { OffPolicyLearning.Ips(),
            OffPolicyLearning.DoublyRobust(q), OffPolicyLearning.DirectMethod(world.Reward), OffPolicyLearning.TopK(1) })
            Assert.All(Derivatives.Gradient(objective.On(model, table), model.Weights).ToDoubles().Zip(exact),
                g => Assert.Equal(g.Second, g.First, 1e-12));
        // Self-normalized, the gradient is along the same direction once Σnw = 1, less V times that of the normalizer, whose expectation is
        // constant.
        Assert.All(Derivatives.Gradient(OffPolicyLearning.Snips().On(model, table), model.Weights).ToDoubles().Zip(exact),
            g => Assert.Equal(g.Second, g.First, 1e-12));
        // CE on the policy's own clicks, renewed every step, is the policy gradient, too.
        Assert.All(Derivatives.Gradient(OnPolicyLearning.OwnClicks(model, world), model.Weights).ToDoubles().Zip(exact),
            g => Assert.Equal(g.Second, g.First, 1e-12));
    }

    [Fact]
    public void AUnionOfFixedLoggersIsUnbiasedByItsMeanPropensity()
    {
        using var scope = NewDisposeScope();
        using var random = new ReplicaRandom(1, 2);
        using var world = ClickWorld.Planted(7, 12, random);
        using var model = new Factorization(7, 12, 3, random, scale: 1);
        var (one, other) = (world.ZipfLogger(), world.ZipfLogger(2).flip(2));
        var union = LoggedTable.Union(world.Endless(one).Table(7, 12), world.Endless(other).Table(7, 12));
        Assert.All(OffPolicyLearning.Ips().On(model, union)(model.Weights).ToDoubles().Zip(world.Value(model.Policy())),
            v => Assert.Equal(-v.Second, v.First, 1e-12));
        Assert.Throws<ArgumentException>(() => LoggedTable.Union());
        // A log of one click, and one of 99 impressions without: 1 in 100.
        LoggedTable Same(int count, double click) => new LoggedBandit(zeros(1, count, dtype: ScalarType.Int64),
            zeros(1, count, dtype: ScalarType.Int64),
            full(1, count, click, dtype: ScalarType.Float64), ones(1, count, dtype: ScalarType.Float64)).Table(1, 1);
        var both = LoggedTable.Union(Same(1, 1), Same(99, 0));
        Assert.Equal(0.01, both.Clicked.ToDoubles()[0], 1e-15);
        Assert.Equal((1, 100.0), (both.Propensity.ToDoubles()[0], both.Impressions));
    }

    [Fact]
    public void TopKsGradientIsIpsTimesItsMultiplier()
    {
        using var scope = NewDisposeScope();
        using var world = TenItems();
        using var model = new TabularPolicy([Reward], 1);
        var table = world.Endless(Row(Logger)).Table(1, 10);
        var p = model.Policy().reshape(-1);
        var (multiplier, r) = (4 * (1 - p).pow(3), tensor(Reward));
        // Σ_a λ_K·r·π·(1[a = b] − π_b)
        var expected = -p * ((multiplier * r) - (p * multiplier * r).sum());
        Assert.All(Derivatives.Gradient(OffPolicyLearning.TopK(4).On(model, table), model.Weights).ToDoubles().Zip(expected.ToDoubles()),
            g => Assert.Equal(g.Second, g.First, 1e-12));
    }

    // 400 logs of one world, as replicas.
    private const int Logs = 400, Impressions = 500;

    private static (ClickWorld World, LoggedBandit Log, Tensor Policy, Tensor Model, Tensor Logger) Study(int impressions = Impressions)
    {
        using var random = new ReplicaRandom(7);
        using var one = ClickWorld.Planted(5, 10, random);
        var world = new ClickWorld(one.Reward.repeat(Logs, 1, 1));
        var logger = world.ZipfLogger();
        using var many = new ReplicaRandom(Enumerable.Range(1, Logs).ToArray());
        return (world, world.Draw(logger, impressions, many), (one.Reward * 3).softmax(-1), (one.Reward * 0.7) + 0.1, logger);
    }

    public static TheoryData<string> Estimators => ["IPS", "clipped", "SNIPS", "DM", "DR", "SNDR", "Switch"];

    private static Estimate Of(string name, LoggedBandit log, Tensor policy, Tensor model) => name switch
    {
        "IPS" => OffPolicyEvaluation.Ips(log, policy),
        "clipped" => OffPolicyEvaluation.Ips(log, policy, clip: 2),
        "SNIPS" => OffPolicyEvaluation.Snips(log, policy),
        "DM" => OffPolicyEvaluation.DirectMethod(log, policy, model),
        "DR" => OffPolicyEvaluation.DoublyRobust(log, policy, model),
        "SNDR" => OffPolicyEvaluation.SelfNormalizedDoublyRobust(log, policy, model),
        _ => OffPolicyEvaluation.Switch(log, policy, model, 3),
    };

    [Theory, MemberData(nameof(Estimators))]
    public void BiasAndVarianceAreThoseOfTheEndlessLog(string name)
    {
        using var scope = NewDisposeScope();
        var (world, log, policy, model, logger) = Study();
        var exact = Of(name, world.Endless(logger), policy, model);
        var found = Of(name, log, policy, model);
        var mean = found.Value.Average();
        var spread = MathNet.Numerics.Statistics.Statistics.StandardDeviation(found.Value);
        var error = spread / Math.Sqrt(Logs);
        // A ratio's bias of order 1/n is within the noise of 400 logs, as it should be.
        Assert.True(Math.Abs(mean - exact.Value[0]) < 3 * error, $"mean {mean}, exact {exact.Value[0]}, standard error {error}");
        // The standard deviation of 400 values is known to 3.5 %; so are the logs' own standard errors, on average.
        Assert.Equal(1, spread / (exact.Deviation[0] / Math.Sqrt(Impressions)), 0.11);
        Assert.Equal(1, found.StandardError.Average() / (exact.Deviation[0] / Math.Sqrt(Impressions)), 0.05);
        var truth = world.Value(policy)[0];
        if (name is "IPS" or "SNIPS" or "DR" or "SNDR")
            Assert.Equal(truth, exact.Value[0], 1e-12);
        if (name == "clipped")
            Assert.Equal(truth - (world.Share.unsqueeze(-1) * world.Reward * (policy - (2 * logger)).clamp_min(0)).sum([1, 2])
                .ToDoubles()[0], exact.Value[0], 1e-12);
        if (name == "DM")
            Assert.Equal((0.7 * truth) + 0.1, exact.Value[0], 1e-12);
    }

    [Fact]
    public void IntervalsCoverAndBoundsHold()
    {
        using var scope = NewDisposeScope();
        // At 500 impressions the weights are too uneven for the normal interval: it covers 91 %.
        const int impressions = 5000;
        var (world, log, policy, model, logger) = Study(impressions);
        var truth = world.Value(policy)[0];
        var doublyRobust = OffPolicyEvaluation.DoublyRobust(log, policy, model);
        var covered = doublyRobust.Interval(0.95).Count(i => i.Low <= truth && truth <= i.High);
        Assert.InRange(covered / (double)Logs, 0.95 - (3 * Math.Sqrt(0.95 * 0.05 / Logs)), 0.95 + (3 * Math.Sqrt(0.95 * 0.05 / Logs)));
        var range = (policy / logger).max().ToDouble();
        Assert.InRange(OffPolicyEvaluation.Ips(log, policy).EmpiricalBernsteinBound(range, delta: 0.05).Count(bound => bound <= truth),
            (int)(0.95 * Logs), Logs);
        // The logger's own value needs no weights: every impression counts.
        var own = OffPolicyEvaluation.Ips(log, logger);
        Assert.All(own.EffectiveSampleSize, n => Assert.Equal(impressions, n, 1e-6));
        Assert.All(own.Value.Zip(log.MeanReward()), v => Assert.Equal(v.Second, v.First, 1e-12));
        // E[w²] = Σ ρ·π²/π_log, so the effective size is n over that.
        var chi = (world.Share.unsqueeze(-1) * policy.square() / logger).sum([1, 2]).ToDoubles()[0];
        Assert.Equal(impressions / chi, OffPolicyEvaluation.Ips(log, policy).EffectiveSampleSize.Average(), 0.05 * impressions / chi);
        Assert.Equal(1, OffPolicyEvaluation.Switch(log, policy,
            model, 0).Value.Zip(OffPolicyEvaluation.DirectMethod(log, policy, model).Value, (a, b) => a / b).Average(), 1e-12);
    }

    [Fact]
    public void WhatTheLoggerNeverShowsIsSaid()
    {
        using var scope = NewDisposeScope();
        using var world = TenItems();
        double[] half = [.. Logger.Select((p, i) => i < 8 ? p : 0)];
        var logger = Row([.. half.Select(p => p / half.Sum())]);
        var log = world.Endless(logger);
        var target = Row([.. Reward.Select(r => r / Reward.Sum())]);
        var unseen = (0.9 + 1.0) / 5.5;
        Assert.Equal(unseen, OffPolicyEvaluation.UnseenBy(log, target)[0], 1e-12);
        var error = Assert.Throws<ArgumentException>(() => OffPolicyEvaluation.Ips(log, target));
        Assert.Contains($"never shows {unseen:P1} of the policy's mass", error.Message);
        Assert.Throws<ArgumentException>(() => OffPolicyEvaluation.DoublyRobust(log, target, world.Reward));
        var rest = OffPolicyEvaluation.Ips(log, target, seenOnly: true);
        Assert.Equal(unseen, rest.Unseen[0], 1e-12);
        Assert.Equal(Reward.Take(8).Sum(r => r * r) / 5.5, rest.Value[0], 1e-12);
        // A model speaks of what nobody saw, for better or worse.
        Assert.Equal(world.Value(target)[0], OffPolicyEvaluation.DirectMethod(log, target, world.Reward).Value[0], 1e-12);
    }

    [Fact]
    public void PoliciesMustBeDistributions()
    {
        using var scope = NewDisposeScope();
        using var random = new ReplicaRandom(1);
        using var world = new ClickWorld(full([1, 2, 2], 0.9, dtype: ScalarType.Float64));
        var twice = ones(1, 2, 2, dtype: ScalarType.Float64);
        var negative = tensor(new[, ,] { { { 0.5, 0.5 }, { 1.5, -0.5 } } });
        using var log = world.Draw(twice / 2, 10, random);
        foreach (var (policy, said) in new[] { (twice, "row (0, 0) sums to 2"), (negative, "its least entry is -0.5") })
        {
            foreach (var act in new Func<object>[]
            {
                () => world.Value(policy), () => world.Regret(policy),
                    () => world.Draw(policy, 1, random), () => world.Endless(policy), () => OffPolicyEvaluation.Ips(log, policy),
                () => OffPolicyEvaluation.Snips(log, policy), () => OffPolicyEvaluation.DirectMethod(log, policy, world.Reward),
                    () => OffPolicyEvaluation.DoublyRobust(log, policy, world.Reward),
                () => Exposure.Of(policy, world.Share),
            })
                Assert.Contains(said, Assert.Throws<ArgumentException>(act).Message);
        }
        // Scores that are not numbers make no policy of a diverged model, and a row may be 1 + rounding.
        Assert.Equal([double.NaN, double.NaN, 0, 1], ClickWorld.Greedy(tensor(new[, ,] { { { double.NaN, 1 }, { 0.0, 1 } } })).ToDoubles());
        var rounded = tensor(new[, ,] { { { 1.0000001, 0 }, { 0.5, 0.5 } } });
        Assert.Equal(0.9, world.Endless(rounded).MeanReward()[0], 1e-6);
        Assert.Equal(1, world.Draw(rounded, 100, random).Propensities.max().ToDoubles()[0]);
        Assert.Throws<ArgumentException>(() => world.ZipfLogger(double.NaN));
        Assert.Throws<ArgumentException>(() => new ClickWorld(world.Click, [double.MaxValue, double.MaxValue]));
        Assert.Throws<ArgumentException>(() => Recommending.Loop(world,
            twice / 2, new LoopArm("a", null, Greedy: true, Exploration: 2), [1]));
        // An enumeration is not uncertain.
        var exact = OffPolicyEvaluation.Ips(world.Endless(twice / 2), twice / 2);
        Assert.Equal([0.0], exact.StandardError);
        Assert.Equal(exact.Value, exact.EmpiricalBernsteinBound(1));
        // One impression tells nothing of the spread.
        using var one = world.Draw(twice / 2, 1, random);
        var estimate = OffPolicyEvaluation.Ips(one, twice / 2);
        Assert.Contains("at least two impressions", Assert.Throws<InvalidOperationException>(() => estimate.Interval()).Message);
        Assert.Equal([double.NaN], estimate.StandardError);
    }

    [Fact]
    public void AClickMayPayAnything()
    {
        using var scope = NewDisposeScope();
        using var random = new ReplicaRandom(1, 2);
        var payoff = tensor(new[] { 10.0, -3, 0.5 });
        using var world = new ClickWorld(random.Uniform([4, 3], ScalarType.Float64), payoff: payoff);
        using var policy = full([1, 4, 3], 1 / 3.0, dtype: ScalarType.Float64);
        // The value is what a long log earns, and exactly what the endless one does; laws of one context hold in all.
        Assert.All(world.Draw(policy, 200_000, random).MeanReward().Zip(world.Value(policy)), v => Assert.Equal(v.Second, v.First, 0.05));
        Assert.All(world.Endless(policy).MeanReward().Zip(world.Value(policy)), v => Assert.Equal(v.Second, v.First, 1e-12));
        Assert.Equal(world.Value(policy), world.WithShare([1, 1, 1, 1]).Value(policy));
        var law = Policies.PerContext(policy, world.Click, OffPolicySupervision.ClickFixedPoint);
        Assert.True((law - (world.Click / world.Click.sum(-1, keepdim: true))).abs().max().ToDouble() < 1e-15);
        Assert.Throws<ArgumentException>(() => new ClickWorld(full([1, 1, 2], 0.5), payoff: tensor(new[] { 1, double.NaN })));
    }

    [Fact]
    public void BadLogsAreRefusedByName()
    {
        using var scope = NewDisposeScope();
        Tensor Ids(params long[] ids) => tensor(ids).unsqueeze(0);
        Tensor Numbers(params double[] numbers) => tensor(numbers).unsqueeze(0);
        void Refused(string why, Func<object?> act) => Assert.Contains(why, Assert.Throws<ArgumentException>(() => { act(); }).Message);
        var logger = Row([0.5, 0.5]);
        Refused("a propensity is 0 (replica 0, impression 1), allowed is a number in (0, 1]",
            () => new LoggedBandit(Ids(0, 0), Ids(0, 1), Numbers(1, 0), Numbers(0.5, 0)));
        Refused("a propensity is 1.5", () => new LoggedBandit(Ids(0), Ids(0), Numbers(1), Numbers(1.5)));
        Refused("a propensity is NaN", () => new LoggedBandit(Ids(0), Ids(0), Numbers(1), Numbers(double.NaN)));
        Refused("a reward is Infinity", () => new LoggedBandit(Ids(0), Ids(0), Numbers(double.PositiveInfinity), Numbers(0.5)));
        Refused("the log is empty", () => new LoggedBandit(zeros(1, 0, dtype: ScalarType.Int64),
            zeros(1, 0, dtype: ScalarType.Int64), zeros(1, 0), zeros(1, 0)));
        Refused("an item's id is 7 (replica 0, impression 0), allowed is 0 to 1",
            () => new LoggedBandit(Ids(0), Ids(7), Numbers(1), Numbers(0.5), logger));
        Refused("a context's id is -1", () => new LoggedBandit(Ids(-1), Ids(0), Numbers(1), Numbers(0.5), logger));
        Refused("items have the shape [1, 2]", () => new LoggedBandit(Ids(0), Ids(0, 1), Numbers(1), Numbers(0.5)));
        Refused("an item's id is 2", () => new LoggedBandit(Ids(0), Ids(2), Numbers(1), Numbers(0.5)).Table(1, 2));
        Refused("an item's id is 2", () => OffPolicyEvaluation.Ips(new LoggedBandit(Ids(0), Ids(2), Numbers(1), Numbers(0.5)), logger));
        Refused("click must be probabilities in [0, 1]", () => new ClickWorld(full([1, 1, 2], 1.5)));
        Refused("share has 2 values", () => new ClickWorld(full([1, 1, 2], 0.5), [0.5, 0.5]));
        using var world = new ClickWorld(full([1, 1, 2], 0.5));
        Refused("a policy here is (1 or 1 replicas, 1 contexts, 2 items), got [1, 1, 3]", () => world.Value(Row([0.2, 0.3, 0.5])));
        Refused("slots is 3", () => world.Best(3));
        Refused("threshold is -1", () => OffPolicyEvaluation.Switch(world.Endless(logger), logger, world.Reward, -1));
        Refused("nothing to learn from", () => OffPolicySupervision.ClickFixedPoint([1, 0], [0, 1]));
        Refused("temperature is 0", () => OffPolicySupervision.ExponentialFixedPoint([1], [1], 0));
        Refused("slots is 0", () => OffPolicyLearning.TopK(0));
    }

    [Fact]
    public void ExposureIsMeasuredAsDefined()
    {
        using var scope = NewDisposeScope();
        Tensor E(params double[] e) => tensor(e).unsqueeze(0);
        Assert.Equal(0, Exposure.Gini(E(1, 1, 1, 1))[0], 1e-12);
        Assert.Equal(0.75, Exposure.Gini(E(0, 0, 1, 0))[0], 1e-12);
        // Half the mean absolute difference over the mean.
        double[] e = [0.1, 0.4, 0.2, 0.3];
        Assert.Equal(e.SelectMany(a => e.Select(b => Math.Abs(a - b))).Average() / (2 * e.Average()), Exposure.Gini(E(e))[0], 1e-12);
        Assert.Equal(4, Exposure.EffectiveItems(E(1, 1, 1, 1))[0], 1e-12);
        Assert.Equal(1, Exposure.EffectiveItems(E(0, 3, 0, 0))[0], 1e-12);
        Assert.Equal(0.5, Exposure.Coverage(E(0, 3, 0.1, 0))[0], 1e-12);
        // Lists {0, 1}, {0, 1} and {1, 2} of four items: one pair alike, two that share one of three.
        var policy = tensor(new[,] { { 0.5, 0.4, 0.1, 0 }, { 0.4, 0.5, 0.1, 0 }, { 0, 0.4, 0.5, 0.1 } }).unsqueeze(0);
        Assert.Equal((1 + (1 / 3.0) + (1 / 3.0)) / 3, Exposure.Jaccard(policy, 2)[0], 1e-12);
        Assert.Throws<ArgumentException>(() => Exposure.Gini(E(1, -1)));
        Assert.Throws<ArgumentException>(() => Exposure.Gini(E(0, 0)));
        Assert.Throws<ArgumentException>(() => Exposure.Jaccard(policy, 5));
    }

    [Fact]
    public void RankingAndPredictionAreMeasuredAsDefined()
    {
        using var scope = NewDisposeScope();
        var scores = tensor(new[,] { { 0.1, 0.9, 0.5, 0.3 }, { 1.0, 1, 1, 0 }, { 4.0, 3, 2, 1 } });
        var ranks = Ranking.Ranks(scores, [2, 0, 3], tensor(new[,] { { 0.0, 1, 0, 0 }, { 0.0, 0, 0, 0 }, { 0.0, 0, 0, 0 } }));
        // an excluded item does not compete; of three equals, the middle
        Assert.Equal([1, 2, 4], ranks.Select(r => r.Mean));
        // Of three equals each order is as likely: one in three is not among the first two.
        Assert.Equal((1 + (2 / 3.0)) / 3, Ranking.HitRate(ranks, 2), 1e-12);
        Assert.Equal((1 + ((1 + (1 / Math.Log2(3)) + (1 / Math.Log2(4))) / 3)) / 3, Ranking.Ndcg(ranks, 3), 1e-12);
        Assert.Throws<ArgumentException>(() => Ranking.Ranks(scores, [2, 0, 9]));
        Assert.Throws<ArgumentException>(() => Ranking.HitRate([], 1));
        double[] p = [0.2, 0.4, 0.4, 0.8, 0.6, 0.1], y = [0, 1, 0, 1, 0, 0];
        var pairs = Enumerable.Range(0, 6).Where(i => y[i] == 1)
            .SelectMany(i => Enumerable.Range(0, 6).Where(j => y[j] == 0).Select(j => p[i] > p[j] ? 1 : p[i] == p[j] ? 0.5 : 0));
        Assert.Equal(pairs.Average(), ClickPrediction.Auc(p, y), 1e-12);
        Assert.Equal(-(Math.Log(0.8) + Math.Log(0.4) + Math.Log(0.6) + Math.Log(0.8) + Math.Log(0.4) + Math.Log(0.9)) / 6,
            ClickPrediction.LogLoss(p, y), 1e-12);
        Assert.Equal(Math.Abs(p.Sum() - y.Sum()) / 6, ClickPrediction.CalibrationError(p, y, 1), 1e-12);
        // Where a bin's edge falls among equal predictions, their order does not matter.
        var (error, other) = (ClickPrediction.CalibrationError(p, y, 3),
            ClickPrediction.CalibrationError([.. p.Reverse()], [.. y.Reverse()], 3));
        Assert.Equal(error, other, 1e-15);
        Assert.Equal((0.3 + Math.Abs(0.8 - 1) + Math.Abs(1.4 - 1)) / 6, error, 1e-12);
        Assert.Throws<ArgumentException>(() => ClickPrediction.Auc(p, [1, 1, 1, 1, 1, 1]));
        Assert.Throws<ArgumentException>(() => ClickPrediction.LogLoss([0], [0]));
        Assert.Throws<ArgumentException>(() => ClickPrediction.LogLoss([0.5], [0.5]));
    }

    [Fact]
    public void AClickRegressionIsNotBiasedByExposure()
    {
        using var scope = NewDisposeScope();
        using var random = new ReplicaRandom(1);
        using var world = ClickWorld.Planted(4, 6, random, rank: 2);
        // A free logit for every cell: the true rates are the minimum under every logger that shows everything.
        foreach (var logger in new[] { world.ZipfLogger(), world.ZipfLogger(2) })
        {
            using var model = new Factorization(4, 6, 4, random, scale: 0.5);
            using var adam = new Adam(model.Weights, 0.05);
            using var table = world.Endless(logger).Table(4, 6);
            Training.Run(new Minimizing(model.Layout, model.Weights, OffPolicyLearning.ClickRegression(model, table)),
                adam, 3000, schedule: s => s < 2000 ? 1 : 0.1);
            Assert.True((model.ClickRate() - world.Reward).abs().max().ToDouble() < 1e-3);
        }
    }

    [Fact]
    public void ExperimentsLeaveNoTensorBehind()
    {
        void All()
        {
            using var random = new ReplicaRandom(1, 2);
            using var world = ClickWorld.Planted(6, 10, random);
            using var first = world.ZipfLogger();
            Recommending.Loop(world, first, new LoopArm("CE", OffPolicyLearning.ClickCrossEntropy(), Greedy: false),
                [1, 2], rounds: 2, impressions: 50);
            Recommending.Drift([1, 2], [0.01], new Dictionary<string, Func<TableModel,
                ClickWorld, Tensor, LossFunction>>
            { ["REINFORCE"] = (model, b, _) => OnPolicyLearning.Reinforce(model, b) }, steps: 20);
            OneEpoch.Run(new OneEpochSettings { Users = 20, Items = 10, Impressions = 200, Batch = 50, Fresh = true }, [1, 2]);
        }
        All();
        var before = Setup.LiveTensors();
        All();
        Assert.Equal(before, Setup.LiveTensors());
    }
}
