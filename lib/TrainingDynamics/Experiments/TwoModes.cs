using TrainingDynamics.Measurement;
using TrainingDynamics.Models;
using TrainingDynamics.Optimizers;
using TrainingDynamics.Runtime;
using TrainingDynamics.Tasks;
using static TorchSharp.torch;

namespace TrainingDynamics.Experiments;

/// <summary>What is minimized over the mixture q; p_old and p_new are the target's two modes, each of mass 1 here.</summary>
public enum TwoModesLoss
{
    /// <summary>−E_{p_new}[ln q]: SFT on the new mode.</summary>
    ForwardOnNew,

    /// <summary>−E_p[ln q] over both modes: SFT with replay.</summary>
    ForwardOnBoth,

    /// <summary>KL(q‖p_new): RL whose samples come from the whole policy.</summary>
    ReverseOnNew,

    /// <summary>KL(q‖p) to both modes.</summary>
    ReverseOnBoth,

    /// <summary>KL(q₂‖p_new): RL on the new component alone, as if a prompt had selected it.</summary>
    ReverseConditioned,

    /// <summary>−E_{p_new}[ln q₂]: SFT on the new component alone.</summary>
    ForwardConditioned,
}

/// <summary>Where a mixture ended: overlap with the target's modes along the way, and its last shape.</summary>
/// <param name="Old">∫min(0.75·p_old, q)/0.75 at every look.</param>
/// <param name="New">∫min(0.25·p_new, q)/0.25.</param>
/// <param name="OldWeight">1 − w, the old component's share of q.</param>
/// <param name="OldMean">μ₁, where the old component stands.</param>
/// <param name="Density">q at the end, [replica][grid].</param>
public sealed record TwoModesRun(Trace Old, Trace New, Trace OldWeight, Trace OldMean, double[][] Density);

/// <summary>
/// The two-mode picture of forgetting: a policy q = (1 − w)·N(μ₁, σ₁) + w·N(μ₂, σ₂) with an old and a new component is trained toward a
/// target 0.75·N(−3, 1) + 0.25·N(3.5, 0.7); the first mode is old. Integrals on a grid, plain gradient descent: no sampling noise.
/// </summary>
/// <remarks>The setting of Chen, Razin, Narasimhan and Chen 2025, arXiv:2510.18874, whose code also slows the old component 200 times; here
/// nothing is slowed.</remarks>
public static class TwoModes
{
    private const double Step = 0.02;

    /// <summary>The grid of x.</summary>
    public static double[] Grid { get; } = [.. Enumerable.Range(0, 901).Select(i => -9 + (i * Step))];

    /// <summary>The target's density on the grid.</summary>
    public static double[] Target { get; } = [.. Grid.Select(x => (0.75 * Normal(x, -3, 1)) + (0.25 * Normal(x, 3.5, 0.7)))];

    /// <summary>Trains from 0.75·N(μ, 1) + 0.25·N(0.5, 0.7), one replica for each start μ of the old component.</summary>
    /// <param name="loss">What is minimized.</param>
    /// <param name="starts">μ of every replica; −3.5 in the paper.</param>
    /// <param name="rate">Of gradient descent.</param>
    /// <param name="steps">Steps.</param>
    public static TwoModesRun Run(TwoModesLoss loss, IReadOnlyList<double> starts, double rate = 0.05, int steps = 4000)
    {
        using var scope = NewDisposeScope();
        var layout = new Layout(new Block("logit w", [1]), new Block("μ₁", [1]),
            new Block("ln σ₁", [1]), new Block("μ₂", [1]), new Block("ln σ₂", [1]));
        var weights = Aligned.Tensor(starts.SelectMany(mu => new[] { Math.Log(0.25 / 0.75), mu, 0, 0.5, Math.Log(0.7) })
            .ToArray()).reshape(starts.Count, 5);
        using var sgd = new Sgd(weights, rate);
        var x = Aligned.Tensor(Grid).unsqueeze(0);
        var (old, fresh) = (Normal(x, -3, 1), Normal(x, 3.5, 0.7));
        var both = (0.75 * old) + (0.25 * fresh);
        var task = new Minimizing(layout, weights, w =>
        {
            var (logQ, logSecond) = LogDensities(w, x);
            return Step * (loss switch
            {
                TwoModesLoss.ForwardOnNew => -(fresh * logQ),
                TwoModesLoss.ForwardOnBoth => -(both * logQ),
                TwoModesLoss.ReverseOnNew => logQ.exp() * (logQ - fresh.clamp_min(1e-300).log()),
                TwoModesLoss.ReverseOnBoth => logQ.exp() * (logQ - both.log()),
                TwoModesLoss.ReverseConditioned => logSecond.exp() * (logSecond - fresh.clamp_min(1e-300).log()),
                _ => -(fresh * logSecond),
            }).sum(1);
        });
        var (oldOverlap, newOverlap) = (new Trace("old mode", starts.Count), new Trace("new mode", starts.Count));
        var (oldWeight, oldMean) = (new Trace("old component's weight", starts.Count), new Trace("old component's mean", starts.Count));
        void Look(int step)
        {
            using var inner = NewDisposeScope();
            var q = LogDensities(weights, x).Mixture.exp();
            oldOverlap.Add(step, (minimum(0.75 * old, q).sum(1) * Step / 0.75).ToDoubles());
            newOverlap.Add(step, (minimum(0.25 * fresh, q).sum(1) * Step / 0.25).ToDoubles());
            oldWeight.Add(step, (-weights.select(1, 0)).sigmoid().ToDoubles());
            oldMean.Add(step, weights.select(1, 1).ToDoubles());
        }
        Look(0);
        Training.Run(task, sgd, steps, o => Look(o.Step), when: step => step % 20 == 0);
        return new TwoModesRun(oldOverlap, newOverlap, oldWeight,
            oldMean, [.. LogDensities(weights, x).Mixture.exp().ToDoubles().Chunk(Grid.Length)]);
    }

    /// <summary>
    /// The half of the picture with one mode: the policy is a single normal, and must leave the old mode to reach the new one. Trained on
    /// the new
    /// mode by the forward KL (SFT) or the reverse one (RL).
    /// </summary>
    /// <param name="forward">SFT; otherwise RL.</param>
    /// <param name="starts">μ of every replica, deviation 1; −3.5 in the paper.</param>
    /// <param name="rate">Of gradient descent.</param>
    /// <param name="steps">Steps; every one is looked at.</param>
    /// <returns>Overlaps with the target's modes, as in <see cref="TwoModesRun"/>.</returns>
    public static (Trace Old, Trace New) RunOneMode(bool forward, IReadOnlyList<double> starts, double rate = 0.02, int steps = 1500)
    {
        using var scope = NewDisposeScope();
        var layout = new Layout(new Block("μ", [1]), new Block("ln σ", [1]));
        var weights = Aligned.Tensor(starts.SelectMany(mu => new[] { mu, 0 }).ToArray()).reshape(starts.Count, 2);
        using var sgd = new Sgd(weights, rate);
        var x = Aligned.Tensor(Grid).unsqueeze(0);
        var (old, fresh) = (Normal(x, -3, 1), Normal(x, 3.5, 0.7));
        Tensor Log(Tensor w) => (-((x - w.narrow(1, 0, 1)) / w.narrow(1, 1, 1).exp()).square() / 2)
            - w.narrow(1, 1, 1) - (Math.Log(2 * Math.PI) / 2);
        var task = new Minimizing(layout, weights, w =>
        {
            var logQ = Log(w);
            return Step * (forward ? -(fresh * logQ) : logQ.exp() * (logQ - fresh.clamp_min(1e-300).log())).sum(1);
        });
        var (oldOverlap, newOverlap) = (new Trace("old mode", starts.Count), new Trace("new mode", starts.Count));
        void Look(int step)
        {
            using var inner = NewDisposeScope();
            var q = Log(weights).exp();
            oldOverlap.Add(step, (minimum(0.75 * old, q).sum(1) * Step / 0.75).ToDoubles());
            newOverlap.Add(step, (minimum(0.25 * fresh, q).sum(1) * Step / 0.25).ToDoubles());
        }
        Look(0);
        Training.Run(task, sgd, steps, o => Look(o.Step));
        return (oldOverlap, newOverlap);
    }

    /// <summary>ln q and ln q₂, (replica, grid).</summary>
    private static (Tensor Mixture, Tensor Second) LogDensities(Tensor w, Tensor x)
    {
        Tensor Column(int i) => w.narrow(1, i, 1);
        Tensor Log(Tensor mean, Tensor logDeviation) => (-((x - mean) / logDeviation.exp()).square() / 2)
            - logDeviation - (Math.Log(2 * Math.PI) / 2);
        var (first, second) = (Log(Column(1), Column(2)), Log(Column(3), Column(4)));
        return (logaddexp(first + nn.functional.logsigmoid(-Column(0)), second + nn.functional.logsigmoid(Column(0))), second);
    }

    private static Tensor Normal(Tensor x, double mean, double deviation) =>
        (-((x - mean) / deviation).square() / 2).exp() / (deviation * Math.Sqrt(2 * Math.PI));

    private static double Normal(double x, double mean, double deviation) => MathNet.Numerics.Distributions.Normal.PDF(mean, deviation, x);
}
