using System.IO.Enumeration;
using TorchSharp;
using TrainingDynamics.Models;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;

namespace TrainingDynamics.Optimizers;

/// <summary>
/// Changes weights (replica, parameter) in place, a gradient at a time. An optimizer is a direction u made of gradients;
/// the step is the same for all:
/// <code>w ← (1 − η·λ)·w − η·u</code>
/// λ is decoupled decay, multiplied by the learning rate. Every setting may differ by replica, and η and λ by block, too
/// (ForBlocks); a schedule multiplies η (and, if wanted, λ) step by step.
/// </summary>
public abstract class Optimizer : IDisposable
{
    private readonly List<Tensor> _owned = [];
    private readonly Tensor _rate, _decay;
    private readonly bool _decays;
    private BlockSettings? _byBlock;
    private string? _taken;

    /// <summary>An optimizer of <paramref name="weights"/>.</summary>
    /// <param name="weights">(replica, parameter), changed in place.</param>
    /// <param name="rate">The learning rate η ≥ 0.</param>
    /// <param name="decoupledDecay">λ ≥ 0, decoupled and multiplied by the learning rate; η·λ &lt; 1.</param>
    /// <exception cref="ArgumentException">A setting is out of its range, or has neither one value nor one for each replica.</exception>
    protected Optimizer(Tensor weights, PerReplica rate, PerReplica decoupledDecay)
    {
        if (weights.dim() != 2)
            throw new ArgumentException(
                $"weights have {weights.dim()} axes ({string.Join(" × ", weights.shape)}), expected (replica, parameter)", nameof(weights));
        Weights = weights;
        var rates = rate.Expand(Replicas, nameof(rate));
        var decays = decoupledDecay.Expand(Replicas, nameof(decoupledDecay));
        for (var r = 0; r < rates.Length; r++)
        {
            if (rates[r] * decays[r] >= 1)
                throw new ArgumentException(
                    $"{nameof(decoupledDecay)} is {decays[r]} at rate {rates[r]}: η·λ = {rates[r] * decays[r]}, allowed is [0, 1)",
                    nameof(decoupledDecay));
        }
        (Rates, Decays) = (rates, decays);
        (_rate, _decay, _decays) = (Column(rates), Column(decays), decays.Any(v => v > 0));
    }

    /// <summary>What is optimized, (replica, parameter).</summary>
    public Tensor Weights { get; }

    /// <summary>How many replicas there are.</summary>
    protected int Replicas => (int)Weights.shape[0];

    /// <summary>η of each replica, before the schedule's factor.</summary>
    public IReadOnlyList<double> Rates { get; }

    /// <summary>λ of each replica (decoupled, multiplied by the learning rate), before the schedule's factor.</summary>
    public IReadOnlyList<double> Decays { get; }

    /// <summary>Steps taken.</summary>
    public int Steps { get; private set; }

    /// <summary>One step.</summary>
    /// <param name="gradient">∂L/∂w, (replica, parameter).</param>
    /// <param name="rateFactor">What the learning rate is multiplied by at this step.</param>
    /// <param name="decayFactor">What the decay λ is multiplied by at this step, beside the learning rate.</param>
    /// <exception cref="ArgumentException">The gradient's shape is not the weights', or a factor is negative or not finite.</exception>
    public void Step(Tensor gradient, double rateFactor = 1, double decayFactor = 1)
    {
        if (!gradient.shape.SequenceEqual(Weights.shape))
            throw new ArgumentException(
                $"gradient is {string.Join(" × ", gradient.shape)}, the weights are {string.Join(" × ", Weights.shape)}", nameof(gradient));
        Require.NotNegative(rateFactor, nameof(rateFactor));
        Require.NotNegative(decayFactor, nameof(decayFactor));
        using var scope = NewDisposeScope();
        using var quiet = no_grad();
        StepSize? own = _byBlock?.At(Steps + 1, rateFactor, decayFactor);                      // may refuse, before anything is changed
        Steps++;
        var update = Direction(gradient);
        if (own is { } byBlock)
        {
            Apply(update, byBlock);
            return;
        }
        var rate = rateFactor == 1 ? _rate : _rate * rateFactor;
        Apply(update, new StepSize(rate, _decays ? rate * _decay * decayFactor : null));
    }

    /// <summary>Gives the blocks of a name a rate and a decay of their own, beside each replica's.</summary>
    /// <param name="layout">The blocks of the weights.</param>
    /// <param name="name">A block's name; * stands for any letters, as in "gain*".</param>
    /// <param name="rate">What η is multiplied by in these blocks, ≥ 0: one number, or one for each replica; 1 by default.</param>
    /// <param name="decay">What λ (decoupled, multiplied by the learning rate) is multiplied by in these blocks, ≥ 0; 1 by default.</param>
    /// <param name="schedule">What η is multiplied by at a step in these blocks, beside the run's own schedule.</param>
    /// <param name="decaySchedule">What λ is multiplied by at a step in these blocks, beside the run's own schedule of decay.</param>
    /// <returns>This optimizer.</returns>
    /// <exception cref="ArgumentException">No block has such a name, one has settings of its own already, or a setting is out of its
    /// range.</exception>
    public Optimizer ForBlocks(Layout layout, string name, PerReplica? rate = null, PerReplica? decay = null,
        Func<int, double>? schedule = null, Func<int, double>? decaySchedule = null)
        => ForBlocks(layout, block => FileSystemName.MatchesSimpleExpression(name, block.Name, ignoreCase: false), $"named '{name}'",
            rate, decay, schedule, decaySchedule);

    /// <summary>Gives the blocks that <paramref name="which"/> picks a rate and a decay of their own, beside each replica's.</summary>
    /// <inheritdoc cref="ForBlocks(Layout, string, PerReplica?, PerReplica?, Func{int, double}, Func{int, double})"/>
    public Optimizer ForBlocks(Layout layout, Func<Block, bool> which, PerReplica? rate = null, PerReplica? decay = null,
        Func<int, double>? schedule = null, Func<int, double>? decaySchedule = null)
        => ForBlocks(layout, which, "picked", rate, decay, schedule, decaySchedule);

    private Optimizer ForBlocks(Layout layout, Func<Block, bool> which, string how, PerReplica? rate, PerReplica? decay,
        Func<int, double>? schedule, Func<int, double>? decaySchedule)
    {
        if (layout.Size != Weights.shape[1])
            throw new ArgumentException($"the layout has {layout.Size} parameters, the weights have {Weights.shape[1]}", nameof(layout));
        if (_taken is not null)
            throw new ArgumentException($"this optimizer is inside a {_taken} by now: give the blocks their settings there, or before");
        if ((decay is not null || decaySchedule is not null) && WhyNoDecay is { } why)
            throw new ArgumentException($"a {GetType().Name} has no decay by block: {why}", nameof(decay));
        Block[] blocks = [.. layout.AsEnumerable().Where(which)];
        if (blocks.Length == 0)
            throw new ArgumentException($"no block is {how}; there are {string.Join(", ", layout.Select(b => b.Name))}");
        _byBlock ??= new BlockSettings(Weights, [.. Rates], [.. Decays]);
        _byBlock.Set(blocks, rate ?? 1, decay ?? 1, schedule, decaySchedule);
        return this;
    }

    /// <summary>Why no decay can be given by block; null where it can.</summary>
    private protected virtual string? WhyNoDecay => null;

    /// <summary>Whether what it does is in its step and not in its direction, so that nothing can stand around it.</summary>
    private protected virtual bool StepsByItself => false;

    /// <summary>An optimizer around which this one stands; from now on its blocks' settings are this one's.</summary>
    private protected Optimizer Taken(Optimizer inner, bool withBlocks = true)
    {
        if (inner.StepsByItself)
            throw new ArgumentException($"a {inner.GetType().Name} makes its steps by itself, and cannot be inside a {GetType().Name}; "
                + "the other way round it can", nameof(inner));
        if (!withBlocks && inner._byBlock is not null)
            throw new ArgumentException($"blocks of the {inner.GetType().Name} have settings of their own, which a {GetType().Name} does "
                + "not use", nameof(inner));
        inner._taken = GetType().Name;
        return inner;
    }

    /// <summary>Takes over what the blocks of an optimizer have of their own, around which this one stands.</summary>
    private protected void TakeBlocks(Optimizer inner)
    {
        if (inner._byBlock is not null)
            TakeBlocks(new Layout(new Block("all", [Weights.shape[1]])), _ => inner);
    }

    /// <summary>Takes over each block's rate, decay and schedules from the optimizer that has it.</summary>
    private protected void TakeBlocks(Layout layout, Func<Block, Optimizer> owner)
    {
        _byBlock = new BlockSettings(Weights, [.. Rates], [.. Decays]);
        foreach (var block in layout)
        {
            var inner = owner(block);
            using var settings = inner._byBlock is null ? new BlockSettings(Weights, [.. inner.Rates], [.. inner.Decays]) : null;
            _byBlock.Take(block, settings ?? inner._byBlock!);
        }
    }

    /// <summary>The direction u (replica, parameter) that this step subtracts, times η; updates the optimizer's own state.</summary>
    protected internal abstract Tensor Direction(Tensor gradient);

    /// <summary>w ← (1 − η·λ)·w − η·u.</summary>
    private protected virtual void Apply(Tensor update, StepSize size)
    {
        var (rate, shrink, rateFactor, shrinkFactor) = size;
        // Of a size by block one pass over the weights is enough, where a column costs next to nothing to compute with.
        if (shrink is not null)
            _ = _byBlock is null ? Weights.mul_(1 - shrink) : Weights.addcmul_(Weights, shrink, -shrinkFactor);
        _ = _byBlock is null ? Weights.sub_(rate * update) : Weights.addcmul_(update, rate, -rateFactor);
    }

    /// <summary>A buffer of zeros in the weights' shape that lives as long as the optimizer.</summary>
    private protected Tensor State() => Own(zeros_like(Weights).DetachFromDisposeScope());

    /// <summary>A setting as a column (replica, 1) that lives as long as the optimizer.</summary>
    private protected Tensor Column(double[] values) => Own(PerReplica.Column(values, Weights.dtype));

    /// <summary>Keeps a tensor until the optimizer is disposed of.</summary>
    private protected Tensor Own(Tensor tensor)
    {
        _owned.Add(tensor);
        return tensor;
    }

    /// <summary>Evaluates a (replica, block's size) function of each block and joins the results to (replica, parameter).</summary>
    private protected static Tensor ByBlock(Layout layout, Func<Block, Tensor> part) => cat([.. layout.Select(part)], dim: 1);

    /// <summary>The direction of another optimizer whose step this one takes in its stead.</summary>
    private protected static Tensor Follow(Optimizer inner, Tensor gradient)
    {
        inner.Steps++;
        return inner.Direction(gradient);
    }

    /// <summary>A beta of a running mean: in [0, 1).</summary>
    private protected double[] Beta(PerReplica beta, string name) => beta.Expand(Replicas, name, below: 1);

    /// <inheritdoc/>
    public virtual void Dispose()
    {
        foreach (var tensor in _owned)
            tensor.Dispose();
        _byBlock?.Dispose();
        GC.SuppressFinalize(this);
    }
}
