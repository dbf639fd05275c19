using TorchSharp;
using TrainingDynamics.Models;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;

namespace TrainingDynamics.Bandits;

/// <summary>
/// What a recommender learns from a log by: a loss of its policy, given what the log has in every cell. n(x, a) is the share of
/// impressions, c(x, a) the share that was clicked, p = π_log(a|x), w = π/p.
/// </summary>
/// <param name="Name">Its name, for legends.</param>
/// <param name="Loss">(log, ln π(a|x)) to the loss of each replica.</param>
public sealed record OffPolicyObjective(string Name, Func<LoggedTable, Tensor, Tensor> Loss)
{
    /// <summary>The loss on one log as a function of a model's weights; π is the softmax of its scores.</summary>
    /// <param name="model">Scores (replica, context, item).</param>
    /// <param name="table">The log.</param>
    public LossFunction On(TableModel model, LoggedTable table) => weights =>
    {
        using var scope = NewDisposeScope();
        return Loss(table, model.Scores(weights).log_softmax(-1)).MoveToOuterDisposeScope();
    };
}

/// <summary>Laws of one context, in all.</summary>
public static class Policies
{
    /// <summary>What a closed form such as <see cref="Theory.OffPolicySupervision.ClickFixedPoint"/> says of each context, (replica,
    /// context, item).</summary>
    /// <param name="logger">π_log, (replica or 1, context, item).</param>
    /// <param name="reward">r, (replica, context, item).</param>
    /// <param name="law">From one context's logger and rewards to a policy.</param>
    public static Tensor PerContext(Tensor logger, Tensor reward, Func<double[], double[], double[]> law)
    {
        using var scope = NewDisposeScope();
        var items = (int)reward.shape[2];
        var (loggers, rewards) = (logger.expand_as(reward).ToDoubles().Chunk(items), reward.ToDoubles().Chunk(items));
        return Aligned.Tensor(loggers.Zip(rewards, law).SelectMany(p => p).ToArray()).reshape(reward.shape).MoveToOuterDisposeScope();
    }
}

/// <summary>The named objectives for learning from logs.</summary>
public static class OffPolicyLearning
{
    /// <summary>
    /// Cross-entropy on clicks, L = −Σ c·ln π: supervised fine-tuning with the logger as its data and ω = r. Its minimum over all policies
    /// is
    /// π ∝ π_log·r (<see cref="Theory.OffPolicySupervision.ClickFixedPoint"/>).
    /// </summary>
    public static OffPolicyObjective ClickCrossEntropy() => new("CE on clicks", (log, logPolicy) => -(log.Clicked * logPolicy).sum([1, 2]));

    /// <summary>Exponential weights, ω = e^{r/τ}: L = −Σ [n + c·(e^{1/τ} − 1)]·ln π for clicks of 0 and 1 (reward-weighted regression,
    /// Peters and Schaal 2007).</summary>
    /// <param name="temperature">τ &gt; 0.</param>
    public static OffPolicyObjective ExponentialWeights(double temperature) => new($"exponential weights, τ = {temperature}",
        (log, logPolicy) =>
        -((log.Shown + (log.Clicked * (Math.Exp(1 / Positive(temperature, nameof(temperature))) - 1))) * logPolicy).sum([1, 2]));

    /// <summary>
    /// Advantage weights, ω = e^{(r − b(x))/τ}, b(x) the context's click rate in the log (Peng et al. 2019, arXiv:1910.00177). The baseline
    /// multiplies all
    /// of a context's weights by one number: for a policy that is free in each context it changes nothing.
    /// </summary>
    /// <param name="temperature">τ &gt; 0.</param>
    public static OffPolicyObjective AdvantageWeights(double temperature) => new($"advantage weights, τ = {temperature}",
        (log, logPolicy) =>
    {
        var rate = log.Clicked.sum(-1, keepdim: true) / log.Shown.sum(-1, keepdim: true).clamp_min(1e-300);
        var scale = (-rate / Positive(temperature, nameof(temperature))).exp();
        return -(scale * (log.Shown + (log.Clicked * (Math.Exp(1 / temperature) - 1))) * logPolicy).sum([1, 2]);
    });

    /// <summary>Cross-entropy on clicks, each over its propensity: L = −Σ (c/p)·ln π. Its minimum is π ∝ r, whatever the logger.</summary>
    public static OffPolicyObjective IpsCrossEntropy() => new("IPS-CE",
        (log, logPolicy) => -(log.PerPropensity(log.Clicked) * logPolicy).sum([1, 2]));

    /// <summary>Inverse propensity scoring, L = −Σ c·min(w, clip): minus an unbiased estimate of the value (without a clip). Horvitz and
    /// Thompson 1952; Bottou et al. 2013, arXiv:1209.2355.</summary>
    /// <param name="clip">The greatest weight; none by default.</param>
    public static OffPolicyObjective Ips(double clip = double.PositiveInfinity) =>
        new(double.IsPositiveInfinity(clip) ? "IPS" : $"IPS, clip {clip}", (log, logPolicy) =>
        -(log.Clicked * log.PerPropensity(logPolicy.exp()).clamp_max(Positive(clip, nameof(clip)))).sum([1, 2]));

    /// <summary>Self-normalized IPS, L = −Σ c·w / Σ n·w: less prone to a policy that fits the propensities instead of the clicks
    /// (Swaminathan and Joachims 2015).</summary>
    public static OffPolicyObjective Snips() => new("SNIPS", (log, logPolicy) =>
    {
        var weight = log.PerPropensity(logPolicy.exp());
        return -(log.Clicked * weight).sum([1, 2]) / (log.Shown * weight).sum([1, 2]);
    });

    /// <summary>Direct method, L = −Σ_x n(x) Σ_a π·q̂: on-policy learning in a model of the world.</summary>
    /// <param name="rewardModel">q̂(x, a), (replica, context, item).</param>
    public static OffPolicyObjective DirectMethod(Tensor rewardModel) => new("DM",
        (log, logPolicy) => -(log.Shown.sum(-1, keepdim: true) * logPolicy.exp() * rewardModel).sum([1, 2]));

    /// <summary>Doubly robust, L = −Σ_x n(x) Σ_a π·q̂ − Σ (c − n·q̂)·w: the direct method, and IPS on what it got wrong (Dudík, Langford
    /// and Li 2011, arXiv:1103.4601).</summary>
    /// <param name="rewardModel">q̂(x, a), (replica, context, item).</param>
    public static OffPolicyObjective DoublyRobust(Tensor rewardModel) => new("DR", (log, logPolicy) =>
        DirectMethod(rewardModel).Loss(log, logPolicy)
            - ((log.Clicked - (log.Shown * rewardModel)) * log.PerPropensity(logPolicy.exp())).sum([1, 2]));

    /// <summary>
    /// Top-K off-policy correction, L = −Σ (c/p)·[1 − (1 − π)^K]: the item is among K independent draws. Its gradient is REINFORCE's w·r
    /// times
    /// λ_K = K·(1 − π)^{K−1} (Chen et al. 2019, arXiv:1812.02353).
    /// </summary>
    /// <param name="slots">K ≥ 1; 1 is IPS.</param>
    public static OffPolicyObjective TopK(int slots) => slots >= 1
        ? new($"top-{slots} IPS",
            (log, logPolicy) => -(log.PerPropensity(log.Clicked) * (1 - (1 - logPolicy.exp()).pow(slots))).sum([1, 2]))
        : throw new ArgumentException($"{nameof(slots)} is {slots}, at least 1 is needed", nameof(slots));

    /// <summary>
    /// A click model as a regression, L = −Σ [c·ln σ(s) + (n − c)·ln(1 − σ(s))]: the click rate of what is shown. It conditions on being
    /// shown, so
    /// how often a cell is shown changes how well it is known, and not what it tends to.
    /// </summary>
    public static LossFunction ClickRegression(TableModel model, LoggedTable log) => weights =>
    {
        using var scope = NewDisposeScope();
        var scores = model.Scores(weights);
        return ((log.Clicked * nn.functional.logsigmoid(scores))
            + ((log.Shown - log.Clicked) * nn.functional.logsigmoid(-scores))).sum([1, 2]).neg().MoveToOuterDisposeScope();
    };

    /// <summary>
    /// A reward model as a regression with a ridge, L = ½·Σ [n·s² − 2·c·s] + (κ/2N)·‖θ‖², N impressions: least squares of the rewards,
    /// and a normal prior of mean 0 on every weight. The decay here is L2 in the gradient.
    /// </summary>
    /// <param name="model">Scores (replica, context, item).</param>
    /// <param name="log">A log of finitely many impressions.</param>
    /// <param name="strength">κ ≥ 0, one for all replicas or one each: noise variance over prior variance.</param>
    /// <exception cref="ArgumentException">κ is out of its range, or the log has no end.</exception>
    public static LossFunction RewardRegression(TableModel model, LoggedTable log, PerReplica strength)
    {
        if (!(log.Impressions > 0 && double.IsFinite(log.Impressions)))
            throw new ArgumentException($"{nameof(log)} has {log.Impressions} impressions, wanted is a finite number above 0: a prior is "
                + "held against it", nameof(log));
        double[] ridges = [.. strength.Expand((int)log.Shown.shape[0], nameof(strength)).Select(k => k / log.Impressions)];
        return weights =>
        {
            using var scope = NewDisposeScope();
            var scores = model.Scores(weights);
            if (!scores.shape.SequenceEqual(log.Shown.shape))
                throw new ArgumentException($"{nameof(log)} has the shape [{string.Join(", ", log.Shown.shape)}], the model's scores "
                    + $"[{string.Join(", ", scores.shape)}]", nameof(log));
            return ((0.5 * ((log.Shown * scores.square()) - (2 * log.Clicked * scores)).sum([1, 2]))
                + (0.5 * Aligned.Tensor(ridges) * weights.square().sum(1))).MoveToOuterDisposeScope();
        };
    }

    private static double Positive(double value, string name) => value > 0
        ? value : throw new ArgumentException($"{name} is {value}, allowed is a number in (0, ∞)", name);
}

/// <summary>Learning from the policy's own visitors: what the log would be if it were renewed at every step. Exact expectations over the
/// world.</summary>
public static class OnPolicyLearning
{
    /// <summary>REINFORCE, L = −V(π) + β·Σ ρ·KL(π‖π₀): policy gradient with what any number of visitors would tell.</summary>
    /// <param name="model">Scores (replica, context, item).</param>
    /// <param name="world">The visitors.</param>
    /// <param name="beta">β ≥ 0.</param>
    /// <param name="logBase">ln π₀, where β is positive.</param>
    public static LossFunction Reinforce(TableModel model, ClickWorld world, double beta = 0, Tensor? logBase = null) => weights =>
    {
        using var scope = NewDisposeScope();
        var logPolicy = model.Scores(weights).log_softmax(-1);
        var each = -(logPolicy.exp() * world.Reward);
        if (beta > 0)
            each = each + (beta * logPolicy.exp() * (logPolicy
                - (logBase ?? throw new ArgumentException("an anchor needs the base that it holds to", nameof(logBase)))));
        return (world.Share.unsqueeze(-1) * each).sum([1, 2]).MoveToOuterDisposeScope();
    };

    /// <summary>Cross-entropy on the clicks of the policy itself as it is: L = −Σ ρ·sg(π)·r·ln π. Renewed every step it is policy gradient;
    /// renewed every round it is the loop of a recommender that is trained on its own log.</summary>
    public static LossFunction OwnClicks(TableModel model, ClickWorld world) => weights =>
    {
        using var scope = NewDisposeScope();
        var logPolicy = model.Scores(weights).log_softmax(-1);
        return (world.Share.unsqueeze(-1) * logPolicy.detach().exp() * world.Reward * logPolicy).sum([1, 2]).neg()
            .MoveToOuterDisposeScope();
    };

    /// <summary>Cross-entropy toward the near target π₀·e^{r/τ}/Z, the best policy at its distance from the base.</summary>
    /// <param name="model">Scores (replica, context, item).</param>
    /// <param name="world">The truth.</param>
    /// <param name="logBase">ln π₀, (replica, context, item).</param>
    /// <param name="temperature">τ &gt; 0.</param>
    public static LossFunction NearTarget(TableModel model, ClickWorld world, Tensor logBase, double temperature) => weights =>
    {
        using var scope = NewDisposeScope();
        var target = (logBase + (world.Reward / temperature)).softmax(-1);
        return (world.Share.unsqueeze(-1) * target * model.Scores(weights).log_softmax(-1)).sum([1, 2]).neg().MoveToOuterDisposeScope();
    };
}
