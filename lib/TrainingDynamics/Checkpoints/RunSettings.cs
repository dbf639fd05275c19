using TrainingDynamics.Theory;

namespace TrainingDynamics.Checkpoints;

/// <summary>What a file cannot tell of a run. Whatever is left null is taken from the file where it is there, else unknown.</summary>
public sealed record RunSettings
{
    /// <summary>η at its peak, before the schedule's factor.</summary>
    public double? Rate { get; init; }

    /// <summary>λ, decoupled and multiplied by the learning rate (see <c>Decay.Convert</c> for other conventions).</summary>
    public double? Decay { get; init; }

    /// <summary>Which weights decay, by name; by default what has two axes.</summary>
    public Func<string, bool>? Decays { get; init; }

    /// <summary>β1 of Adam; 0.9 where neither this nor the file says.</summary>
    public double? Beta1 { get; init; }

    /// <summary>β2 of Adam; 0.999 where neither this nor the file says.</summary>
    public double? Beta2 { get; init; }

    /// <summary>The run's length in steps.</summary>
    public int? Steps { get; init; }

    /// <summary>What η is multiplied by at a step, from 1; 1 by default.</summary>
    public Func<int, double>? Schedule { get; init; }

    /// <summary>The step of the earlier checkpoint.</summary>
    public int? FirstStep { get; init; }

    /// <summary>The step of the later checkpoint.</summary>
    public int? LastStep { get; init; }

    /// <summary>Whether a norm stands in front of every sublayer and of the unembedding, and none elsewhere (Pre-LN).</summary>
    public bool? PreNorm { get; init; }

    /// <summary>Whether queries and keys are normalized; true where the file has gains for them.</summary>
    public bool? QueryKeyNorm { get; init; }

    /// <summary>Whether the unembedding is the embedding; by default as the file has it.</summary>
    public bool? Tied { get; init; }

    /// <summary>The optimizer's equilibrium, of η, λ and a weight's size; AdamW's on white noise by default. SGD's needs the gradient that
    /// no file has: <c>(eta, lambda, size) => Equilibrium.Sgd(eta, lambda, gradientSquared: G, momentum: 0.9)</c>.</summary>
    public Func<double, double, double, EquilibriumPoint>? Equilibrium { get; init; }
}
