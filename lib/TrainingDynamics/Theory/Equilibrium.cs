namespace TrainingDynamics.Theory;

/// <summary>Where weight decay and the growth of a scale-invariant weight balance.</summary>
/// <param name="Norm">‖w‖ there.</param>
/// <param name="Angle">θ = ∠(w_t, w_{t+1}) of a step there, in radians.</param>
/// <param name="RelaxationRate">
/// How fast the norm's conserved power returns, in 1/step: N² for SGD, N for normalized updates. To first order in ηλ: at ηλ = .1 it is a
/// fifth too slow.
/// </param>
public sealed record EquilibriumPoint(double Norm, double Angle, double RelaxationRate);

/// <summary>
/// The equilibrium of norm and rotation under weight decay, for scale-invariant blocks and white gradient noise. All follow
/// from one law: N_eq = η²U²·A/(1 − ρ²) with ρ = 1 − ηλ, U² the mean squared update and A the amplification by its memory.
/// A step w′ = ρw − ηu between two weights of norm ‖w‖ turns by θ = 2·asin(½√((x − (ηλ)²)/(1 − ηλ))), x = η²U²/‖w‖²: its radial part
/// undoes the decay and turns nothing. For small ηλ and little memory θ ≈ √x.
/// </summary>
/// <remarks>
/// Kosson, Messmer and Jaggi 2024, arXiv:2305.17212; Wan et al. 2020, arXiv:2006.08419; Li, Lyu and Arora 2020,
/// arXiv:2010.02916. Assumes a stationary gradient scale; the norms, and the angles of Adam, Lion and Muon, assume also that
/// gradients of different steps are uncorrelated. SGD's angles do not, with momentum or without: tangential gradients alone
/// give ⟨w, b⟩ = −αη‖b‖²/(1 − α), hence A = (1 + α)/(1 − α) (ours; TheoryTests). Fails far from equilibrium, and where ε or
/// clipping breaks the invariance. η·λ = 0 has no equilibrium. That θ leaves out the radial part is from
/// ‖w′ − ρw‖² = ‖w‖²·(1 + ρ² − 2ρ·cos θ).
/// </remarks>
public static class Equilibrium
{
    /// <summary>
    /// SGD with momentum α and decoupled decay: ‖w‖ ≈ (ηG/[2λ(1−α)²])^{1/4}, θ ≈ √(2ηλ(1−α)/(1+α)); exactly, for finite ηλ,
    /// N² = η²G/(1−α²)·(1+αρ)/(1−αρ)/(1−ρ²), cos θ = (ρ + α)/(1 + αρ).
    /// </summary>
    /// <param name="rate">η.</param>
    /// <param name="decoupledDecay">λ, multiplied by the learning rate.</param>
    /// <param name="gradientSquared">G = E‖g̃‖² at the unit sphere.</param>
    /// <param name="momentum">α.</param>
    public static EquilibriumPoint Sgd(double rate, double decoupledDecay, double gradientSquared, double momentum = 0)
    {
        var (product, rho) = Rho(rate, decoupledDecay, nameof(decoupledDecay));
        Require.Positive(gradientSquared, nameof(gradientSquared));
        Require.Fraction(momentum, nameof(momentum));
        // The gradient is g̃/‖w‖, so U² = G/(N(1−α²)), and N = η²U²A/(1−ρ²) is an equation for N².
        var fourth = rate * rate * gradientSquared / (1 - (momentum * momentum)) * Memory(momentum, rho) / Shrink(product);
        return new EquilibriumPoint(Math.Pow(fourth, 0.25), AngleOf(Shrink(product) / Memory(momentum, rho), product),
            4 * rate * decoupledDecay);
    }

    /// <summary>
    /// SGD with Nesterov's momentum α and decoupled decay. The update u = g + αb is Σ c_k·g_{t−k} with c_0 = 1 + α, c_k = α^{k+1}, and the
    /// weight
    /// −η·Σ d_k·g_{t−k} with d_k = Σ_{j≤k} ρ^{k−j}·c_j, so N² = η²G·Σd², and x = Σc²/Σd² gives θ. For small ηλ the norm is that of plain
    /// momentum, (ηG/[2λ(1−α)²])^{1/4}.
    /// </summary>
    /// <remarks>
    /// Σ d_k·z^k = (1 + α − αz)/[(1 − αz)(1 − ρz)], so Σd² = [((1+α)² + α²)(1 + αρ) − 2α(1+α)(α+ρ)]/[(1 − αρ)(1 − α²)(1 − ρ²)].
    /// Ours, as far as we know.
    /// </remarks>
    /// <param name="rate">η.</param>
    /// <param name="decoupledDecay">λ, multiplied by the learning rate.</param>
    /// <param name="gradientSquared">G = E‖g̃‖².</param>
    /// <param name="momentum">α.</param>
    public static EquilibriumPoint SgdNesterov(double rate, double decoupledDecay, double gradientSquared, double momentum)
    {
        var (product, rho) = Rho(rate, decoupledDecay, nameof(decoupledDecay));
        Require.Positive(gradientSquared, nameof(gradientSquared));
        Require.Fraction(momentum, nameof(momentum));
        var (alpha, square, ahead) = (momentum, momentum * momentum, (1 + momentum) * (1 + momentum));
        var update = ahead + (square * square / (1 - square));
        var weight = (((ahead + square) * (1 + (alpha * rho))) - (2 * alpha * (1 + alpha) * (alpha + rho)))
            / ((1 - (alpha * rho)) * (1 - square) * Shrink(product));
        return new EquilibriumPoint(Math.Pow(rate * rate * gradientSquared * weight, 0.25),
            AngleOf(update / weight, product), 4 * rate * decoupledDecay);
    }

    /// <summary>
    /// SGD with Nesterov's momentum α and L2 in the gradient: with p = ηλ, r = 1 − p, the weight obeys
    /// w′ = (1+α)r·w − αr·w₋ − η[(1+α)g − αg₋]. Its variance γ₀ (in units of η²G/N) and first autocovariance γ₁ = γ₀·cos θ solve that
    /// recursion's
    /// two equations; N² = η²G·γ₀.
    /// </summary>
    /// <remarks>Exact for white noise and any p &lt; 2(1 + α)/(1 + 2α), where the recursion is stable. Ours, as far as we know.</remarks>
    /// <param name="rate">η.</param>
    /// <param name="l2">λ_L2, in the gradient.</param>
    /// <param name="gradientSquared">G = E‖g̃‖².</param>
    /// <param name="momentum">α.</param>
    public static EquilibriumPoint SgdNesterovL2(double rate, double l2, double gradientSquared, double momentum)
    {
        Require.Positive(gradientSquared, nameof(gradientSquared));
        Require.Fraction(momentum, nameof(momentum));
        var product = Require.Product(rate, l2, nameof(l2), below: 2 * (1 + momentum) / (1 + (2 * momentum)));
        var (keep, last) = ((1 + momentum) * (1 - product), momentum * (1 - product));      // w′ = keep·w − last·w₋ + noise
        // The noise times itself, and times the step before it.
        var then = -momentum * (1 + momentum);
        var now = ((1 + momentum) * (1 + momentum)) - (momentum * (((1 + momentum) * keep) - momentum));
        var variance = ((now * (1 + last)) + (keep * (1 - last) * then)) / ((1 - last) * product * (1 + last + keep));
        var turned = (product - (then / variance)) / (1 + last);                              // 1 − cos θ
        return new EquilibriumPoint(Math.Pow(rate * rate * gradientSquared * variance, 0.25), 2 * Math.Asin(Math.Sqrt(turned / 2)),
            4 * product / (1 - momentum));
    }

    /// <summary>
    /// SGD with momentum α and L2 in the gradient: ‖w‖ = (ηG/[λ(1−α)(2−ηλ/(1+α))])^{1/4}, cos θ = 1 − ηλ/(1+α), so θ ≈ √(2ηλ/(1+α)).
    /// </summary>
    /// <remarks>Exact for any ηλ &lt; 2(1 + α), where w′ = (1 + α − ηλ)w − αw₋ − ηg is stable.</remarks>
    /// <param name="rate">η.</param>
    /// <param name="l2">λ_L2, in the gradient.</param>
    /// <param name="gradientSquared">G = E‖g̃‖².</param>
    /// <param name="momentum">α.</param>
    public static EquilibriumPoint SgdL2(double rate, double l2, double gradientSquared, double momentum = 0)
    {
        Require.Positive(gradientSquared, nameof(gradientSquared));
        Require.Fraction(momentum, nameof(momentum));
        var product = Require.Product(rate, l2, nameof(l2), below: 2 * (1 + momentum));
        var fourth = rate * gradientSquared / (l2 * (1 - momentum) * (2 - (product / (1 + momentum))));
        return new EquilibriumPoint(Math.Pow(fourth, 0.25), 2 * Math.Asin(Math.Sqrt(product / (1 + momentum) / 2)),
            4 * product / (1 - momentum));
    }

    /// <summary>
    /// AdamW (and RAdam, which is AdamW after its first steps): ‖w‖ ≈ √(ηd/2λ), so rms √(η/2λ), θ ≈ √(2ηλ(1−β1)/(1+β1));
    /// exactly, for finite ηλ, N = η²U²/(1−ρ²)·(1+β1ρ)/(1−β1ρ) with U² = d(1−β1)/(1+β1), and cos θ = (ρ + β1)/(1 + β1ρ).
    /// </summary>
    /// <param name="rate">η.</param>
    /// <param name="decoupledDecay">λ, multiplied by the learning rate.</param>
    /// <param name="dimension">d, the block's size.</param>
    /// <param name="beta1">β1.</param>
    public static EquilibriumPoint AdamW(double rate, double decoupledDecay, double dimension, double beta1 = 0.9)
    {
        Require.Positive(dimension, nameof(dimension));
        Require.Fraction(beta1, nameof(beta1));
        var (product, rho) = Rho(rate, decoupledDecay, nameof(decoupledDecay));
        return Measured(rate, decoupledDecay, dimension * (1 - beta1) / (1 + beta1), Memory(beta1, rho));
    }

    /// <summary>
    /// AdamW with cautious decay, which acts only on the weights that the update shrinks, w′ = w − ηλ·m⊙w − ηu, m = 𝟙[u·w ≥ 0]. Balance of
    /// the norm, with c = cos φ of update and weight, f the share of ‖w‖² that decays and h that of ‖w‖‖u‖ in ⟨m⊙w, u⟩:
    /// <code>
    /// ηλ(2 − ηλ)f·N = η²U²·(1+β1)/(1−β1) + 2η²λ‖w‖U·h/(1−β1)
    /// c·‖w‖U = −ηβ1/(1−β1)·(U² + λ‖w‖U·h)            the momentum remembers the steps that made the weight
    /// f = ½ + (arcsin c + c·√(1−c²))/π,  h = c/2 + (√(1−c²) + c·arcsin c)/π
    /// </code>
    /// To lowest order half of λ decays: the norm is √2 times AdamW's and the angle 1/√2. But weight and momentum point a little apart, so
    /// it is less than half, and decay itself is along the update. The relaxation rate is of lowest order.
    /// </summary>
    /// <remarks>
    /// White noise, update and weight normal by coordinate; to first order in ηλ/(1 − β1). The decay: Chen et al. 2025, arXiv:2510.12402.
    /// The closed form is ours, as far as we know.
    /// </remarks>
    /// <param name="rate">η.</param>
    /// <param name="decoupledDecay">λ, multiplied by the learning rate.</param>
    /// <param name="dimension">d, the block's size.</param>
    /// <param name="beta1">β1.</param>
    /// <exception cref="ArgumentException">A number is out of its range, or ηλ/(1 − β1) too large for a first order.</exception>
    public static EquilibriumPoint CautiousAdamW(double rate, double decoupledDecay, double dimension, double beta1 = 0.9)
    {
        var (product, _) = Rho(rate, decoupledDecay, nameof(decoupledDecay));
        var norm = AdamW(rate, decoupledDecay / 2, dimension, beta1).Norm;
        var update = rate * Math.Sqrt(dimension * (1 - beta1) / (1 + beta1));                // ηU
        var (cosine, share, overlap) = (0.0, 0.5, 1 / Math.PI);
        var last = 0.0;
        for (var i = 0; i < 1000 && Math.Abs((norm / last) - 1) > 1e-14; i++)                // damped
        {
            last = norm;
            cosine = Math.Max(-0.99, -beta1 / (1 - beta1) * ((update / norm) + (product * overlap)));
            var (root, arcsine) = (Math.Sqrt(1 - (cosine * cosine)), Math.Asin(cosine));
            (share, overlap) = (0.5 + ((arcsine + (cosine * root)) / Math.PI), (cosine / 2) + ((root + (cosine * arcsine)) / Math.PI));
            var square = ((update * update * (1 + beta1)) + (2 * product * norm * update * overlap))
                / ((1 - beta1) * product * (2 - product) * share);
            norm = Math.Sqrt(norm * Math.Sqrt(square));
        }
        if (!(Math.Abs((norm / last) - 1) < 1e-9))
            throw new ArgumentException($"{nameof(decoupledDecay)} is {decoupledDecay}: ηλ/(1 − β1) = {product / (1 - beta1)} is too large "
                + "for what is of first order in it", nameof(decoupledDecay));
        var step = (update * update) + (2 * product * norm * update * overlap) + (product * product * share * norm * norm);
        return new EquilibriumPoint(norm, 2 * Math.Asin(Math.Sqrt(step) / norm / 2), 2 * product * share);
    }

    /// <summary>
    /// Adam with L2 in the gradient: ‖w‖ = (η‖g̃‖₁/2λ)^{1/3}, ‖g̃‖₁ the sum over coordinates of the gradient's rms at the unit
    /// sphere; 2·sin(θ/2) = η·√(d(1−β1)/(1+β1))/‖w‖, which depends on the gradient's scale as its power −1/3.
    /// </summary>
    /// <remarks>Assumes λ‖w‖ ≪ the gradient's rms, so that v̂ is the gradient's alone. Relaxation: N^{3/2} at 3ηλ/(rms of the
    /// gradient).</remarks>
    /// <param name="rate">η.</param>
    /// <param name="l2">λ_L2, in the gradient.</param>
    /// <param name="dimension">d.</param>
    /// <param name="unitGradientSum">‖g̃‖₁ = Σ_i √E g̃_i².</param>
    /// <param name="beta1">β1.</param>
    public static EquilibriumPoint AdamL2(double rate, double l2, double dimension, double unitGradientSum, double beta1 = 0.9)
    {
        Require.Positive(rate, nameof(rate));
        Require.Positive(l2, nameof(l2));
        Require.Positive(dimension, nameof(dimension));
        Require.Positive(unitGradientSum, nameof(unitGradientSum));
        Require.Fraction(beta1, nameof(beta1));
        var norm = Math.Cbrt(rate * unitGradientSum / (2 * l2));
        var gradientRms = unitGradientSum / dimension / norm;
        var step = rate * Math.Sqrt(dimension * (1 - beta1) / (1 + beta1)) / norm;
        if (!(step <= 2))
            throw new ArgumentException(
                $"{nameof(l2)} is {l2}: a step would be {step:G4} of the norm, and two weights of one norm are at most 2 apart",
                nameof(l2));
        return new EquilibriumPoint(norm, 2 * Math.Asin(step / 2), 3 * rate * l2 / gradientRms);
    }

    /// <summary>
    /// Lion: N = η²d·A/(1 − ρ²), x = (1 − ρ²)/A with A = 1 + 2Σ_k ρ^k·(2/π)·asin(c_k), c_k the autocorrelation of what the sign
    /// is taken of. For small ηλ and small c_k: ‖w‖ ≈ √(ηdD/2λ), D = (2/π)/V, θ ≈ √(πηλV), V = (1−β1)² + β1²(1−β2)/(1+β2).
    /// </summary>
    /// <remarks>
    /// The signs of two normal numbers of correlation c have correlation (2/π)·asin(c). With s_t = β1·m + (1−β1)·g:
    /// V·c_k = (1−β1)β1(1−β2)β2^{k−1} + β1²β2^k(1−β2)/(1+β2). The sum in place of the linearized arcsine is ours.
    /// </remarks>
    public static EquilibriumPoint Lion(double rate, double decoupledDecay, double dimension, double beta1 = 0.9, double beta2 = 0.99)
    {
        var (product, rho) = Rho(rate, decoupledDecay, nameof(decoupledDecay));
        Require.Positive(dimension, nameof(dimension));
        Require.Fraction(beta1, nameof(beta1));
        Require.Fraction(beta2, nameof(beta2));
        var old = beta1 * beta1 * (1 - beta2) / (1 + beta2);
        var variance = ((1 - beta1) * (1 - beta1)) + old;
        var amplification = 1.0;
        for (var (k, power) = (1, rho); k < 100_000 && power * Math.Pow(beta2, k) > 1e-12; k++, power *= rho)
            amplification += 4 / Math.PI * power
                * Math.Asin((((1 - beta1) * beta1 * (1 - beta2) * Math.Pow(beta2, k - 1)) + (old * Math.Pow(beta2, k))) / variance);
        return Measured(rate, decoupledDecay, dimension, amplification);
    }

    /// <summary>
    /// Any update of known mean square U² and amplification κ under decoupled decay: ‖w‖ ≈ √(ηU²κ/2λ), θ ≈ √(2ηλ/κ); for finite ηλ
    /// N = η²U²κ/(1 − ρ²), x = (1 − ρ²)/κ. Muon: U² ≈ min(m, n), κ measured.
    /// </summary>
    /// <param name="rate">η.</param>
    /// <param name="decoupledDecay">λ, multiplied by the learning rate.</param>
    /// <param name="updateSquared">U² = E‖u‖².</param>
    /// <param name="amplification">κ = 1 + 2Σ ρ^k·corr(u_t, u_{t+k}), in [p/(2 − p), (2 − p)/p], p = ηλ: updates that always turn round, or
    /// never.</param>
    public static EquilibriumPoint Measured(double rate, double decoupledDecay, double updateSquared, double amplification)
    {
        var (product, rho) = Rho(rate, decoupledDecay, nameof(decoupledDecay));
        Require.Positive(updateSquared, nameof(updateSquared));
        Require.Positive(amplification, nameof(amplification));
        var most = (2 - product) / product;
        if (amplification > most * (1 + 1e-12) || amplification < (1 - 1e-12) / most)
            throw new ArgumentException(
                $"{nameof(amplification)} is {amplification}, allowed at this ηλ is a number in [{1 / most}, {most}]",
                nameof(amplification));
        var shrink = Shrink(product);
        return new EquilibriumPoint(Math.Sqrt(rate * rate * updateSquared * amplification / shrink),
            AngleOf(shrink / amplification, product), 2 * rate * decoupledDecay);
    }

    /// <summary>
    /// Projected SGD (SGDP): every update is tangential, so momentum does not amplify: N² = η²G/(1−α²)/(1−ρ²), cos θ = ρ, so θ ≈ √(2ηλ),
    /// whatever
    /// the momentum.
    /// </summary>
    /// <remarks>The norm assumes that the buffer's radial part is small, θ/(1 − α) ≪ 1; the angle does not need that.</remarks>
    /// <param name="rate">η.</param>
    /// <param name="decoupledDecay">λ, multiplied by the learning rate.</param>
    /// <param name="gradientSquared">G = E‖g̃‖².</param>
    /// <param name="momentum">α; the projected buffer's U² = G/(N(1−α²)) counts each step once.</param>
    public static EquilibriumPoint Sgdp(double rate, double decoupledDecay, double gradientSquared, double momentum)
    {
        var (product, rho) = Rho(rate, decoupledDecay, nameof(decoupledDecay));
        Require.Positive(gradientSquared, nameof(gradientSquared));
        Require.Fraction(momentum, nameof(momentum));
        var fourth = rate * rate * gradientSquared / (1 - (momentum * momentum)) / Shrink(product);
        return new EquilibriumPoint(Math.Pow(fourth, 0.25), AngleOf(Shrink(product), product), 4 * rate * decoupledDecay);
    }

    /// <summary>
    /// Projected AdamW (AdamP): every update is tangential, so its memory does not amplify: N = η²U²/(1−ρ²), U² = d(1−β1)/(1+β1), cos θ =
    /// ρ, so
    /// θ ≈ √(2ηλ), whatever β1.
    /// </summary>
    /// <remarks>The norm assumes that the momentum's radial part is small, θ/(1 − β1) ≪ 1; the angle does not need that.</remarks>
    /// <param name="rate">η.</param>
    /// <param name="decoupledDecay">λ, multiplied by the learning rate.</param>
    /// <param name="dimension">d, the block's size.</param>
    /// <param name="beta1">β1.</param>
    public static EquilibriumPoint AdamP(double rate, double decoupledDecay, double dimension, double beta1 = 0.9)
    {
        Require.Positive(dimension, nameof(dimension));
        Require.Fraction(beta1, nameof(beta1));
        return Measured(rate, decoupledDecay, dimension * (1 - beta1) / (1 + beta1), amplification: 1);
    }

    /// <summary>(1 + βρ)/(1 − βρ): what an exponential memory β does to the variance of a walk with pull-back ρ.</summary>
    private static double Memory(double beta, double rho) => (1 + (beta * rho)) / (1 - (beta * rho));

    /// <summary>The turn of w′ = ρw − ηu at constant norm, from x = η²U²/‖w‖² = 1 + ρ² − 2ρ·cos θ.</summary>
    private static double AngleOf(double x, double product)
        // clamped against rounding at the ends
        => 2 * Math.Asin(Math.Sqrt(Math.Clamp((x - (product * product)) / (1 - product), 0, 4)) / 2);

    /// <summary>p = ηλ and ρ = 1 − p.</summary>
    private static (double Product, double Rho) Rho(double rate,
        double decay, string name) => (Require.Product(rate, decay, name), 1 - (rate * decay));

    /// <summary>1 − ρ² = p(2 − p), exact for small p too.</summary>
    private static double Shrink(double product) => product * (2 - product);
}
