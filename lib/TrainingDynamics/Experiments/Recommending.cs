using TorchSharp;
using TrainingDynamics.Bandits;
using TrainingDynamics.Data;
using TrainingDynamics.Measurement;
using TrainingDynamics.Models;
using TrainingDynamics.Objectives;
using TrainingDynamics.Optimizers;
using TrainingDynamics.Runtime;
using TrainingDynamics.Tasks;
using static TorchSharp.torch;

namespace TrainingDynamics.Experiments;

/// <summary>How a recommender in a loop trains and serves.</summary>
/// <param name="Name">Its name, for legends.</param>
/// <param name="Objective">What it learns its policy by; null: a click regression, whose predicted click rates rank the items.</param>
/// <param name="Greedy">Serves the best-ranked items, each as likely; otherwise draws from its policy.</param>
/// <param name="Exploration">ε: the share of impressions whose item is drawn uniformly.</param>
/// <param name="Cumulative">Learns from all logs so far; otherwise from the last one.</param>
public sealed record LoopArm(string Name, OffPolicyObjective? Objective, bool Greedy, double Exploration = 0, bool Cumulative = true);

/// <summary>What came of a loop, round by round; round 0 is the first logger.</summary>
/// <param name="Arm">How it was run.</param>
/// <param name="Value">V of the served policy.</param>
/// <param name="Coverage">The share of items that the round's impressions showed.</param>
/// <param name="Gini">Of the served policy's exposure.</param>
/// <param name="Jaccard">How alike the lists of two contexts are.</param>
public sealed record LoopRun(LoopArm Arm, Trace Value, Trace Coverage, Trace Gini, Trace Jaccard);

/// <summary>Experiments on recommenders in worlds whose truth is known. Policies and click models are factorizations of rank 8 trained by
/// Adam on the whole log at every step.</summary>
public static class Recommending
{
    private const int Rank = 8;

    /// <summary>A new factorization for the world, trained on a loss.</summary>
    /// <param name="world">Gives the numbers of contexts and items.</param>
    /// <param name="seeds">One for each of the world's replicas.</param>
    /// <param name="loss">The loss of a model's weights.</param>
    /// <param name="rate">Adam's.</param>
    /// <param name="steps">Steps.</param>
    /// <param name="rank">Numbers in a factor.</param>
    public static Factorization Train(ClickWorld world, IReadOnlyList<int> seeds,
        Func<Factorization, LossFunction> loss, double rate = 0.03, int steps = 150, int rank = Rank)
    {
        using var random = new ReplicaRandom(seeds);
        var model = new Factorization(world.Contexts, world.Items, rank, random);
        Continue(model, loss(model), rate, steps);
        return model;
    }

    /// <summary>Trains a model on from where it is, by a new Adam.</summary>
    /// <param name="model">Its weights change.</param>
    /// <param name="loss">The loss of its weights.</param>
    /// <param name="rate">Adam's, one for all replicas or one for each.</param>
    /// <param name="steps">Steps.</param>
    /// <param name="observe">Told the step, from 1.</param>
    /// <param name="when">After which steps; each by default.</param>
    public static void Continue(Model model, LossFunction loss,
        PerReplica rate, int steps, Action<int>? observe = null, Func<int, bool>? when = null)
    {
        using var adam = new Adam(model.Weights, rate);
        Training.Run(new Minimizing(model.Layout, model.Weights, loss), adam, steps, observe is null ? null : o => observe(o.Step), when);
    }

    /// <summary>A round's training by default: a hundred steps of a new Adam at rate 0.03 from where the model is.</summary>
    private static void ByAdam(Factorization model, LossFunction loss) => Continue(model, loss, 0.03, 100);

    /// <summary>A world made of real ratings, and how well its preference model does on the ratings it was not shown, one value for each
    /// seed.</summary>
    /// <param name="World">r(x, a): the probability that user x likes item a (four stars or more), by the model.</param>
    /// <param name="Logger">π ∝ the square of an item's number of ratings, (1, context, item): a shop window that goes by
    /// popularity.</param>
    /// <param name="LogLoss">On the held-out fifth, in nats.</param>
    /// <param name="BaseLogLoss">Of the mean rate alone.</param>
    /// <param name="Auc">On the held-out fifth.</param>
    public sealed record RatedWorld(ClickWorld World, Tensor Logger, double[] LogLoss, double[] BaseLogLoss, double[] Auc);

    /// <summary>
    /// A semi-synthetic world: a factorization with an L2 penalty of 1e-3·½‖w‖² is fitted to likes among the ratings, four fifths of them
    /// drawn by each seed;
    /// what it says of every pair is then the truth. The users and items are real, and so is popularity; the logger's propensities are
    /// known by construction.
    /// </summary>
    /// <param name="ratings">All of the ratings are used: take the densest part first.</param>
    /// <param name="seeds">A split and a fit each.</param>
    public static RatedWorld FromRatings(Ratings ratings, IReadOnlyList<int> seeds)
    {
        using var scope = NewDisposeScope();
        using var random = new ReplicaRandom(seeds);
        var (users, items, count) = (ratings.UserIds.Count, ratings.ItemIds.Count, ratings.Rows.Count);
        var held = (random.Uniform([count], ScalarType.Float64) < 0.2).to(ScalarType.Float64);                          // (replica, rating)
        var liked = Aligned.Tensor(ratings.Rows.Select(r => r.Stars >= 4 ? 1.0 : 0).ToArray()).unsqueeze(0);
        var cell = Aligned.Tensor(ratings.Rows.Select(r => ((long)r.User * items) + r.Item).ToArray()).unsqueeze(0).expand(seeds.Count, -1);
        Tensor Sum(Tensor of) => zeros(seeds.Count, (long)users * items,
            dtype: ScalarType.Float64).scatter_add(1, cell, of / (1 - held).sum(1, keepdim: true)).reshape(seeds.Count, users, items);
        var shown = Sum(1 - held);
        using var model = new Factorization(users, items, Rank, random);
        using var adam = new Adam(model.Weights, 0.03);
        var fit = new Minimizing(model.Layout, model.Weights,
            OffPolicyLearning.ClickRegression(model, new LoggedTable(shown, Sum((1 - held) * liked), shown)));
        Training.Run(new Retained(fit, 1e-3, Retention.L2ToStart(zeros_like(model.Weights))), adam, 300);
        var rate = model.ClickRate();
        var predicted = rate.reshape(seeds.Count, -1).gather(1, cell).ToDoubles().Chunk(count).ToArray();
        var likes = liked.ToDoubles();
        double[] OnHeld(Func<double[], double[], double> measure) => [.. held.ToDoubles().Chunk(count).Select((h, s) =>
        {
            var rows = Enumerable.Range(0, count).Where(i => h[i] == 1).ToArray();
            return measure([.. rows.Select(i => predicted[s][i])], [.. rows.Select(i => likes[i])]);
        })];
        var popular = ratings.Table(_ => 1).sum([0L]).square();
        return new RatedWorld(new ClickWorld(rate),
            (popular / popular.sum()).reshape([1L, 1, items]).repeat(1, users, 1).DetachFromDisposeScope(),
            OnHeld(ClickPrediction.LogLoss), OnHeld((p, y) => ClickPrediction.LogLoss([.. y.Select(_ => y.Average())], y)),
                OnHeld(ClickPrediction.Auc));
    }

    /// <summary>A recommender that learns from what it has shown: train, serve, log, and again.</summary>
    /// <param name="world">The visitors; they do not change.</param>
    /// <param name="first">The first logger, (replica or 1, context, item).</param>
    /// <param name="arm">How it trains and serves.</param>
    /// <param name="seeds">One for each of the world's replicas.</param>
    /// <param name="rounds">Rounds after the first log.</param>
    /// <param name="impressions">Impressions a round.</param>
    /// <param name="slots">How many items a greedy server shows a context.</param>
    /// <param name="train">A round's training, given the model and the loss on the log; by default a hundred steps of Adam at rate 0.03,
    /// from where it is.</param>
    public static LoopRun Loop(ClickWorld world, Tensor first, LoopArm arm,
        IReadOnlyList<int> seeds, int rounds = 15, int impressions = 2000, int slots = 5,
        Action<Factorization, LossFunction>? train = null)
    {
        if (!(arm.Exploration is >= 0 and <= 1))
            throw new ArgumentException($"{nameof(arm.Exploration)} is {arm.Exploration}, allowed is a number in [0, 1]", nameof(arm));
        using var scope = NewDisposeScope();
        using var visits = new ReplicaRandom(seeds.Stream("visits"));
        using var start = new ReplicaRandom(seeds);
        using var model = new Factorization(world.Contexts, world.Items, Rank, start);
        var run = new LoopRun(arm, new Trace(arm.Name, seeds.Count),
            new Trace(arm.Name, seeds.Count), new Trace(arm.Name, seeds.Count), new Trace(arm.Name, seeds.Count));
        var logs = new List<LoggedTable>();
        var served = first;
        for (var round = 0; round <= rounds; round++)
        {
            if (round > 0)
            {
                var log = arm.Cumulative ? LoggedTable.Union(logs) : logs[^1];
                (train ?? ByAdam)(model, arm.Objective?.On(model, log) ?? OffPolicyLearning.ClickRegression(model, log));
                var policy = arm.Greedy ? ClickWorld.Greedy(arm.Objective is null ? model.ClickRate() : model.Policy(), slots)
                    : model.Policy();
                served = ((1 - arm.Exploration) * policy) + (arm.Exploration / world.Items);
            }
            using var drawn = world.Draw(served, impressions, visits);
            logs.Add(drawn.Table(world.Contexts, world.Items));
            run.Value.Add(round, world.Value(served));
            run.Coverage.Add(round, Exposure.Coverage(logs[^1].Shown.sum(1)));
            run.Gini.Add(round, Exposure.Gini(Exposure.Of(served, world.Share).expand(world.Replicas, -1)));
            run.Jaccard.Add(round, Exposure.Jaccard(served.expand(world.Replicas, -1, -1), slots));
        }
        foreach (var log in logs)
            log.Dispose();
        return run;
    }

    /// <summary>One look at a policy that was made for group A while it learns to serve group B.</summary>
    /// <param name="Method">What it learns by.</param>
    /// <param name="Rate">Adam's.</param>
    /// <param name="Step">Steps done.</param>
    /// <param name="Seed">Which replica, from 0.</param>
    /// <param name="Gain">V_B now minus V_B before.</param>
    /// <param name="Loss">V_A before minus V_A now.</param>
    /// <param name="Forward">KL(π₀‖π) on B, nats, π₀ the policy before.</param>
    /// <param name="Reverse">KL(π‖π₀) on B.</param>
    public sealed record DriftPoint(string Method, double Rate,
        int Step, int Seed, double Gain, double Loss, double Forward, double Reverse);

    /// <summary>
    /// Two groups of visitors: A is served, B is new. A context is a taste u in R⁴ and a group bit; in B the same taste means other wishes,
    /// turned by an angle:
    /// r = σ(−1.2 + 0.7·⟨w, v_a⟩), w = u in A and cos θ·u + sin θ·Ju in B, J a quarter turn. A network of two hidden layers scores the
    /// items; it is trained on A by exact
    /// policy gradient, then on B alone by each method. What it unlearns of A, it unlearns through the weights that both share.
    /// </summary>
    /// <param name="seeds">A world and a network each.</param>
    /// <param name="rates">Adam's rates, all tried.</param>
    /// <param name="methods">A loss by its name, given the model, the world as B's visitors make it, and ln π₀.</param>
    /// <param name="angle">θ in degrees.</param>
    /// <param name="steps">Steps on B; every tenth is looked at.</param>
    /// <returns>The values of A and B before, [seed], and the looks.</returns>
    public static (double[] ValueA, double[] ValueB, IReadOnlyList<DriftPoint> Points) Drift(IReadOnlyList<int> seeds,
        IReadOnlyList<double> rates,
        IReadOnlyDictionary<string, Func<TableModel, ClickWorld, Tensor, LossFunction>> methods, double angle = 60, int steps = 200)
    {
        using var scope = NewDisposeScope();
        const int each = 50, items = 100, taste = 4;
        var sweep = new Sweep<double>(rates, seeds);
        using var random = new ReplicaRandom(sweep.Seeds);
        // (replica, context, taste)
        var u = random.Normal([2 * each, taste], ScalarType.Float64);
        var v = random.Normal([items, taste], ScalarType.Float64);
        var inB = (arange(2 * each) >= each).to(ScalarType.Float64).reshape(1, -1, 1);
        var (cosine, sine) = (Math.Cos(angle * Math.PI / 180), Math.Sin(angle * Math.PI / 180));
        var quarter = cat([-u.narrow(2, 1, 1), u.narrow(2, 0, 1), -u.narrow(2, 3, 1), u.narrow(2, 2, 1)], 2);          // Ju
        var wish = (u * (1 - inB)) + (((cosine * u) + (sine * quarter)) * inB);
        using var world = new ClickWorld((-1.2 + (0.7 * wish.bmm(v.transpose(1, 2)))).sigmoid());
        using var worldA = world.WithShare([.. Enumerable.Range(0, 2 * each).Select(x => x < each ? 1.0 : 0)]);
        using var worldB = world.WithShare([.. Enumerable.Range(0, 2 * each).Select(x => x < each ? 0 : 1.0)]);
        var features = cat([u, ((2 * inB) - 1).expand(sweep.Seeds.Length, -1, -1)], 2);
        using var model = new FeaturePolicy(new AffineMlp(new MlpShape
        {
            Inputs = taste + 1,
            Hidden = [64, 64],
            Classes = items,
            Normalization = Normalization.None,
            Dtype = ScalarType.Float64
        }, random), features);
        Continue(model, OnPolicyLearning.Reinforce(model, worldA), 0.01, 200);
        var trained = model.Weights.clone();
        var before = model.Policy();
        var logBefore = before.log();
        var (beforeA, beforeB) = (worldA.Value(before), worldB.Value(before));
        var points = new List<DriftPoint>();
        foreach (var (name, loss) in methods)
        {
            model.Weights.copy_(trained);
            Continue(model, loss(model, worldB, logBefore), sweep.Each(r => r), steps, step =>
            {
                using var now = model.Policy();
                var (a, b) = (worldA.Value(now), worldB.Value(now));
                // B's contexts, all of one share
                var (baseLog, log) = (logBefore.narrow(1, each, each), now.log().narrow(1, each, each));
                var (forward, reverse) = (Divergence.ForwardKl(baseLog, log), Divergence.ReverseKl(baseLog, log));
                points.AddRange(a.Select((_, i) => new DriftPoint(name,
                    rates[i / seeds.Count], step, i % seeds.Count, b[i] - beforeB[i], beforeA[i] - a[i], forward[i], reverse[i])));
            }, step => step % 10 == 0);
        }
        return (beforeA[..seeds.Count], beforeB[..seeds.Count], points);
    }
}
