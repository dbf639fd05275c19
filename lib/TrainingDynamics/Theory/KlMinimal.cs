using MathNet.Numerics.RootFinding;

namespace TrainingDynamics.Theory;

/// <summary>
/// What fine-tuning on a binary reward should and does end at, for a policy over a finite answer set. p₀ is the base,
/// S the correct set, P₀ = p₀(S).
/// </summary>
public static class KlMinimal
{
    /// <summary>
    /// The always-correct policy nearest to the base: argmin KL(q‖p₀) over q(S) = 1 is q(a) = p₀(a)·1[a ∈ S]/P₀, the base conditioned on
    /// being right; its distance is KL(q‖p₀) = −ln P₀.
    /// </summary>
    /// <remarks>The I-projection (Csiszár 1975). The other direction, KL(p₀‖q), is infinite as soon as a wrong answer had mass.</remarks>
    /// <exception cref="ArgumentException">The base is no distribution, or has no mass on S.</exception>
    public static double[] Policy(IReadOnlyList<double> basePolicy, IReadOnlyList<bool> correct)
    {
        var mass = CorrectMass(basePolicy, correct);
        return [.. basePolicy.Select((p, a) => correct[a] ? p / mass : 0)];
    }

    /// <summary>−ln P₀.</summary>
    /// <exception cref="ArgumentException">The base is no distribution, or has no mass on S.</exception>
    public static double Distance(IReadOnlyList<double> basePolicy,
        IReadOnlyList<bool> correct) => -Math.Log(CorrectMass(basePolicy, correct));

    /// <summary>The fixed point of reward with a penalty β·KL(π‖p₀): π(a) ∝ p₀(a)·e^{r(a)/β}.</summary>
    /// <remarks>Levine 2018, arXiv:1805.00909; Korbak, Perez and Buckley 2022, arXiv:2205.11275. For β → 0 it is <see
    /// cref="Policy"/>.</remarks>
    /// <exception cref="ArgumentException">β is not positive, a reward is not finite, or the base is no distribution.</exception>
    public static double[] Regularized(IReadOnlyList<double> basePolicy, IReadOnlyList<double> reward, double beta)
    {
        RequireDistribution(basePolicy, reward.Count);
        Require.Positive(beta, nameof(beta));
        if (reward.Where(r => !double.IsFinite(r)).Cast<double?>().FirstOrDefault() is { } bad)
            throw new ArgumentException($"a reward is {bad}; rewards must be finite", nameof(reward));
        var top = reward.Where((_, a) => basePolicy[a] > 0).Max();                         // so that nothing overflows for small β
        return Logarithms.Normalized([.. basePolicy.Zip(reward,
            (p, r) => p > 0 ? Math.Log(p) + ((r - top) / beta) : double.NegativeInfinity)]);
    }

    /// <summary>
    /// Where the gradient flow of the expected reward, θ̇ = ∇_θ Σ_{a∈S} softmax(θ)_a from θ = ln p₀, stands when π(S) = J. Closed form: the
    /// flow conserves e^{−θ_i} − e^{−θ_j} inside S, the same outside it, and Σθ; so with e^{−θ_i} = 1/p₀(i) − s in S and 1/p₀(j) + u
    /// outside, Π(1/p₀(i) − s)·Π(1/p₀(j) + u) is constant, and J fixes s. For J → 1 all of it is on the likeliest correct arm.
    /// </summary>
    /// <remarks>
    /// Ours, from θ̇_i = π_i(1 − J) in S and θ̇_j = −π_j·J outside. Assumes a reward of 0 or 1, exact gradients and small steps; sampling
    /// noise and
    /// momentum leave it. It is not the KL-minimal policy unless the right arms have equal odds.
    /// </remarks>
    /// <exception cref="ArgumentException">J is not in [P₀, 1), or the base is no distribution or has no mass on S.</exception>
    public static double[] VanillaPolicyGradient(IReadOnlyList<double> basePolicy, IReadOnlyList<bool> correct, double success)
    {
        var start = CorrectMass(basePolicy, correct);
        if (basePolicy.Any(p => p == 0))
            throw new ArgumentException("the base has an answer without mass; a softmax has none such", nameof(basePolicy));
        if (!(success >= start && success < 1))
            throw new ArgumentException(
                $"{nameof(success)} is {success}, allowed is a number in [{start}, 1): the flow starts there and never arrives",
                nameof(success));
        double[] right = [.. basePolicy.Where((_, a) => correct[a]).Select(p => 1 / p)];
        double[] wrong = [.. basePolicy.Where((_, a) => !correct[a]).Select(p => 1 / p)];
        var (top, atStart) = (right.Min(), wrong.Sum(Math.Log));
        var logProduct = right.Sum(Math.Log) + atStart;
        // s climbs to the least 1/p₀ in S; what counts is how far it stays below, which is exact however small.
        double Inside(double c, double below) => c - top + below;
        double Outside(double below)
        {
            var target = logProduct - right.Sum(c => Math.Log(Inside(c, below)));
            double Excess(double logU) => wrong.Sum(c => Math.Log(c + Math.Exp(logU))) - target;
            return target <= atStart || Excess(-80) >= 0 ? 0
                : Math.Exp(Brent.FindRoot(Excess, -80, (target / wrong.Length) + 1, 1e-14, 1000));
        }
        // ln J/(1 − J), which tells successes apart that differ only in their last digits before 1.
        double LogOdds(double below)
        {
            var u = Outside(below);
            return Math.Log(right.Sum(c => 1 / Inside(c, below))) - Math.Log(wrong.Sum(c => 1 / (c + u)));
        }
        var wanted = Math.Log(success / (1 - success));
        var below = success == start ? top
            : Math.Exp(Brent.FindRoot(log => LogOdds(Math.Exp(log)) - wanted, -300, Math.Log(top), 1e-13, 1000));
        var u = Outside(below);
        return Logarithms.Normalized([.. basePolicy.Select((p, a) => -Math.Log(correct[a] ? Inside(1 / p, below) : (1 / p) + u))]);
    }

    private static double CorrectMass(IReadOnlyList<double> basePolicy, IReadOnlyList<bool> correct)
    {
        RequireDistribution(basePolicy, correct.Count);
        var mass = basePolicy.Where((_, a) => correct[a]).Sum();
        return mass > 0 ? mass : throw new ArgumentException(correct.Any(c => c)
            ? "the base gives the correct answers no mass: no reweighting of it is ever right"
            : "the correct set is empty: no policy is ever right", nameof(correct));
    }

    private static void RequireDistribution(IReadOnlyList<double> basePolicy, int answers)
    {
        if (basePolicy.Count != answers)
            throw new ArgumentException($"the base has {basePolicy.Count} answers, the rewards {answers}", nameof(basePolicy));
        if (basePolicy.Any(p => !(p >= 0)) || Math.Abs(basePolicy.Sum() - 1) > 1e-9)
            throw new ArgumentException(
                $"the base is no distribution: its entries sum to {basePolicy.Sum()}, the least is {basePolicy.Min()}", nameof(basePolicy));
    }
}
