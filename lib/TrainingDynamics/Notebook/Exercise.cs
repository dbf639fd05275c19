using System.Globalization;
using System.Net;

namespace TrainingDynamics.Notebook;

/// <summary>
/// Tells at once whether what a reader wrote is right: its numbers are held against theory's or the library's. A stub that still
/// throws <see cref="NotImplementedException"/> is "not yet", which is no failure.
/// </summary>
[TypeFormatterSource(typeof(HtmlFormatterSource<Exercise>), PreferredMimeTypes = ["text/html", "text/plain"])]
public sealed class Exercise : IHtml
{
    private readonly string _name, _verdict, _detail;

    private Exercise(string name, string verdict, string detail) => (_name, _verdict, _detail) = (name, verdict, detail);

    /// <summary>Whether it is right; null while the stub is unfilled.</summary>
    public bool? IsRight => _verdict switch { "right" => true, "not right" => false, _ => null };

    /// <summary>|yours − right| ≤ <paramref name="within"/>·max(1, |right|), at every place.</summary>
    /// <param name="name">What was to be written.</param>
    /// <param name="yours">Calls what the reader wrote; several places are better than one.</param>
    /// <param name="right">The same from theory or the library, computed and not stored.</param>
    /// <param name="within">What rounding, or the reader's leave, may take.</param>
    /// <exception cref="ArgumentException">There is nothing to compare with: <paramref name="right"/> is empty or not finite, or
    /// <paramref name="within"/> is no tolerance.</exception>
    public static Exercise Check(string name, Func<double[]> yours, double[] right, double within = 1e-9)
    {
        if (right.Length == 0)
            throw new ArgumentException($"right is empty: the check of '{name}' has nothing to compare with", nameof(right));
        if (Array.FindIndex(right, value => !double.IsFinite(value)) is >= 0 and var bad)
            throw new ArgumentException($"right[{bad}] is {right[bad]}: the check of '{name}' has nothing to compare with", nameof(right));
        if (!double.IsFinite(within) || within < 0)
            throw new ArgumentException($"within is {within}: a tolerance is finite and at least 0", nameof(within));
        double[]? got;
        try
        {
            got = yours();
        }
        catch (Exception e) when (e.GetBaseException() is NotImplementedException)
        {
            return new Exercise(name, "not yet", "fill the stub above and run both cells");
        }
        catch (Exception e)
        {
            return new Exercise(name, "not right", $"it throws {e.GetType().Name}: {e.Message}");
        }
        if (got?.Length != right.Length)
        {
            var given = got is null ? "null" : $"{got.Length} numbers";
            return new Exercise(name, "not right", $"it gives {given}, wanted are {right.Length}");
        }
        double Allowed(int i) => within * Math.Max(1, Math.Abs(right[i]));
        var wrong = Enumerable.Range(0, right.Length).FirstOrDefault(i => !(Math.Abs(got[i] - right[i]) <= Allowed(i)), -1);
        var numbers = right.Length == 1 ? "" : $" at place {wrong + 1} of {right.Length}";
        return wrong < 0
            ? new Exercise(name, "right", right.Length == 1 ? Number(right[0]) : $"at all {right.Length} places")
            : new Exercise(name, "not right", $"{Number(got[wrong])}{numbers}, wanted is {Number(right[wrong])}"
                + $", off by {Math.Abs(got[wrong] - right[wrong]):G2} (allowed: {Allowed(wrong):G2})");
    }

    /// <inheritdoc cref="Check(string, Func{double[]}, double[], double)"/>
    public static Exercise Check(string name, Func<double> yours,
        double right, double within = 1e-9) => Check(name, () => [yours()], [right], within);

    /// <inheritdoc/>
    string IHtml.Show()
    {
        var (mark, color) = IsRight switch { true => ("✓", "#00664d"), false => ("✗", "#b00020"), _ => ("·", "#555b63") };
        return $"<div class=\"exercise\" data-verdict=\"{_verdict}\" style=\"border-left:4px solid {color};padding:4px 10px\">"
            + $"<strong style=\"color:{color};background:#fff;padding:0 4px\">{mark} {_verdict}</strong> "
            + $"{WebUtility.HtmlEncode(_name)}: {WebUtility.HtmlEncode(_detail)}</div>";
    }

    /// <inheritdoc/>
    public override string ToString() => $"exercise {_verdict}: {_name}: {_detail}";

    private static string Number(double value) => value.ToString("G10", CultureInfo.InvariantCulture);
}
