using TorchSharp;
using static TorchSharp.torch;

namespace TrainingDynamics.Optimizers;

/// <summary>
/// Cautious weight decay around another optimizer: a weight decays only in the steps whose update shrinks it, too:
/// <code>w ← w − η·λ·𝟙[u·w ≥ 0]·w − η·u</code>
/// λ is decoupled and multiplied by the learning rate; rate and decay are the inner optimizer's. Under white noise half of the weight
/// decays, or with momentum less (<see cref="Theory.Equilibrium.CautiousAdamW"/>).
/// </summary>
/// <remarks>Chen et al. 2025, arXiv:2510.12402.</remarks>
public sealed class Cautious : Optimizer
{
    private readonly Optimizer _inner;

    /// <summary>The cautious form of <paramref name="inner"/>, which it owns.</summary>
    /// <param name="inner">An optimizer with decoupled decay.</param>
    public Cautious(Optimizer inner) : base(inner.Weights, inner.Rates.ToArray(), inner.Decays.ToArray())
    {
        _inner = Taken(inner);
        TakeBlocks(inner);
    }

    /// <inheritdoc/>
    protected internal override Tensor Direction(Tensor gradient) => Follow(_inner, gradient);

    /// <inheritdoc/>
    private protected override bool StepsByItself => true;

    /// <inheritdoc/>
    private protected override void Apply(Tensor update, StepSize size)
        => base.Apply(update, size with { Shrink = size.Shrink?.mul((update * Weights).ge(0)) });

    /// <inheritdoc/>
    public override void Dispose()
    {
        _inner.Dispose();
        base.Dispose();
    }
}
