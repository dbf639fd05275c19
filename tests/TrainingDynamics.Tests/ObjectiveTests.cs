using TorchSharp;
using TrainingDynamics.Experiments;
using TrainingDynamics.Measurement;
using TrainingDynamics.Models;
using TrainingDynamics.Objectives;
using TrainingDynamics.Optimizers;
using TrainingDynamics.Runtime;
using TrainingDynamics.Tasks;
using TrainingDynamics.Theory;
using static TorchSharp.torch;

namespace TrainingDynamics.Tests;

/// <summary>Every named objective on a policy over five answers, in double precision.</summary>
public class ObjectiveTests
{
    private static readonly double[] Base = [0.40, 0.20, 0.10, 0.05, 0.25], Now = [0.30, 0.25, 0.15, 0.20, 0.10];
    private static readonly bool[] Correct = [false, true, true, true, false];

    private static Prompts Bandit(double[]? target = null) => new(
        zeros(1, 1, 1),
        tensor(Correct.Select(c => c ? 1.0 : 0).ToArray()).unsqueeze(0),
        target is null ? null : tensor(target).unsqueeze(0));

    /// <summary>The gradient (answer) of an objective at the policy <see cref="Now"/>, the base being <see cref="Base"/>.</summary>
    private static double[] Gradient(Objective objective, double[]? target = null, int replicas = 1)
    {
        using var scope = NewDisposeScope();
        using var model = new TabularPolicy([Base], replicas);
        using var random = new ReplicaRandom(Enumerable.Range(1, replicas).ToArray());
        using var prompts = Bandit(target);
        using var task = new FineTuningTask(model, prompts, objective, random);
        model.Weights.copy_(tensor(Now.Select(p => Math.Log(p)).ToArray()).unsqueeze(0).expand(replicas, -1));
        return task.Next().Gradient.ToDoubles();
    }

    /// <summary>The gradient of a loss of log π, by differentiation of the loss itself.</summary>
    private static double[] Of(Func<Tensor, Tensor> loss)
    {
        using var scope = NewDisposeScope();
        var theta = tensor(Now.Select(p => Math.Log(p)).ToArray()).requires_grad_(true);
        return autograd.grad([loss(theta.log_softmax(-1))], [theta])[0].ToDoubles();
    }

    private static Tensor T(params double[] values) => tensor(values);

    private static readonly double[] Far = [0, 0.5, 0, 0.5, 0];

    public static TheoryData<string> Names => ["sft", "dft", "asft", "eaft", "iw-sft", "dpo", "simpo", "reinforce", "baseline", "one-zero",
        "grpo", "dr grpo", "ppo", "self-sft", "iterative", "oracle", "distillation", "sdft", "reinforce + kl", "reinforce + forward kl"];

    [Theory, MemberData(nameof(Names))]
    public void TheGradientIsThatOfTheStatedLoss(string name)
    {
        using var scope = NewDisposeScope();
        Tensor p0 = T(Base), r = T([.. Correct.Select(c => c ? 1.0 : 0)]), q = T(Far), now = T(Now);
        var near = KlMinimal.Policy(Base, Correct);
        var success = Now.Where((_, a) => Correct[a]).Sum();
        Tensor Pairs(Tensor z, double margin)
        {
            var wrong = T([.. Base.Select((p, a) => Correct[a] ? 0 : p / (1 - 0.35))]);
            return -(T(near).unsqueeze(1) * wrong.unsqueeze(0) * nn.functional.logsigmoid(z.unsqueeze(1) - z.unsqueeze(0) - margin)).sum();
        }
        var (objective, target, loss) = name switch
        {
            "sft" => (FineTuning.Sft(), Far, l => -(q * l).sum()),
            "dft" => (FineTuning.Dft(), Far, l => -(q * l.exp()).sum()),                                                  // sg(π)∇ln π = ∇π
            "asft" => (FineTuning.Asft(0.1), Far, l => -(q * l.exp()).sum() - (0.1 * (p0 * l).sum())),
            "eaft" => (FineTuning.Eaft(), Far, l => (now * now.log()).sum() / Math.Log(5) * (q * l).sum()),
            // answer 3 has π/π₀ = 4, clipped
            "iw-sft" => (FineTuning.IwSft(clip: 2), Far,
                l => -((q * l.exp() / p0).narrow(0, 0, 3).sum() + (2 * (q * l).narrow(0, 3, 2).sum()))),
            "dpo" => (FineTuning.Dpo(0.3), null, l => Pairs(0.3 * (l - p0.log()), 0)),
            "simpo" => (FineTuning.SimPo(2, 0.7), null, l => Pairs(2 * l, 0.7)),
            "reinforce" or "baseline" or "one-zero" or "dr grpo" =>
                (name switch
                {
                    "reinforce" => FineTuning.Reinforce(),
                    "baseline" => FineTuning.ReinforceWithBaseline(),
                    "one-zero" => FineTuning.OneZero(),
                    _ => FineTuning.DrGrpo(null)
                }, null, l => -(r * l.exp()).sum()),
            "grpo" => (FineTuning.Grpo(null), null, l => -(r * l.exp()).sum() / (Math.Sqrt(success * (1 - success)) + 1e-6)),
            "self-sft" or "oracle" => (name == "oracle" ? FineTuning.Oracle() : FineTuning.SelfSft(null), null, l => -(T(near) * l).sum()),
            "iterative" => (FineTuning.IterativeSft(1, null), null, l => -(T(KlMinimal.Policy(Now, Correct)) * l).sum()),
            "distillation" => (FineTuning.OnPolicyDistillation(), Base, l => (l.exp() * (l - p0.log())).sum()),
            "sdft" => (FineTuning.Sdft(1.5), null, l => (l.exp() * (l - (now.log() + (1.5 * r)).log_softmax(0))).sum()),
            "reinforce + kl" => (FineTuning.Reinforce().WithKl(0.2),
                null, l => -(r * l.exp()).sum() + (0.2 * (l.exp() * (l - p0.log())).sum())),
            "reinforce + forward kl" => (FineTuning.Reinforce().WithKl(0.2, forward: true),
                null, l => -(r * l.exp()).sum() - (0.2 * (p0 * l).sum())),
            // renewed at the first step: ρ = 1
            _ => (FineTuning.Ppo(refresh: 5, samples: null), (double[]?)null,
                (Func<Tensor, Tensor>)(l => -(r * l.exp()).sum() / (Math.Sqrt(success * (1 - success)) + 1e-6))),
        };
        Assert.All(Gradient(objective, target).Zip(Of(loss)), p => Assert.Equal(p.Second, p.First, 1e-8));
    }

    [Fact]
    public void PpoHoldsBackWhatIsAlreadyFarFromItsSource()
    {
        // The second step of a source that is renewed every fifth: drawn from the base, the policy has moved on to Now.
        using var scope = NewDisposeScope();
        using var model = new TabularPolicy([Base], 1);
        using var random = new ReplicaRandom(1);
        using var prompts = Bandit();
        using var task = new FineTuningTask(model, prompts, FineTuning.Ppo(5, samples: null), random);
        task.Next();
        model.Weights.copy_(T([.. Now.Select(p => Math.Log(p))]).unsqueeze(0));
        Tensor p0 = T(Base), r = T([.. Correct.Select(c => c ? 1.0 : 0)]);
        var j = Base.Where((_, a) => Correct[a]).Sum();
        var advantage = (r - j) / (Math.Sqrt(j * (1 - j)) + 1e-6);
        var expected = Of(l =>
        {
            var ratio = (l - p0.log()).exp();
            return -(p0 * minimum(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage)).sum();
        });
        Assert.All(task.Next().Gradient.ToDoubles().Zip(expected), p => Assert.Equal(p.Second, p.First, 1e-8));
    }

    public static TheoryData<string> Drawn => ["sft", "reinforce", "dr grpo", "grpo", "self-sft"];

    [Theory, MemberData(nameof(Drawn))]
    public void DrawsHaveTheStatedExpectation(string name)
    {
        const int replicas = 20_000, g = 8;
        var success = Now.Where((_, a) => Correct[a]).Sum();
        // With k of G draws right, GRPO pushes right answers by √(k/G·(1 − k/G)) in all, and wrong ones back by as much.
        var grpo = Enumerable.Range(0, g + 1)
            .Sum(k => MathNet.Numerics.Distributions.Binomial.PMF(success, g, k) * Math.Sqrt((double)k / g * (1 - ((double)k / g))));
        double[] right = KlMinimal.Policy(Now, Correct), wrong = KlMinimal.Policy(Now, [.. Correct.Select(c => !c)]);
        var (objective, expected) = name switch
        {
            "sft" => (FineTuning.Sft(1), Gradient(FineTuning.Sft(), Far)),
            "reinforce" => (FineTuning.Reinforce(g), Gradient(FineTuning.Reinforce())),
            "dr grpo" => (FineTuning.DrGrpo(g), Gradient(FineTuning.Reinforce()).Select(v => v * (g - 1) / g).ToArray()),
            "grpo" => (FineTuning.Grpo(g), right.Zip(wrong, (a, b) => -grpo * (a - b)).ToArray()),
            _ => (FineTuning.SelfSft(1), Gradient(FineTuning.Oracle())),
        };
        var drawn = Gradient(objective, Far, replicas).Chunk(5).ToArray();
        for (var a = 0; a < 5; a++)
        {
            var mean = drawn.Average(d => d[a]);
            var error = Math.Sqrt(drawn.Average(d => (d[a] - mean) * (d[a] - mean)) / replicas);
            Assert.True(Math.Abs(mean - expected[a]) < (4 * error) + 1e-5, $"answer {a}: {mean} ± {error}, expected {expected[a]}");
        }
    }

    [Fact]
    public void BadInputIsRefusedByName()
    {
        using var model = new TabularPolicy([Base], 1);
        using var random = new ReplicaRandom(1);
        string Refused(Prompts prompts, Objective objective)
        {
            using (prompts)
                return Assert.Throws<ArgumentException>(() => new FineTuningTask(model, prompts, objective, random)).Message;
        }
        Prompts With(params double[] rewards) => new(zeros(1, 1, 1), tensor(rewards).unsqueeze(0));
        Assert.Contains("draws correct answers, and prompt 0 has none", Refused(With(0, 0, 0, 0, 0), FineTuning.Oracle()));
        // Who draws all answers can be told that none is right: there is nothing to reinforce.
        using (var task = new FineTuningTask(model, With(0, 0, 0, 0, 0), FineTuning.Reinforce(), random))
            Assert.All(task.Next().Gradient.ToDoubles(), g => Assert.Equal(0, g));
        Assert.Contains("not finite", Refused(With(0, 1, double.NaN, 0, 0), FineTuning.Grpo()));
        Assert.Contains("prompts have none", Refused(With(0, 1, 0, 0, 0), FineTuning.Sft()));
        Assert.Contains("no distribution", Refused(Bandit([1, 1, 0, 0, 0]), FineTuning.Sft()));
        Assert.Contains("finite distribution", Refused(Bandit([1, 0, 0, 0, double.NaN]), FineTuning.Sft()));
        Assert.Contains("wanted is a finite distribution",
            Refused(With(0, 1, 0, 0, 0).WithTarget(tensor(new[,] { { 0.5, 0.5 } })), FineTuning.Sft()));
        Assert.Contains("the rewards are [1, 3]", Refused(With(0, 1, 0), FineTuning.Reinforce()));
        using var many = new ReplicaRandom(1, 2);
        Assert.Contains("random has 2 replicas, the model 1",
            Assert.Throws<ArgumentException>(() => new FineTuningTask(model, Bandit(), FineTuning.Reinforce(), many)).Message);
        Assert.Contains("at step 1", Assert.Throws<ArgumentException>(() =>
            new Louder(new FineTuningTask(model, Bandit(), FineTuning.Reinforce(), random), 1, _ => double.NaN).Next()).Message);
        Assert.Throws<ArgumentException>(() => new TabularPolicy([], 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => new TabularPolicy([Base], 0));
        Assert.Contains("Refresh is 0", Refused(Bandit(), FineTuning.IterativeSft(0)));
        Assert.Contains("Samples is 0", Refused(Bandit(), FineTuning.Reinforce(0)));
        Assert.Contains("samples is 0", Assert.Throws<ArgumentException>(() => FineTuning.Grpo(0)).Message);
        Assert.Contains("beta is -1", Assert.Throws<ArgumentException>(() => FineTuning.Grpo().WithKl(-1)).Message);
        Assert.Throws<ArgumentException>(() => new TabularPolicy([[0.5, 0.5, 0]], 1));
        using var blind = new TabularPolicy([[1, 1e-320, 1e-320]], 1);
        using var prompts = new Prompts(zeros(1, 1, 1), tensor(new[,] { { 0.0, 1, 1 } }));
        blind.Weights.narrow(1, 1, 2).fill_(-1000);
        Assert.Contains("mass of 0",
            Assert.Throws<ArgumentException>(() => new FineTuningTask(blind, prompts, FineTuning.Oracle(), random)).Message);
        Assert.Contains("no mass", Assert.Throws<ArgumentException>(() => KlMinimal.Policy([1, 0], [false, true])).Message);
        Assert.Contains("empty", Assert.Throws<ArgumentException>(() => KlMinimal.Policy([0.5, 0.5], [false, false])).Message);
        Assert.Contains("sum to", Assert.Throws<ArgumentException>(() => KlMinimal.Regularized([0.5, 0.6], [0, 1], 0.1)).Message);
        Assert.Contains("NaN", Assert.Throws<ArgumentException>(() => KlMinimal.Regularized([0.5, 0.5], [0, double.NaN], 0.1)).Message);
        Assert.Contains("beta is 0", Assert.Throws<ArgumentException>(() => KlMinimal.Regularized([0.5, 0.5], [0, 1], 0)).Message);
        Assert.Contains("never arrives", Assert.Throws<ArgumentException>(() => KlMinimal.VanillaPolicyGradient(Base, Correct, 1)).Message);
    }

    /// <summary>Prompts of two minds, in batches: each learns from its own rewards.</summary>
    [Fact]
    public void ATabularPolicyKnowsItsPromptsByTheirNumbers()
    {
        using var scope = NewDisposeScope();
        using var random = new ReplicaRandom(1);
        using var model = new TabularPolicy([[0.5, 0.5], [0.5, 0.5], [0.5, 0.5]], 1);
        using var prompts = new Prompts(model.AllContexts(), tensor(new[,] { { 1.0, 0 }, { 0.0, 1 }, { 1.0, 0 } }));
        using var task = new FineTuningTask(model, prompts, FineTuning.Reinforce(), random, batch: 5);
        using var sgd = new Sgd(model.Weights, 3);
        Training.Run(task, sgd, 500);
        Assert.All((model.Policy() * prompts.Reward).sum(-1).ToDoubles(), j => Assert.True(j > 0.99, $"J = {j}"));
        Assert.Equal(model.Scores(model.Weights)[0, 1].ToDoubles(),
            model.Forward(model.Weights, tensor(new[, ,] { { { 1L } } })).ToDoubles());
        Assert.Contains("from 0 to 2",
            Assert.Throws<ArgumentException>(() => model.Forward(model.Weights, tensor(new[, ,] { { { 3L } } }))).Message);
        Assert.Contains("wanted are numbers of contexts",
            Assert.Throws<ArgumentException>(() => model.Forward(model.Weights, zeros(1, 3))).Message);
        // Inputs that change between two looks are looked at again.
        var inputs = tensor(new[, ,] { { { 1L } } });
        model.Forward(model.Weights, inputs);
        inputs.fill_(2);
        Assert.Equal(model.Scores(model.Weights)[0, 2].ToDoubles(), model.Forward(model.Weights, inputs).ToDoubles());
        inputs.fill_(-1);
        Assert.Contains("from 0 to 2", Assert.Throws<ArgumentException>(() => model.Forward(model.Weights, inputs)).Message);
        var two = model.AllContexts().repeat(2, 1, 1);
        Assert.Equal([2, 3, 2], model.Forward(model.Weights.repeat(2, 1), two).shape);
        Assert.Contains("1 or 1 replicas", Assert.Throws<ArgumentException>(() => model.Forward(model.Weights, two)).Message);
    }

    [Fact]
    public void TheNaturalGradientOutlivesAProbabilityThatUnderflows()
    {
        using var model = new TabularPolicy([[0.5, 0.5]], 1);
        using var random = new ReplicaRandom(1);
        using var prompts = new Prompts(model.AllContexts(), tensor(new[,] { { 1.0, 0 } }));
        using var task = new FineTuningTask(model, prompts, FineTuning.Reinforce(), random);
        using var natural = new NaturalGradient(model.Weights, answers: 2, rate: 1);
        Training.Run(task, natural, 2000);
        Assert.Equal([1, 0], model.Policy().ToDoubles());
    }

    [Fact]
    public void TheNaturalGradientIsMirrorDescentAndThePseudoInverseOfTheFisherMatrix()
    {
        using var scope = NewDisposeScope();
        var theta = T([.. Now.Select(p => Math.Log(p))]).unsqueeze(0);
        Tensor pi = T(Now), d = T(0.3, -1, 2, 0.1, 0);
        var gradient = (pi * (d - (pi * d).sum())).unsqueeze(0);                                     // of Σ π d
        using var natural = new NaturalGradient(theta, answers: 5, rate: 0.7);
        natural.Step(gradient);
        var mirrored = MirrorDescent.Step(pi.log(), d, 0.7);
        Assert.True((theta[0].log_softmax(-1) - mirrored).abs().max().ToDoubles()[0] < 1e-12);
        var fisher = diag(pi) - pi.outer(pi);
        var step = linalg.pinv(fisher).mv(gradient[0]);
        Assert.True((step - (gradient[0] / pi) + (gradient[0] / pi).mean()).abs().max().ToDoubles()[0] < 1e-10);
    }

    [Theory]
    [InlineData(0.9)]
    [InlineData(0.99)]
    [InlineData(0.999)]
    public void TheFlowOfVanillaPolicyGradientIsWhatSimulationFollows(double success)
    {
        // Small steps of the exact gradient against the closed form; the KL-minimal policy is elsewhere.
        using var model = new TabularPolicy([Base], 1);
        using var random = new ReplicaRandom(1);
        using var prompts = Bandit();
        using var task = new FineTuningTask(model, prompts, FineTuning.Reinforce(), random);
        using var sgd = new Sgd(model.Weights, 0.2);
        double[] policy = Base;
        for (var step = 0; step < 200_000 && policy.Where((_, a) => Correct[a]).Sum() < success; step++)
        {
            using var scope = NewDisposeScope();
            sgd.Step(task.Next().Gradient);
            policy = model.Weights.softmax(-1).ToDoubles();
        }
        var predicted = KlMinimal.VanillaPolicyGradient(Base, Correct, policy.Where((_, a) => Correct[a]).Sum());
        Assert.All(policy.Zip(predicted), p => Assert.Equal(p.Second, p.First, 5e-3));
        Assert.True(Math.Abs(policy[1] - KlMinimal.Policy(Base, Correct)[1]) > 0.15);
        Assert.Equal(Math.Log(1 / 0.35), KlMinimal.Distance(Base, Correct), 1e-12);
        // Outside: a step size that is not small leaves the invariant.
        using var coarse = new TabularPolicy([Base], 1);
        using var again = new FineTuningTask(coarse, prompts, FineTuning.Reinforce(), random);
        using var big = new Sgd(coarse.Weights, 30);
        for (var step = 0; step < 3; step++)
            big.Step(again.Next().Gradient);
        var theta = coarse.Weights.ToDoubles();
        Assert.True(Math.Abs(Math.Exp(-theta[2]) - Math.Exp(-theta[1]) - 5) > 0.5);
    }

    [Fact]
    public void RegularizedPolicyGradientSettlesAtItsFixedPoint()
    {
        using var model = new TabularPolicy([Base], 1);
        using var random = new ReplicaRandom(1);
        using var prompts = Bandit();
        using var task = new FineTuningTask(model, prompts, FineTuning.Reinforce().WithKl(0.1), random);
        // the plain gradient needs millions of steps for the last digits
        using var natural = new NaturalGradient(model.Weights, answers: 5, rate: 1);
        Training.Run(task, natural, 300);
        var settled = model.Weights.softmax(-1).ToDoubles();
        var fixedPoint = KlMinimal.Regularized(Base, [.. Correct.Select(c => c ? 1.0 : 0)], 0.1);
        Assert.All(settled.Zip(fixedPoint), p => Assert.Equal(p.Second, p.First, 1e-6));
        Assert.Equal(0.9999, KlMinimal.Regularized(Base, [.. Correct.Select(c => c ? 1.0 : 0)], 0.1).Where((_, a) => Correct[a]).Sum(),
            2e-4);
    }
}
