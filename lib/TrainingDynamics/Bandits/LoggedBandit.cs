using TorchSharp;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;

namespace TrainingDynamics.Bandits;

/// <summary>
/// A log of impressions: context x, item a, click r, and the propensity p = π_log(a|x) with which the logger chose the item.
/// All (replica, impression).
/// </summary>
public sealed class LoggedBandit : IDisposable
{
    /// <summary>A log by its columns.</summary>
    /// <param name="contexts">x, whole numbers from 0.</param>
    /// <param name="items">a, whole numbers from 0.</param>
    /// <param name="rewards">r, finite.</param>
    /// <param name="propensities">p, each in (0, 1] where the row has any probability.</param>
    /// <param name="logger">π_log, (replica or 1, context, item), where all of it is known: what it never shows can then be told.</param>
    /// <param name="probability">The probability of each row, for a log that enumerates instead of sampling; otherwise all rows count the
    /// same.</param>
    /// <exception cref="ArgumentException">The log is empty, the columns differ in shape, a propensity is outside (0, 1], a reward is not
    /// finite, or an id is unknown.</exception>
    public LoggedBandit(Tensor contexts, Tensor items, Tensor rewards,
        Tensor propensities, Tensor? logger = null, Tensor? probability = null)
    {
        using var scope = NewDisposeScope();
        if (rewards.dim() != 2 || rewards.numel() == 0)
            throw new ArgumentException(
                $"{(rewards.numel() == 0 ? "the log is empty: " : "")}rewards have the shape [{string.Join(", ", rewards.shape)}], wanted "
                + "is (replica, impression)", nameof(rewards));
        foreach (var (name, ids) in new[] { (nameof(contexts), contexts), (nameof(items), items) })
        {
            if (ids.is_floating_point())
                throw new ArgumentException($"{name} are {ids.dtype}, wanted are whole numbers", name);
        }
        (contexts, items) = (contexts.to(ScalarType.Int64), items.to(ScalarType.Int64));
        if (logger is not null && (logger.dim() != 3 || (logger.shape[0] != 1 && logger.shape[0] != rewards.shape[0])))
            throw new ArgumentException($"{nameof(logger)} has the shape [{string.Join(", ", logger.shape)}], wanted is "
                + $"({rewards.shape[0]} or 1, context, item)", nameof(logger));
        if (probability is not null && !(probability.shape.SequenceEqual(rewards.shape) && !(probability < 0).any().item<bool>()
            && !((probability.sum(1) - 1).abs() > 1e-4).any().item<bool>()))                // NaN, of a diverged policy, is neither
            throw new ArgumentException($"{nameof(probability)} has the shape [{string.Join(", ", probability.shape)}] and sums to "
                + $"{probability.sum(-1).reshape(-1)[0].to(ScalarType.Float64).item<double>()}; wanted is a probability for each row of "
                + $"[{string.Join(", ", rewards.shape)}], none negative, with sum 1", nameof(probability));
        foreach (var (name, column) in new[] { (nameof(contexts), contexts), (nameof(items), items), (nameof(propensities), propensities) })
        {
            if (!column.shape.SequenceEqual(rewards.shape))
                throw new ArgumentException(
                    $"{name} have the shape [{string.Join(", ", column.shape)}], the rewards [{string.Join(", ", rewards.shape)}]", name);
        }
        var weight = probability ?? full_like(rewards, 1.0 / rewards.shape[1], ScalarType.Float64);
        // A replica whose policy has diverged leaves a log of NaN.
        var diverged = logger is null ? zeros_like(propensities, ScalarType.Bool)
            : ~Replicas.AreFinite(logger).unsqueeze(1).expand_as(propensities);
        RequireAll(propensities, ((propensities > 0) & (propensities <= 1)) | (weight == 0) | diverged,
            "a propensity", "a number in (0, 1]", nameof(propensities));
        RequireAll(rewards, rewards.isfinite() | diverged, "a reward", "a finite number", nameof(rewards));
        if (logger is not null)
            Distributions.Required(logger, nameof(logger));
        RequireAll(contexts, (contexts >= 0) & (contexts < (logger?.shape[1] ?? long.MaxValue)),
            "a context's id", $"0 to {logger?.shape[1] - 1}", nameof(contexts));
        RequireAll(items, (items >= 0) & (items < (logger?.shape[2] ?? long.MaxValue)),
            "an item's id", $"0 to {logger?.shape[2] - 1}", nameof(items));
        (Contexts, Items) = (contexts.alias().DetachFromDisposeScope(), items.alias().DetachFromDisposeScope());
        (Rewards, Propensities) = (rewards.to(ScalarType.Float64).alias().DetachFromDisposeScope(),
            propensities.to(ScalarType.Float64).alias().DetachFromDisposeScope());
        Probability = where(diverged, double.NaN, weight).DetachFromDisposeScope();
        Endless = probability is not null;
        Logger = logger?.to(ScalarType.Float64).alias().DetachFromDisposeScope();
    }

    /// <summary>x.</summary>
    public Tensor Contexts { get; }

    /// <summary>a.</summary>
    public Tensor Items { get; }

    /// <summary>r.</summary>
    public Tensor Rewards { get; }

    /// <summary>p = π_log(a|x).</summary>
    public Tensor Propensities { get; }

    /// <summary>The whole π_log, where it is known.</summary>
    public Tensor? Logger { get; }

    /// <summary>The probability of each row; one over their number in a sampled log.</summary>
    public Tensor Probability { get; }

    /// <summary>Whether the rows enumerate, each with its probability, instead of sampling.</summary>
    public bool Endless { get; }

    /// <summary>Whether the propensities were counted from the log itself (<see cref="WithEstimatedPropensities"/>): they then say nothing
    /// of what was not shown.</summary>
    public bool PropensitiesAreCounted { get; private init; }

    /// <summary>Impressions in each replica; rows, of an endless log.</summary>
    public long Count => Rewards.shape[1];

    /// <summary>The value of the logger as the log has it, mean r, of each replica.</summary>
    public double[] MeanReward()
    {
        using var scope = NewDisposeScope();
        return (Probability * Rewards).sum(1).ToDoubles();
    }

    /// <summary>The mean over the log's impressions of a number of each context, (replica or 1, context): one for each replica.</summary>
    internal double[] OverContexts(Tensor ofContext, long items)
    {
        using var scope = NewDisposeScope();
        return (Probability * At(ofContext.unsqueeze(-1).expand(-1, -1, items))).sum(1).ToDoubles();
    }

    /// <summary>The values of a table (replica or 1, context, item) at the impressions, (replica, impression).</summary>
    /// <exception cref="ArgumentException">The log has a context or an item that the table has not.</exception>
    public Tensor At(Tensor table)
    {
        if (table.dim() != 3 || (table.shape[0] != 1 && table.shape[0] != Rewards.shape[0]))
            throw new ArgumentException($"{nameof(table)} has the shape [{string.Join(", ", table.shape)}], wanted is "
                + $"({Rewards.shape[0]} or 1, context, item)", nameof(table));
        using var scope = NewDisposeScope();
        RequireAll(Contexts, Contexts < table.shape[1], "a context's id", $"0 to {table.shape[1] - 1}", nameof(table));
        RequireAll(Items, Items < table.shape[2], "an item's id", $"0 to {table.shape[2] - 1}", nameof(table));
        return table.to(ScalarType.Float64).expand(Rewards.shape[0],
            -1, -1).reshape(Rewards.shape[0], -1).gather(1, (Contexts * table.shape[2]) + Items).MoveToOuterDisposeScope();
    }

    /// <summary>The log summed up by cells: all that a learner sees of it.</summary>
    /// <param name="contexts">How many contexts there are.</param>
    /// <param name="items">How many items there are.</param>
    public LoggedTable Table(int contexts, int items)
    {
        using var scope = NewDisposeScope();
        var replicas = Rewards.shape[0];
        using var empty = zeros(replicas, (long)contexts * items, dtype: ScalarType.Float64);
        RequireAll(Contexts, Contexts < contexts, "a context's id", $"0 to {contexts - 1}", nameof(contexts));
        RequireAll(Items, Items < items, "an item's id", $"0 to {items - 1}", nameof(items));
        var cell = (Contexts * items) + Items;
        Tensor Sum(Tensor values) => empty.scatter_add(1, cell, values).reshape(replicas, contexts, items).DetachFromDisposeScope();
        // A propensity is a function of the cell; where the logger is not known and nothing was shown there is none, and none is asked for.
        var propensity = (Logger?.expand(replicas, -1, -1).clone() ?? zeros_like(empty).scatter(1,
            cell, Propensities).reshape(replicas, contexts, items)).DetachFromDisposeScope();
        return new LoggedTable(Sum(Probability), Sum(Probability * Rewards),
            propensity)
        { Impressions = Endless ? double.PositiveInfinity : Count };
    }

    /// <summary>
    /// A model of the reward by counting: q̂(x, a) = the mean reward of the impressions of context x with an item of a's group, (replica,
    /// context, item). With a group for each item it is each cell's own mean.
    /// </summary>
    /// <param name="contexts">How many contexts there are.</param>
    /// <param name="groups">The group of each item.</param>
    /// <param name="empty">q̂ where the log has nothing.</param>
    public Tensor CellMeans(int contexts, ItemGroups groups, double empty)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(contexts, 1);
        RequireAll(Contexts, Contexts < contexts, "a context's id", $"0 to {contexts - 1}", nameof(contexts));
        RequireAll(Items, Items < groups.Of.Count, "an item's id", $"0 to {groups.Of.Count - 1}", nameof(groups));
        using var scope = NewDisposeScope();
        var cell = (Contexts * groups.Count) + groups.Spread(arange(groups.Count)).index_select(0, Items.reshape(-1)).reshape(Items.shape);
        Tensor Sum(Tensor values) => zeros(Rewards.shape[0], (long)contexts * groups.Count, dtype: ScalarType.Float64)
            .scatter_add(1, cell, values).reshape(-1, contexts, groups.Count);
        var (shown, earned) = (Sum(Probability), Sum(Probability * Rewards));
        return groups.Spread(where(shown > 0, earned / shown.clamp_min(1e-300), empty)
            .masked_fill(Replicas.AreFinite(Probability).logical_not().reshape(-1, 1, 1), double.NaN)).MoveToOuterDisposeScope();
    }

    /// <summary>
    /// A model of the reward with a prior: q̂(x, a) = (Σ R + κ·m(x, a))/(n + κ) over the n impressions of the cell, (replica, context,
    /// item). For normal rewards of variance σ² and a normal prior of mean m and variance τ² it is the posterior mean at κ = σ²/τ².
    /// </summary>
    /// <param name="prior">m, (replica or 1, context, item), finite.</param>
    /// <param name="strength">κ ≥ 0: as many impressions the prior counts. With 0 a cell without impressions has the prior, too.</param>
    /// <exception cref="ArgumentException">The prior is not finite or of another shape, κ is out of its range, or the log enumerates: it
    /// has no number of impressions.</exception>
    public Tensor ShrunkMeans(Tensor prior, double strength)
    {
        if (Endless)
            throw new ArgumentException("a log that enumerates has no number of impressions that a prior could be held against",
                nameof(strength));
        Require.NotNegative(strength, nameof(strength));
        if (prior.dim() != 3 || (prior.shape[0] != 1 && prior.shape[0] != Rewards.shape[0]) || !prior.isfinite().all().item<bool>())
            throw new ArgumentException($"{nameof(prior)} has the shape [{string.Join(", ", prior.shape)}] and "
                + $"{(~prior.isfinite()).sum().item<long>()} numbers that are not finite; wanted is ({Rewards.shape[0]} or 1, context, "
                + "item), all finite", nameof(prior));
        using var scope = NewDisposeScope();
        using var table = Table((int)prior.shape[1], (int)prior.shape[2]);
        var (shown, wide) = (table.Shown * Count, prior.to(ScalarType.Float64));
        // m + n/(n + κ)·(mean − m): exact at any κ, and m where nothing was shown.
        var moved = shown / (shown + strength) * ((table.Clicked / table.Shown) - wide);
        return (wide + where(shown > 0, moved, 0))
            .masked_fill(Replicas.AreFinite(Probability).logical_not().reshape(-1, 1, 1), double.NaN).MoveToOuterDisposeScope();
    }

    /// <summary>The same impressions with other rewards: weights of a loss, say.</summary>
    /// <param name="rewards">(replica, impression), finite.</param>
    /// <exception cref="ArgumentException">They have another shape, or are not finite.</exception>
    public LoggedBandit WithRewards(Tensor rewards) => new(Contexts, Items, rewards, Propensities, Logger, Endless ? Probability : null)
    { PropensitiesAreCounted = PropensitiesAreCounted };

    /// <summary>One long log as many short ones: impression i of log k is impression k·(Count/logs) + i. As good as so many logs drawn
    /// anew, since impressions are independent.</summary>
    /// <param name="logs">How many; divides the number of impressions. The log has one replica.</param>
    /// <exception cref="ArgumentException">It does not divide, or there is more than one replica.</exception>
    public LoggedBandit Cut(int logs)
    {
        if (logs < 1 || Endless || Rewards.shape[0] != 1 || Count % logs != 0)
            throw new ArgumentException($"{nameof(logs)} is {logs}, wanted is a divisor of the {Count} impressions of a sampled log with "
                + $"one replica (this one has {Rewards.shape[0]})", nameof(logs));
        using var scope = NewDisposeScope();
        return Rows(column => column.reshape(logs, -1));
    }

    /// <summary>A sampled log of the same logger whose columns are made of this one's.</summary>
    private LoggedBandit Rows(Func<Tensor, Tensor> of) => new(of(Contexts), of(Items), of(Rewards), of(Propensities), Logger)
    { PropensitiesAreCounted = PropensitiesAreCounted };

    /// <summary>Every fold with the others: impression i is in fold i mod folds.</summary>
    /// <param name="folds">2 to the number of impressions.</param>
    /// <exception cref="ArgumentException">There are not so many, or the log enumerates.</exception>
    public IReadOnlyList<(LoggedBandit Others, LoggedBandit Fold)> Folds(int folds)
    {
        if (folds < 2 || folds > Count || Endless)
            throw new ArgumentException($"{nameof(folds)} is {folds}, allowed are 2 and more, at most one for each of {Count} impressions "
                + "of a sampled log" + (Endless ? "; this one enumerates" : ""), nameof(folds));
        using var scope = NewDisposeScope();
        var fold = arange(Count).remainder(folds);
        LoggedBandit Take(Tensor rows)
        {
            var at = rows.nonzero().squeeze(1);
            return Rows(column => column.index_select(1, at));
        }
        return [.. Enumerable.Range(0, folds).Select(k => (Take(fold != k), Take(fold == k)))];
    }

    /// <summary>
    /// The same log with propensities that are counted: p̂(a|x) = n(x, a)/n(x), and so for the whole logger; a context that was not seen
    /// has none. Over them IPS is the direct method with every cell's mean, and nothing for cells that the log has not (an identity): right
    /// where every cell was shown often, too low elsewhere.
    /// </summary>
    /// <param name="contexts">How many contexts there are.</param>
    /// <param name="items">How many items there are.</param>
    public LoggedBandit WithEstimatedPropensities(int contexts, int items)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(contexts, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(items, 1);
        using var scope = NewDisposeScope();
        using var table = Table(contexts, items);
        var logger = table.Shown / table.Shown.sum(-1, keepdim: true).clamp_min(1e-300);
        // A row for every context: where nobody came, any will do, and no impression asks for it.
        logger = where(table.Shown.sum(-1, keepdim: true) > 0, logger, 1.0 / items);
        return new LoggedBandit(Contexts, Items, Rewards, At(logger).clamp_max(1), logger, Endless ? Probability : null)
        { PropensitiesAreCounted = true };
    }

    /// <summary>
    /// How much of a policy the log has not seen, and how much of that no log would see, for each replica. With the policy's mass U on
    /// (context, item) pairs that are not in the log, and G = (1/n)·Σ w over the pairs that are in it once: E[G] is the mass that the
    /// logger does show and this log missed, but for one impression of n (Good 1953, with weights; ours), so U − G estimates what it never
    /// shows.
    /// </summary>
    /// <remarks>Over counted propensities the mean weight is 1 − U whatever the logger is, and G is no estimate of anything: all but U is
    /// then NaN.</remarks>
    /// <param name="policy">π, (replica or 1, context, item).</param>
    /// <exception cref="InvalidOperationException">The log enumerates, or has a single impression.</exception>
    /// <exception cref="ArgumentException">The policy has another shape, or is no distribution.</exception>
    public MissingMass Missing(Tensor policy)
    {
        if (Endless || Count < 2)
            throw new InvalidOperationException(Endless ? "a log that enumerates misses nothing that its logger shows; see "
                + "OffPolicyEvaluation.UnseenBy" : $"a log of {Count} impression says nothing of what it missed, wanted are two");
        if (policy.dim() != 3 || policy.numel() == 0 || (policy.shape[0] != 1 && policy.shape[0] != Rewards.shape[0]))
            throw new ArgumentException($"{nameof(policy)} has the shape [{string.Join(", ", policy.shape)}], wanted is "
                + $"({Rewards.shape[0]} or 1, context, item)", nameof(policy));
        using var scope = NewDisposeScope();
        Distributions.Required(policy, nameof(policy));
        var (contexts, items) = ((int)policy.shape[1], (int)policy.shape[2]);
        using var table = Table(contexts, items);
        var absent = (policy.to(ScalarType.Float64) * (table.Shown == 0)).sum(-1);                                     // (replica, context)
        var missed = (table.Shown.sum(-1) * absent).sum(1);
        if (PropensitiesAreCounted)
        {
            double[] unknown = [.. Enumerable.Repeat(double.NaN, (int)missed.shape[0])];
            return new MissingMass(missed.ToDoubles(), unknown, unknown, unknown, unknown);
        }
        var weight = At(policy) / Propensities;
        var once = (At(table.Shown) < 1.5 / Count).to(ScalarType.Float64) * weight;
        return new MissingMass(missed.ToDoubles(), once.mean([1]).ToDoubles(), [.. once.square().sum(1).sqrt().ToDoubles()
            .Select(s => s / Count)], weight.mean([1]).ToDoubles(), [.. weight.std(1).ToDoubles().Select(s => s / Math.Sqrt(Count))]);
    }

    private static void RequireAll(Tensor column, Tensor allowed, string what, string range, string name)
    {
        if (allowed.all().item<bool>())
            return;
        var bad = allowed.logical_not().nonzero()[0].ToDoubles();
        throw new ArgumentException($"{what} is {column[(long)bad[0], (long)bad[1]].to(ScalarType.Float64).item<double>()} (replica "
            + $"{bad[0]}, impression {bad[1]}), allowed is {range}", name);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var tensor in new[] { Contexts, Items, Rewards, Propensities, Probability, Logger })
            tensor?.Dispose();
    }
}

/// <summary>What a log has not seen of a policy, one number for each replica; all are shares of the policy's mass.</summary>
/// <param name="NotInTheLog">U: on pairs that are not in the log.</param>
/// <param name="InALongerLog">G, from what is in the log once: of U, what the logger shows and this log missed.</param>
/// <param name="Error">The standard error of G, √(Σw²)/n over what is in the log once.</param>
/// <param name="MeanWeight">The mean weight: what the logger shows of the policy in all, in expectation.</param>
/// <param name="MeanWeightError">Its standard error.</param>
public sealed record MissingMass(double[] NotInTheLog, double[] InALongerLog, double[] Error, double[] MeanWeight, double[] MeanWeightError)
{
    /// <summary>U − G: what no log of this logger would see. Its noise is G's, so it may be a little below 0.</summary>
    public double[] Never => [.. NotInTheLog.Zip(InALongerLog, (u, g) => u - g)];
}

/// <summary>A log summed up by cells, (replica, context, item) each.</summary>
/// <param name="Shown">The share of all impressions that a cell has.</param>
/// <param name="Clicked">The share of all impressions that were in the cell and clicked; for other rewards, their sum over the number of
/// impressions.</param>
/// <param name="Propensity">π_log(a|x), where it is known; 0 elsewhere.</param>
public sealed record LoggedTable(Tensor Shown, Tensor Clicked, Tensor Propensity) : IDisposable
{
    /// <summary>How many impressions it sums up; ∞ for a log without an end.</summary>
    public double Impressions { get; init; } = double.PositiveInfinity;

    /// <summary>
    /// Several logs as one, each with its number of impressions; beside a log without an end finite ones count nothing. An impression of
    /// the
    /// union has the logs' propensities, averaged by their lengths (the balance heuristic; Agarwal, Basu, Schnabel and Joachims 2017,
    /// arXiv:1703.06180): weights over it are unbiased where the loggers were fixed beforehand, and at most as many times the most generous
    /// logger's as there are logs of one length. In a loop, whose later loggers depend on earlier clicks, it is an approximation.
    /// </summary>
    /// <param name="logs">At least one; their loggers known.</param>
    public static LoggedTable Union(params IReadOnlyList<LoggedTable> logs)
    {
        if (logs.Count == 0)
            throw new ArgumentException("a union of no logs is none", nameof(logs));
        using var scope = NewDisposeScope();
        var all = logs.Sum(l => l.Impressions);
        double[] parts = [.. logs.Select(l => double.IsInfinity(all) ? (double.IsInfinity(l.Impressions) ? 1.0 : 0) : l.Impressions)];
        Tensor Mean(Func<LoggedTable, Tensor> of) => (logs.Select((l, i) => parts[i] * of(l)).Aggregate((a, b) => a + b) / parts.Sum())
            .DetachFromDisposeScope();
        return new LoggedTable(Mean(l => l.Shown), Mean(l => l.Clicked), Mean(l => l.Propensity)) { Impressions = all };
    }

    /// <summary>A number per propensity where something was shown, 0 elsewhere: <paramref name="numerator"/>/π_log.</summary>
    public Tensor PerPropensity(Tensor numerator) => where(Propensity > 0, numerator / Propensity.clamp_min(1e-300), 0);

    /// <inheritdoc/>
    public void Dispose()
    {
        Shown.Dispose();
        Clicked.Dispose();
        Propensity.Dispose();
    }
}
