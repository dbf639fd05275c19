using TorchSharp;
using TrainingDynamics.Bandits;
using TrainingDynamics.Data;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;

namespace TrainingDynamics.Tests;

/// <summary>Groups of items, selection, models fitted to the log itself and logs from files: against enumeration, and 400 simulated
/// logs.</summary>
public class EmbeddingTests
{
    private const int Contexts = 3, Items = 12;

    private static (ClickWorld World, Tensor Logger, Tensor Policy) Small(int seed = 5)
    {
        var random = new ReplicaRandom(seed);
        var world = ClickWorld.Planted(Contexts, Items, random);
        var logger = random.Normal([Contexts, Items], ScalarType.Float64).softmax(-1);
        return (world, logger, (2 * world.Reward + random.Normal([Contexts, Items], ScalarType.Float64)).softmax(-1));
    }

    private static (double Mean, double Error) Over(double[] logs)
    {
        var mean = logs.Average();
        return (mean, Math.Sqrt(logs.Average(v => (v - mean) * (v - mean)) / (logs.Length - 1)));
    }

    [Fact]
    public void MipsIsIpsWithOneGroupAnItemAndTheMeanRewardWithOneGroup()
    {
        using var scope = NewDisposeScope();
        var (world, logger, policy) = Small();
        var log = world.Draw(logger, 500, new ReplicaRandom(1));
        Assert.Equal(OffPolicyEvaluation.Ips(log, policy).Value[0],
            OffPolicyEvaluation.Mips(log, policy, ItemGroups.Even(Items, Items)).Value[0], 1e-12);
        Assert.Equal(log.MeanReward()[0], OffPolicyEvaluation.Mips(log, policy, ItemGroups.Even(Items, 1)).Value[0], 1e-12);
    }

    /// <summary>The bias of Saito and Joachims 2022 by pairs of items of a group, the covariance of weights and rewards within groups,
    /// and the value of the policy that takes the item as the logger does: one number.</summary>
    [Theory]
    [InlineData(2)]
    [InlineData(4)]
    [InlineData(6)]
    public void TheBiasOfMipsIsTheSameByPairsByCovarianceAndByTheMarginalizedPolicy(int groups)
    {
        using var scope = NewDisposeScope();
        var (world, logger, policy) = Small();
        var of = ItemGroups.Even(Items, groups);
        var bias = OffPolicyEvaluation.Mips(world.Endless(logger), policy, of).Value[0] - world.Value(policy)[0];
        Assert.Equal(world.Value(of.Marginalized(policy, logger))[0] - world.Value(policy)[0], bias, 1e-12);
        double At(Tensor t, int x, int a) => t[0][x][a].item<double>();
        double pairs = 0, covariance = 0;
        for (var x = 0; x < Contexts; x++)
        {
            foreach (var group in Enumerable.Range(0, groups))
            {
                int[] members = [.. Enumerable.Range(0, Items).Where(a => of.Of[a] == group)];
                var mass = members.Sum(a => At(logger, x, a));
                double P(int a) => At(logger, x, a) / mass;
                double W(int a) => At(policy, x, a) / At(logger, x, a);
                double R(int a) => At(world.Reward, x, a);
                foreach (var a in members)
                {
                    foreach (var b in members.Where(b => b > a))
                        pairs += mass / Contexts * P(a) * P(b) * (R(a) - R(b)) * (W(b) - W(a));
                }
                covariance += mass / Contexts * (members.Sum(a => P(a) * W(a) * R(a)) - (members.Sum(a => P(a) * W(a))
                    * members.Sum(a => P(a) * R(a))));
            }
        }
        Assert.True(Math.Abs(bias) > 1e-3);
        Assert.Equal(pairs, bias, 1e-12);
        Assert.Equal(-covariance, bias, 1e-12);
    }

    [Fact]
    public void FourHundredLogsHaveTheMeanAndTheErrorThatTheEndlessLogForetells()
    {
        using var scope = NewDisposeScope();
        var (world, logger, policy) = Small();
        const int n = 400;
        var logs = world.Draw(logger, n * 400, new ReplicaRandom(2)).Cut(400);
        var model = full_like(policy, 0.3);
        foreach (var estimator in new Func<LoggedBandit, Estimate>[]
        {
            log => OffPolicyEvaluation.Mips(log, policy, ItemGroups.Even(Items, 4)),
            log => OffPolicyEvaluation.ShrunkDoublyRobust(log, policy, model, 4),
            log => OffPolicyEvaluation.Switch(log, policy, model, 2),
        })
        {
            var (exact, measured) = (estimator(world.Endless(logger)), estimator(logs));
            var error = exact.Deviation[0] / Math.Sqrt(n);
            Assert.Equal(exact.Value[0], measured.Value.Average(), 3 * error / Math.Sqrt(400));
            // 400 logs know a deviation to 3.5 %, and three of these are asked for.
            Assert.Equal(1, Math.Sqrt(measured.Value.Average(v => Math.Pow(v - exact.Value[0], 2))) / error, 0.12);
        }
    }

    [Fact]
    public void ShrinkageIsTheDirectMethodAtZeroAndDoublyRobustAtInfinityAndWhatTheFormulaSaysBetween()
    {
        using var scope = NewDisposeScope();
        var (world, logger, policy) = Small();
        var log = world.Draw(logger, 300, new ReplicaRandom(3));
        var model = (world.Reward * 0.8) + 0.05;
        double Shrunk(double by) => OffPolicyEvaluation.ShrunkDoublyRobust(log, policy, model, by).Value[0];
        Assert.Equal(OffPolicyEvaluation.DirectMethod(log, policy, model).Value[0], Shrunk(0), 1e-12);
        Assert.Equal(OffPolicyEvaluation.DoublyRobust(log, policy, model).Value[0], Shrunk(double.PositiveInfinity), 1e-12);
        double[] Column(Tensor t) => t.reshape(-1).ToDoubles();
        var (w, r, chosen) = (Column(log.At(policy)).Zip(Column(log.Propensities), (p, q) => p / q).ToArray(), Column(log.Rewards),
            Column(log.At(model)));
        const double lambda = 3;
        Assert.Equal(OffPolicyEvaluation.DirectMethod(log, policy, model).Value[0] + w.Index().Average(i =>
            lambda * i.Item / ((i.Item * i.Item) + lambda) * (r[i.Index] - chosen[i.Index])), Shrunk(lambda), 1e-12);
    }

    /// <summary>DR with cell means of the same log: E[n_c − 1]⁺/n in place of P_c before each cell's covariance of weights and rewards, and
    /// the constant where a cell is empty. With one group an item it is the direct method.</summary>
    [Fact]
    public void AModelFittedToTheSameLogBiasesDoublyRobustAsForetoldAndCrossFittingDoesNot()
    {
        using var scope = NewDisposeScope();
        var (world, logger, policy) = Small();
        const int n = 30;
        var logs = world.Draw(logger, n * 4000, new ReplicaRandom(4)).Cut(4000);
        var value = world.Value(policy)[0];
        var of = ItemGroups.Even(Items, 4);
        var same = OffPolicyEvaluation.DoublyRobust(logs, policy, logs.CellMeans(Contexts, of, 0.2));
        var (mean, error) = Over(same.Value);
        Assert.Equal(SameLog(world, logger, policy, of, n, 0.2), mean, 3 * error);
        Assert.True(Math.Abs(mean - value) > 5 * error);
        (mean, error) = Over(OffPolicyEvaluation.CrossFitted(logs, 2, log => log.CellMeans(Contexts, of, 0.2),
            (log, model) => OffPolicyEvaluation.DoublyRobust(log, policy, model)).Value);
        Assert.Equal(value, mean, 3 * error);

        var cells = logs.CellMeans(Contexts, ItemGroups.Even(Items, Items), 0.2);
        Assert.Equal(OffPolicyEvaluation.DirectMethod(logs, policy, cells).Value,
            OffPolicyEvaluation.DoublyRobust(logs, policy, cells).Value, (a, b) => Math.Abs(a - b) < 1e-12);
    }

    private static double SameLog(ClickWorld world, Tensor logger, Tensor policy, ItemGroups of, int n, double empty)
    {
        var share = world.Share.reshape(1, -1, 1);
        var (shown, weight) = (of.Sum(logger), policy / logger);
        var (mean, both) = (of.Sum(logger * world.Reward) / shown, of.Sum(policy * world.Reward) / shown);
        var covariance = both - (of.Sum(logger * weight) / shown * mean);
        var chance = share * shown;
        var none = (1 - chance).pow(n);
        // E[n_x/n; the cell is empty]
        var without = none * (share - chance) / (1 - chance);
        return ((of.Sum(policy) * ((mean * (share - without)) + (empty * without))) + ((chance - ((1 - none) / n)) * covariance))
            .sum().item<double>();
    }

    [Fact]
    public void EstimatedPropensitiesMakeIpsTheDirectMethodOfCellMeans()
    {
        using var scope = NewDisposeScope();
        var (world, logger, policy) = Small();
        var log = world.Draw(logger, 60, new ReplicaRandom(6));
        var counted = OffPolicyEvaluation.Ips(log.WithEstimatedPropensities(Contexts, Items), policy, seenOnly: true);
        Assert.Equal(OffPolicyEvaluation.DirectMethod(log, policy, log.CellMeans(Contexts, ItemGroups.Even(Items, Items), 0)).Value[0],
            counted.Value[0], 1e-12);
        var missing = log.WithEstimatedPropensities(Contexts, Items).Missing(policy);
        Assert.Equal(log.Missing(policy).NotInTheLog[0], counted.Unseen[0], 1e-12);
        Assert.Equal(counted.Unseen[0], missing.NotInTheLog[0], 1e-12);
        Assert.True(double.IsNaN(missing.Never[0]) && double.IsNaN(missing.MeanWeight[0]));
    }

    [Fact]
    public void WhatNoLogWouldSeeIsToldFromWhatThisLogMissed()
    {
        using var scope = NewDisposeScope();
        var (world, logger, policy) = Small();
        var narrow = where(arange(Items) % 4 == 0, 0, logger);
        narrow /= narrow.sum(-1, keepdim: true);
        const int n = 25;
        var logs = world.Draw(narrow, n * 400, new ReplicaRandom(7)).Cut(400);
        var missing = logs.Missing(policy);
        var share = world.Share.reshape(1, -1, 1);
        // Σ ρπ(1 − P)^{n−1} over what the logger shows, as G expects it.
        var chance = share * narrow;
        var missed = (share * policy * (narrow > 0) * (1 - chance).pow(n - 1)).sum().item<double>();
        var never = OffPolicyEvaluation.UnseenBy(world.Endless(narrow), policy)[0];
        var (mean, error) = Over(missing.InALongerLog);
        Assert.Equal(missed, mean, 3 * error);
        // Σ π·E[n_x/n; the pair is not in the log]
        var absent = (policy * (1 - chance).pow(n) * (share - chance) / (1 - chance)).sum().item<double>();
        (mean, error) = Over(missing.NotInTheLog);
        Assert.Equal(absent, mean, 3 * error);
        (mean, error) = Over(missing.Never);
        Assert.Equal(absent - missed, mean, 3 * error);
        Assert.Equal(never, mean, 1.0 / n);
        (mean, error) = Over(missing.MeanWeight);
        Assert.Equal(1 - never, mean, 3 * error);
    }

    private static Estimate Of(double value, double error) => new("any", [value], [error * 10], [101], [0], 101);

    [Fact]
    public void SlopeTakesTheLastThatAgreesWithAllBefore()
    {
        // ± 2·1.96·se
        Assert.Equal([2], EstimatorSelection.Slope([Of(0, 1), Of(1, 0.5), Of(2, 0.2)]));
        Assert.Equal([1], EstimatorSelection.Slope([Of(0, 1), Of(1, 0.5), Of(9, 0.2)]));
        Assert.Equal([0], EstimatorSelection.Slope([Of(0, 0.1), Of(1, 0.05)]));
        // The third meets the second and not the first.
        Assert.Equal([1], EstimatorSelection.Slope([Of(0, 0.5), Of(3, 0.5), Of(4, 0.3)]));
        Assert.Equal([0], EstimatorSelection.Slope([Of(0, 1)]));
        Assert.Equal([1], EstimatorSelection.LeastError([Of(0, 1), Of(0.5, 0.1), Of(2, 0)], [[0.0], [0.5], [2]]));
        Assert.Equal(0.5, EstimatorSelection.DirectBias([Of(0.5, 0)], Of(0, 1))[0][0]);
    }

    [Fact]
    public void TheBoundOfSwitchIsAboveItsBias()
    {
        using var scope = NewDisposeScope();
        var (world, logger, policy) = Small();
        var whole = world.Endless(logger);
        var model = full_like(policy, 0.9);
        foreach (var threshold in new[] { 0, 0.5, 1, 2, 5, double.PositiveInfinity })
        {
            var bias = OffPolicyEvaluation.Switch(whole, policy, model, threshold).Value[0] - world.Value(policy)[0];
            Assert.InRange(Math.Abs(bias), 0, EstimatorSelection.SwitchBiasBound(whole, policy, threshold)[0] + 1e-9);
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void ALogFromAFileSaysWhatTheLogSays(bool propensities)
    {
        using var scope = NewDisposeScope();
        var (world, logger, policy) = Small();
        var log = world.Draw(logger, 200, new ReplicaRandom(8));
        double[] Column(Tensor t) => t.reshape(-1).ToDoubles();
        var (x, a, r, p) = (Column(log.Contexts), Column(log.Items), Column(log.Rewards), Column(log.Propensities));
        using var own = Read("context,item,group,reward" + (propensities ? ",propensity" : "") + "\n" + string.Concat(x.Select((_, i) =>
                $"x{x[i]},a{a[i]},g{(int)a[i] / 4},{r[i]}{(propensities ? $",{p[i]:R}" : "")}\n")),
            "# ours\ncontext,item,probability\n" + string.Concat(Enumerable.Range(0, Contexts * Items).Select(i =>
                $"x{i / Items},a{i % Items},{policy[0][i / Items][i % Items].item<double>():R}\n")));
        Assert.Equal(!propensities, own.PropensitiesAreEstimated);
        var direct = propensities ? log : log.WithEstimatedPropensities(Contexts, Items);
        Assert.Equal(OffPolicyEvaluation.Ips(direct, policy, seenOnly: true).Value[0],
            OffPolicyEvaluation.Ips(own.Log, own.Policy, seenOnly: true).Value[0], 1e-12);
        Assert.Equal(log.WithEstimatedPropensities(Contexts, Items).Missing(policy).NotInTheLog[0],
            own.Log.Missing(own.Policy).NotInTheLog[0], 1e-12);
        Assert.Equal(3, own.Groups!.Count - (own.Items.Count > a.Distinct().Count() ? 1 : 0));
    }

    [Theory]
    [InlineData("item,reward\na,1\na,0\n", "item,probability\na,0.4\n", "sum to 0.4")]
    [InlineData("item,reward\na,1\na,x\n", "item,probability\na,1\n", "line 3: reward is 'x'")]
    [InlineData("# mine\n\nitem,reward\na,1\n,1\n", "item,probability\na,1\n", "line 5: item is empty")]
    [InlineData("item,reward,propensity\na,1,0\na,1,1\n", "item,probability\na,1\n", "line 2: propensity is '0'")]
    [InlineData("item,reward,propensity\na,1,0.5\na,1\n", "item,probability\na,1\n", "line 3: there are 2 fields, the head has 3")]
    [InlineData("item,reward\na,0,5\na,1\n", "item,probability\na,1\n", "line 2: there are 3 fields, the head has 2")]
    [InlineData("item,clicks\na,1\n", "item,probability\na,1\n", "reward is missing")]
    [InlineData("item;reward\na;1\n", "item,probability\na,1\n", "'item;reward'; item is missing (the separator is a comma)")]
    [InlineData("item,reward,Reward\na,1,1\n", "item,probability\na,1\n", "the column 'reward' 2 times")]
    [InlineData("item,reward\n", "item,probability\na,1\n", "0 impressions")]
    [InlineData("", "item,probability\na,1\n", "item is missing")]
    [InlineData("context,item,reward\nx,a,1\ny,a,1\n", "item,probability\na,1\n", "context is missing")]
    [InlineData("item,reward\na,1\na,1\n", "context,item,probability\nx,a,1\n", "has contexts, and")]
    [InlineData("context,item,reward\nx,a,1\ny,a,1\n", "context,item,probability\nx,a,1\n", "no probability of context 'y'")]
    [InlineData("item,reward\na,1\na,1\n", "item,probability\na,0.5\na,0.5\n", "item 'a' stands twice")]
    [InlineData("item,reward\na,1\na,1\n", "item,probability\na,1.5\n", "probability is '1.5'")]
    [InlineData("item,reward\na,1\na,1\n", "item,probability\nA,1\n", "none of the items that the policy shows")]
    [InlineData("item,group,reward\na,g,1\na,h,1\n", "item,probability\na,1\n", "item 'a' is in group 'h', and was in 'g'")]
    [InlineData("item,group,reward\na,g,1\na,g,1\n", "item,group,probability\na,h,1\n", "item 'a' is in group 'h', and was in 'g'")]
    [InlineData("item,reward,note\na,1,\"oops\na,1,x\n", "item,probability\na,1\n", "or is not closed")]
    [InlineData("item,reward\nTV 5\" big,1\na,1\n", "item,probability\na,1\n", "line 2: a quote stands")]
    public void AFileThatCannotBeReadSaysWhereAndWhy(string log, string policy, string why) =>
        Assert.Contains(why, Assert.Throws<DataFileException>(() => Read(log, policy)).Message);

    [Fact]
    public void HeadsMayHaveCapitalsAndSpacesAndAnItemMayBeginWithAHash()
    {
        using var own = Read("Item, Reward, Propensity\n#1,1,0.5\n#1,0,0.5\n", "item, probability\n#1,0.25\nnew,0.75\n");
        Assert.Equal(["#1", "new"], own.Items);
        Assert.False(own.PropensitiesAreEstimated);
        Assert.Equal(0.25, OffPolicyEvaluation.Ips(own.Log, own.Policy, seenOnly: true).Value[0], 1e-12);
    }

    [Fact]
    public void AFileThatIsNotTextIsRefused()
    {
        var folder = Directory.CreateTempSubdirectory();
        var file = Path.Combine(folder.FullName, "log.csv");
        File.WriteAllBytes(file, [.. "item,reward\nM"u8, 0xFC, .. "ller,1\n"u8]);
        Assert.Contains("UTF-8", Assert.Throws<DataFileException>(() => OwnLog.Read(file, file)).Message);
        Assert.Contains("is a folder", Assert.Throws<DataFileException>(() => OwnLog.Read(folder.FullName, file)).Message);
        folder.Delete(true);
    }

    [Fact]
    public void WhatIsNotANumberIsNotChosen()
    {
        Assert.Equal([1], EstimatorSelection.Slope([Of(double.NaN, 1), Of(0, 1)]));
        Assert.Equal([2], EstimatorSelection.Slope([Of(0, 1), Of(double.NaN, 1), Of(1, 0.5)]));
        Assert.Equal([0], EstimatorSelection.LeastError([Of(0, 1), Of(double.NaN, 0)], [[0.0], [double.NaN]]));
        Assert.Throws<ArgumentException>(() => EstimatorSelection.Slope([Of(double.NaN, 1)]));
        Assert.Throws<ArgumentException>(() => EstimatorSelection.LeastError([Of(double.NaN, 1)], [[0.0]]));
    }

    [Fact]
    public void BadInputIsNamed()
    {
        using var scope = NewDisposeScope();
        var (world, logger, policy) = Small();
        var log = world.Draw(logger, 10, new ReplicaRandom(1));
        void Refused(string name, Action act) => Assert.Contains(name, Assert.ThrowsAny<ArgumentException>(act).Message);
        Refused("of has 0 items", () => new ItemGroups([]));
        Refused("groups is 13", () => ItemGroups.Even(Items, 13));
        Refused("the groups are of 10", () => OffPolicyEvaluation.Mips(log, policy, ItemGroups.Even(10, 2)));
        Refused("shrinkage is -1", () => OffPolicyEvaluation.ShrunkDoublyRobust(log, policy, policy, -1));
        Refused("folds is 1", () => log.Folds(1));
        Refused("folds is 11", () => log.Folds(11));
        Refused("logs is 3", () => log.Cut(3));
        Refused("confidence is 1", () => EstimatorSelection.Slope([Of(0, 1)], 1));
        Refused("ordered are 0", () => EstimatorSelection.Slope([]));
        Refused("bias has 0", () => EstimatorSelection.LeastError([Of(0, 1)], []));
        using var blind = new LoggedBandit(log.Contexts, log.Items, log.Rewards, log.Propensities);
        Refused("the whole logger", () => OffPolicyEvaluation.Mips(blind, policy, ItemGroups.Even(Items, 2)));
        Refused("the whole logger", () => EstimatorSelection.SwitchBiasBound(blind, policy, 1));
        Refused("never shows", () => OffPolicyEvaluation.Mips(world.Endless(logger * 0 + where(arange(Items) < 6, 1.0 / 6, 0)), policy,
            ItemGroups.Even(Items, 2)));
        Assert.Contains("enumerates", Assert.Throws<InvalidOperationException>(() => world.Endless(logger).Missing(policy)).Message);
        Refused("policy has the shape [3, 12]", () => OffPolicyEvaluation.Mips(log, policy[0], ItemGroups.Even(Items, 2)));
        Refused("policy has the shape [3, 12]", () => OffPolicyEvaluation.Ips(log, policy[0]));
        Refused("rewardModel has the shape [1, 3, 11]", () =>
            OffPolicyEvaluation.ShrunkDoublyRobust(log, policy, policy.narrow(2, 0, 11), 1));
        Refused("table has the shape [2, 3, 12]", () => log.At(policy.repeat(2, 1, 1)));
        Refused("ofGroups is of 3 groups", () => ItemGroups.Even(Items, 2).Spread(ones(3)));
        Refused("groups go from 0 to 99", () => new ItemGroups([0, 99]));
        Refused("threshold is NaN", () => EstimatorSelection.SwitchBiasBound(log, policy, double.NaN));
        Refused("greatest is -1", () => EstimatorSelection.SwitchBiasBound(log, policy, 1, -1));
        Refused("judge gave an estimate of 10 impressions", () => OffPolicyEvaluation.CrossFitted(log, 2, _ => policy,
            (_, model) => OffPolicyEvaluation.DoublyRobust(log, policy, model)));
        Refused("contexts are Float64", () => new LoggedBandit(log.Rewards, log.Items, log.Rewards, log.Propensities));
        Refused("logger has the shape [3, 12]", () => new LoggedBandit(log.Contexts, log.Items, log.Rewards, log.Propensities, logger[0]));
        Refused("sums to 10", () => new LoggedBandit(log.Contexts, log.Items, log.Rewards, log.Propensities,
            probability: ones_like(log.Rewards)));
    }

    private static OwnLog Read(string log, string policy)
    {
        var folder = Directory.CreateTempSubdirectory();
        try
        {
            var (logFile, policyFile) = (Path.Combine(folder.FullName, "log.csv"), Path.Combine(folder.FullName, "policy.csv"));
            File.WriteAllText(logFile, log);
            File.WriteAllText(policyFile, policy);
            return OwnLog.Read(logFile, policyFile);
        }
        finally
        {
            folder.Delete(true);
        }
    }
}
