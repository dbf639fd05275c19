using TrainingDynamics.Runtime;
using static TorchSharp.torch;

namespace TrainingDynamics.Optimizers;

/// <summary>
/// The natural gradient of a tabular softmax policy, π = softmax(θ) for each state: the inverse Fisher information of π times the
/// gradient.
/// <code>
/// F = diag(π) − π·πᵀ,  u = F⁺·g = g/π  (up to a constant, which a softmax does not see)
/// θ ← θ − η·u
/// </code>
/// For the expected reward of one state g_a = −π_a(r_a − J), so every logit moves by η·(r_a − J) and π ← π·e^{ηr}/Z: multiplicative
/// weights,
/// the same as <see cref="MirrorDescent"/>. A mean over X states divides both by X: the rate is then η/X. Unlike the plain gradient it does
/// not favour what is likely already. An answer whose probability has underflowed to 0 is left where it is.
/// </summary>
/// <remarks>Kakade 2001; Agarwal, Kakade, Lee and Mahajan 2021, arXiv:1908.00261.</remarks>
/// <param name="logits">(replica, state·answer), changed in place.</param>
/// <param name="answers">Answers of each state.</param>
/// <param name="rate">η ≥ 0.</param>
public sealed class NaturalGradient(Tensor logits, int answers, PerReplica rate) : Optimizer(logits, rate, default)
{
    /// <inheritdoc/>
    protected internal override Tensor Direction(Tensor gradient)
    {
        var log = Weights.reshape(Replicas, -1, answers).log_softmax(-1);
        var (probability, g) = (log.exp(), gradient.reshape(log.shape));
        return where(probability == 0, zeros_like(g), g / probability).reshape(gradient.shape);
    }
}

/// <summary>Mirror descent on the simplex with the entropy as mirror map.</summary>
public static class MirrorDescent
{
    /// <summary>π ← π·e^{−η·d}/Z over the last axis, d = ∂L/∂π; computed on logarithms. It stays a distribution, and zeros stay
    /// zero.</summary>
    /// <param name="logPolicy">log π, (…, answer).</param>
    /// <param name="derivative">d, of the same shape.</param>
    /// <param name="rate">η ≥ 0.</param>
    /// <returns>The new log π.</returns>
    public static Tensor Step(Tensor logPolicy, Tensor derivative, double rate) => (logPolicy - (rate * derivative)).log_softmax(-1);
}
