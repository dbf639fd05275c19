using TrainingDynamics.Data;
using TrainingDynamics.Measurement;
using TrainingDynamics.Models;
using TrainingDynamics.Tasks;
using static TorchSharp.torch;

namespace TrainingDynamics.Objectives;

/// <summary>
/// A task with something that holds old knowledge added to its loss: L + strength·R(w). The classical baselines of continual learning
/// are choices of R.
/// </summary>
/// <param name="Task">What is learned.</param>
/// <param name="Strength">≥ 0.</param>
/// <param name="Penalty">R of the weights, (replica, parameter) to (replica).</param>
public sealed record Retained(ITask Task, double Strength, LossFunction Penalty) : ITask
{
    /// <inheritdoc/>
    public Layout Layout => Task.Layout;

    /// <inheritdoc/>
    public Tensor Weights => Task.Weights;

    /// <inheritdoc/>
    public (Tensor Loss, Tensor Gradient) Next()
    {
        using var scope = NewDisposeScope();
        var (loss, gradient) = Task.Next();
        var (held, pull) = Derivatives.LossAndGradient(Penalty, Weights);
        return ((loss + (Strength * held)).MoveToOuterDisposeScope(), (gradient + (Strength * pull)).MoveToOuterDisposeScope());
    }
}

/// <summary>What can be held on to.</summary>
public static class Retention
{
    /// <summary>L2 to the start: ½‖w − w₀‖² (Li et al. 2018, arXiv:1802.01483, L2-SP).</summary>
    /// <param name="start">w₀, (replica, parameter).</param>
    public static LossFunction L2ToStart(Tensor start) => weights => (weights - start).square().sum(1) / 2;

    /// <summary>Elastic weight consolidation: ½·Σ_i F_i·(w_i − w₀,i)², F the Fisher diagonal on the old task (Kirkpatrick et al. 2017,
    /// arXiv:1612.00796).</summary>
    /// <param name="start">w₀.</param>
    /// <param name="fisher">F, <see cref="WeightChange.FisherDiagonal"/>.</param>
    public static LossFunction Ewc(Tensor start, Tensor fisher) => weights => (fisher * (weights - start).square()).sum(1) / 2;

    /// <summary>Replay: the cross-entropy on kept old examples, a new batch every step.</summary>
    public static LossFunction Replay(Model model, IBatches old) => weights =>
    {
        using var batch = old.Next();
        return model.Loss(weights, batch);
    };

    /// <summary>Learning without forgetting: KL(π₀‖π) of the old head on new inputs, so that no old example is needed (Li and Hoiem 2016,
    /// arXiv:1606.09282, at temperature 1).</summary>
    /// <param name="model">The model at its start.</param>
    /// <param name="inputs">New inputs dressed as the old task, (1, prompt, input).</param>
    public static LossFunction WithoutForgetting(Model model, Tensor inputs)
    {
        Tensor before;
        using (no_grad())
            before = model.Forward(model.Weights, inputs).log_softmax(-1);
        return weights => (before.exp() * (before - model.Forward(weights, inputs).log_softmax(-1))).sum(-1).mean([1]);
    }
}
