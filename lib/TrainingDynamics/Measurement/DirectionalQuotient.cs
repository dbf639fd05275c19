using TrainingDynamics.Models;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;

namespace TrainingDynamics.Measurement;

/// <summary>
/// What a step in a direction δ costs an old task for each nat on the new one, known before the step:
/// <code>
/// KL(π_w‖π_{w+sδ}) = ½·s²·δᵀFδ + O(s³)        F: the Fisher information on a task's inputs at w
/// ρ = δᵀF_old δ / δᵀF_new δ                   → KL_old/KL_new as s → 0, whatever the length of δ
/// </code>
/// For a softmax over scores f, δᵀFδ = E_x Var_{a∼π(·|x)}[(Jδ)_a], J = ∂f/∂w: one directional derivative on the inputs of each task and
/// no training.
/// </summary>
/// <remarks>The quotient, with the optimizer in its direction, is ours. That the overlap of two tasks' tangent kernels decides
/// forgetting is Doan et al. 2020, arXiv:2010.04003; forgetting in closed form before any step, exact for a linear head, Hidekel and
/// Raviv 2026, arXiv:2606.18024.</remarks>
/// <param name="Old">δᵀF_old δ, [replica], nats.</param>
/// <param name="New">δᵀF_new δ, [replica], nats.</param>
public sealed record DirectionalQuotient(double[] Old, double[] New)
{
    /// <summary>ρ of each replica: NaN where the direction moves no answer of the new task.</summary>
    public double[] Rho => [.. Old.Zip(New, (o, n) => n > 0 ? o / n : double.NaN)];

    /// <summary>The quotient of one direction.</summary>
    /// <param name="model">At its weights: the base.</param>
    /// <param name="direction">δ, (replica, parameter); its length does not matter.</param>
    /// <param name="oldInputs">Inputs of the old task, (1 or replica, input, …).</param>
    /// <param name="newInputs">Inputs of the new task.</param>
    /// <exception cref="ArgumentException">The direction does not have the weights' shape.</exception>
    public static DirectionalQuotient Of(Model model, Tensor direction, Tensor oldInputs, Tensor newInputs)
        => new(Form(model, direction, oldInputs), Form(model, direction, newInputs));

    /// <summary>Of several directions, such as the first steps on several batches, the quotient of their mean forms: Σδᵀ F_old δ over
    /// Σδᵀ F_new δ.</summary>
    /// <exception cref="ArgumentException">There is none.</exception>
    public static DirectionalQuotient Pooled(IReadOnlyList<DirectionalQuotient> several) => several.Count > 0
        ? new([.. several[0].Old.Select((_, r) => several.Average(q => q.Old[r]))],
            [.. several[0].New.Select((_, r) => several.Average(q => q.New[r]))])
        : throw new ArgumentException("a pooled quotient needs at least one direction, got none", nameof(several));

    /// <summary>δᵀFδ = E_x Var_{a∼π(·|x)}[(Jδ)_a] of each replica, in nats: twice the KL of a step δ, to second order.</summary>
    /// <param name="model">At its weights.</param>
    /// <param name="direction">δ, (replica, parameter).</param>
    /// <param name="inputs">Inputs of the task.</param>
    public static double[] Form(Model model, Tensor direction, Tensor inputs)
    {
        if (!direction.shape.SequenceEqual(model.Weights.shape))
            throw new ArgumentException($"{nameof(direction)} is {string.Join(" × ", direction.shape)}, the weights are "
                + $"{string.Join(" × ", model.Weights.shape)}", nameof(direction));
        using var scope = NewDisposeScope();
        // (replica, input, answer)
        var (scores, turned) = Derivatives.Directional(weights => model.Forward(weights, inputs), model.Weights, direction);
        var policy = scores.to(ScalarType.Float64).softmax(-1);
        var change = turned.to(ScalarType.Float64);
        var centred = change - (policy * change).sum(-1, keepdim: true);
        return (policy * centred.square()).sum(-1).flatten(1).mean([1]).ToDoubles();
    }
}
