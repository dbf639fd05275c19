namespace TrainingDynamics.Optimizers;

/// <summary>What is called weight decay.</summary>
public enum DecayKind
{
    /// <summary>Decoupled and multiplied by the learning rate: w ← (1 − sηλ)w − …: this library's λ, PyTorch's AdamW, optax's adamw. Also
    /// L2 in the gradient of SGD without momentum.</summary>
    Decoupled,

    /// <summary>Decoupled and not multiplied by the learning rate, but by the schedule: w ← (1 − sλ′)w − …: λ of Loshchilov and
    /// Hutter 2019, arXiv:1711.05101.</summary>
    Independent,

    /// <summary>L2 in the gradient of SGD with momentum α: g ← g + λ₂w, b ← αb + g, w ← w − sηb: weight_decay of PyTorch's SGD (with
    /// dampening 0).</summary>
    SgdL2,
}

/// <summary>
/// What a decay of another convention is as this library's λ: decoupled, multiplied by the learning rate, w ← (1 − s·η·λ)·w − s·η·u, s the
/// schedule's factor.
/// </summary>
public static class Decay
{
    /// <summary>
    /// The λ of one convention that shrinks a weight as much, over a memory of the momentum, as that of another:
    /// ηλ = λ′ = ηλ₂/(1 − α). L2 in Adam's gradient is not among them: it is divided by √v̂ of each weight, so that no one λ is the same.
    /// </summary>
    /// <param name="decay">λ ≥ 0 in the convention <paramref name="from"/>.</param>
    /// <param name="from">What it is.</param>
    /// <param name="to">What is wanted.</param>
    /// <param name="rate">η &gt; 0 at the schedule's peak.</param>
    /// <param name="momentum">α of SGD, in [0, 1); of no account for the other two.</param>
    /// <exception cref="ArgumentException">A number is out of its range, or the shrinkage of a step is 1 or more.</exception>
    public static double Convert(double decay, DecayKind from, DecayKind to, double rate, double momentum = 0)
    {
        foreach (var (value, name, most) in new[] { (decay, nameof(decay), double.PositiveInfinity), (momentum, nameof(momentum), 1) })
        {
            if (!(value >= 0 && value < most))
                throw new ArgumentException($"{name} is {value}, allowed is a number in [0, {(most < 2 ? "1" : "∞")})", name);
        }
        Require.Positive(rate, nameof(rate));
        double Shrinkage(DecayKind kind) => kind switch                                                  // of a step, at λ = 1
        {
            DecayKind.Decoupled => rate,
            DecayKind.Independent => 1,
            DecayKind.SgdL2 => rate / (1 - momentum),
            _ => throw new ArgumentException($"there is no decay of kind {kind}"),
        };
        return decay * Shrinkage(from) is var shrinkage and < 1 ? shrinkage / Shrinkage(to) : throw new ArgumentException(
            $"{nameof(decay)} is {decay}: a step shrinks by {decay * Shrinkage(from)}, allowed is [0, 1)", nameof(decay));
    }

    /// <summary>
    /// Independent decay λ′, w ← (1 − s·λ′)·w − s·η·u, which a change of η leaves as it is: λ = λ′/η. It is the decay of Loshchilov and
    /// Hutter 2019, arXiv:1711.05101, where the schedule multiplies the rate and the decay alike.
    /// </summary>
    /// <param name="rate">η &gt; 0 of each replica.</param>
    /// <param name="independent">λ′ in [0, 1), one number or one for each rate.</param>
    /// <returns>λ of each rate. In blocks with a rate of their own, r times η, a decay of 1/r keeps λ′ what it is.</returns>
    /// <exception cref="ArgumentException">A rate is not positive, or λ′ is out of its range.</exception>
    public static double[] Independent(IReadOnlyList<double> rate, Runtime.PerReplica independent)
    {
        if (rate.FirstOrDefault(eta => !(eta > 0 && double.IsFinite(eta)), 1) is var bad and not 1)
            throw new ArgumentException($"{nameof(rate)} is {bad}, allowed is a number above 0: λ is λ′/η", nameof(rate));
        return [.. rate.Zip(independent.Expand(rate.Count, nameof(independent), below: 1), (eta, decay) => decay / eta)];
    }
}
