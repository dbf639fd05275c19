using TrainingDynamics.Notebook;

namespace TrainingDynamics.Claims;

/// <summary>What sort of statement a claim is.</summary>
public enum Kind
{
    /// <summary>Exact: it holds whatever the experiment, up to rounding. It checks the code, and no theory.</summary>
    Identity,

    /// <summary>A formula's number, known before, against a measurement.</summary>
    Prediction,

    /// <summary>Two arms on the same seeds: the mean of the signed differences, with its standard error.</summary>
    Comparison,

    /// <summary>A paper's number beside ours. It may disagree, and then says so.</summary>
    Published,

    /// <summary>What was measured, held to a bound that was chosen after looking: no prediction, but it cannot slip unseen.</summary>
    Observation,
}

/// <summary>How a measured number must stand to the predicted one.</summary>
public enum Relation
{
    /// <summary>|measured − predicted| ≤ tolerance.</summary>
    Within,

    /// <summary>|measured/predicted − 1| ≤ tolerance.</summary>
    RatioWithin,

    /// <summary>measured ≤ predicted.</summary>
    AtMost,

    /// <summary>measured ≥ predicted.</summary>
    AtLeast,

    /// <summary>measured − 2 standard errors &gt; predicted: one-sided, a level of 9 % with three seeds, 5 % with six, 2.3 % with
    /// many.</summary>
    Above,

    /// <summary>measured + 2 standard errors &lt; predicted.</summary>
    Below,

    /// <summary>Shown beside each other, whatever they are.</summary>
    Beside,
}

/// <summary>A prediction held against a measurement.</summary>
/// <param name="Name">What is claimed; unique in a notebook.</param>
/// <param name="Predicted">The number from theory, or the bound.</param>
/// <param name="Measured">The number from the experiment: over several seeds their mean; for a bound on every seed the one nearest to
/// breaking it.</param>
/// <param name="Relation">How the two must stand to each other.</param>
/// <param name="Tolerance">By how much they may differ; 0 for a bound.</param>
/// <param name="Unit">The unit, or empty.</param>
/// <param name="Source">Where the prediction comes from.</param>
/// <param name="Seeds">How many seeds the measurement covers.</param>
/// <param name="Spread">The standard deviation over the seeds; 0 with one.</param>
[TypeFormatterSource(typeof(ClaimFormatterSource), PreferredMimeTypes = ["text/html", "text/plain", ClaimFormatterSource.MimeType])]
public sealed record Claim(string Name, double Predicted, double Measured,
    Relation Relation, double Tolerance, string Unit, string Source, int Seeds, double Spread)
{
    /// <summary>What sort of statement it is.</summary>
    public Kind Kind { get; init; } = Kind.Prediction;

    /// <summary>Spread/√seeds: how well the mean over the seeds is known; 0 with one.</summary>
    public double StandardError => Spread / Math.Sqrt(Seeds);

    /// <summary>Whether the relation holds; never for a number that is not one.</summary>
    public bool Holds => Relation switch
    {
        Relation.Within => Math.Abs(Measured - Predicted) <= Tolerance,
        Relation.RatioWithin => Math.Abs((Measured / Predicted) - 1) <= Tolerance,
        Relation.AtMost => Measured <= Predicted,
        Relation.AtLeast => Measured >= Predicted,
        Relation.Above => Measured - (2 * StandardError) > Predicted,
        Relation.Below => Measured + (2 * StandardError) < Predicted,
        _ => double.IsFinite(Measured),
    };
}
