using TrainingDynamics.Notebook;

namespace TrainingDynamics.Claims;

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
}

/// <summary>A prediction held against a measurement.</summary>
/// <param name="Name">What is claimed; unique in a notebook.</param>
/// <param name="Predicted">The number from theory, or the bound.</param>
/// <param name="Measured">The number from the experiment: over several seeds their mean; for a bound on every seed the one nearest to breaking it.</param>
/// <param name="Relation">How the two must stand to each other.</param>
/// <param name="Tolerance">By how much they may differ; 0 for a bound.</param>
/// <param name="Unit">The unit, or empty.</param>
/// <param name="Source">Where the prediction comes from.</param>
/// <param name="Seeds">How many seeds the measurement covers.</param>
/// <param name="Spread">The standard deviation over the seeds; 0 with one.</param>
[TypeFormatterSource(typeof(ClaimFormatterSource), PreferredMimeTypes = ["text/html", "text/plain", ClaimFormatterSource.MimeType])]
public sealed record Claim(string Name, double Predicted, double Measured, Relation Relation, double Tolerance, string Unit, string Source, int Seeds, double Spread)
{
    /// <summary>Whether the relation holds; never for a number that is not one.</summary>
    public bool Holds => Relation switch
    {
        Relation.Within => Math.Abs(Measured - Predicted) <= Tolerance,
        Relation.RatioWithin => Math.Abs((Measured / Predicted) - 1) <= Tolerance,
        Relation.AtMost => Measured <= Predicted,
        _ => Measured >= Predicted,
    };
}
