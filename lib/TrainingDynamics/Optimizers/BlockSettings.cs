using TorchSharp;
using TrainingDynamics.Models;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;

namespace TrainingDynamics.Optimizers;

/// <summary>How far a step goes: rateFactor·Rate is η and shrinkFactor·Shrink is η·λ, (replica, 1) or (replica, parameter).</summary>
internal readonly record struct StepSize(Tensor Rate, Tensor? Shrink, double RateFactor = 1, double ShrinkFactor = 1);

/// <summary>η and η·λ of every parameter, where blocks have settings of their own.</summary>
internal sealed class BlockSettings : IDisposable
{
    private readonly List<(Block Block, Func<int, double>? Schedule, Func<int, double>? DecaySchedule)> _blocks = [];
    private readonly Tensor _rate, _shrink;         // (replica, parameter), before any schedule
    private readonly int _replicas;

    /// <summary>Every block has the optimizer's settings, one for each replica.</summary>
    public BlockSettings(Tensor weights, double[] rates, double[] decays)
    {
        _replicas = rates.Length;
        using var scope = NewDisposeScope();
        using var rate = PerReplica.Column(rates, weights.dtype);
        using var shrink = PerReplica.Column([.. rates.Zip(decays, (eta, lambda) => eta * lambda)], weights.dtype);
        (_rate, _shrink) = (rate.expand_as(weights).clone().DetachFromDisposeScope(),
            shrink.expand_as(weights).clone().DetachFromDisposeScope());
    }

    /// <summary>Gives blocks settings of their own; see <see cref="Optimizer.ForBlocks(Layout, string, PerReplica?, PerReplica?,
    /// Func{int, double}, Func{int, double})"/>.</summary>
    public void Set(IReadOnlyList<Block> blocks, PerReplica rate, PerReplica decay,
        Func<int, double>? schedule, Func<int, double>? decaySchedule)
    {
        if (blocks.FirstOrDefault(block => _blocks.Any(own => Common(own.Block, block) is not null)) is { } twice)
            throw new ArgumentException($"block '{twice.Name}' has settings of its own already");
        double[] rates = rate.Expand(_replicas, nameof(rate)), decays = decay.Expand(_replicas, nameof(decay));
        double[] shrinks = [.. rates.Zip(decays, (eta, lambda) => eta * lambda)];
        using var scope = NewDisposeScope();
        using var quiet = no_grad();
        foreach (var block in blocks)
        {
            // A block of several optimizers' has several η·λ: the largest.
            var largest = Layout.Slice(_shrink, block).amax([1]).ToDoubles();
            if (largest.Zip(shrinks, (own, factor) => own * factor).Index().FirstOrDefault(r => r.Item >= 1)
                is (var replica, > 0 and var all))
                throw new ArgumentException($"decay is {decays[replica]} and rate {rates[replica]} in block '{block.Name}': together with "
                    + $"the optimizer's own η·λ is {all:g6}, allowed is [0, 1)", nameof(decay));
        }
        using Tensor rateColumn = PerReplica.Column(rates, _rate.dtype), shrinkColumn = PerReplica.Column(shrinks, _rate.dtype);
        foreach (var block in blocks)
        {
            Layout.Slice(_rate, block).mul_(rateColumn);
            Layout.Slice(_shrink, block).mul_(shrinkColumn);
            _blocks.Add((block, schedule, decaySchedule));
        }
    }

    /// <summary>Takes over one block's settings, or those of what is in it, from another optimizer of the same weights.</summary>
    public void Take(Block block, BlockSettings other)
    {
        using var quiet = no_grad();
        using var scope = NewDisposeScope();
        Layout.Slice(_rate, block).copy_(Layout.Slice(other._rate, block));
        Layout.Slice(_shrink, block).copy_(Layout.Slice(other._shrink, block));
        foreach (var own in other._blocks)
        {
            if (Common(own.Block, block) is { } common)
                _blocks.Add(own with { Block = common });
        }
    }

    /// <summary>What two blocks have in common; null where they do not overlap.</summary>
    private static Block? Common(Block a, Block b)
    {
        var (start, end) = (Math.Max(a.Start, b.Start), Math.Min(a.Start + a.Size, b.Start + b.Size));
        return start < end ? new Block(a.Name, [end - start]) { Start = start } : null;
    }

    /// <summary>η and η·λ at a step, (replica, parameter).</summary>
    /// <param name="step">The step, from 1.</param>
    /// <param name="rateFactor">The run's schedule of η at this step.</param>
    /// <param name="decayFactor">The run's schedule of λ at this step, beside that of η.</param>
    public StepSize At(int step, double rateFactor, double decayFactor)
    {
        var (rate, shrink) = (_rate, _shrink);
        foreach (var (block, schedule, decaySchedule) in _blocks.Where(own => own.Schedule is not null || own.DecaySchedule is not null))
        {
            if (ReferenceEquals(rate, _rate))
                (rate, shrink) = (_rate.clone(), _shrink.clone());
            var (eta, lambda) = (Factor(schedule, step, nameof(schedule)), Factor(decaySchedule, step, nameof(decaySchedule)));
            Layout.Slice(rate, block).mul_(eta);
            Layout.Slice(shrink, block).mul_(eta * lambda);
        }
        return new StepSize(rate, shrink, rateFactor, rateFactor * decayFactor);
    }

    private static double Factor(Func<int, double>? schedule, int step, string name)
    {
        var factor = schedule?.Invoke(step) ?? 1;
        return factor >= 0 && double.IsFinite(factor) ? factor
            : throw new ArgumentException($"{name} is {factor} at step {step}, allowed is a number in [0, ∞)", name);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _rate.Dispose();
        _shrink.Dispose();
    }
}
