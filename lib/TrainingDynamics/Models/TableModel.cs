using TorchSharp;
using static TorchSharp.torch;

namespace TrainingDynamics.Models;

/// <summary>
/// A model of a finite set of contexts (prompts, segments of visitors) that it knows by their numbers: it scores every item (answer) in
/// every one.
/// </summary>
/// <param name="layout">The parameters' names and shapes.</param>
/// <param name="weights">Their first values; the model owns them.</param>
/// <param name="contexts">How many contexts there are.</param>
public abstract class TableModel(Layout layout, Tensor weights, int contexts) : Model(layout, weights)
{
    private Tensor? _known, _rows;

    /// <summary>How many contexts there are.</summary>
    public int Contexts { get; } = contexts;

    /// <summary>The scores of all items in all contexts at <paramref name="weights"/>, (replica, context, item).</summary>
    /// <param name="weights">(replica, parameter); need not be the model's own.</param>
    public abstract Tensor Scores(Tensor weights);

    /// <summary>π = softmax(scores) at the model's weights, (replica, context, item).</summary>
    public Tensor Policy()
    {
        using var scope = NewDisposeScope();
        using var quiet = no_grad();
        return Scores(Weights).softmax(-1).MoveToOuterDisposeScope();
    }

    /// <summary>The numbers of all contexts in order, as inputs: (1, context, 1).</summary>
    public Tensor AllContexts() => arange(Contexts, dtype: ScalarType.Int64).reshape(1, -1, 1);

    /// <summary>The scores of the contexts whose numbers are given, (replica, context given, item).</summary>
    /// <param name="weights">(replica, parameter).</param>
    /// <param name="inputs">Whole numbers from 0, (replica or 1, context given, 1).</param>
    /// <exception cref="ArgumentException">The inputs have another shape, or a number is no context's.</exception>
    public override Tensor Forward(Tensor weights, Tensor inputs)
    {
        Know(inputs, weights.shape[0]);
        var scores = Scores(weights);
        return _rows is null ? scores : scores.gather(1, _rows.expand(scores.shape[0], -1, scores.shape[2]));
    }

    /// <summary>Sets the rows that inputs ask for, (replica or 1, context given, 1); null for all contexts in order.</summary>
    private void Know(Tensor inputs, long replicas)
    {
        if (inputs.dim() != 3 || inputs.shape[2] != 1 || (inputs.shape[0] != 1 && inputs.shape[0] != replicas))
            throw new ArgumentException(
                $"inputs are {string.Join(" × ", inputs.shape)}, wanted are numbers of contexts, ({replicas} or 1 replicas, contexts, 1)",
                nameof(inputs));
        // A run shows the same inputs at every step: one comparison tells.
        if (_known is not null && _known.dtype == inputs.dtype && _known.Equals(inputs))
            return;
        using var scope = NewDisposeScope();
        var rows = inputs.to(ScalarType.Int64, copy: true);
        if (((rows < 0) | (rows >= Contexts) | (rows != inputs)).any().item<bool>())
            throw new ArgumentException($"the contexts' numbers go from {inputs.min().ToDouble()} to {inputs.max().ToDouble()}, allowed "
                + $"are whole ones from 0 to {Contexts - 1}", nameof(inputs));
        using var all = AllContexts();
        Forget();
        (_known, _rows) = (inputs.clone().DetachFromDisposeScope(),
            rows.shape[1] == Contexts && rows.eq(all).all().item<bool>() ? null : rows.DetachFromDisposeScope());
    }

    private void Forget()
    {
        _known?.Dispose();
        _rows?.Dispose();
        (_known, _rows) = (null, null);
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        Forget();
        base.Dispose();
    }
}
