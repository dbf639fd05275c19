using TrainingDynamics.Bandits;

namespace TrainingDynamics.Tests;

/// <summary>Estimators of slates against enumeration and simulated logs.</summary>
public class SlateTests
{
    private static readonly double[] s_attraction = [0.9, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2];
    private static readonly double[] s_examination = [1, 0.6, 0.3];

    private static (SlateWorld World, double[] Logger, double[] Policy) Of(ClickModel model)
    {
        var world = new SlateWorld(s_attraction, s_examination, model);
        return (world, world.PlackettLuce([0, 0.5, 1, 0.2, 0.8, 0.3, 1]), world.PlackettLuce([2, 1.5, 1, 1, 0.5, 0, 0]));
    }

    [Theory]
    [InlineData(ClickModel.PositionBased, true, true, true)]
    [InlineData(ClickModel.Cascade, false, true, false)]
    [InlineData(ClickModel.Similar, false, false, false)]
    public void EachIsUnbiasedWhereItsAssumptionHoldsAndNowhereElse(ClickModel model, bool itemPosition, bool cascade, bool additive)
    {
        var (world, logger, policy) = Of(model);
        var value = world.Value(policy);
        double Bias(SlateEstimator estimator) => Math.Abs(estimator.Exact(world, logger).Mean - value);
        Assert.Equal(0, Bias(SlateEstimator.Ips(world, logger, policy)), 1e-12);
        Assert.Equal(itemPosition, Bias(SlateEstimator.ItemPosition(world, logger, policy)) < 1e-9);
        Assert.Equal(cascade, Bias(SlateEstimator.Rips(world, logger, policy)) < 1e-9);
        Assert.Equal(cascade, Bias(SlateEstimator.CascadeDr(world, logger, policy, prefix => 0.1 * prefix.Length)) < 1e-9);
        Assert.Equal(additive, Bias(SlateEstimator.PseudoInverse(world, logger, policy)) < 1e-9);
    }

    [Fact]
    public void TheErrorOfFourHundredLogsIsTheOneForetold()
    {
        var (world, logger, policy) = Of(ClickModel.Cascade);
        var logs = Enumerable.Range(0, 400).Select(seed => world.Draw(logger, 200, seed)).ToArray();
        foreach (var estimator in new[] { SlateEstimator.Ips(world, logger, policy), SlateEstimator.Rips(world, logger, policy),
            SlateEstimator.PseudoInverse(world, logger, policy),
            SlateEstimator.CascadeDr(world, logger, policy, prefix => s_examination[prefix.Length - 1] * s_attraction[prefix[^1]]) })
        {
            var (mean, deviation) = estimator.Exact(world, logger);
            double[] estimates = [.. logs.Select(estimator.Of)];
            var error = deviation / Math.Sqrt(200);
            Assert.Equal(mean, estimates.Average(), 3 * error / Math.Sqrt(400));
            var spread = Math.Sqrt(estimates.Average(e => (e - mean) * (e - mean)));
            Assert.Equal(1, spread / error, 0.15);                                     // 400 logs know a deviation to 3.5 %
        }
    }

    [Fact]
    public void AGoodModelMakesCascadeDrQuieterAndPatternsSumToOne()
    {
        var (world, logger, policy) = Of(ClickModel.Cascade);
        foreach (var model in Enum.GetValues<ClickModel>())
        {
            var any = new SlateWorld(s_attraction, s_examination, model);
            Assert.Equal(210, any.Slates.Count);
            Assert.All(any.Slates, slate => Assert.Equal(1, any.Patterns(slate).Sum(), 1e-12));
        }
        Assert.Equal(1, logger.Sum(), 1e-12);
        var plain = SlateEstimator.Rips(world, logger, policy).Exact(world, logger).Deviation;
        var helped = SlateEstimator.CascadeDr(world, logger, policy, prefix => world.Clicks([.. prefix,
            .. Enumerable.Range(0, 7).Except(prefix).Take(3 - prefix.Length)])[prefix.Length - 1]).Exact(world, logger).Deviation;
        Assert.True(helped < 0.9 * plain, $"{helped} against {plain}");
    }

    [Fact]
    public void WhatCannotBeJudgedIsRefusedByName()
    {
        var (world, logger, policy) = Of(ClickModel.PositionBased);
        var blind = new double[world.Slates.Count];
        blind[0] = 1;                                                                  // shows 0, 1, 2 only
        Assert.Contains("no log says anything", Assert.Throws<ArgumentException>(() => SlateEstimator.Ips(world, blind, policy)).Message);
        Assert.Contains("no log says anything",
            Assert.Throws<ArgumentException>(() => SlateEstimator.PseudoInverse(world, blind, policy)).Message);
        Assert.Contains("distribution over 210 slates", Assert.Throws<ArgumentException>(() => world.Value([1])).Message);
        Assert.Contains("attraction of item 1 is 2", Assert.Throws<ArgumentException>(
            () => new SlateWorld([0.1, 2], [1], ClickModel.Cascade)).Message);
        Assert.Contains("does not rise", Assert.Throws<ArgumentException>(
            () => new SlateWorld([0.1, 0.2], [0.5, 0.6], ClickModel.Cascade)).Message);
        Assert.Contains("one to four slots", Assert.Throws<ArgumentException>(
            () => new SlateWorld([0.1], [0.6, 0.5], ClickModel.Cascade)).Message);
        Assert.Contains("finite one", Assert.Throws<ArgumentException>(() => world.PlackettLuce([1, double.NaN])).Message);
        Assert.Contains("model of the beginning (0) is NaN",
            Assert.Throws<ArgumentException>(() => SlateEstimator.CascadeDr(world, logger, policy, _ => double.NaN)).Message);
        Assert.Throws<ArgumentOutOfRangeException>(() => world.Draw(logger, 0, 1));
        Assert.Contains("at least one impression",
            Assert.Throws<ArgumentException>(() => SlateEstimator.Ips(world, logger, policy).Of([])).Message);
    }
}
