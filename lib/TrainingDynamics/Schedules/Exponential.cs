using MathNet.Numerics;
using TrainingDynamics.Theory;

namespace TrainingDynamics.Schedules;

/// <summary>
/// Learning rates that grow exponentially and do to a scale-invariant network without decay exactly what decay does to it.
/// The weights of the two runs differ by the factor ρ^{-t} (with momentum α^{-t}), their directions and losses by nothing.
/// </summary>
public static class Exponential
{
    /// <summary>
    /// SGD with decay λ and rate η equals SGD without decay and rate η·ρ^{−2t−1} at step t = 0, 1, …, ρ = 1 − ηλ. Given is the
    /// factor on η at the (t+1)-th step.
    /// </summary>
    /// <remarks>
    /// Li and Arora 2020, arXiv:1910.07454. With w̃_t = ρ^{-t}w_t: w̃_{t+1} = ρ^{-t-1}(ρw_t − η∇f(w_t)) = w̃_t − ηρ^{−2t−1}∇f(w̃_t),
    /// since ∇f(w_t) = ρ^{-t}∇f(w̃_t).
    /// </remarks>
    public static Func<int, double> OfSgd(double rate, double decay)
    {
        var rho = 1 - Require.Product(rate, decay, nameof(decay));
        return step => Math.Pow(rho, (-2.0 * (step - 1)) - 1);
    }

    /// <summary>
    /// SGD with momentum γ, L2 in the gradient λ and rate η equals SGD with the same momentum, no decay, rate η·α^{−2t−1} and
    /// the first buffer <see cref="FirstBuffer"/>·w_0, α the larger root of x² − (1 + γ − ηλ)x + γ = 0.
    /// </summary>
    /// <exception cref="ArgumentException">ηλ &gt; (1 − √γ)²: the roots are not real, and there is no such schedule.</exception>
    public static Func<int, double> OfMomentum(double rate, double l2, double momentum)
    {
        var log = SpecialFunctions.Log1p(-Shrinkage(rate, l2, momentum));
        return step => Math.Exp(((-2.0 * (step - 1)) - 1) * log);
    }

    /// <summary>α, the larger root of x² − (1 + γ − ηλ)x + γ = 0.</summary>
    public static double Alpha(double rate, double l2, double momentum) => 1 - Shrinkage(rate, l2, momentum);

    /// <summary>What the momentum buffer must start at, as a multiple of w_0: −(1 − α)/(ηα).</summary>
    public static double FirstBuffer(double rate, double l2, double momentum)
    {
        var shrinkage = Shrinkage(rate, l2, momentum);
        return -shrinkage / (rate * (1 - shrinkage));
    }

    /// <summary>1 − α, the smaller root of y² − (1 − γ + ηλ)y + ηλ = 0, without cancellation.</summary>
    private static double Shrinkage(double rate, double l2, double momentum)
    {
        var product = Require.Product(rate, l2, nameof(l2));
        Require.Fraction(momentum, nameof(momentum));
        var most = Math.Pow(1 - Math.Sqrt(momentum), 2);
        if (product > most)
            throw new ArgumentException(
                $"η·λ is {product} at momentum {momentum}: the exponential schedule exists for η·λ in (0, (1 − √γ)²] = (0, {most:G4}]",
                nameof(l2));
        var half = (1 - momentum + product) / 2;
        return product / (half + Math.Sqrt(Math.Max(0, (half * half) - product)));
    }

    /// <summary>
    /// AdamW (ε = 0) with decoupled decay λ equals Adam without decay at betas (β1ρ, β2ρ²), its rate multiplied at step t = 1, 2, … by
    /// ρ^{−t}·(1−β1)/(1−β1ρ)·√[(1−β2ρ²)/(1−β2)]·(1−(β1ρ)^t)/(1−β1^t)·√[(1−β2^t)/(1−(β2ρ²)^t)].
    /// </summary>
    /// <remarks>
    /// Ours; we have not seen it in the literature. The gradients of the growing weights are ρ^{t} of the others', so both
    /// running means forget faster by that factor, and the rest are the constants and bias corrections that differ.
    /// </remarks>
    public static (Func<int, double> Rate, double Beta1, double Beta2) OfAdamW(double rate,
        double decoupledDecay, double beta1, double beta2)
    {
        Require.Fraction(beta1, nameof(beta1));
        Require.Fraction(beta2, nameof(beta2));
        var rho = 1 - Require.Product(rate, decoupledDecay, nameof(decoupledDecay));
        var (b1, b2) = (beta1 * rho, beta2 * rho * rho);
        var constant = (1 - beta1) / (1 - b1) * Math.Sqrt((1 - b2) / (1 - beta2));
        return (t => Math.Pow(rho, -t) * constant * (1 - Math.Pow(b1, t))
            / (1 - Math.Pow(beta1, t)) * Math.Sqrt((1 - Math.Pow(beta2, t)) / (1 - Math.Pow(b2, t))), b1, b2);
    }
}
