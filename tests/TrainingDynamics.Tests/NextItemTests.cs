using MathNet.Numerics.Distributions;
using TorchSharp;
using TrainingDynamics.Data;
using TrainingDynamics.Measurement;
using TrainingDynamics.Models;
using TrainingDynamics.Runtime;
using TrainingDynamics.Theory;
using static TorchSharp.torch;

namespace TrainingDynamics.Tests;

/// <summary>Next items and their rankers: the filter against enumeration, requests against impressions, metrics and cascades against
/// brute force.</summary>
public class NextItemTests
{
    private static double Largest(Tensor t) => t.abs().max().ToDouble();

    [Fact]
    public void TheFilterIsBayesRuleOverTheWholeHistory()
    {
        using var scope = NewDisposeScope();
        using var world = NextItemWorld.Planted(6, 3, new ReplicaRandom(1, 2), share: 0.3);
        var sequences = world.Draw(40, 5, new ReplicaRandom(3, 4));
        var filter = world.Filter(sequences);
        Assert.Equal([2, 40, 5, 6], filter.shape);
        Assert.True(Largest(filter.sum(-1) - 1) < 1e-12);
        for (var user = 0; user < 40; user++)
        {
            int[] history = [.. sequences[1, user].ToDoubles().Select(i => (int)i)];
            double Next(int z, int last, int item) =>
                (0.7 * world.After[1, last, item].ToDouble()) + (0.3 * world.Taste[1, z, item].ToDouble());
            double[] likely = [.. Enumerable.Range(0, 3).Select(z => world.Taste[1, z, history[0]].ToDouble()
                * history.Zip(history.Skip(1), (a, b) => Next(z, a, b)).Aggregate(1.0, (p, q) => p * q))];
            for (var item = 0; item < 6; item++)
                Assert.Equal(likely.Select((l, z) => l / likely.Sum() * Next(z, history[^1], item)).Sum(),
                    filter[1, user, 4, item].ToDouble(), 1e-12);
        }
    }

    [Fact]
    public void DrawnSequencesFollowTheFilter()
    {
        using var scope = NewDisposeScope();
        using var world = NextItemWorld.Planted(5, 2, new ReplicaRandom(1));
        var sequences = world.Draw(40_000, 4, new ReplicaRandom(2));
        var foretold = world.Filter(sequences.narrow(2, 0, 3)).select(2, 2).mean([1])[0].ToDoubles();
        var found = sequences[0].select(1, 3).bincount(null, 5).ToDoubles().Select(n => n / 40_000).ToArray();
        Assert.All(found.Zip(foretold), p => Assert.Equal(p.Second, p.First, 4 * Math.Sqrt(0.25 / 40_000)));
        using var certain = NextItemWorld.Planted(5, 2, new ReplicaRandom(1), share: 0);
        Assert.True(Largest(certain.Filter(sequences) - certain.After.gather(1, sequences.reshape(1, -1, 1).expand(-1, -1, 5))
            .reshape(1, 40_000, 4, 5)) < 1e-12);
    }

    [Theory]
    [InlineData(NormPlacement.Pre, true)]
    [InlineData(NormPlacement.Post, false)]
    [InlineData(NormPlacement.None, false)]
    [InlineData(NormPlacement.Sphere, true)]
    public void ARequestIsItsImpressionsAndTheLastLayerMayForget(NormPlacement placement, bool rotary)
    {
        using var scope = NewDisposeScope();
        const int past = 5, candidates = 3, all = past + candidates;
        using var model = new Transformer(new TransformerShape
        {
            Vocabulary = 20,
            Context = past + 1,
            Layers = 3,
            Width = 16,
            Hidden = 24,
            Placement = placement,
            Rotary = rotary,
            QueryKeyNorm = !rotary,
            Dtype = ScalarType.Float64
        }, new ReplicaRandom(1, 2));
        var request = new ReplicaRandom(3, 4).Integers(20, 2, all);                     // (replica, batch, token)
        var mask = ones(all, all, dtype: ScalarType.Bool).tril();
        mask.narrow(0, past, candidates).narrow(1, past, candidates).copy_(eye(candidates, dtype: ScalarType.Bool));
        var reading = new Reading { Mask = mask, Positions = [0, 1, 2, 3, 4, 5, 5, 5] };
        Tensor Of(Reading of) => model.Forward(model.Weights, request, of).reshape(2, 2, -1, 20);
        var scores = Of(reading).narrow(2, past, candidates);
        for (var c = 0; c < candidates; c++)
        {
            var alone = model.Forward(model.Weights, cat([request.narrow(2, 0, past), request.narrow(2, past + c, 1)], 2));
            Assert.True(Largest(alone.reshape(2, 2, past + 1, 20).select(2, past) - scores.select(2, c)) < 1e-12);
        }
        Assert.True(Largest(Of(reading with { LastTokens = candidates }) - scores) < 1e-12);
        Assert.True(Largest(Of(reading with { LastTokens = candidates, LastLayers = 2 }) - scores) > 1e-3);
        Assert.True(Largest(Of(reading with { LastTokens = all, LastLayers = 2 }).narrow(2, past, candidates) - scores) < 1e-12);
        Assert.Equal(model.Forward(model.Weights, request.narrow(2, 0, 6)).ToDoubles(),
            model.Forward(model.Weights, request.narrow(2, 0, 6), new Reading
            {
                Mask = ones(6, 6, dtype: ScalarType.Bool).tril(),
                Positions = [0, 1, 2, 3, 4, 5]
            }).ToDoubles());
    }

    [Fact]
    public void UnitsOfHstuAreCausalAndCountUntilTheyAreNormalized()
    {
        using var scope = NewDisposeScope();
        var shape = new HstuShape { Vocabulary = 12, Context = 8, Layers = 1, Width = 8, Heads = 2, Dtype = ScalarType.Float64 };
        using var model = new Hstu(shape, new ReplicaRandom(1, 2));
        var items = new ReplicaRandom(3, 4).Integers(12, 3, 8);
        var scores = model.Forward(model.Weights, items).reshape(2, 3, 8, 12);
        var changed = items.clone();
        changed.select(2, 6).copy_((items.select(2, 6) + 1).remainder(12));
        var after = model.Forward(model.Weights, changed).reshape(2, 3, 8, 12);
        Assert.True(Largest((after - scores).narrow(2, 0, 6)) == 0);
        Assert.True(Largest((after - scores).select(2, 7)) > 1e-6);
        // A replica is the same alone.
        using var second = new Hstu(shape, new ReplicaRandom(2));
        Assert.True(Largest(second.Forward(second.Weights, items.narrow(0, 1, 1)) - scores.narrow(0, 1, 1).reshape(1, -1, 12)) < 1e-12);
        // The layer by hand, one head of one replica.
        using var one = new Hstu(shape with { Heads = 1, NormalizesAttention = false }, new ReplicaRandom(5));
        var parts = one.Layout.Zip(one.Layout.Split(one.Weights)).ToDictionary(p => p.First.Name, p => p.Second[0]);
        Tensor Norm(Tensor h) => Normalization.LayerNorm.Apply(h, 1e-6);
        var own = items[0, 0];
        var x = parts["E"].index_select(0, own) + parts["P"];
        var four = nn.functional.silu(Norm(x).mm(parts["in1"].T)).chunk(4, -1);
        var read = zeros(8, 8, dtype: ScalarType.Float64);
        for (var query = 0; query < 8; query++)
        {
            for (var key = 0; key <= query; key++)
                read[query] += nn.functional.silu(four[2][query].dot(four[3][key]) + parts["b1"][0, query - key]) / 8 * four[1][key];
        }
        var hand = Norm(x + (read * four[0]).mm(parts["out1"].T)).mm(parts["E"].T);
        Assert.True(Largest(hand - one.Forward(one.Weights, own.reshape(1, 1, 8))) < 1e-12);
    }

    [Fact]
    public void ExpectedHitsAreTheMeanOverOrdersOfTies()
    {
        using var scope = NewDisposeScope();
        double[] scores = [2, 1, 1, 1, 0], truth = [0.1, 0.4, 0.2, 0.1, 0.2];
        foreach (var slots in new[] { 1, 2, 3, 4, 5 })
        {
            // Every order of the three tied ones.
            int[][] orders = [[1, 2, 3], [1, 3, 2], [2, 1, 3], [2, 3, 1], [3, 1, 2], [3, 2, 1]];
            var brute = orders.Average(o => new[] { 0, o[0], o[1], o[2], 4 }.Take(slots).Sum(i => truth[i]));
            var found = Ranking.ExpectedHitRate(tensor(scores).reshape(1, 5), tensor(truth).reshape(1, 5), slots);
            Assert.Equal(brute, found.ToDouble(), 1e-12);
        }
        var many = Ranking.ExpectedHitRate(rand(3, 4, 7), rand(3, 4, 7).softmax(-1), 2);
        Assert.Equal([3], many.shape);
    }

    [Fact]
    public void SampledHitsAreWhatEnumerationSays()
    {
        // Five items, two rivals of four with repeating, K = 1: a hit where no rival is before.
        double[] ranks = [0.1, 0.3, 0.2, 0.15, 0.25];
        var brute = ranks.Select((p, r) => p * Enumerable.Range(0, 16).Count(w => w % 4 >= r && w / 4 >= r) / 16).Sum();
        Assert.Equal(brute, SampledMetric.HitRate(ranks, 2, 1), 1e-12);
        Assert.Equal(1, SampledMetric.HitRate(ranks, 2, 3), 1e-12);
    }

    [Fact]
    public void CascadesAndClustersKeepTheirLaws()
    {
        Assert.Equal(1, Cascade.Survives(200, 200, 1));
        Assert.Equal(1, Cascade.Survives(5, 1, 1e18), 1e-12);
        Assert.Equal(Normal.CDF(0, 1, 1.3 / Math.Sqrt(2)), Cascade.Wins(2, 1.3), 1e-10);
        Assert.Equal(1, Cascade.Wins(1, -5), 1e-10);
        foreach (var (candidates, kept) in new[] { (200, 20), (10_000, 1_000), (1_000_000, 1_000) })
            Assert.Equal(kept / (double)candidates, Cascade.Survives(candidates, kept, 0), 1e-6);
        var random = new Random(1);
        double Draw() => Normal.InvCDF(0, 1, Math.Max(1e-12, random.NextDouble()));
        var hits = Enumerable.Range(0, 20_000).Count(_ =>
        {
            double[] light = [2 + Draw(), .. Enumerable.Range(0, 9).Select(_ => Draw())];
            double[] strong = [1 + Draw(), .. Enumerable.Range(0, 9).Select(_ => Draw())];
            return light.Index().OrderByDescending(l => l.Item).Take(3).MaxBy(l => strong[l.Index]).Index == 0;
        });
        Assert.Equal(Cascade.Hit(10, 3, 2, 1), hits / 20_000.0, 0.015);
        Assert.Equal((1, 1, 4, 0), (DesignEffect.Of(1, 0.5), DesignEffect.Of(4, 0), DesignEffect.Of(4, 1), DesignEffect.Of(3, -0.5)));
    }

    [Fact]
    public void BadInputIsNamed()
    {
        using var scope = NewDisposeScope();
        void Refused(string name, Action act) => Assert.Contains(name, Assert.ThrowsAny<ArgumentException>(act).Message);
        using var world = NextItemWorld.Planted(5, 2, new ReplicaRandom(1));
        Refused("items", () => NextItemWorld.Planted(1, 2, new ReplicaRandom(1)));
        Refused("share is 1.5", () => NextItemWorld.Planted(5, 2, new ReplicaRandom(1), share: 1.5));
        Refused("random has 2 replicas", () => world.Draw(3, 3, new ReplicaRandom(1, 2)));
        Refused("items from 5 to 5", () => world.Filter(full([1, 2, 2], 5L)));
        Refused("sequences have the shape [2, 2]", () => world.Filter(zeros(2, 2, dtype: ScalarType.Int64)));
        using var hstu = new Hstu(new HstuShape { Vocabulary = 5, Context = 3, Width = 4, Heads = 2 }, new ReplicaRandom(1));
        Refused("Heads is 3", () => new Hstu(new HstuShape { Vocabulary = 5, Context = 3, Width = 4, Heads = 3 }, new ReplicaRandom(1)));
        Refused("of 1 to 3 positions", () => hstu.Forward(hstu.Weights, zeros(1, 1, 4, dtype: ScalarType.Int64)));
        Refused("tokens from 7 to 7", () => hstu.Forward(hstu.Weights, full([1, 1, 2], 7L)));
        using var model = new Transformer(new TransformerShape { Vocabulary = 5, Context = 4, Width = 8, Layers = 2 },
            new ReplicaRandom(1));
        void Reads(string name, Reading reading, int length = 3) => Refused(name, () =>
            model.Forward(model.Weights, zeros(1, 1, length, dtype: ScalarType.Int64), reading));
        Reads("there are positions for 1 to 4", new Reading(), length: 5);
        Reads("lets token 1 see nothing", new Reading
        {
            Mask = tensor(new[] { true, false, false,
            false, false, false, true, true, true }).reshape(3, 3)
        });
        Reads("Mask has the shape [2, 2]", new Reading { Mask = ones(2, 2, dtype: ScalarType.Bool) });
        Reads("Positions are 2 for 3 tokens", new Reading { Positions = [0, 1] });
        Reads("from 0 to 4", new Reading { Positions = [0, 1, 4] });
        Reads("LastTokens is 4", new Reading { LastTokens = 4 });
        Reads("LastLayers is 3", new Reading { LastTokens = 1, LastLayers = 3 });
        Refused("tokens from 5 to 5", () => model.Forward(model.Weights, full([1, 1, 2], 5L)));
        Refused("weights have the shape [1, 10] of Float32", () => model.Forward(zeros(1, 10), zeros(1, 1, 3, dtype: ScalarType.Int64)));
        Refused("of Float64", () => hstu.Forward(hstu.Weights.to(ScalarType.Float64), zeros(1, 1, 3, dtype: ScalarType.Int64)));
        Refused("inputs have the shape [1, 1, 3] of Float32", () => model.Forward(model.Weights, zeros(1, 1, 3)));
        Refused("Epsilon is -1", () => new Hstu(new HstuShape { Vocabulary = 5, Context = 3, Epsilon = -1 }, new ReplicaRandom(1)));
        Refused("scale is 1E+308", () => NextItemWorld.Planted(5, 2, new ReplicaRandom(1), scale: 1e308));
        Refused("truth is no distribution", () => Ranking.ExpectedHitRate(zeros(2, 5), ones(2, 5), 2));
        Refused("strong is NaN", () => Cascade.Hit(5, 2, 1, double.NaN));
        Refused("slots is 3", () => Ranking.ExpectedHitRate(zeros(1, 2), zeros(1, 2), 3));
        Refused("truth", () => Ranking.ExpectedHitRate(zeros(1, 2), zeros(1, 3), 1));
        Refused("rivals is 0", () => SampledMetric.HitRate([0.5, 0.5], 0, 1));
        Refused("no distribution", () => SampledMetric.HitRate([0.5, 0.6], 2, 1));
        Refused("kept is 11", () => Cascade.Survives(10, 11, 1));
        Refused("light is NaN", () => Cascade.Survives(10, 5, double.NaN));
        Refused("size is 0", () => DesignEffect.Of(0, 0.5));
        Refused("correlation is 1.5", () => DesignEffect.Of(4, 1.5));
        Refused("correlation is -0.6", () => DesignEffect.Of(3, -0.6));
    }
}

/// <summary>Items and reactions: the Bayes predictor against enumeration, values that are given apart from queries and keys.</summary>
public class ReactionTests
{
    [Fact]
    public void BayesIsTheCountOfTheCluster()
    {
        using var scope = NewDisposeScope();
        var world = new PlantedSequences(2, 5, 6, 0.8);
        var (items, reactions) = world.Draw(40, new ReplicaRandom(1, 2));
        var found = world.Bayes(items, reactions);
        for (var u = 0; u < 40; u++)
        {
            var (a, y, p) = (items[1, u].ToDoubles(), reactions[1, u].ToDoubles(), found[1, u].ToDoubles());
            for (var n = 0; n < 6; n++)
            {
                // Over both tastes of the cluster: the probability of all that was seen of it.
                double[] odds = [.. new[] { 0.8, 0.2 }.Select(one => Enumerable.Range(0, n).Where(i => a[i] % 2 == a[n] % 2)
                    .Select(i => y[i] == 1 ? one : 1 - one).Aggregate(1.0, (x, z) => x * z))];
                Assert.Equal(((odds[0] * 0.8) + (odds[1] * 0.2)) / odds.Sum(), p[n], 1e-12);
            }
        }
        var (many, answers) = world.Draw(20_000, new ReplicaRandom(3));
        var sure = world.Bayes(many, answers);
        foreach (var level in sure.ToDoubles().Distinct().Where(p => p is > 0.3 and < 0.7))
            Assert.Equal(level, answers.masked_select((sure - level).abs() < 1e-12).to(ScalarType.Float64).mean().ToDouble(), 0.02);
        Assert.Contains("0.5", Assert.Throws<ArgumentException>(() => new PlantedSequences(2, 5, 6, 0.5)).Message);
        Assert.Contains("items from 0 to 4", Assert.Throws<ArgumentException>(() => world.Bayes(items + 9, reactions)).Message);
    }

    [Fact]
    public void ValuesAreReadByWhoLooksAndByNobodyElse()
    {
        using var scope = NewDisposeScope();
        var shape = new TransformerShape { Vocabulary = 7, Context = 6, Layers = 2, Width = 8, Heads = 2, Dtype = ScalarType.Float64 };
        using var model = new Transformer(shape, new ReplicaRandom(1, 2));
        var items = new ReplicaRandom(3, 4).Integers(5, 3, 6);
        var reactions = new ReplicaRandom(5, 6).Integers(2, 3, 6) + 5;
        // Strictly before; the first token sees itself, and a start token's value is its own.
        var strict = ones(6, 6, ScalarType.Bool).tril(-1) | tensor(new[] { 1, 0, 0, 0, 0, 0 }).diag().to(ScalarType.Bool);
        Tensor Scores(Tensor values) => model.Forward(model.Weights, items, new Reading { Mask = strict, Values = values })
            .reshape(2, 3, 6, -1);
        var scores = Scores(reactions);
        foreach (var n in new[] { 1, 3, 5 })
        {
            var flipped = reactions.clone();
            flipped.select(2, n).copy_(11 - reactions.select(2, n));
            var moved = (Scores(flipped) - scores).abs().amax([0, 1, 3]).ToDoubles();
            Assert.All(moved[..(n + 1)], m => Assert.Equal(0, m));
            Assert.All(moved[(n + 1)..], m => Assert.True(m > 1e-6));
        }
        // One layer by hand: what is added to the values is added to the attention's output, weighed by it.
        using var one = new Transformer(shape with { Layers = 1, Placement = NormPlacement.None }, new ReplicaRandom(1));
        var doubled = one.Forward(one.Weights, items[0].unsqueeze(0), new Reading { Values = items[0].unsqueeze(0) });
        var parts = one.Layout.Zip(one.Layout.Split(one.Weights)).ToDictionary(p => p.First.Name, p => p.Second[0]);
        using var twice = new Transformer(shape with { Layers = 1, Placement = NormPlacement.None }, new ReplicaRandom(1));
        twice.Layout.Zip(twice.Layout.Split(twice.Weights)).Single(p => p.First.Name == "v1").Second.mul_(2);
        Assert.True((doubled - twice.Forward(twice.Weights, items[0].unsqueeze(0))).abs().max().ToDouble() < 1e-12);
        // They may be changed in place, without changing what else is made of them.
        Tensor Twice(Func<Tensor, Tensor> change) => one.Forward(one.Weights, items[0].unsqueeze(0), new Reading { Activations = change });
        Assert.Equal(0, (Twice(h => h * 2) - Twice(h => h.mul_(2))).abs().max().ToDouble());
        // Activations are asked for every product.
        var asked = 0;
        _ = one.Forward(one.Weights, items[0].unsqueeze(0), new Reading { Activations = h => { asked++; return h; } });
        Assert.Equal(8, asked);
        Assert.Contains("Activations gave", Assert.Throws<ArgumentException>(() => one.Forward(one.Weights, items[0].unsqueeze(0),
            new Reading { Activations = h => h.to(ScalarType.Float32) })).Message);
        Assert.Contains("Values", Assert.Throws<ArgumentException>(() => model.Forward(model.Weights, items,
            new Reading { Values = reactions.narrow(2, 0, 3) })).Message);
        Assert.Contains("allowed are 0 to 6", Assert.Throws<ArgumentException>(() => Scores(reactions + 9)).Message);
    }

    [Fact]
    public void AucOfSequencesIsThatOfAllTheirImpressionsAndExposureAddsUpByGroup()
    {
        using var scope = NewDisposeScope();
        var scores = new ReplicaRandom(1, 2).Normal([4, 5], ScalarType.Float64);
        var clicks = new ReplicaRandom(3, 4).Integers(2, 4, 5);
        Assert.Equal(ClickPrediction.Auc(scores[1].sigmoid().ToDoubles(), clicks[1].ToDoubles()),
            ClickPrediction.SequenceAuc(scores, clicks)[1], 1e-12);
        var broken = scores.clone();
        broken[0, 0, 0] = double.NaN;
        Assert.Equal([true, false], ClickPrediction.SequenceAuc(broken, clicks).Select(double.IsNaN));
        Assert.Contains("[2, 4, 4]", Assert.Throws<ArgumentException>(() =>
            ClickPrediction.SequenceAuc(scores, clicks.narrow(2, 0, 4))).Message);
        var exposure = tensor(new[] { 0.1, 0.2, 0.3, 0.4 }).unsqueeze(0);
        Assert.Equal([0.4, 0.6], Exposure.ByGroup(exposure, [0, 1, 0, 1])[0].ToDoubles().Select(e => Math.Round(e, 12)));
        Assert.Contains("groups are 3", Assert.Throws<ArgumentException>(() => Exposure.ByGroup(exposure, [0, 1, 0])).Message);
    }
}
