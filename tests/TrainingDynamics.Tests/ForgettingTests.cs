using TorchSharp;
using TrainingDynamics.Experiments;
using TrainingDynamics.Measurement;
using TrainingDynamics.Models;
using TrainingDynamics.Objectives;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;

namespace TrainingDynamics.Tests;

/// <summary>Measurements of forgetting against cases whose answer is known.</summary>
public class ForgettingTests
{
    public ForgettingTests() => manual_seed(1);

    [Fact]
    public void ThePartsOfKlAddUpEvenWhereSuccessRoundsToOne()
    {
        using var scope = NewDisposeScope();
        var correct = tensor(new[,] { { 1.0, 0, 1, 0, 0, 1 } });
        foreach (var scale in new[] { 1.0, 10, 60 })
        {
            var (p, q) = ((randn(3, 7, 6, dtype: ScalarType.Float64)).log_softmax(-1),
                (randn(3, 7, 6, dtype: ScalarType.Float64) + (scale * correct)).log_softmax(-1));
            var parts = Divergence.Decompose(p, q, correct);
            for (var r = 0; r < 3; r++)
                Assert.Equal(parts.Whole[r], parts.Price[r] + parts.Gratuitous[r], 1e-10);
            Assert.Equal(Divergence.ForwardKl(p, q), parts.Whole);
            Assert.All(parts.Price.Concat(parts.WithinCorrect).Concat(parts.WithinWrong), v => Assert.True(v >= 0));
        }
        var b = tensor(new[, ,] { { { 0.35, 0.65 } } }).log();
        var exact = tensor(new[, ,] { { { 0.9, 0.1 } } }).log();
        Assert.Equal((0.35 * Math.Log(0.35 / 0.9)) + (0.65 * Math.Log(0.65 / 0.1)),
            Divergence.Decompose(b, exact, tensor(new[,] { { 1.0, 0 } })).Price[0], 1e-12);
        Assert.Throws<ArgumentException>(() => Divergence.Decompose(b, exact, tensor(new[,] { { 0.0, 0 } })));
    }

    [Fact]
    public void DistancesOfTwoCoins()
    {
        using var scope = NewDisposeScope();
        var (p, q) = (tensor(new[, ,] { { { 0.75, 0.25 } } }).log(), tensor(new[, ,] { { { 0.5, 0.5 } } }).log());
        Assert.Equal((0.75 * Math.Log(1.5)) + (0.25 * Math.Log(0.5)), Divergence.ForwardKl(p, q)[0], 1e-12);
        Assert.Equal(0.5 * Math.Log(1 / (4 * 0.75 * 0.25)), Divergence.ReverseKl(p, q)[0], 1e-12);
        Assert.Equal(0.25, Divergence.TotalVariation(p, q)[0], 1e-12);
        Assert.Equal(Math.Sqrt(0.125), Divergence.L2(p, q)[0], 1e-12);
        // Probabilities in place of logarithms have a "divergence", too: refused.
        Assert.Contains("logPolicy are no log-probabilities",
            Assert.Throws<ArgumentException>(() => Divergence.ForwardKl(p, q.exp())).Message);
        Assert.Contains("logBase are no log-probabilities",
            Assert.Throws<ArgumentException>(() => Divergence.Decompose(p.exp(), q, tensor(new[,] { { 1.0, 0 } }))).Message);
    }

    [Fact]
    public void EstimatorsOfKlAreUnbiasedOrNotAsStated()
    {
        using var scope = NewDisposeScope();
        using var random = new ReplicaRandom(5);
        double[] p = [0.5, 0.3, 0.2], q = [0.2, 0.5, 0.3];
        var kl = p.Zip(q, (a, b) => a * Math.Log(a / b)).Sum();
        const int n = 400_000;
        var u = random.Uniform([n], ScalarType.Float64)[0];
        var which = (u >= 0.5).to(ScalarType.Int64) + (u >= 0.8).to(ScalarType.Int64);
        var (k1, k2, k3) = Divergence.Estimates(tensor(p).log().index_select(0, which), tensor(q).log().index_select(0, which));
        (double Mean, double Error) Of(Tensor k) => (k.mean().ToDoubles()[0], k.std(unbiased: true).ToDoubles()[0] / Math.Sqrt(n));
        Assert.True(Math.Abs(Of(k1).Mean - kl) < 4 * Of(k1).Error);
        Assert.True(Math.Abs(Of(k3).Mean - kl) < 4 * Of(k3).Error);
        Assert.Equal(p.Zip(q, (a, b) => a * Math.Pow(Math.Log(a / b), 2) / 2).Sum(), Of(k2).Mean, 4 * Of(k2).Error);
        Assert.True(Math.Abs(Of(k2).Mean - kl) > 0.02);                                              // biased
        Assert.True(k3.min().ToDoubles()[0] >= 0);
        Assert.True(Of(k3).Error < Of(k1).Error);
    }

    [Fact]
    public void TheMatrixOfAStream()
    {
        var r = new ForgettingMatrix([[0.1, 0.2, 0.3], [0.9, 0.25, 0.3], [0.7, 0.8, 0.35], [0.6, 0.85, 0.95]]);
        Assert.Equal(((0.6 - 0.9) + (0.85 - 0.8)) / 2, r.BackwardTransfer, 1e-12);
        Assert.Equal(((0.25 - 0.1) + (0.35 - 0.1)) / 2, r.ForwardTransfer([0.1, 0.1, 0.1]), 1e-12);
        Assert.Equal(0.3, r.Forgetting(0), 1e-12);
        Assert.Equal(-0.05, r.Forgetting(1), 1e-12);
        Assert.Equal((0.1 - 0.6 + 0.2 - 0.85) / 2, r.AverageDrop(0, 0, 1), 1e-12);
        Assert.Contains("one task",
            Assert.Throws<InvalidOperationException>(() => new ForgettingMatrix([[0.1], [0.9]]).BackwardTransfer).Message);
        Assert.Contains("T + 1 rows", Assert.Throws<ArgumentException>(() => new ForgettingMatrix([[0.1, 0.2], [0.3, 0.4]])).Message);
        Assert.Contains("NaN", Assert.Throws<ArgumentException>(() => new ForgettingMatrix([[0.1], [double.NaN]])).Message);
        Assert.Throws<ArgumentException>(() => r.AverageDrop(0));
        Assert.Throws<ArgumentException>(() => r.ForwardTransfer([0.1]));
    }

    [Fact]
    public void FrontsAndTheirAreas()
    {
        Trade[] runs = [new(0.5, 0.9), new(0.8, 0.6), new(0.7, 0.5), new(0.9, 0.1), new(0.5, 0.4)];
        Assert.Equal([new(0.5, 0.9), new(0.8, 0.6), new Trade(0.9, 0.1)], Pareto.Front(runs));
        Assert.Equal((0.5 * 0.9) + (0.3 * 0.6) + (0.1 * 0.1), Pareto.Hypervolume(runs, new Trade(0, 0)), 1e-12);
        Assert.Equal(0.95 - 0.6, Pareto.MatchedGainForgetting(runs, 0.7, 0.95), 1e-12);
        Assert.Contains("0.9", Assert.Throws<ArgumentException>(() => Pareto.MatchedGainForgetting(runs, 0.95, 1)).Message);
        Assert.Throws<ArgumentException>(() => Pareto.Front([]));
        Assert.Throws<ArgumentException>(() => Pareto.Front([new Trade(double.NaN, 1)]));
        var (low, high) = Pareto.Bootstrap([runs, [new Trade(0.5, 0.5)], runs[..2]], r => Pareto.Hypervolume(r, new Trade(0, 0)));
        Assert.True(low < high && low >= 0.25 && high <= 0.64 + 1e-9);
        Assert.Throws<ArgumentException>(() => Pareto.Bootstrap([runs], _ => 0));
    }

    [Fact]
    public void FitsFindTheCurvesTheyCameFromAndSayHowTheyDoElsewhere()
    {
        double[] x = [.. Enumerable.Range(0, 30).Select(i => i / 5.0)];
        var square = Regression.Polynomial(x, [.. x.Select(v => 1 + (2 * v) - (0.3 * v * v))]);
        Assert.All(square.Coefficients.Zip([1.0, 2, -0.3]), p => Assert.Equal(p.Second, p.First, 1e-9));
        Assert.Equal(1, square.R2, 1e-12);
        var saturating = Regression.Exponential(x, [.. x.Select(v => 0.1 + (0.8 * (1 - Math.Exp(-0.7 * v))))]);
        Assert.All(saturating.Coefficients.Zip([0.1, 0.8, 0.7]), p => Assert.Equal(p.Second, p.First, 1e-4));
        var group = x.Select((_, i) => i % 2 == 0 ? "a" : "b").ToArray();
        Assert.All(Regression.LeaveOneGroupOut(x, [.. x.Select(v => v * v)], group), g => Assert.Equal(0, g.Rmse, 1e-9));
        var shifted = Regression.LeaveOneGroupOut(x, [.. x.Select((v, i) => (v * v) + (i % 2))], group);
        Assert.All(shifted, g => Assert.Equal(1, g.Rmse, 0.05));
        Assert.Throws<ArgumentException>(() => Regression.LeaveOneGroupOut(x, x, [.. x.Select(_ => "one")]));
        Assert.Throws<ArgumentException>(() => Regression.Polynomial([1, 2], [1, double.NaN], 1));
    }

    [Fact]
    public void TheGeometryOfAnUpdate()
    {
        using var scope = NewDisposeScope();
        var layout = new Layout(new Block("a", [3, 4]), new Block("b", [2]));
        var before = ones(2, 14);
        var after = before.clone();
        // rank one, singular value 9/1000
        var change = tensor(new float[] { 1, 2, 2 }).outer(tensor(new float[] { 2, 0, 1, 2 })).reshape(-1) / 1000;
        Layout.Slice(after, layout["a"])[1].add_(change);
        Assert.Equal(0.009, WeightChange.Spectral(before, after, layout)[1], 1e-6);
        Assert.Equal(0.009, WeightChange.L2(before, after)[1], 1e-6);
        Assert.Equal(1.0 / 3, WeightChange.StableRankShare(before, after, layout)[1], 1e-4);
        Assert.Equal(5 * 5 / 1000.0, WeightChange.L1(before, after)[1], 1e-6);
        Assert.Equal(1, WeightChange.EqualFloat32(before, after)[0]);
        Assert.Equal(5.0 / 14, WeightChange.EqualFloat32(before, after)[1], 1e-12);                   // 9 of 14 moved
        // 5 of them by less than 1/256, invisible
        Assert.Equal(10.0 / 14, WeightChange.EqualBFloat16(before, after)[1], 1e-12);
        Assert.Throws<ArgumentException>(() => WeightChange.L1(before, ones(2, 3)));
    }

    [Fact]
    public void TheFisherDiagonalOfATabularPolicyIsItsVariance()
    {
        using var scope = NewDisposeScope();
        double[] pi = [0.2, 0.3, 0.5];
        using var model = new TabularPolicy([pi], 2);
        var fisher = WeightChange.FisherDiagonal(w => model.Scores(w).log_softmax(-1), model.Weights);
        Assert.All(fisher[1].ToDoubles().Zip(pi), p => Assert.Equal(p.Second * (1 - p.Second), p.First, 1e-12));
    }

    [Fact]
    public void RetentionPullsBack()
    {
        using var scope = NewDisposeScope();
        using var model = new TabularPolicy([[0.2, 0.3, 0.5]], 1);
        var start = model.Weights.clone();
        model.Weights.add_(tensor(new[] { 1.0, 0, -2 }));
        var fisher = tensor(new[,] { { 3.0, 1, 1 } });
        Assert.Equal((1 + 4) / 2.0, Retention.L2ToStart(start)(model.Weights).ToDoubles()[0], 1e-12);
        Assert.Equal((3 + 4) / 2.0, Retention.Ewc(start, fisher)(model.Weights).ToDoubles()[0], 1e-12);
        using var random = new ReplicaRandom(1);
        using var prompts = new Prompts(zeros(1, 1, 1), tensor(new[,] { { 1.0, 0, 0 } }));
        using var task = new FineTuningTask(model, prompts, FineTuning.Reinforce(), random);
        var alone = task.Next().Gradient;
        var held = new Retained(task, 0.5, Retention.L2ToStart(start)).Next().Gradient;
        Assert.All(held.ToDoubles().Zip(alone.ToDoubles()).Zip([0.5, 0, -1.0]),
            p => Assert.Equal(p.Second, p.First.First - p.First.Second, 1e-12));
        var frozen = Retention.WithoutForgetting(model, model.AllContexts());
        Assert.Equal(0, frozen(model.Weights).ToDoubles()[0], 1e-12);
        Assert.True(frozen(start).ToDoubles()[0] > 0.1);
    }

    [Fact]
    public void ParityRunsRepeatAndTheOracleForgetsLessThanSft1()
    {
        var settings = new ParitySettings { Steps = 400, TestImages = 200 };
        using var parity = Parity.OnDigits([1, 2], settings);
        Assert.All(parity.OldBefore, a => Assert.True(a > 0.8));
        using var prompts = parity.Prompts(Parity.Sft1);
        var sft = parity.FineTune(FineTuning.Sft(), [1e-3, 3e-3], prompts, steps: 60, checkpoints: [60]);
        var again = parity.FineTune(FineTuning.Sft(), [1e-3, 3e-3], prompts, steps: 60, checkpoints: [60]);
        Assert.Equal(sft, again);
        Assert.Equal([0, 1, 0, 1], sft.Select(r => r.Base));
        var oracle = parity.FineTune(FineTuning.Oracle(), [1e-3, 3e-3], prompts, steps: 60, checkpoints: [60]);
        Assert.All(sft.Zip(oracle), p => Assert.True(p.First.Forgetting > p.Second.Forgetting && p.First.Forward > p.Second.Forward));
        Assert.All(sft, r => Assert.True(Math.Abs(r.Forward - r.Price - r.Gratuitous) < 1e-12 && r.Gratuitous >= 0));
    }

    [Fact]
    public void TheSmallLanguageModelKnowsItsTasks()
    {
        using var model = ParitySequences.Load(prompts: 50);
        Assert.All(model.Start(), s => Assert.True(s.Old > 0.99 && s.New is > 0.35 and < 0.8 && s.Forward == 0));
        var moved = model.FineTune(FineTuning.Sft(1), [1e-3], d => [d % 2], steps: 10);
        Assert.All(moved, m => Assert.True(m.Change.L2 > 0 && m.Forward > 0));
        Assert.Contains("none is given", Assert.Throws<ArgumentException>(() => model.FineTune(FineTuning.Sft(1), [1e-3])).Message);
        Assert.Contains("number of samples", Assert.Throws<ArgumentException>(() => model.FineTune(FineTuning.Oracle(), [1e-3])).Message);
    }

    [Fact]
    public void TwoModesBehaveAsTheirLossesSay()
    {
        var both = TwoModes.Run(TwoModesLoss.ForwardOnBoth, [-3.5], steps: 600);
        var fresh = TwoModes.Run(TwoModesLoss.ForwardOnNew, [-3.5], steps: 600);
        Assert.True(both.Old.Last()[0] > 0.95 && fresh.Old.Last()[0] < 0.2);
        Assert.Equal(1, both.Density[0].Sum() * 0.02, 1e-3);
    }
}
