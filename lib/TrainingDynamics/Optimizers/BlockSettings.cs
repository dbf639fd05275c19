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
    private readonly double[] _rates, _decays;

    /// <summary>Every block has the optimizer's settings, one for each replica.</summary>
    public BlockSettings(Tensor weights, double[] rates, double[] decays)
    {
        (_rates, _decays) = (rates, decays);
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
        if (blocks.FirstOrDefault(block => _blocks.Any(own => own.Block.Start == block.Start)) is { } twice)
            throw new ArgumentException($"block '{twice.Name}' has settings of its own already", nameof(blocks));
        double[] rates = rate.Expand(_rates.Length, nameof(rate)), decays = decay.Expand(_rates.Length, nameof(decay));
        double[] shrinks = [.. rates.Zip(decays, (eta, lambda) => eta * lambda)];
        if (shrinks.Index().FirstOrDefault(r => r.Item * _rates[r.Index] * _decays[r.Index] >= 1) is (var replica, > 0))
            throw new ArgumentException($"decay is {decays[replica]} times {_decays[replica]} at rate {rates[replica]} times "
                + $"{_rates[replica]} in block '{blocks[0].Name}': η·λ is to be in [0, 1)", nameof(decay));
        using var quiet = no_grad();
        using Tensor rateColumn = PerReplica.Column(rates, _rate.dtype), shrinkColumn = PerReplica.Column(shrinks, _rate.dtype);
        foreach (var block in blocks)
        {
            using Tensor own = Layout.Slice(_rate, block), shrink = Layout.Slice(_shrink, block);
            own.mul_(rateColumn);
            shrink.mul_(shrinkColumn);
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
        _blocks.AddRange(other._blocks.Where(own => own.Block.Start >= block.Start && own.Block.Start < block.Start + block.Size));
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
