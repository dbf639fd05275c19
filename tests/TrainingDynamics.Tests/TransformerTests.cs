using TorchSharp;
using TrainingDynamics.Data;
using TrainingDynamics.Experiments;
using TrainingDynamics.Measurement;
using TrainingDynamics.Models;
using TrainingDynamics.Optimizers;
using TrainingDynamics.Runtime;
using TrainingDynamics.Tasks;
using static TorchSharp.torch;

namespace TrainingDynamics.Tests;

public class TransformerTests
{
    private static readonly TransformerShape Shape = new()
    {
        Vocabulary = 11,
        Context = 8,
        Width = 16,
        Hidden = 24,
        Dtype = ScalarType.Float64
    };

    private static (Transformer Model, Batch Batch, Tensor Gradient) Build(TransformerShape shape, params int[] seeds)
    {
        using var random = new ReplicaRandom(seeds.Length == 0 ? [1, 2] : seeds);
        var model = new Transformer(shape, random);
        using (var noise = random.Normal([model.Layout.Size], shape.Dtype))
            model.Weights.add_(0.1 * noise);                                           // gains away from 1
        using var text = new TextWindows(Text.Of("abc", string.Concat(Enumerable.Repeat("abcdefghijk", 20))), 4, shape.Context, random);
        var batch = text.Next();
        return (model, batch, Derivatives.Gradient(model.LossOn(batch), model.Weights));
    }

    [Theory]
    [InlineData(true, true)]
    [InlineData(false, false)]
    public void LaterTokensDoNotChangeEarlierScores(bool rotary, bool swiGlu)
    {
        using var scope = NewDisposeScope();
        var (model, batch, _) = Build(Shape with { Rotary = rotary, SwiGlu = swiGlu });
        var changed = batch.Inputs.clone();
        changed.select(2, 5).add_(1).remainder_(11);
        Tensor Scores(Tensor tokens) => model.Forward(model.Weights, tokens).reshape(2, 4, 8, 11);
        var difference = (Scores(batch.Inputs) - Scores(changed)).abs().amax([0, 1, 3]).ToDoubles();
        Assert.All(difference[..5], v => Assert.True(v < 1e-13));
        Assert.All(difference[5..], v => Assert.True(v > 1e-6));
    }

    [Fact]
    public void AttentionIsTorchSharps()
    {
        using var scope = NewDisposeScope();
        var (model, batch, _) = Build(Shape with { Rotary = false, Layers = 1, Heads = 2, Placement = NormPlacement.None, SwiGlu = false },
            3);
        var p = model.Layout.Zip(model.Layout.Split(model.Weights)).ToDictionary(x => x.First.Name, x => x.Second[0]);
        var x = p["E"].index_select(0, batch.Inputs[0].reshape(-1)).reshape(4, 8, 16) + p["P"];
        Tensor Heads(string name) => x.matmul(p[name].t()).reshape(4, 8, 2, 8).transpose(1, 2);
        var attended = nn.functional.scaled_dot_product_attention(Heads("q1"),
            Heads("k1"), Heads("v1"), is_casual: true).transpose(1, 2).reshape(4, 8, 16);
        x += attended.matmul(p["o1"].t());
        x += nn.functional.relu(x.matmul(p["up1"].t())).matmul(p["down1"].t());
        var expected = x.matmul(p["U"].t()).reshape(1, 32, 11);
        Assert.True((expected - model.Forward(model.Weights, batch.Inputs)).abs().max().item<double>() < 1e-12);
    }

    [Fact]
    public void AReplicaAmongOthersIsTheSameNetworkAsAlone()
    {
        using var scope = NewDisposeScope();
        var (three, batch, gradients) = Build(Shape, 1, 2, 3);
        var (one, alone, gradient) = Build(Shape, 2);
        Assert.Equal(alone.Inputs.data<long>().ToArray(), batch.Inputs[1].data<long>().ToArray());
        Assert.True((gradient[0] - gradients[1]).abs().max().item<double>() < 1e-13);
        Assert.Equal(one.Loss(one.Weights, alone).ToDoubles()[0], three.Loss(three.Weights, batch).ToDoubles()[1], 1e-13);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void PreNormMakesTheWritersJointlyInvariantAndPostNormDoesNot(bool swiGlu)
    {
        double[] Joint(NormPlacement placement)
        {
            using var scope = NewDisposeScope();
            var (model, _, gradient) = Build(Shape with { Placement = placement, SwiGlu = swiGlu });
            return Invariances.JointCosine(model.Weights, gradient, model.Layout, "E", "o1", "down1", "o2", "down2");
        }
        Assert.All(Joint(NormPlacement.Pre), c => Assert.True(Math.Abs(c) < 1e-12));
        Assert.All(Joint(NormPlacement.Post), c => Assert.True(Math.Abs(c) > 1e-5));
    }

    [Fact]
    public void PairsAreBoundByRescaling()
    {
        using var scope = NewDisposeScope();
        var (model, _, gradient) = Build(Shape);
        double Difference(string[] a, string[] b) => Invariances.RescaleDifference(model.Weights, gradient, model.Layout, a, b)
            .Max(Math.Abs);
        foreach (var (a, b) in new (string[], string[])[] { (["v1"], ["o1"]),
            (["up2"], ["down2"]), (["q1"], ["k1"]), (["gain1a"], ["q1", "k1", "v1"]) })
            Assert.True(Difference(a, b) < 1e-13, string.Join(' ', a));
        Assert.True(Difference(["gate1"], ["down1"]) > 1e-6);
        var (normed, _, slope) = Build(Shape with { QueryKeyNorm = true });
        Assert.True(Geometry.Cosine(normed.Weights, slope, normed.Layout.Where(b => b.Name is "q1" or "k2"))
            .SelectMany(c => c).Max(Math.Abs) < 1e-13);
    }

    [Fact]
    public void OnTheSphereEveryRowOfEveryMatrixIsInvariantAndItLearns()
    {
        using var scope = NewDisposeScope();
        var (model, _, gradient) = Build(Shape with { Placement = NormPlacement.Sphere });
        var rows = model.Layout.ByRow().Where(b => b.Invariance == Invariance.Whole);
        Assert.Equal(11 + 11 + (2 * ((4 * 16) + (2 * 24) + 16)), rows.Count);
        Assert.All(Geometry.Cosine(model.Weights, gradient, rows).SelectMany(c => c).Where(double.IsFinite),
            c => Assert.True(Math.Abs(c) < 1e-12));
        Assert.All(Geometry.Cosine(model.Weights, gradient, model.Layout.Where(b => b.Name is "scale" or "gain1a")).SelectMany(c => c),
            c => Assert.True(Math.Abs(c) > 1e-4));
        using var random = new ReplicaRandom(1, 2);
        using var copy = new Transformer(new TransformerShape { Vocabulary = 8, Context = 8, Placement = NormPlacement.Sphere }, random);
        using var adam = new Adam(copy.Weights, 0.01);
        var loss = new Trace("loss", 2);
        Training.Run(new Learning(copy, new CopyStream(8, 16, 8, random)), adam, 200, o => loss.Add(o.Step, o.Loss.ToDoubles()));
        Assert.All(loss.Last(), l => Assert.True(l < 0.5, $"loss {l}"));
    }

    [Fact]
    public void LearnsToReadAustenAndLeavesNoTensorBehind()
    {
        var austen = Text.PrideAndPrejudice();
        Assert.Equal(684_768, austen.Tokens.Length);
        using var random = new ReplicaRandom(1, 2);
        using var model = new Transformer(new TransformerShape { Vocabulary = austen.Alphabet.Length, Context = 32, Epsilon = 1e-5 },
            random);
        using var adam = new AdamW(model.Weights, 3e-3, 0.1);
        using var windows = new TextWindows(austen, 8, 32, random);
        var loss = new Trace("loss", 2);
        void Steps(int n) => Training.Run(new Learning(model, windows), adam, n, o => loss.Add(o.Step, o.Loss.ToDoubles()));
        Steps(20);
        var before = Setup.LiveTensors();
        Steps(100);
        Assert.Equal(before, Setup.LiveTensors());
        Assert.All(loss.Last(), l => Assert.True(l < 3, $"loss {l}"));
    }

    [Fact]
    public void BadShapesAndTextsAreRefusedByName()
    {
        Assert.Equal("Heads",
            Assert.Throws<ArgumentException>(() => new Transformer(Shape with { Heads = 3 }, new ReplicaRandom(1))).ParamName);
        Assert.Equal("Layers",
            Assert.Throws<ArgumentException>(() => new Transformer(Shape with { Layers = 0 }, new ReplicaRandom(1))).ParamName);
        Assert.Equal("Normalization", Assert.Throws<ArgumentException>(() =>
            new Transformer(Shape with { Normalization = Normalization.BatchNorm }, new ReplicaRandom(1))).ParamName);
        Assert.Throws<ArgumentException>(() => Text.Of("nothing", ""));
        Assert.Throws<ArgumentException>(() => new TextWindows(Text.Of("short", "abc"), 1, 3, new ReplicaRandom(1)));
    }

    [Fact]
    public void ATiedUnembeddingIsTheEmbeddingAndBreaksTheJointInvariance()
    {
        using var scope = NewDisposeScope();
        var (free, batch, freeGradient) = Build(Shape);
        var (tied, _, tiedGradient) = Build(Shape with { Tied = true });
        Assert.DoesNotContain("U", tied.Layout.Select(b => b.Name));
        // E starts as U would, with deviation 1/√width = 1/4, and not 1.
        using var many = new ReplicaRandom([.. Enumerable.Range(1, 50)]);
        using var fresh = new Transformer(Shape with { Tied = true }, many);
        Assert.Equal(0.25, Layout.Slice(fresh.Weights, fresh.Layout["E"]).std().ToDouble(), 0.01);
        Assert.Contains("HeadScale is 0", Assert.Throws<ArgumentException>(() =>
            new Transformer(Shape with { Tied = true, HeadScale = 0 }, many)).Message);
        Assert.Contains("a row of length 0", Assert.Throws<ArgumentException>(() =>
            new Transformer(Shape with { Placement = NormPlacement.Sphere, HeadScale = 0 }, many)).Message);
        // The free network with the tied one's matrices, and its E for U, is the same function.
        foreach (var block in free.Layout)
            Layout.Slice(free.Weights, block).copy_(Layout.Slice(tied.Weights, tied.Layout[block.Name == "U" ? "E" : block.Name]));
        var difference = free.Forward(free.Weights, batch.Inputs) - tied.Forward(tied.Weights, batch.Inputs);
        Assert.InRange(difference.abs().max().ToDouble(), 0, 1e-12);
        string[] writers = ["E", "o1", "down1", "o2", "down2"];
        Assert.All(Invariances.JointCosine(Build(Shape).Model.Weights, freeGradient, free.Layout, writers),
            cosine => Assert.InRange(Math.Abs(cosine), 0, 1e-12));
        Assert.All(Invariances.JointCosine(tied.Weights, tiedGradient, tied.Layout, writers),
            cosine => Assert.True(Math.Abs(cosine) > 1e-4));
    }

    [Fact]
    public void ATextIsSplitAndItsHeldOutPartIsWhatTheTestLossIsOf()
    {
        using var scope = NewDisposeScope();
        var text = Text.Of("abc", string.Concat(Enumerable.Repeat("abcdefghijk", 20)));
        var (train, heldOut) = text.Split(0.25);
        Assert.True(text.Tokens.SequenceEqual([.. train.Tokens, .. heldOut.Tokens]));
        Assert.Equal((165, 55), (train.Tokens.Length, heldOut.Tokens.Length));
        Assert.Equal(text.Alphabet, heldOut.Alphabet);
        foreach (var share in (double[])[0, 1, -0.1, double.NaN, 1e-9])
            Assert.Contains("heldOut is", Assert.Throws<ArgumentException>(() => text.Split(share)).Message);

        var model = Build(Shape).Model;
        using var random = new ReplicaRandom([5, 6]);
        using var again = new ReplicaRandom([5, 6]);
        using var windows = new TextWindows(heldOut, 4, Shape.Context, random);
        using var same = new TextWindows(heldOut, 4, Shape.Context, again);
        var measured = TestLoss.Of(model, windows, 3);
        var expected = Enumerable.Range(0, 3).Select(_ => model.Loss(model.Weights, same.Next()).ToDoubles()).ToList();
        foreach (var r in (int[])[0, 1])
            Assert.Equal(expected.Average(loss => loss[r]), measured[r], 1e-12);
    }
}
