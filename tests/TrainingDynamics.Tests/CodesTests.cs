using TorchSharp;
using TrainingDynamics.Codes;
using TrainingDynamics.Models;
using TrainingDynamics.Runtime;
using TrainingDynamics.Theory;
using static TorchSharp.torch;

namespace TrainingDynamics.Tests;

/// <summary>Items as codes: the index of prefixes against brute force, beam search against enumeration, the chain rule, and what a decoder
/// may not see.</summary>
public class CodesTests
{
    private static int[][] Catalogue(int seed, int items, int length, int values)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, 20 * items).Select(_ => Enumerable.Range(0, length).Select(_ => random.Next(values)).ToArray())
            .DistinctBy(codes => string.Join(',', codes)).Take(items)];
    }

    [Theory]
    [InlineData(1, 40, 3, 5)]
    [InlineData(2, 1, 1, 1)]
    [InlineData(3, 500, 4, 6)]
    [InlineData(4, 64, 2, 8)]
    public void WhatMayComeNextIsWhatBruteForceSaysAtEveryDepth(int seed, int items, int length, int values)
    {
        var catalogue = Catalogue(seed, items, length, values);
        var index = new PrefixIndex(catalogue, values);
        Assert.Equal(catalogue.Length, index.Items);
        var found = new HashSet<int>();
        void Look(int depth, int node, int[] prefix)
        {
            if (depth == length)
            {
                Assert.Equal(prefix, catalogue[index.Item(node)]);
                Assert.True(found.Add(index.Item(node)));
                return;
            }
            int[] brute = [.. catalogue.Where(item => item[..depth].SequenceEqual(prefix)).Select(item => item[depth]).Distinct().Order()];
            Assert.Equal(brute, index.Next(depth, node).ToArray());
            foreach (var code in Enumerable.Range(0, values))
            {
                var child = index.Child(depth, node, code);
                Assert.Equal(brute.Contains(code), child >= 0);
                if (child >= 0)
                    Look(depth + 1, child, [.. prefix, code]);
            }
        }
        Look(0, 0, []);
        Assert.Equal(catalogue.Length, found.Count);
        Assert.All(Enumerable.Range(0, length + 1), depth => Assert.Equal(
            catalogue.Select(item => string.Join(',', item[..depth])).Distinct().Count(), index.Nodes(depth)));
    }

    [Fact]
    public void ABeamAsWideAsTheCatalogueFindsTheLikeliestItemsAndANarrowOneNoneThatIsNot()
    {
        var catalogue = Catalogue(5, 60, 3, 5);
        var index = new PrefixIndex(catalogue, 5);
        var random = new Random(6);
        var tables = new Dictionary<string, double[]>();
        double[] LogNext(int query, int[] prefix)
        {
            var key = $"{query}:{string.Join(',', prefix)}";
            if (!tables.TryGetValue(key, out var row))
            {
                double[] p = [.. Enumerable.Range(0, 5).Select(_ => random.NextDouble())];
                tables[key] = row = [.. p.Select(v => Math.Log(v / p.Sum()))];
            }
            return row;
        }
        double LogOf(int query, int[] item) => item.Select((code, depth) => LogNext(query, item[..depth])[code]).Sum();
        var exact = BeamSearch.Run(index, 3, 60, beams => [.. beams.Select(beam => LogNext(beam.Query, beam.Codes))]);
        var narrow = BeamSearch.Run(index, 3, 4, beams => [.. beams.Select(beam => LogNext(beam.Query, beam.Codes))]);
        for (var query = 0; query < 3; query++)
        {
            int[] best = [.. Enumerable.Range(0, 60).OrderByDescending(i => LogOf(query, catalogue[i]))];
            Assert.Equal(best, exact[query].Select(found => found.Item));
            Assert.All(exact[query].Concat(narrow[query]), found =>
                Assert.Equal(LogOf(query, catalogue[found.Item]), found.LogProbability, 1e-12));
            Assert.Equal(4, narrow[query].Length);
        }
    }

    [Fact]
    public void TheChainRuleHoldsAndIndependenceLosesNothing()
    {
        var random = new Random(7);
        double[] joint = [.. Enumerable.Range(0, 24).Select(_ => random.NextDouble())];
        var law = new ChainRule([.. joint.Select(p => p / joint.Sum())], 2, 3, 4);
        Assert.Equal(law.Entropy(0, 1, 2), law.Entropy(0) + law.Conditional([1], [0]) + law.Conditional([2], [0, 1]), 1e-12);
        // Who sees the last code only pays I(c₁; c₃|c₂).
        Assert.Equal(law.Conditional([2], [1]) - law.Conditional([2], [0, 1]), law.Information(0, 2, 1), 1e-12);
        Assert.Equal(law.Information(0, 1) + law.Information(0, 2, 1) + law.Information(1, 2), law.TotalCorrelation, 1e-12);
        double[] a = [0.2, 0.8], b = [0.5, 0.3, 0.2];
        Assert.Equal(0, new ChainRule([.. a.SelectMany(p => b.Select(q => p * q))], 2, 3).TotalCorrelation, 1e-12);
        Assert.Equal(Math.Log(2), new ChainRule([0.5, 0, 0, 0.5], 2, 2).TotalCorrelation, 1e-12);
    }

    [Fact]
    public void ADecoderDoesNotSeeWhatItMayNot()
    {
        using var scope = NewDisposeScope();
        static Tensor Row(params long[] codes) => tensor(codes).reshape(1, 1, -1);
        LazyDecoder Of(int lazy, int remembers = 9) => new(new LazyDecoderShape
        { Contexts = 2, Length = 3, Values = 4, Width = 8, LazyLayers = lazy, Remembers = remembers }, new ReplicaRandom(1, 2));
        double[] Scores(LazyDecoder model, Tensor row) => model.Forward(model.Weights, row).reshape(-1).ToDoubles();
        foreach (var lazy in new[] { 0, 1, 2 })
        {
            var model = Of(lazy);
            Assert.NotEqual(Scores(model, Row(0, 1, 2, -1)), Scores(model, Row(0, 3, 2, -1)));
            Assert.NotEqual(Scores(model, Row(0, 1, 2, -1)), Scores(model, Row(1, 1, 2, -1)));
            var last = Of(lazy, remembers: 1);
            Assert.Equal(Scores(last, Row(0, 1, 2, -1)), Scores(last, Row(0, 3, 2, -1)));
            Assert.NotEqual(Scores(last, Row(0, 1, 2, -1)), Scores(last, Row(0, 1, 3, -1)));
        }
        Assert.Equal(Scores(Of(3), Row(0, 1, 2, -1)), Scores(Of(3), Row(0, 3, 0, -1)));
        Assert.Equal([2, 1, 4], Of(0).Forward(Of(0).Weights, Row(0, -1, -1, -1)).shape);
    }

    [Fact]
    public void BadInputIsNamed()
    {
        void Refused(string name, Action act) => Assert.Contains(name, Assert.ThrowsAny<ArgumentException>(act).Message);
        Refused("items are 0", () => new PrefixIndex([], 5));
        Refused("item 1 has 1 codes, item 0 has 2", () => new PrefixIndex([[0, 1], [2]], 5));
        Refused("item 1 has the code 7", () => new PrefixIndex([[0, 1], [2, 7]], 5));
        Refused("item 0 has the code -1", () => new PrefixIndex([[-1, 1]], 5));
        Refused("items 0 and 2 have the same codes (1, 2)", () => new PrefixIndex([[1, 2], [0, 0], [1, 2]], 5));
        var index = new PrefixIndex([[0, 1], [1, 1]], 2);
        Refused("width is 3", () => BeamSearch.Run(index, 1, 3, beams => [.. beams.Select(_ => new double[2])]));
        Refused("queries", () => BeamSearch.Run(index, 0, 1, beams => []));
        Refused("next gave NaN", () => BeamSearch.Run(index, 1, 1, beams => [.. beams.Select(_ => new[] { double.NaN, 0 })]));
        Refused("next gave 5", () => BeamSearch.Run(index, 1, 1, beams => [.. beams.Select(_ => new[] { 5.0, 0 })]));
        Refused("next gave null", () => BeamSearch.Run(index, 1, 1, _ => null!));
        Refused("values is 0", () => new PrefixIndex([[0]], 0));
        Refused("node is -1 at depth 1", () => index.Child(1, index.Child(0, 0, 5), 0));
        Refused("depth is 3", () => index.Nodes(3));
        Refused("leaf is 2", () => index.Item(2));
        Refused("next gave 0 rows", () => BeamSearch.Run(index, 1, 1, beams => []));
        Refused("joint has 3", () => new ChainRule([0.5, 0.25, 0.25], 2, 2));
        Refused("no distribution", () => new ChainRule([0.5, 0.6], 2));
        Refused("of is 0, 0", () => new ChainRule([0.5, 0.5], 2).Entropy(0, 0));
        var shape = new LazyDecoderShape { Contexts = 2, Length = 3, Values = 4 };
        Refused("LazyLayers is 4", () => new LazyDecoder(shape with { LazyLayers = 4 }, new ReplicaRandom(1)));
        Refused("Values is 1", () => new LazyDecoder(shape with { Values = 1 }, new ReplicaRandom(1)));
        using var model = new LazyDecoder(shape, new ReplicaRandom(1));
        Refused("inputs have the shape [1, 1, 2]", () => model.Forward(model.Weights, zeros(1, 1, 2, dtype: ScalarType.Int64)));
        Refused("codes from 4", () => model.Forward(model.Weights, tensor(new long[] { 0, 4, 4, 4 }).reshape(1, 1, 4)));
        Refused("a row has all 3 codes", () => model.Forward(model.Weights, tensor(new long[] { 0, 1, 1, 1 }).reshape(1, 1, 4)));
    }
}
