using MathNet.Numerics.Statistics;

namespace TrainingDynamics.Claims;

/// <summary>A defect with its supposed cause and without it, one number a seed, and what the two say.</summary>
/// <param name="Defect">What is bad: "narrowing".</param>
/// <param name="Measure">What is measured of it; more is worse.</param>
/// <param name="TakenAway">What the second arm lacks; all else is the same.</param>
/// <param name="With">The defect with its supposed cause.</param>
/// <param name="Without">The defect without it, the same seeds.</param>
/// <param name="Follows">"yes", "in part", "no" or "no: more without", and whether that is told apart.</param>
public sealed record Verdict(string Defect, string Measure, string TakenAway, double[] With, double[] Without, string Follows)
{
    /// <summary>1 − mean D_without/mean D_with: the share of the defect that goes away with its cause.</summary>
    public double Share => 1 - (Without.Average() / With.Average());

    /// <summary>What each seed says of it, share + ((1 − share)·D_with − D_without)/mean D_with: their mean is the share, their spread
    /// is that of a ratio of means (the delta method). No seed is divided by, so one that hardly has the defect does no harm.</summary>
    public double[] Shares => [.. With.Zip(Without, (with, without) => Share + ((((1 - Share) * with) - without) / With.Average()))];

    /// <summary>The name of the claim that decides.</summary>
    public string DecidedBy => $"{Defect}: share that goes away";
}

/// <summary>
/// Asks of defects whether they follow from a supposed cause, by taking the cause away: share = 1 − D_without/D_with, of the means over the
/// seeds. At 0.9 and more the defect follows from it; from 0.2 in part; from −0.2 it does not; below there is more of it without. (The
/// thresholds are ours.) Where the mean is within two of its standard errors of a threshold the verdict says so; where the threshold is one
/// of the predicted verdict's, all that is claimed, as an observation, is that the experiment does not rule it out.
/// </summary>
/// <param name="claims">Where the claim that decides goes.</param>
public sealed class Attribution(ClaimList claims)
{
    private static readonly (string Follows, double From, double To)[] s_kinds = [("yes", 0.9, double.PositiveInfinity),
        ("in part", 0.2, 0.9), ("no", -0.2, 0.2), ("no: more without", double.NegativeInfinity, -0.2)];

    private readonly List<Verdict> _verdicts = [];

    /// <summary>What was judged so far.</summary>
    public IReadOnlyList<Verdict> Verdicts => _verdicts;

    /// <summary>Judges a defect.</summary>
    /// <param name="defect">What is bad.</param>
    /// <param name="measure">What is measured of it.</param>
    /// <param name="takenAway">What the second arm lacks.</param>
    /// <param name="with">With the supposed cause, one number a seed.</param>
    /// <param name="without">Without it, the same seeds.</param>
    /// <param name="predicted">The verdict that was predicted.</param>
    /// <param name="kind">An identity where the share is 1 whatever is measured.</param>
    /// <exception cref="ArgumentException">The arms differ in length or have less than two seeds, there is no such verdict, or the
    /// seeds' mean has no defect that could go away.</exception>
    public Verdict Judge(string defect, string measure, string takenAway, double[] with, double[] without, string predicted,
        Kind kind = Kind.Prediction)
    {
        if (with.Length != without.Length || with.Length < 2)
            throw new ArgumentException($"'{defect}' has {with.Length} and {without.Length} seeds; wanted are the same, at least two",
                nameof(without));
        if (s_kinds.FirstOrDefault(k => k.Follows == predicted) is not { Follows: not null } range)
            throw new ArgumentException(
                $"'{predicted}' is no verdict; there are {string.Join(", ", s_kinds.Select(k => $"'{k.Follows}'"))}",
                nameof(predicted));
        if (!(with.Average() > 0 && double.IsFinite(with.Average())))
            throw new ArgumentException($"'{defect}': the mean of with is {with.Average()}; a share needs a defect greater than 0",
                nameof(with));
        var shares = new Verdict(defect, measure, takenAway, with, without, "").Shares;
        var (mean, error) = (shares.Average(), shares.StandardDeviation() / Math.Sqrt(shares.Length));
        var follows = s_kinds.FirstOrDefault(k => mean >= k.From && mean < k.To).Follows ?? "undefined";
        var close = new[] { 0.9, 0.2, -0.2 }.Any(threshold => Math.Abs(mean - threshold) < 2 * error);
        var verdict = new Verdict(defect, measure, takenAway, with, without,
            kind == Kind.Identity && shares.All(s => Math.Abs(s - 1) <= 1e-9)
                ? "yes, an identity" : close ? $"{follows}, but not told apart" : follows);
        _verdicts.RemoveAll(v => v.Defect == defect);                                  // a cell may be run twice
        _verdicts.Add(verdict);
        var source = $"\"{predicted}\" predicted; {measure}; taken away: {takenAway}";
        // Not told from the predicted verdict's own thresholds: near another one it is just wrong.
        var undecided = kind != Kind.Identity && new[] { range.From, range.To }.Any(edge => Math.Abs(mean - edge) < 2 * error);
        if (undecided)
            (kind, source) = (Kind.Observation, $"{source}; the experiment does not tell");
        var slack = undecided ? 2 * error : 0;
        if (kind == Kind.Identity)
            claims.Identity(verdict.DecidedBy, 1e-9, [.. shares.Select(share => share - 1)], source);
        else if (double.IsInfinity(range.To))
            claims.MeanAtLeast(verdict.DecidedBy, range.From - slack, shares, source, kind: kind);
        else if (double.IsInfinity(range.From))
            claims.MeanAtMost(verdict.DecidedBy, range.To + slack, shares, source, kind: kind);
        else
            claims.Check(verdict.DecidedBy, (range.From + range.To) / 2, shares, within: ((range.To - range.From) / 2) + slack,
                source, kind: kind);
        return verdict;
    }
}
