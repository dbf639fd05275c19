using TorchSharp;
using TrainingDynamics.Models;
using TrainingDynamics.Optimizers;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;

namespace TrainingDynamics.Tests;

/// <summary>Rates, decays and schedules by block, mixtures of optimizers, and independent decay.</summary>
public class BlockTests
{
    private static readonly Layout Blocks = new(new Block("gain1", [3]), new Block("q", [4, 2], Invariance.Whole),
        new Block("gain2", [3]), new Block("U", [2, 3]));

    public BlockTests() => manual_seed(1);

    private static Tensor Start(int replicas = 2) => randn(replicas, Blocks.Size, dtype: ScalarType.Float64);

    private static Tensor Gradient(Tensor w) => w.pow(3) - w.sin() + 0.3;

    /// <summary>The weights after some steps of an optimizer.</summary>
    private static Tensor After(int steps, Tensor start, Func<Tensor, Optimizer> make, Func<int, double>? schedule = null)
    {
        var w = start.clone();
        using var optimizer = make(w);
        for (var step = 1; step <= steps; step++)
            optimizer.Step(Gradient(w), schedule?.Invoke(step) ?? 1);
        return w;
    }

    private static double Difference(Tensor a, Tensor b) => (a - b).abs().max().ToDouble();

    private static Tensor Of(Tensor w, params string[] names) => cat([.. names.Select(n => Layout.Slice(w, Blocks[n]))], 1);

    public static TheoryData<string> Kinds => ["sgd", "adamw", "lion", "radam"];

    private static Optimizer Make(string kind, Tensor w, PerReplica rate, PerReplica decay) => kind switch
    {
        "sgd" => new Sgd(w, rate, 0.9, decoupledDecay: decay),
        "adamw" => new AdamW(w, rate, decay),
        "lion" => new Lion(w, rate, decay),
        _ => new RAdam(w, rate, decay),
    };

    [Theory, MemberData(nameof(Kinds))]
    public void ABlockTrainsAsUnderAnOptimizerWithItsSettings(string kind)
    {
        using var scope = NewDisposeScope();
        var start = Start();
        double Schedule(int step) => 1.0 / step;
        // Each replica has a decay of its own; the blocks multiply rate and decay.
        double[] decays = [0.2, 0.4];
        var mixed = After(20, start, w => Make(kind, w, 0.05, decays)
            .ForBlocks(Blocks, "gain*", decay: 0).ForBlocks(Blocks, b => b.Name == "U", rate: [0.5, 2], decay: 3), Schedule);
        var rest = After(20, start, w => Make(kind, w, 0.05, decays), Schedule);
        var gains = After(20, start, w => Make(kind, w, 0.05, 0), Schedule);
        var unembedding = After(20, start, w => Make(kind, w, (double[])[0.025, 0.1], (double[])[0.6, 1.2]), Schedule);
        Assert.InRange(Difference(Of(mixed, "q"), Of(rest, "q")), 0, 1e-12);
        Assert.InRange(Difference(Of(mixed, "gain1", "gain2"), Of(gains, "gain1", "gain2")), 0, 1e-12);
        Assert.InRange(Difference(Of(mixed, "U"), Of(unembedding, "U")), 0, 1e-12);
    }

    [Fact]
    public void SchedulesByBlockMultiplyTheRuns()
    {
        using var scope = NewDisposeScope();
        var start = Start();
        double Cosine(int step) => 0.5 * (1 + Math.Cos(Math.PI * step / 20));
        // AdamC: where the network is scale-invariant λ follows η, so that η·λ falls with its square.
        var own = After(20, start, w => new AdamW(w, 0.05, 0.4).ForBlocks(Blocks, "q", decaySchedule: Cosine)
            .ForBlocks(Blocks, "U", schedule: step => step > 10 ? 0 : 1), Cosine);
        var q = start.clone();
        var u = start.clone();
        using var adamC = new AdamW(q, 0.05, 0.4);
        using var stopped = new AdamW(u, 0.05, 0.4);
        for (var step = 1; step <= 20; step++)
        {
            adamC.Step(Gradient(q), Cosine(step), Cosine(step));
            stopped.Step(Gradient(u), step > 10 ? 0 : Cosine(step));
        }
        Assert.InRange(Difference(Of(own, "q"), Of(q, "q")), 0, 1e-12);
        Assert.InRange(Difference(Of(own, "U"), Of(u, "U")), 0, 1e-12);
    }

    [Fact]
    public void AMixtureIsEachOptimizerOnItsBlocks()
    {
        using var scope = NewDisposeScope();
        var start = Start();
        var mixed = After(20, start, w => new Mixed(Blocks, new AdamW(w, 0.05, 0.4).ForBlocks(Blocks, "gain*", decay: 0),
            (b => b.Name == "q", new Muon(w, Blocks, 0.02, decoupledDecay: 0.1))), step => 1.0 / step);
        var adam = After(20, start, w => new AdamW(w, 0.05, 0.4), step => 1.0 / step);
        var bare = After(20, start, w => new AdamW(w, 0.05, 0), step => 1.0 / step);
        var muon = After(20, start, w => new Muon(w, Blocks, 0.02, decoupledDecay: 0.1), step => 1.0 / step);
        Assert.InRange(Difference(Of(mixed, "q"), Of(muon, "q")), 0, 1e-12);
        Assert.InRange(Difference(Of(mixed, "U"), Of(adam, "U")), 0, 1e-12);
        Assert.InRange(Difference(Of(mixed, "gain1", "gain2"), Of(bare, "gain1", "gain2")), 0, 1e-12);
    }

    [Fact]
    public void WhatStandsAroundAnOptimizerTakesItsBlocksOver()
    {
        using var scope = NewDisposeScope();
        var start = Start();
        var inside = After(20, start, w => new Projected(new AdamW(w, 0.05, 0.4).ForBlocks(Blocks, "U", rate: 0.5, decay: 0), Blocks));
        var outside = After(20, start, w => new Projected(new AdamW(w, 0.05, 0.4), Blocks).ForBlocks(Blocks, "U", rate: 0.5, decay: 0));
        Assert.Equal(0, Difference(inside, outside));
        Assert.NotEqual(0, Difference(inside, After(20, start, w => new Projected(new AdamW(w, 0.05, 0.4), Blocks))));
    }

    [Fact]
    public void IndependentDecayDoesNotFollowTheRate()
    {
        using var scope = NewDisposeScope();
        double[] rates = [0.01, 0.1];
        var w = Start();
        var expected = w * Math.Pow(1 - 0.003, 50);
        using var sgd = new Sgd(w, rates, decoupledDecay: Decay.Independent(rates, 0.003));
        for (var step = 0; step < 50; step++)
            sgd.Step(zeros_like(w));
        Assert.InRange(Difference(w, expected), 0, 1e-12);
        Assert.Contains("rate is 0", Assert.Throws<ArgumentException>(() => Decay.Independent([0.1, 0], 0.01)).Message);
        Assert.Contains("independent is 1", Assert.Throws<ArgumentException>(() => Decay.Independent([0.1], 1)).Message);
    }

    [Fact]
    public void WhatCannotBeMeantIsSaid()
    {
        using var scope = NewDisposeScope();
        var w = Start();
        using var adam = new AdamW(w, 0.1, 2);
        string Said(Action act) => Assert.ThrowsAny<ArgumentException>(act).Message;
        Assert.Contains("no block is named 'gains'; there are gain1, q, gain2, U", Said(() => adam.ForBlocks(Blocks, "gains", decay: 0)));
        Assert.Contains("no block is picked; there are gain1", Said(() => adam.ForBlocks(Blocks, b => b.Size > 99, decay: 0)));
        Assert.Contains("decay is -1", Said(() => adam.ForBlocks(Blocks, "U", decay: -1)));
        Assert.Contains("rate has 3 values, but the run has 2 replicas", Said(() => adam.ForBlocks(Blocks, "U", rate: [1, 2, 3])));
        Assert.Contains("decay is 5 and rate 1 in block 'U': together with the optimizer's own η·λ is 1, allowed is [0, 1)",
            Said(() => adam.ForBlocks(Blocks, "U", decay: 5)));
        Assert.Contains("the layout has 4 parameters, the weights have 20",
            Said(() => adam.ForBlocks(new Layout(new Block("a", [4])), "a")));
        // Nothing of what was refused is left; what was set cannot be set twice, nor a part of it.
        adam.ForBlocks(Blocks, "U", decay: 0.5, schedule: step => step > 1 ? double.NaN : 1);
        Assert.Contains("block 'U' has settings of its own already", Said(() => adam.ForBlocks(Blocks, "*", rate: 2)));
        Assert.Contains("block 'U[1]' has settings of its own already", Said(() => adam.ForBlocks(Blocks.ByRow(), "U[1]", rate: 2)));
        var expected = w * cat([full([11], 0.8, dtype: w.dtype), full([6], 0.9, dtype: w.dtype), full([3], 0.8, dtype: w.dtype)])
            .index_select(0, tensor((long[])[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 17, 18, 19, 11, 12, 13, 14, 15, 16]));
        adam.Step(zeros_like(w));
        Assert.InRange(Difference(w, expected), 0, 1e-12);
        Assert.Contains("schedule is NaN at step 2", Said(() => adam.Step(zeros_like(w))));
        Assert.Equal(1, adam.Steps);
        Assert.Contains("no block; there are gain1", Said(() => new Mixed(Blocks, adam, (b => false, new Sgd(w, 1)))));
        Assert.Contains("'q' is picked by optimizers 1 and 2",
            Said(() => new Mixed(Blocks, adam, (b => b.Name == "q", new Sgd(w, 1)), (b => b.Name != "U", new Sgd(w, 1)))));
        Assert.Contains("different weights", Said(() => new Mixed(Blocks, adam, (b => b.Name == "q", new Sgd(w.clone(), 1)))));
    }

    [Fact]
    public void CautiousDecayIsOfTheWeightsThatTheUpdateShrinks()
    {
        using var scope = NewDisposeScope();
        var start = Start();
        var (g1, g2) = (randn_like(start), randn_like(start));
        var w = start.clone();
        using var cautious = new Cautious(new Sgd(w, 0.1, decoupledDecay: 2).ForBlocks(Blocks, "U", decay: 0.5));
        cautious.Step(g1);
        cautious.Step(g2, 0.5);
        var factor = ones_like(start);
        Layout.Slice(factor, Blocks["U"]).mul_(0.5);
        Tensor Stepped(Tensor x, Tensor g, double eta) => x - (eta * 2 * factor * (g * x).ge(0) * x) - (eta * g);
        Assert.InRange(Difference(w, Stepped(Stepped(start, g1, 0.1), g2, 0.05)), 0, 1e-12);
    }

    [Fact]
    public void SchedulesByBlockAreTheWrappersToo()
    {
        using var scope = NewDisposeScope();
        var start = Start();
        double Half(int step) => step > 5 ? 0.5 : 1;
        var all = After(20, start,
            w => new AdamW(w, 0.05, 0.4).ForBlocks(new Layout(new Block("all", [Blocks.Size])), "all", schedule: Half));
        var plain = After(20, start, w => new AdamW(w, 0.05, 0.4), Half);
        Assert.InRange(Difference(all, plain), 0, 1e-12);
        // Set for the whole buffer inside a mixture, each block has it.
        var mixed = After(20, start, w => new Mixed(Blocks,
            new AdamW(w, 0.05, 0.4).ForBlocks(new Layout(new Block("all", [Blocks.Size])), "all", schedule: Half),
            (b => b.Name == "q", new AdamW(w, 0.05, 0.4))));
        var without = After(20, start, w => new AdamW(w, 0.05, 0.4));
        Assert.InRange(Difference(Of(mixed, "gain1", "gain2", "U"), Of(plain, "gain1", "gain2", "U")), 0, 1e-12);
        Assert.InRange(Difference(Of(mixed, "q"), Of(without, "q")), 0, 1e-12);
    }

    [Fact]
    public void WhatCannotStandAroundWhatIsSaid()
    {
        using var scope = NewDisposeScope();
        var w = Start();
        string Said(Action act) => Assert.ThrowsAny<ArgumentException>(act).Message;
        Optimizer Ball() => new FixedNorm(new Sgd(w, 1), Blocks, 0.1);
        Optimizer ByBlock() => new Sgd(w, 0.1, decoupledDecay: 0.1).ForBlocks(Blocks, "U", rate: 0);
        Assert.Contains("a FixedNorm makes its steps by itself, and cannot be inside a Mixed",
            Said(() => new Mixed(Blocks, new Sgd(w, 1), (b => b.Name == "q", Ball()))));
        Assert.Contains("a Cautious makes its steps by itself, and cannot be inside a Projected",
            Said(() => new Projected(new Cautious(new AdamW(w, 0.1, 0.1)), Blocks)));
        Assert.Contains("settings of their own, which a FixedNorm does not use", Said(() => new FixedNorm(ByBlock(), Blocks, 0.1)));
        Assert.Contains("settings of their own, which a RelativelyClipped does not use", Said(() => new RelativelyClipped(ByBlock(), 2)));
        var inner = new AdamW(w, 0.1, 0.1);
        using var around = new Cautious(inner);
        Assert.Contains("inside a Cautious by now", Said(() => inner.ForBlocks(Blocks, "U", decay: 0)));
        Assert.Contains("a FixedNorm has no decay by block: it keeps norms", Said(() => Ball().ForBlocks(Blocks, "U", decay: 0)));
        foreach (var coupled in new Optimizer[] { new Adam(w, 0.1, l2: 0.1), new Sgd(w, 0.1, l2: 0.1) })
            Assert.Contains("has no decay by block: its decay is L2 in the gradient", Said(() => coupled.ForBlocks(Blocks, "U", decay: 0)));
        var muon = new Muon(w, Blocks, 0.4, decoupledDecay: 2);
        Assert.Contains("given twice",
            Said(() => new Mixed(Blocks, new Sgd(w, 1), (b => b.Name == "q", muon), (b => b.Name == "U", muon))));
        Assert.Contains("the layout's blocks have 8 parameters, the weights 20",
            Said(() => new Mixed(Blocks.Where(b => b.Name == "q"), new Sgd(w, 1), (b => true, new Sgd(w, 1)))));
        // Each block's own η·λ is asked, here Muon's 0.8 and not SGD's 0.
        using var mixed = new Mixed(Blocks, new Sgd(w, 0.1), (b => b.Name == "q", muon));
        Assert.Contains("block 'q': together with the optimizer's own η·λ is 1.6", Said(() => mixed.ForBlocks(Blocks, "q", decay: 2)));
        mixed.ForBlocks(Blocks, "U", decay: 99);
    }
}
