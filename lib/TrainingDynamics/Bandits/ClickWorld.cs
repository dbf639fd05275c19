using TorchSharp;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;

namespace TrainingDynamics.Bandits;

/// <summary>
/// A world in which the truth is known: visitors come in contexts x with shares ρ(x), an item a is shown, and clicked with some
/// probability;
/// a click pays 1, or what the world says. r(x, a) is what showing an item earns in the mean. One world for each replica. The value of a
/// policy
/// is exact: V(π) = Σ_x ρ(x) Σ_a π(a|x)·r(x, a).
/// </summary>
public sealed class ClickWorld : IDisposable
{
    /// <summary>A world by its click probabilities, and what a click is worth.</summary>
    /// <param name="click">Probabilities, (replica, context, item), each in [0, 1].</param>
    /// <param name="share">ρ, (context), not negative, with a positive sum; the same for all contexts by default.</param>
    /// <param name="payoff">What a click on an item pays, finite, in a shape that goes with the clicks'; 1 by default. A price, a margin, a
    /// loss.</param>
    /// <exception cref="ArgumentException">A probability is outside [0, 1], a payoff is not finite, or shapes do not fit.</exception>
    public ClickWorld(Tensor click, double[]? share = null, Tensor? payoff = null)
    {
        using var scope = NewDisposeScope();
        if (click.dim() != 3 || click.numel() == 0)
            throw new ArgumentException($"{nameof(click)} has the shape [{string.Join(", ", click.shape)}], wanted is (replica, context, "
                + "item)", nameof(click));
        if (!((click >= 0) & (click <= 1)).all().item<bool>())
            throw new ArgumentException($"{nameof(click)} must be probabilities in [0, 1]; got values from {click.min().ToDouble()} to "
                + $"{click.max().ToDouble()}", nameof(click));
        if (payoff is not null)
            RequireGoingWith(payoff, click, nameof(payoff));
        share ??= [.. Enumerable.Repeat(1.0, (int)click.shape[1])];
        if (share.Length != click.shape[1] || share.Any(s => !(s >= 0 && double.IsFinite(s)))
            || !(share.Sum() is > 0 and < double.PositiveInfinity))
            throw new ArgumentException($"share has {share.Length} values with sum {share.Sum()}, wanted are {click.shape[1]}, one for "
                + "each context, none negative, with a positive sum", nameof(share));
        Click = click.to(ScalarType.Float64).alias().DetachFromDisposeScope();
        Payoff = (payoff?.to(ScalarType.Float64) ?? ones(1, dtype: ScalarType.Float64)).expand_as(click).DetachFromDisposeScope();
        if (!Payoff.isfinite().all().item<bool>())
            throw new ArgumentException($"a payoff is not finite; values go from {Payoff.min().ToDouble()} to {Payoff.max().ToDouble()}",
                nameof(payoff));
        Reward = (Click * Payoff).DetachFromDisposeScope();
        Share = Aligned.Tensor(share.Select(s => s / share.Sum()).ToArray()).DetachFromDisposeScope();
    }

    /// <summary>The probability of a click, (replica, context, item), float64.</summary>
    public Tensor Click { get; }

    /// <summary>What a click pays, likewise.</summary>
    public Tensor Payoff { get; }

    /// <summary>r(x, a) = click·payoff: what showing the item earns in the mean, likewise.</summary>
    public Tensor Reward { get; }

    /// <summary>ρ(x), (context), with sum 1.</summary>
    public Tensor Share { get; }

    /// <summary>How many replicas there are.</summary>
    public int Replicas => (int)Reward.shape[0];

    /// <summary>How many contexts there are.</summary>
    public int Contexts => (int)Reward.shape[1];

    /// <summary>How many items there are.</summary>
    public int Items => (int)Reward.shape[2];

    /// <summary>A world of low rank: r(x, a) = σ(offset + scale·⟨u_x, v_a⟩/√rank), u and v standard normal.</summary>
    /// <param name="contexts">Contexts (segments of visitors).</param>
    /// <param name="items">Items.</param>
    /// <param name="random">A world for each replica's seed.</param>
    /// <param name="rank">The rank of the preferences.</param>
    /// <param name="offset">What an item without any appeal has, as log-odds.</param>
    /// <param name="scale">How much preferences differ.</param>
    public static ClickWorld Planted(int contexts, int items, ReplicaRandom random, int rank = 4, double offset = -1.2, double scale = 1.4)
    {
        if (contexts < 1 || items < 2 || rank < 1)
            throw new ArgumentException($"a planted world needs at least 1 context, 2 items and rank 1; got {contexts}, {items} and {rank}",
                nameof(contexts));
        using var scope = NewDisposeScope();
        var (u, v) = (random.Normal([contexts, rank], ScalarType.Float64), random.Normal([items, rank], ScalarType.Float64));
        return new ClickWorld((offset + (scale / Math.Sqrt(rank) * u.bmm(v.transpose(1, 2)))).sigmoid());
    }

    /// <summary>The same world with other shares of the contexts.</summary>
    public ClickWorld WithShare(double[] share) => new(Click, share, Payoff);

    /// <summary>V(π) = Σ_x ρ(x) Σ_a π(a|x)·r(x, a) of each replica, exactly: the click rate that the policy has, or what it
    /// earns.</summary>
    /// <param name="policy">π, (replica or 1, context, item), each row a distribution.</param>
    public double[] Value(Tensor policy)
    {
        using var scope = NewDisposeScope();
        return (Share.unsqueeze(-1) * Required(policy) * Reward).sum([1, 2]).ToDoubles();
    }

    /// <summary>Regret: V(π*) − V(π) of each replica, what the best policy would earn more.</summary>
    /// <param name="policy">π, (replica or 1, context, item).</param>
    public double[] Regret(Tensor policy)
    {
        using var scope = NewDisposeScope();
        return [.. Value(Best()).Zip(Value(policy), (best, v) => best - v)];
    }

    /// <summary>The best policy: each context's best items, each as likely.</summary>
    /// <param name="slots">How many items a context is shown.</param>
    public Tensor Best(int slots = 1) => Greedy(Reward, slots);

    /// <summary>The policy that shows each context the items with the greatest scores, each as likely. Scores that are not numbers give
    /// none: NaN.</summary>
    /// <param name="scores">(replica, context, item).</param>
    /// <param name="slots">How many.</param>
    /// <exception cref="ArgumentException">There are not so many items.</exception>
    public static Tensor Greedy(Tensor scores, int slots = 1)
    {
        if (slots < 1 || slots > scores.shape[2])
            throw new ArgumentException($"{nameof(slots)} is {slots}, allowed are 1 to {scores.shape[2]}, the number of items",
                nameof(slots));
        using var scope = NewDisposeScope();
        var chosen = scores.topk(slots, dim: -1).indexes;
        var greedy = zeros_like(scores).scatter(2, chosen, full_like(chosen, 1.0 / slots, scores.dtype));
        return greedy.masked_fill(scores.isnan().any(-1, keepdim: true), double.NaN).MoveToOuterDisposeScope();
    }

    /// <summary>A logger that goes by popularity and knows no context: π(a) ∝ 1/(a + 1)^exponent. (1, context, item).</summary>
    public Tensor ZipfLogger(double exponent = 1)
    {
        if (!double.IsFinite(exponent))
            throw new ArgumentException($"{nameof(exponent)} is {exponent}, allowed is a finite number", nameof(exponent));
        using var scope = NewDisposeScope();
        var weight = (arange(Items, dtype: ScalarType.Float64) + 1).pow(-exponent);
        return (weight / weight.sum()).reshape(1, 1, -1).repeat(1, Contexts, 1).MoveToOuterDisposeScope();
    }

    /// <summary>What a policy's visitors leave behind: contexts by ρ, items by π, clicks by r, with the propensities π(a|x) written
    /// down.</summary>
    /// <param name="policy">The logger π, (replica or 1, context, item).</param>
    /// <param name="count">Impressions.</param>
    /// <param name="random">The replicas' seeds.</param>
    public LoggedBandit Draw(Tensor policy, int count, ReplicaRandom random) => Draw(policy, count, random, cell =>
    {
        var (rate, paid) = (Click.reshape(Replicas, -1).gather(1, cell), Payoff.reshape(Replicas, -1).gather(1, cell));
        return (random.Uniform([count], ScalarType.Float64) < rate).to(ScalarType.Float64) * paid;
    });

    /// <summary>The same with a real number in place of each click: R ~ N(r(x, a), σ²), as a rating, a time watched or a model's judgement
    /// gives. r stays the mean, so values and regrets are as before.</summary>
    /// <param name="policy">The logger π, (replica or 1, context, item).</param>
    /// <param name="count">Impressions.</param>
    /// <param name="deviation">σ ≥ 0, finite, in a shape that goes with (replica, context, item).</param>
    /// <param name="random">The replicas' seeds.</param>
    /// <exception cref="ArgumentException">A deviation is negative or not finite, or as for <see cref="Draw(Tensor, int, ReplicaRandom)"/>.
    /// </exception>
    public LoggedBandit DrawReal(Tensor policy, int count, Tensor deviation, ReplicaRandom random)
    {
        RequireGoingWith(deviation, Reward, nameof(deviation));
        if (!((deviation >= 0) & deviation.isfinite()).all().item<bool>())
            throw new ArgumentException($"{nameof(deviation)} goes from {deviation.min().ToDouble()} to {deviation.max().ToDouble()}, "
                + "allowed are finite numbers of at least 0", nameof(deviation));
        return Draw(policy, count, random, cell => Reward.reshape(Replicas, -1).gather(1, cell)
            + (deviation.to(ScalarType.Float64).expand_as(Reward).reshape(Replicas, -1).gather(1, cell)
            * random.Normal([count], ScalarType.Float64)));
    }

    /// <summary>Nothing, if a table can be expanded to the cells.</summary>
    private static void RequireGoingWith(Tensor table, Tensor cells, string name)
    {
        if (table.numel() == 0 || table.dim() > 3 || table.shape.Reverse().Zip(cells.shape.Reverse())
            .Any(size => size.First != 1 && size.First != size.Second))
            throw new ArgumentException($"{name} has the shape [{string.Join(", ", table.shape)}], wanted is one that goes with "
                + $"[{string.Join(", ", cells.shape)}]", name);
    }

    // rewards: of cells (replica, impression), each context·items + item, what came of them.
    private LoggedBandit Draw(Tensor policy, int count, ReplicaRandom random, Func<Tensor, Tensor> rewards)
    {
        Require.AtLeastOne((nameof(count), count));
        if (random.Replicas != Replicas)
            throw new ArgumentException($"{nameof(random)} has {random.Replicas} replicas, the world {Replicas}", nameof(random));
        using var scope = NewDisposeScope();
        var flat = Required(policy).expand(Replicas, -1, -1).reshape(Replicas, -1);
        var cumulative = (Share.unsqueeze(-1) * Required(policy)).expand(Replicas, -1, -1).reshape(Replicas, -1).cumsum(-1).contiguous();
        // u falls on the first cell whose cumulative probability exceeds it.
        var u = random.Uniform([count], ScalarType.Float64) * cumulative.narrow(1, -1, 1);
        // (replica, impression)
        var cell = searchsorted(cumulative, u.contiguous(), right: true).clamp_max(flat.shape[1] - 1);
        var earned = where(Runtime.Replicas.AreFinite(flat).unsqueeze(1), rewards(cell), double.NaN);
        // 1 + rounding
        return new LoggedBandit(cell.div(Items, RoundingMode.floor),
            cell.remainder(Items), earned, flat.gather(1, cell).clamp_max(1), policy);
    }

    /// <summary>The log without an end: every (context, item, click or not) once, with its probability. What a finite log only estimates,
    /// it has exactly.</summary>
    /// <param name="policy">The logger π, (replica or 1, context, item).</param>
    public LoggedBandit Endless(Tensor policy)
    {
        using var scope = NewDisposeScope();
        // clicked first, then not
        var cells = arange(Contexts * (long)Items).unsqueeze(0).repeat(Replicas, 2);
        var flat = Required(policy).expand(Replicas, -1, -1).reshape(Replicas, -1);
        var mass = (Share.unsqueeze(-1) * Required(policy)).expand(Replicas, -1, -1).reshape(Replicas, -1);
        var click = Click.reshape(Replicas, -1);
        var probability = cat([mass * click, mass * (1 - click)], 1);
        var clicked = cat([Payoff.reshape(Replicas, -1), zeros_like(mass)], 1);
        // What is never shown is in no log.
        return new LoggedBandit(cells.div(Items, RoundingMode.floor),
            cells.remainder(Items), clicked, flat.clamp_max(1).repeat(1, 2), policy, probability);
    }

    private Tensor Required(Tensor policy) => policy.dim() == 3
        && policy.shape[1] == Contexts && policy.shape[2] == Items && (policy.shape[0] == Replicas || policy.shape[0] == 1)
        ? Distributions.Required(policy.to(ScalarType.Float64), nameof(policy))
        : throw new ArgumentException(
            $"a policy here is ({Replicas} or 1 replicas, {Contexts} contexts, {Items} items), got [{string.Join(", ", policy.shape)}]",
            nameof(policy));

    /// <inheritdoc/>
    public void Dispose()
    {
        Click.Dispose();
        Payoff.Dispose();
        Reward.Dispose();
        Share.Dispose();
    }
}
