using TorchSharp;
using static TorchSharp.torch;

namespace TrainingDynamics.Objectives;

/// <summary>
/// The one objective of fine-tuning: where answers come from, what weight each carries, and what holds the policy back.
/// <code>
/// L = −mean_x Σ_a m(a|x)·ω(a|x)·log π(a|x)  +  β·mean_x KL
///        m: the source's draws            ω: a weight without gradient      KL(π‖π₀), or KL(π₀‖π)
/// </code>
/// SFT and RL differ in m and ω only: SFT takes m from data and ω = 1, REINFORCE m from the policy and ω = r.
/// <see cref="FineTuning"/> has the named points.
/// </summary>
/// <param name="Name">Its name, for legends.</param>
/// <param name="Source">m.</param>
/// <param name="Weight">ω(a|x), (replica, prompt, answer); differentiated never.</param>
public sealed record Objective(string Name, Source Source, Func<Answers, Tensor> Weight)
{
    /// <summary>β ≥ 0 of the anchor to the base; 0 is none.</summary>
    public double Beta { get; init; }

    /// <summary>Whether the anchor is KL(π₀‖π) instead of KL(π‖π₀).</summary>
    public bool ForwardAnchor { get; init; }

    /// <summary>The same objective with an anchor to the base.</summary>
    /// <param name="beta">β ≥ 0.</param>
    /// <param name="forward">KL(π₀‖π) instead of KL(π‖π₀).</param>
    /// <exception cref="ArgumentException"><paramref name="beta"/> is negative or not finite.</exception>
    public Objective WithKl(double beta, bool forward = false) => this with
    {
        Name = $"{Name} + {beta}·KL{(forward ? " forward" : "")}",
        Beta = Require.NotNegative(beta, nameof(beta)),
        ForwardAnchor = forward,
    };

    /// <summary>The same objective under another name.</summary>
    public Objective Named(string name) => this with { Name = name };

    /// <summary>L of each replica, (replica), differentiable in <see cref="Answers.LogPolicy"/>.</summary>
    /// <exception cref="ArgumentException">A reward is not finite.</exception>
    public Tensor Loss(Answers answers)
    {
        if (!answers.Reward.isfinite().all().item<bool>())
            throw new ArgumentException($"'{Name}': a reward is not finite", nameof(answers));
        using var scope = NewDisposeScope();
        Tensor push;
        using (no_grad())
        {
            // An answer without mass has no weight, whatever ω says of it: ω may be infinite there.
            push = where(answers.Mass > 0, answers.Mass * Weight(answers with { LogPolicy = answers.LogPolicy.detach() }), 0);
        }
        // In a replica whose policy is not finite all is NaN; in another it is the objective that lacks something.
        if ((push.flatten(1).isnan().any(1) & ~answers.LogPolicy.flatten(1).isnan().any(1)).any().item<bool>())
            throw new ArgumentException($"'{Name}' asks for something that these answers do not have, such as a target's probabilities",
                nameof(answers));
        var loss = -(push * answers.LogPolicy).sum(-1).mean([1]);
        if (Beta > 0)
            loss = loss + (Beta * answers.Kl(ForwardAnchor).mean([1]));
        return loss.MoveToOuterDisposeScope();
    }
}
