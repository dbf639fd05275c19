using System.Globalization;
using System.Net;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace TrainingDynamics.Claims;

/// <summary>Shows claims as a table, as text, and as the structured output that a notebook host collects.</summary>
internal sealed class ClaimFormatterSource
{
    /// <summary>The structured output's type: a JSON array of claims.</summary>
    public const string MimeType = "application/vnd.notebook.claims+json";

    public IEnumerable<object> CreateTypeFormatters() => [new Formatter("text/html", Shown),
        new Formatter("text/plain", Text), new Formatter(MimeType, Json)];

    /// <summary>One claim as a line; a cell's claims as a table whose later rows are folded; a notebook's claims folded.</summary>
    private static string Shown(IReadOnlyList<Claim> claims)
    {
        if (claims is [var one] and not ClaimList)
            return Html(one);
        if (claims is not CheckedClaims { Show: var show })
            return Folded($"{claims.Count} claims: {Verdicts(claims)}", claims, Replicated.Of(claims));
        var shown = claims.Where((claim, i) => i < show || !claim.Holds).ToList();
        var folded = claims.Except(shown).ToList();
        return Html(shown) + (folded.Count == 0 ? "" : Folded($"and {folded.Count} more: {Verdicts(folded)}", folded));
    }

    private static string Folded(string summary, IReadOnlyList<Claim> claims, IReadOnlyDictionary<string, string>? shares = null)
        => $"<details class=\"more-claims\"{(claims.All(c => c.Holds) ? "" : " open")}><summary>{summary}</summary>"
            + $"{Html(claims, shares)}</details>";

    private static string Verdicts(IReadOnlyList<Claim> claims)
        => claims.Count(c => !c.Holds) is > 0 and var failing ? $"{failing} FAIL" : "all hold";

    /// <param name="claims">The rows.</param>
    /// <param name="shares">In how many runs on other seeds they held; null or empty for no such column.</param>
    internal static string Html(IReadOnlyList<Claim> claims, IReadOnlyDictionary<string, string>? shares = null)
    {
        var replicated = shares?.Count > 0;
        var html = new StringBuilder("<table class=\"claims\" style=\"border-collapse:collapse;width:100%\"><thead><tr>");
        foreach (var head in (string[])["claim", "kind", "predicted", "measured", "must hold", "seeds", "s.e.",
            .. replicated ? ["held on other seeds"] : (string[])[], "verdict", "source"])
            html.Append($"<th scope=\"col\" style=\"text-align:left;padding:2px 8px\">{head}</th>");
        html.Append("</tr></thead><tbody>");
        foreach (var c in claims)
        {
            html.Append("<tr>");
            foreach (var cell in (string[])[c.Name, KindOf(c), Number(c.Predicted, c.Unit), Number(c.Measured, c.Unit),
                MustHold(c), c.Seeds.ToString(CultureInfo.InvariantCulture), c.Seeds > 1 ? Number(c.StandardError, c.Unit) : "—",
                .. replicated ? [shares!.GetValueOrDefault(c.Name, "—")] : (string[])[]])
                html.Append($"<td style=\"text-align:left;padding:2px 8px\">{WebUtility.HtmlEncode(cell)}</td>");
            html.Append($"<td style=\"text-align:left;padding:2px 8px\">{Verdict(c)}</td><td style=\"text-align:left;padding:2px "
                + $"8px\">{WebUtility.HtmlEncode(c.Source)}</td></tr>");
        }
        return html.Append("</tbody></table>").ToString();
    }

    /// <summary>One claim under its experiment: a line, not a table.</summary>
    internal static string Html(Claim c)
    {
        var predicted = c.Relation is Relation.Within or Relation.RatioWithin or Relation.Beside
            ? Number(c.Predicted, c.Unit) : MustHold(c);
        var said = c.Kind switch
        {
            Kind.Published => "published",
            Kind.Observation => "held to",
            Kind.Comparison => "difference",
            Kind.Identity => "identity",
            _ => "predicted"
        };
        var line = $"{c.Name}: {said} {predicted}, measured {Number(c.Measured, c.Unit)}{Allowed(c)}{Seeds(c)}";
        return $"<div class=\"claim\" style=\"margin:4px 0;padding:4px 10px;border-left:4px solid {Color(c)}\">{Verdict(c)} "
            + $"{WebUtility.HtmlEncode(line)} <small style=\"opacity:.75\">{WebUtility.HtmlEncode(c.Source)}</small></div>";
    }

    internal static string Text(IReadOnlyList<Claim> claims) => string.Join('\n', claims.Select(c =>
        $"{(c.Holds ? "holds" : "FAILS")}: {c.Name}: predicted {Number(c.Predicted, c.Unit)}, measured {Number(c.Measured, c.Unit)}, "
            + $"must hold {MustHold(c)}{Seeds(c)}"));

    internal static string Json(IReadOnlyList<Claim> claims)
    {
        var shares = claims is ClaimList ? Replicated.Of(claims) : null;
        return new JsonArray([.. claims.Select(c => Json(c, shares?.GetValueOrDefault(c.Name)))]).ToJsonString(
            new JsonSerializerOptions { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping });
    }

    private static JsonObject Json(Claim c, string? replicated) => new()
    {
        ["name"] = c.Name,
        ["predicted"] = Finite(c.Predicted),
        ["measured"] = Finite(c.Measured),
        ["kind"] = KindOf(c),
        ["relation"] = c.Relation switch
        {
            Relation.Within => "within",
            Relation.RatioWithin => "ratio-within",
            Relation.AtMost => "at-most",
            Relation.AtLeast => "at-least",
            Relation.Above => "above",
            Relation.Below => "below",
            _ => "beside",
        },
        ["tolerance"] = Finite(c.Tolerance),
        ["unit"] = c.Unit,
        ["holds"] = c.Holds,
        ["source"] = c.Source,
        ["seeds"] = c.Seeds,
        ["spread"] = Finite(c.Spread),
        ["replicated"] = replicated,
    };

    private static JsonNode? Finite(double value) => double.IsFinite(value) ? JsonValue.Create(value) : null;

    private static string MustHold(Claim c) => c.Relation switch
    {
        Relation.Within => $"predicted ± {Number(c.Tolerance, c.Unit)}",
        Relation.RatioWithin => $"ratio 1 ± {Number(c.Tolerance, "")}",
        Relation.AtMost => $"≤ {Number(c.Predicted, c.Unit)}",
        Relation.AtLeast => $"≥ {Number(c.Predicted, c.Unit)}",
        Relation.Above => $"> {Number(c.Predicted, c.Unit)} by 2 s.e.",
        Relation.Below => $"< {Number(c.Predicted, c.Unit)} by 2 s.e.",
        _ => "beside it",
    };

    private static string Allowed(Claim c) => c.Relation switch
    {
        Relation.Within => $", allowed ± {Number(c.Tolerance, c.Unit)}",
        Relation.RatioWithin => $", allowed ratio 1 ± {Number(c.Tolerance, "")}",
        _ => "",
    };

    private static string Seeds(Claim c) => c.Seeds > 1 ? $" ({Of(c)}{c.Seeds} runs, s.e. {Number(c.StandardError, c.Unit)})" : "";

    /// <summary>A bound on every seed shows the seed nearest to breaking it, and not the mean.</summary>
    private static string Of(Claim c) => c.Relation is Relation.AtMost or Relation.AtLeast ? "" : "mean of ";

    private static string KindOf(Claim c) => c.Kind.ToString().ToLowerInvariant();

    private static string Color(Claim c) => c.Holds ? "#00664d" : "#b00020";

    private static string Verdict(Claim c) => $"<strong style=\"color:{Color(c)};background:#fff;padding:0 "
        + $"4px\">{(c.Kind == Kind.Published ? "· beside" : c.Holds ? "✓ holds" : "✗ FAILS")}</strong>";

    private static string Number(double value, string unit) => value.ToString("G4", CultureInfo.InvariantCulture)
        .Replace("E", "e", StringComparison.Ordinal) + (unit == "" ? "" : " " + unit);

    private sealed class Formatter(string mimeType, Func<IReadOnlyList<Claim>, string> format)
    {
        public string MimeType => mimeType;

        public bool Format(object instance, TextWriter writer)
        {
            if ((instance is Claim one ? [one] : instance as IReadOnlyList<Claim>) is not { } claims)
                return false;
            writer.Write(format(claims));
            return true;
        }
    }
}
