using TorchSharp;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;

namespace TrainingDynamics.Measurement;

/// <summary>The exact parts of KL(π₀‖π), means over prompts, [replica] each; they add up to the whole.</summary>
/// <param name="Whole">KL(π₀‖π).</param>
/// <param name="Price">kl(P₀‖J) = P₀·ln(P₀/J) + (1 − P₀)·ln((1 − P₀)/(1 − J)): what it costs to be right with probability J instead of P₀.
/// Nobody can avoid it.</param>
/// <param name="WithinCorrect">P₀·KL(π₀|S ‖ π|S): drift among the right answers.</param>
/// <param name="WithinWrong">(1 − P₀)·KL(π₀|Sᶜ ‖ π|Sᶜ): drift among the wrong ones.</param>
public sealed record KlParts(double[] Whole, double[] Price, double[] WithinCorrect, double[] WithinWrong)
{
    /// <summary>What learning did not ask for: the drift among right and wrong answers.</summary>
    public double[] Gratuitous => [.. WithinCorrect.Zip(WithinWrong, (a, b) => a + b)];
}

/// <summary>
/// Distances between two policies over a finite answer set, in nats, from log-probabilities (replica, prompt, answer): mean over
/// prompts, [replica]. Everything in double precision. What is given must be log-probabilities: Σ exp = 1 over the answers.
/// </summary>
public static class Divergence
{
    /// <summary>Forward: KL(π₀‖π) = Σ_a π₀(a)·ln(π₀(a)/π(a)).</summary>
    public static double[] ForwardKl(Tensor logBase, Tensor logPolicy) => Mean(logBase,
        logPolicy, (p, q) => Product(p.exp(), p - q).sum(-1));

    /// <summary>Reverse: KL(π‖π₀).</summary>
    public static double[] ReverseKl(Tensor logBase, Tensor logPolicy) => ForwardKl(logPolicy, logBase);

    /// <summary>½·Σ|π₀ − π|, total variation.</summary>
    public static double[] TotalVariation(Tensor logBase, Tensor logPolicy) => Mean(logBase,
        logPolicy, (p, q) => (p.exp() - q.exp()).abs().sum(-1) / 2);

    /// <summary>√Σ(π₀ − π)².</summary>
    public static double[] L2(Tensor logBase, Tensor logPolicy) => Mean(logBase,
        logPolicy, (p, q) => (p.exp() - q.exp()).square().sum(-1).sqrt());

    /// <summary>
    /// The exact decomposition of the forward divergence by a set S of correct answers:
    /// KL(π₀‖π) = kl(P₀‖J) + P₀·KL(π₀|S‖π|S) + (1 − P₀)·KL(π₀|Sᶜ‖π|Sᶜ), P₀ = π₀(S), J = π(S).
    /// </summary>
    /// <remarks>1 − J is summed over the wrong answers, never subtracted from 1: it stays exact where J rounds to 1. A side without answers
    /// or mass counts 0.</remarks>
    /// <param name="logBase">log π₀.</param>
    /// <param name="logPolicy">log π, finite.</param>
    /// <param name="correct">1 for the answers in S, 0 for the others.</param>
    /// <exception cref="ArgumentException">A prompt has no correct answer, or the base gives them no mass.</exception>
    public static KlParts Decompose(Tensor logBase, Tensor logPolicy, Tensor correct)
    {
        using var scope = NewDisposeScope();
        using var quiet = no_grad();
        var (p, q) = (Distributions.RequiredLog(logBase.to(ScalarType.Float64), nameof(logBase)),
            Distributions.RequiredLog(logPolicy.to(ScalarType.Float64), nameof(logPolicy)));
        var right = correct.to(ScalarType.Bool).expand_as(p);
        Tensor Within(Tensor log, Tensor set) => log.masked_fill(~set, double.NegativeInfinity).logsumexp(-1);
        var (p0, p1, j0, j1) = (Within(p, right), Within(p, ~right), Within(q, right), Within(q, ~right));
        if ((p0 < -700).any().item<bool>())
            throw new ArgumentException("the base gives no mass to the correct answers of some prompt, or there are none: π₀ conditioned "
                + "on being right does not exist", nameof(correct));
        var price = Product(p0.exp(), p0 - j0) + Product(p1.exp(), p1 - j1);
        Tensor Inside(Tensor set, Tensor mass, Tensor other) => Product(where(set, p.exp(), 0),
            p - mass.unsqueeze(-1) - (q - other.unsqueeze(-1))).sum(-1);
        double[] Mean(Tensor perPrompt) => perPrompt.mean([1]).ToDoubles();
        return new KlParts(Mean(Product(p.exp(), p - q).sum(-1)), Mean(price), Mean(Inside(right, p0, j0)), Mean(Inside(~right, p1, j1)));
    }

    /// <summary>
    /// Monte-Carlo estimates of KL(π‖π₀) from answers drawn from π, one value an answer: with ρ = π₀/π, k1 = −ln ρ, k2 = ½(ln ρ)²,
    /// k3 = ρ − 1 − ln ρ. k1 and k3 are unbiased, k3 is never negative; k2 is biased by the third order.
    /// </summary>
    /// <remarks>Schulman 2020, http://joschu.net/blog/kl-approx.html.</remarks>
    /// <param name="logPolicy">log π of the answers drawn, any shape.</param>
    /// <param name="logBase">log π₀ of them.</param>
    public static (Tensor K1, Tensor K2, Tensor K3) Estimates(Tensor logPolicy, Tensor logBase)
    {
        using var scope = NewDisposeScope();
        var log = logBase - logPolicy;
        return ((-log).MoveToOuterDisposeScope(), (log.square() / 2).MoveToOuterDisposeScope(),
            (log.exp() - 1 - log).MoveToOuterDisposeScope());
    }

    /// <summary>a·b with 0·∞ = 0.</summary>
    private static Tensor Product(Tensor a, Tensor b) => where(a == 0, zeros_like(a), a * b);

    private static double[] Mean(Tensor logBase, Tensor logPolicy, Func<Tensor, Tensor, Tensor> perPrompt)
    {
        using var scope = NewDisposeScope();
        using var quiet = no_grad();
        var (p, q) = (logBase.to(ScalarType.Float64), logPolicy.to(ScalarType.Float64));
        return perPrompt(Distributions.RequiredLog(p, nameof(logBase)), Distributions.RequiredLog(q, nameof(logPolicy))).mean([1])
            .ToDoubles();
    }
}
