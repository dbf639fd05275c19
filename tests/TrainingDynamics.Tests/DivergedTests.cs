using TorchSharp;
using TrainingDynamics.Bandits;
using TrainingDynamics.Experiments;
using TrainingDynamics.Measurement;
using TrainingDynamics.Models;
using TrainingDynamics.Objectives;
using TrainingDynamics.Optimizers;
using TrainingDynamics.Runtime;
using TrainingDynamics.Tasks;
using static TorchSharp.torch;

namespace TrainingDynamics.Tests;

/// <summary>A replica that is not finite is reported as diverged, and changes no other by a bit.</summary>
public class DivergedTests
{
    private const int Replicas = 16, Lost = 5;
    private static readonly Layout Matrices = new(new Block("a", [3, 4], Invariance.Whole),
        new Block("b", [5, 2], Invariance.Rows), new Block("c", [3]));

    private static ReplicaRandom Seeds() => new([.. Enumerable.Range(1, Replicas)]);

    /// <summary>The same numbers twice, the second time with one replica of NaN.</summary>
    private static (Tensor Whole, Tensor Broken) Both(Func<ReplicaRandom, Tensor> make)
    {
        using var random = Seeds();
        var whole = make(random);
        var broken = whole.clone();
        broken[Lost] = double.NaN;
        return (whole, broken);
    }

    private static void OnlyOneIsLost(Tensor whole, Tensor broken)
        => OnlyOneIsLost(whole.ToDoubles().Chunk((int)(whole.numel() / Replicas)).ToArray(),
            broken.ToDoubles().Chunk((int)(broken.numel() / Replicas)).ToArray());

    private static void OnlyOneIsLost(double[] whole, double[] broken)
        => OnlyOneIsLost(whole.Select(v => new[] { v }).ToArray(), broken.Select(v => new[] { v }).ToArray());

    private static void OnlyOneIsLost(double[][] whole, double[][] broken)
    {
        Assert.Equal(Replicas, whole.Length);
        Assert.All(Enumerable.Range(0, Replicas).Where(r => r != Lost), r => Assert.Equal(whole[r], broken[r]));
        Assert.Contains(broken[Lost], v => !double.IsFinite(v));
        Assert.All(whole, row => Assert.DoesNotContain(row, v => double.IsNaN(v)));
    }

    private static Optimizer Make(string name, Tensor w) => name switch
    {
        "sgd" => new Sgd(w, 0.1, momentum: 0.9, decoupledDecay: 0.1, l2: 0.01, nesterov: true),
        "adam" => new Adam(w, 0.1, l2: 0.1),
        "adamw" => new AdamW(w, 0.1, 0.1),
        "radam" => new RAdam(w, 0.1, 0.1),
        "lion" => new Lion(w, 0.1, 0.1),
        "sgdp" => new Projected(new Sgd(w, 0.1, momentum: 0.9), Matrices),
        "rotational" => new Rotational(new AdamW(w, 0.1, 0), Matrices, 0.1),
        "fixed" => new FixedNorm(new Sgd(w, 0.1), Matrices, 0.1),
        "muon" => new Muon(w, Matrices, 0.1),
        "muon exact" => new Muon(w, Matrices, 0.1, exact: true),
        "clipped" => new RelativelyClipped(new Sgd(w, 0.1, decoupledDecay: 0.1), 2),
        "natural" => new NaturalGradient(w, 5, 1e-4),
        "cautious" => new Cautious(new AdamW(w, 0.1, 0.1)),
        "mixed" => new Mixed(Matrices, new AdamW(w, 0.1, 0.1), (b => b.Name == Matrices[0].Name, new Muon(w, Matrices, 0.1))),
        "by block" => new AdamW(w, 0.1, 0.1).ForBlocks(Matrices, Matrices[0].Name, decay: 0, schedule: step => 1.0 / step),
        _ => new AdaGradNorm(w, Matrices, 0.1),
    };

    [Theory]
    [InlineData("cautious")]
    [InlineData("mixed")]
    [InlineData("by block")]
    [InlineData("sgd")]
    [InlineData("adam")]
    [InlineData("adamw")]
    [InlineData("radam")]
    [InlineData("lion")]
    [InlineData("sgdp")]
    [InlineData("rotational")]
    [InlineData("fixed")]
    [InlineData("muon")]
    [InlineData("muon exact")]
    [InlineData("clipped")]
    [InlineData("natural")]
    [InlineData("adagrad-norm")]
    public void NoOptimizerSpreadsADivergence(string name)
    {
        using var scope = NewDisposeScope();
        Tensor Run(bool breaks)
        {
            using var random = Seeds();
            var w = random.Normal([25], ScalarType.Float64);
            using var optimizer = Make(name, w);
            for (var step = 0; step < 4; step++)
            {
                var gradient = random.Normal([25], ScalarType.Float64);
                if (breaks && step == 1)
                    gradient[Lost] = double.NaN;
                optimizer.Step(gradient);
            }
            return w;
        }
        OnlyOneIsLost(Run(false), Run(true));
    }

    public static TheoryData<string> Objectives => [.. All.Keys];

    private static readonly Dictionary<string, Objective> All = new Objective[]
    {
        FineTuning.Sft(), FineTuning.Sft(4).Named("SFT, drawn"),
            FineTuning.Dft(), FineTuning.Asft(), FineTuning.Eaft(), FineTuning.IwSft(), FineTuning.Dpo(), FineTuning.SimPo(),
        FineTuning.Reinforce(), FineTuning.Reinforce(4).Named("REINFORCE, drawn"),
            FineTuning.ReinforceWithBaseline(4), FineTuning.OneZero(), FineTuning.Grpo(),
        FineTuning.DrGrpo(), FineTuning.Ppo(2), FineTuning.SelfSft(),
            FineTuning.IterativeSft(2), FineTuning.Oracle(), FineTuning.OnPolicyDistillation(),
        FineTuning.OnPolicyDistillation(4).Named("distillation, drawn"),
            FineTuning.Sdft(), FineTuning.Grpo().WithKl(0.1), FineTuning.Grpo().WithKl(0.1, forward: true),
    }.ToDictionary(o => o.Name);

    [Theory, MemberData(nameof(Objectives))]
    public void NoObjectiveSpreadsADivergence(string name)
    {
        using var scope = NewDisposeScope();
        // Lost from the start, or in the middle of the run.
        foreach (var before in new[] { true, false })
        {
            Tensor Run(bool breaks)
            {
                using var random = Seeds();
                using var model = new TabularPolicy([[0.5, 0.2, 0.3], [0.1, 0.6, 0.3]], Replicas);
                model.Weights.add_(random.Normal([6], ScalarType.Float64));
                void Break() => model.Weights[Lost] = breaks ? double.NaN : model.Weights[Lost];
                if (before)
                    Break();
                using var prompts = new Prompts(model.AllContexts(),
                    tensor(new[,] { { 1.0, 0, 0 }, { 0.0, 1, 1 } }), tensor(new[,] { { 0.8, 0.1, 0.1 }, { 0.2, 0.4, 0.4 } }));
                using var task = new FineTuningTask(model, prompts, All[name], random);
                if (!before)
                    Break();
                task.Next();
                return task.Next().Gradient;
            }
            OnlyOneIsLost(Run(false), Run(true));
        }
    }

    [Fact]
    public void NoMeasurementSpreadsADivergence()
    {
        using var scope = NewDisposeScope();
        var (w, wLost) = Both(r => r.Normal([25], ScalarType.Float64));
        var (v, vLost) = Both(r => r.Normal([25], ScalarType.Float64) + 0.1);
        foreach (var of in new Func<Tensor, Tensor, double[][]>[]
        {
            (a, b) => Geometry.Norm(a, Matrices), (a, b) => Geometry.Rms(a, Matrices),
                (a, b) => Geometry.Cosine(a, b, Matrices), (a, b) => Geometry.AngularUpdate(a, b, Matrices),
            (a, b) => Geometry.UnitSphereGradientNorm(a, b, Matrices),
        })
            OnlyOneIsLost(of(w, v), of(wLost, vLost));
        foreach (var of in new Func<Tensor, Tensor, double[]>[]
        {
            WeightChange.L1, WeightChange.L2, (a, b) => WeightChange.FisherL2(a, b, ones_like(a)),
                (a, b) => WeightChange.Spectral(a, b, Matrices),
            (a, b) => WeightChange.StableRankShare(a, b, Matrices),
                WeightChange.EqualFloat32, WeightChange.EqualBFloat16, (a, b) => Invariances.JointCosine(a, b, Matrices, "a", "b"),
        })
            OnlyOneIsLost(of(w, v), of(w, vLost));
        OnlyOneIsLost(Derivatives.TopHessianEigenvalue(x => x.pow(4).sum(1), w),
            Derivatives.TopHessianEigenvalue(x => x.pow(4).sum(1), wLost));
        var (budget, budgetLost) = (new NormBudget(Matrices, [.. Enumerable.Repeat(0.1, Replicas)]),
            new NormBudget(Matrices, [.. Enumerable.Repeat(0.1, Replicas)]));
        var (turning, turningLost) = (new Turning(Matrices), new Turning(Matrices));
        budget.Add(w, v);
        budgetLost.Add(w, vLost);
        turning.Add(w, v);
        turningLost.Add(w, vLost);
        OnlyOneIsLost(budget.Amplification, budgetLost.Amplification);
        OnlyOneIsLost(turning.Angle, turningLost.Angle);
        OnlyOneIsLost(turning.Spread, turningLost.Spread);

        var (log, logLost) = Both(r => r.Normal([4, 5], ScalarType.Float64).log_softmax(-1));
        var correct = tensor(new[] { 1.0, 1, 0, 0, 0 });
        using var other = Seeds();
        var logBase = other.Normal([4, 5], ScalarType.Float64).add_(1).log_softmax(-1);
        foreach (var of in new Func<Tensor, Tensor, double[]>[]
        {
            Divergence.ForwardKl, Divergence.ReverseKl, Divergence.TotalVariation, Divergence.L2,
                (a, b) => Divergence.Decompose(a, b, correct).Gratuitous, (a, b) => Divergence.Decompose(a, b, correct).Price,
        })
            OnlyOneIsLost(of(logBase, log), of(logBase, logLost));

        var (policy, policyLost) = (log.exp(), logLost.exp());
        using var world = new ClickWorld(other.Uniform([4, 5], ScalarType.Float64));
        foreach (var of in new Func<Tensor, double[]>[]
        {
            world.Value, world.Regret, p => Exposure.Gini(Exposure.Of(p, world.Share)),
                p => Exposure.EffectiveItems(Exposure.Of(p, world.Share)),
            p => Exposure.Coverage(Exposure.Of(p, world.Share)), p => Exposure.Jaccard(p, 2),
        })
            OnlyOneIsLost(of(policy), of(policyLost));
        using var uniform = full([1, 4, 5], 0.2, dtype: ScalarType.Float64);
        using var logged = world.Draw(uniform, 50, other);
        foreach (var of in new Func<Tensor, Estimate>[]
        {
            p => OffPolicyEvaluation.Ips(logged, p), p => OffPolicyEvaluation.Ips(logged, p, clip: 2),
                p => OffPolicyEvaluation.Snips(logged, p), p => OffPolicyEvaluation.DirectMethod(logged, p, world.Reward),
            p => OffPolicyEvaluation.DoublyRobust(logged, p, world.Reward),
                p => OffPolicyEvaluation.SelfNormalizedDoublyRobust(logged, p, world.Reward),
                p => OffPolicyEvaluation.Switch(logged, p, world.Reward, 2),
        })
        {
            OnlyOneIsLost(of(policy).Value, of(policyLost).Value);
            OnlyOneIsLost(of(policy).Deviation, of(policyLost).Deviation);
        }
        LoggedBandit Drawn(Tensor p)
        {
            using var visits = Seeds();
            return world.Draw(p, 50, visits);
        }
        OnlyOneIsLost(Drawn(policy).MeanReward(), Drawn(policyLost).MeanReward());
        OnlyOneIsLost(Drawn(policy).Table(4, 5).Clicked, Drawn(policyLost).Table(4, 5).Clicked);
    }

    [Fact]
    public void NoExperimentSpreadsADivergence()
    {
        using var parity = Parity.OnDigits([1, 2], new ParitySettings { Steps = 100, Hidden = [16] });
        IReadOnlyList<ParityRun> Tune(double other) => parity.FineTune(FineTuning.Dft(4),
            [1e-3, other], parity.Prompts(Parity.Sft2), steps: 10);
        var (whole, broken) = (Tune(1e-4), Tune(1e30));
        Assert.Equal(whole.Where(r => r.Rate == 1e-3), broken.Where(r => r.Rate == 1e-3));
        Assert.All(broken.Where(r => r.Rate == 1e30), r => Assert.True(double.IsNaN(r.New) && double.IsNaN(r.Forward)));
        Assert.True(double.IsNaN(broken[^1].WeightSpectral));
        Assert.Equal(2, broken.Trades().Length);

        using var sequences = ParitySequences.Load(prompts: 10);
        IReadOnlyList<SequenceRun> Answer(double other) => sequences.FineTune(FineTuning.Grpo(4), [1e-4, other], steps: 2, prompts: 2);
        var (said, lost) = (Answer(1e-5), Answer(1e30));
        Assert.Equal(said.Where(r => r.Rate == 1e-4).Select(r => (r.New, r.Old, r.Forward, r.Change)),
            lost.Where(r => r.Rate == 1e-4).Select(r => (r.New, r.Old, r.Forward, r.Change)));
        Assert.All(lost.Where(r => r.Rate == 1e30),
            r => Assert.True(double.IsNaN(r.New) && double.IsNaN(r.Old) && double.IsNaN(r.Change.Spectral)));

        OneEpochRun Epochs(double other) => OneEpoch.Run(new OneEpochSettings
        {
            Users = 20,
            Items = 10,
            Impressions = 200,
            Batch = 50,
            Epochs = 2
        }, [1, 2, 3], w => new Adam(w, [0.01, other, 0.01]));
        var (good, bad) = (Epochs(0.01), Epochs(1e30));
        foreach (var of in new Func<OneEpochRun, Trace>[] { r => r.Train, r => r.Test, r => r.Auc, r => r.Abundance })
        {
            Assert.Equal(of(good)[0], of(bad)[0]);
            Assert.Equal(of(good)[2], of(bad)[2]);
            Assert.NotNull(of(bad).DivergedAt(1));
        }

        using var random = new ReplicaRandom(1, 2, 3);
        using var world = ClickWorld.Planted(6, 10, random);
        using var first = world.ZipfLogger();
        LoopRun Loop(double other) => Recommending.Loop(world, first,
            new LoopArm("CE", OffPolicyLearning.ClickCrossEntropy(), Greedy: false),
            [1, 2, 3], rounds: 3, impressions: 50, train: (model, loss) =>
        {
            using var adam = new Adam(model.Weights, [0.03, other, 0.03]);
            Training.Run(new Minimizing(model.Layout, model.Weights, loss), adam, 5);
        });
        var (served, gone) = (Loop(0.03), Loop(1e200));
        foreach (var of in new Func<LoopRun, Trace>[] { r => r.Value, r => r.Coverage, r => r.Gini, r => r.Jaccard })
        {
            Assert.Equal(of(served)[0], of(gone)[0]);
            Assert.Equal(of(served)[2], of(gone)[2]);
            Assert.NotNull(of(gone).DivergedAt(1));
        }
    }
}
