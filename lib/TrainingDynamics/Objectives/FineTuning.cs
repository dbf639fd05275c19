using TorchSharp;
using static TorchSharp.torch;

namespace TrainingDynamics.Objectives;

/// <summary>
/// The named objectives of fine-tuning as points of <see cref="Objective"/>: (source, weight), an anchor by
/// <see cref="Objective.WithKl"/>. Draws of null are exact expectations over the answer set.
/// </summary>
public static class FineTuning
{
    private const double Tiny = 1e-30;

    /// <summary>Supervised fine-tuning: m = the demonstrations, ω = 1. Minimizes KL(q‖π): hard where the target q has one answer a prompt,
    /// soft where more.</summary>
    public static Objective Sft(int? samples = null) => new("SFT", Source.Target(samples), Ones);

    /// <summary>Dynamic fine-tuning: SFT with ω = sg π(a|x), so that unlikely demonstrations push no harder than likely ones (Wu et al.
    /// 2025, arXiv:2508.05629).</summary>
    public static Objective Dft(int? samples = null) => new("DFT", Source.Target(samples), a => a.LogPolicy.exp());

    /// <summary>Anchored SFT: DFT with the forward KL(π₀‖π) to the base (Zhu et al. 2025, arXiv:2509.23753; they use β = 0.03 to
    /// 0.1).</summary>
    public static Objective Asft(double beta = 0.1, int? samples = null) => Dft(samples).WithKl(beta, forward: true).Named("ASFT");

    /// <summary>Entropy-adaptive fine-tuning: SFT with ω = H(π(·|x))/ln A, A answers: confident conflicts are muted (Diao et al. 2026,
    /// arXiv:2601.02151, who take the entropy of the top 20 tokens).</summary>
    public static Objective Eaft(int? samples = null) => new("EAFT", Source.Target(samples),
        a => !a.Enumerated ? full_like(a.LogPolicy, double.NaN)
        : ((a.LogPolicy.exp() * a.LogPolicy).sum(-1, keepdim: true) / -Math.Log(a.LogPolicy.shape[^1])).expand_as(a.LogPolicy));

    /// <summary>Importance-weighted SFT: ω = min(π(a|x)/π₀(a|x), clip) (Qin and Springenberg 2025, arXiv:2507.12856, one of their choices
    /// of the auxiliary policy).</summary>
    public static Objective IwSft(double clip = 2, int? samples = null) => new("iw-SFT",
        Source.Target(samples), a => (a.LogPolicy - a.LogBase).exp().clamp_max(clip));

    /// <summary>Direct preference optimization, L = −ln σ(β·[ln π(a)/π₀(a) − ln π(b)/π₀(b)]) over pairs of a right a and a wrong b from the
    /// source (Rafailov et al. 2023, arXiv:2305.18290).</summary>
    public static Objective Dpo(double beta = 0.1, Source? source = null) => new("DPO",
        source ?? Source.Policy(refresh: Source.Never), a => Pairs(a, beta * (a.LogPolicy - a.LogBase), beta, margin: 0));

    /// <summary>SimPO, L = −ln σ(β·[ln π(a) − ln π(b)] − γ): pairs without a base (Meng et al. 2024, arXiv:2405.14734; answers of one
    /// length, so their division by it is in β).</summary>
    public static Objective SimPo(double beta = 2, double margin = 1, Source? source = null) => new("SimPO",
        source ?? Source.Policy(refresh: Source.Never), a => Pairs(a, beta * a.LogPolicy, beta, margin));

    /// <summary>REINFORCE: m = π, ω = r: the gradient of E_π[r] (Williams 1992).</summary>
    public static Objective Reinforce(int? samples = null) => new("REINFORCE", Source.Policy(samples), a => a.Reward);

    /// <summary>REINFORCE with the group's mean reward as baseline: ω = r − r̄. The same expectation up to (G − 1)/G, less noise (Williams
    /// 1992; the group's own mean: Kool, van Hoof and Welling 2019).</summary>
    public static Objective ReinforceWithBaseline(int? samples = null) => new("REINFORCE, baseline",
        Source.Policy(samples), a => a.CentredReward());

    /// <summary>1–0 REINFORCE: ω = 1[r &gt; 0]: on-policy, and no word about wrong answers. For rewards of 0 and 1 it is REINFORCE
    /// (Shenfeld et al. 2025, arXiv:2509.04259, compare it).</summary>
    public static Objective OneZero(int? samples = null) => new("1–0 REINFORCE",
        Source.Policy(samples), a => (a.Reward > 0).to(a.LogPolicy.dtype));

    /// <summary>GRPO on-policy: ω = (r − r̄)/std(r) over the group of draws (Shao et al. 2024, arXiv:2402.03300).</summary>
    public static Objective Grpo(int? samples = 8) => GroupRelative(Advantage.DeviationPlus(1e-6), samples).Named("GRPO");

    /// <summary>Policy gradient by groups with one of the ways to compare a draw with its group: ω = A.</summary>
    /// <param name="advantage">A.</param>
    /// <param name="samples">G, draws of a prompt, at least 2: one draw has no other to be compared with. Null is the exact expectation,
    /// mean and deviation the policy's own.</param>
    /// <exception cref="ArgumentException">A group has fewer than two draws.</exception>
    public static Objective GroupRelative(Advantage advantage, int? samples = 8) => samples is null or >= 2
        ? new($"by group, {advantage.Name}", Source.Policy(samples), advantage.Of)
        : throw new ArgumentException($"{nameof(samples)} is {samples}, allowed are 2 draws and more, or null: one draw has no other to "
            + "be compared with", nameof(samples));

    /// <summary>Dr. GRPO: without the division by the deviation, ω = r − r̄ (Liu et al. 2025, arXiv:2503.20783; answers of one
    /// length).</summary>
    public static Objective DrGrpo(int? samples = 8) => ReinforceWithBaseline(samples).Named("Dr. GRPO");

    /// <summary>
    /// PPO's clipped objective on draws of a policy up to <paramref name="refresh"/> steps old: the gradient of min(ρA, clip(ρ, 1 ± ε)·A),
    /// ρ = π/π_old, A = (r − r̄)/std(r): ω = ρA, and 0 where the clip holds (Schulman et al. 2017, arXiv:1707.06347).
    /// </summary>
    public static Objective Ppo(int refresh, double clip = 0.2, int? samples = 8) => new("PPO", Source.Policy(samples, refresh), a =>
    {
        var (ratio, advantage) = ((a.LogPolicy - a.LogSource).exp(), a.StandardizedReward());
        var held = ((advantage > 0) & (ratio > 1 + clip)) | ((advantage < 0) & (ratio < 1 - clip));
        return (ratio * advantage).masked_fill(held, 0);
    });

    /// <summary>
    /// Self-SFT: the base's own correct answers; ω = 1. Drawn anew at every visit, or drawn once and kept, as Chen et al. 2025,
    /// arXiv:2510.18874, do: answers that are kept are a far target, one answer a prompt.
    /// </summary>
    /// <param name="samples">Draws for each prompt; null is the exact expectation.</param>
    /// <param name="kept">Whether a prompt keeps its draws.</param>
    public static Objective SelfSft(int? samples = 1, bool kept = false)
        => new(kept ? "self-SFT, kept" : "self-SFT", Source.Rejection(Source.Never, samples) with { Kept = kept }, Ones);

    /// <summary>Iterative SFT: the correct answers of a copy of the policy, renewed every <paramref name="refresh"/> steps; ω = 1. Cf. RAFT
    /// (Dong et al. 2023, arXiv:2304.06767), ReST (Gulcehre et al. 2023, arXiv:2308.08998).</summary>
    public static Objective IterativeSft(int refresh, int? samples = 1) => new("iterative SFT", Source.Rejection(refresh, samples), Ones);

    /// <summary>Oracle SFT: the base conditioned on being right, exactly: m = π₀(·|S), the KL-minimal correct policy (Shenfeld et al. 2025,
    /// arXiv:2509.04259).</summary>
    public static Objective Oracle() => new("oracle SFT", Source.Rejection(Source.Never), Ones);

    /// <summary>On-policy distillation: m = π, ω = ln q(a) − ln π(a): the gradient of −KL(π‖q), q the teacher (Agarwal et al. 2024,
    /// arXiv:2306.13649, at reverse KL).</summary>
    /// <remarks>ln q is cut at −30 where the teacher gives nothing: the reverse KL itself is infinite there.</remarks>
    public static Objective OnPolicyDistillation(int? samples = null) => new("on-policy distillation",
        Source.Policy(samples), a => Centred(a, a.LogTarget.clamp_min(-30) - a.LogPolicy));

    /// <summary>
    /// Self-distillation fine-tuning: the teacher is the policy itself shown the demonstration, the student learns from it on its own
    /// draws:
    /// m = π, ω = ln π(a|x, c) − ln π(a|x) (Shenfeld et al. 2026, arXiv:2601.19897). What showing the demonstration does to a policy over
    /// answers is ours: π(a|x, c) ∝ π(a|x)·e^{strength·1[r &gt; 0]}, with the copy of the policy renewed every step. Under that model it is
    /// REINFORCE with a baseline, <c>strength</c> times as strong, which Adam does not notice: no evidence about the method at scale.
    /// </summary>
    public static Objective Sdft(double strength = 3, int? samples = null) => new("SDFT", Source.Policy(samples), a =>
        Centred(a, strength * (a.Reward > 0).to(a.LogPolicy.dtype)));

    private static Tensor Ones(Answers answers) => ones_like(answers.LogPolicy);

    /// <summary>A score minus its group mean: the same gradient in expectation, less noise.</summary>
    private static Tensor Centred(Answers answers, Tensor score) => score - answers.GroupMean(score);

    /// <summary>ω of −ln σ(z_a − z_b − γ) over pairs of a right answer a and a wrong b drawn independently: ±β·E[σ(−margin)], over the
    /// answer's own mass.</summary>
    private static Tensor Pairs(Answers answers, Tensor z, double beta, double margin)
    {
        var right = answers.Mass * (answers.Reward > 0).to(z.dtype);
        var wrong = answers.Mass - right;
        var (winners, losers) = (right / right.sum(-1, keepdim: true).clamp_min(Tiny),
            wrong / wrong.sum(-1, keepdim: true).clamp_min(Tiny));
        var pull = nn.functional.sigmoid(z.unsqueeze(-2) - z.unsqueeze(-1) + margin);        // (…, right a, wrong b): σ(−(z_a − z_b − γ))
        var weighted = winners.unsqueeze(-1) * losers.unsqueeze(-2) * pull;
        return beta * (weighted.sum(-1) - weighted.sum(-2)) / answers.Mass.clamp_min(Tiny);
    }
}
