using static TorchSharp.torch;

namespace TrainingDynamics.Objectives;

/// <summary>
/// One step's answers as an objective sees them: every tensor (replica, prompt, answer). For a policy over a finite set the
/// last axis is the whole set, and a sampled answer is a count; for sequences it is the answers that were drawn.
/// </summary>
public sealed record Answers
{
    /// <summary>log π(a|x) of the policy that is trained, differentiable.</summary>
    public required Tensor LogPolicy { get; init; }

    /// <summary>log π₀(a|x) of the frozen base.</summary>
    public Tensor LogBase => AskBase();

    /// <summary>log of the probability with which the source gives an answer: the policy's own some steps ago, the base's, the
    /// target's.</summary>
    public Tensor LogSource => AskSource();

    /// <summary>Gives <see cref="LogBase"/>: a pass through the base, which is spared where the objective does not ask.</summary>
    public required Func<Tensor> AskBase { get; init; }

    /// <summary>Gives <see cref="LogSource"/>.</summary>
    public required Func<Tensor> AskSource { get; init; }

    /// <summary>log q(a|x) of the target or teacher; −∞ where it gives nothing.</summary>
    public required Tensor LogTarget { get; init; }

    /// <summary>m(a|x) ≥ 0: the share of the source's draws that fell on this answer, or its exact probability; sums to 1 over the answers
    /// (over each position's, where sequences are weighed token by token).</summary>
    public required Tensor Mass { get; init; }

    /// <summary>r(x, a), finite; positive is correct.</summary>
    public required Tensor Reward { get; init; }

    /// <summary>
    /// KL between policy and base, (replica, prompt), as a function of the direction (true: forward, KL(π₀‖π)). Exact by default,
    /// over the whole answer set; sequences sum their positions' exact divergences along the answers drawn, a surrogate whose gradient
    /// leaves out that the draws depend on π.
    /// </summary>
    public Func<bool, Tensor>? Divergence { get; init; }

    /// <summary>Whether the last axis is the whole answer set.</summary>
    public bool Enumerated { get; init; } = true;

    /// <summary>KL(π₀‖π) (forward) or KL(π‖π₀), (replica, prompt).</summary>
    public Tensor Kl(bool forward) => Divergence is { } given ? given(forward)
        : forward ? (LogBase.exp() * (LogBase - LogPolicy)).sum(-1)
        : (LogPolicy.exp() * (LogPolicy - LogBase)).sum(-1);

    /// <summary>Σ_a m(a|x)·<paramref name="value"/>(a), kept as (replica, prompt, 1): the mean over a prompt's group of draws.</summary>
    public Tensor GroupMean(Tensor value) => (Mass * value).sum(-1, keepdim: true);

    /// <summary>r minus the group's mean.</summary>
    public Tensor CentredReward() => Reward - GroupMean(Reward);

    /// <summary>r minus the group's mean, over the group's deviation (biased, plus ε): 0 where a group agrees.</summary>
    /// <param name="epsilon">ε ≥ 0. Where it is smaller than the rounding of the rewards, a group that differs by rounding alone counts as
    /// agreeing.</param>
    public Tensor StandardizedReward(double epsilon = 1e-6)
    {
        Require.NotNegative(epsilon, nameof(epsilon));
        var centred = CentredReward();
        var deviation = GroupMean(centred.square()).sqrt();
        // Of the rewards that were drawn.
        var rounding = (deviation.dtype == ScalarType.Float64 ? 1e-12 : 1e-6)
            * where(Mass > 0, Reward.abs(), 0).amax([-1], keepdim: true);
        return where(deviation <= where(rounding > epsilon, rounding, 0), 0, centred / (deviation + epsilon));
    }
}
