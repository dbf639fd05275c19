using static TorchSharp.torch;

namespace TrainingDynamics.Objectives;

/// <summary>What a draw's reward counts, given the rewards of its group.</summary>
/// <param name="Name">Its name, for legends.</param>
/// <param name="Of">(replica, prompt, answer).</param>
public sealed record Advantage(string Name, Func<Answers, Tensor> Of)
{
    /// <summary>A = r − r̄ (Dr. GRPO; Liu et al. 2025, arXiv:2503.20783). Its scale is the reward's.</summary>
    public static Advantage Mean { get; } = new("mean", answers => answers.CentredReward());

    /// <summary>A = (r − r̄)/sd, sd the group's biased deviation; 0 where a group agrees. It has no scale at all.</summary>
    public static Advantage Deviation { get; } = new("deviation", answers => answers.StandardizedReward(0));

    /// <summary>A = (r − r̄)/(sd + ε) (GRPO; Shao et al. 2024, arXiv:2402.03300): differences well below ε count little.</summary>
    /// <param name="epsilon">ε ≥ 0.</param>
    /// <exception cref="ArgumentException">ε is negative or not finite.</exception>
    public static Advantage DeviationPlus(double epsilon) => new($"deviation + {Require.NotNegative(epsilon, nameof(epsilon))}",
        answers => answers.StandardizedReward(epsilon));
}
