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

    public IEnumerable<object> CreateTypeFormatters() => [new Formatter("text/html", claims => claims is [var one] ? Html(one) : Html(claims)), new Formatter("text/plain", Text), new Formatter(MimeType, Json)];

    internal static string Html(IReadOnlyList<Claim> claims)
    {
        var html = new StringBuilder("<table class=\"claims\" style=\"border-collapse:collapse;width:100%\"><thead><tr>");
        foreach (var head in (string[])["claim", "predicted", "measured", "must hold", "seeds", "spread", "verdict", "source"])
            html.Append($"<th scope=\"col\" style=\"text-align:left;padding:2px 8px\">{head}</th>");
        html.Append("</tr></thead><tbody>");
        foreach (var c in claims)
        {
            html.Append("<tr>");
            foreach (var cell in (string[])[c.Name, Number(c.Predicted, c.Unit), Number(c.Measured, c.Unit), MustHold(c), c.Seeds.ToString(CultureInfo.InvariantCulture), c.Seeds > 1 ? Number(c.Spread, c.Unit) : "—"])
                html.Append($"<td style=\"text-align:left;padding:2px 8px\">{WebUtility.HtmlEncode(cell)}</td>");
            html.Append($"<td style=\"text-align:left;padding:2px 8px\">{Verdict(c)}</td><td style=\"text-align:left;padding:2px 8px\">{WebUtility.HtmlEncode(c.Source)}</td></tr>");
        }
        return html.Append("</tbody></table>").ToString();
    }

    /// <summary>One claim under its experiment: a line, not a table.</summary>
    internal static string Html(Claim c) =>
        $"<div class=\"claim\" style=\"margin:4px 0;padding:4px 10px;border-left:4px solid {Color(c)}\">{Verdict(c)} {WebUtility.HtmlEncode($"{c.Name}: predicted {(c.Relation is Relation.AtMost or Relation.AtLeast ? MustHold(c) : Number(c.Predicted, c.Unit))}, measured {Number(c.Measured, c.Unit)}{Allowed(c)}{Seeds(c)}")} <small style=\"opacity:.75\">{WebUtility.HtmlEncode(c.Source)}</small></div>";

    internal static string Text(IReadOnlyList<Claim> claims) => string.Join('\n', claims.Select(c =>
        $"{(c.Holds ? "holds" : "FAILS")}: {c.Name}: predicted {Number(c.Predicted, c.Unit)}, measured {Number(c.Measured, c.Unit)}, must hold {MustHold(c)}{Seeds(c)}"));

    internal static string Json(IReadOnlyList<Claim> claims) => new JsonArray([.. claims.Select(c => new JsonObject
    {
        ["name"] = c.Name,
        ["predicted"] = Finite(c.Predicted),
        ["measured"] = Finite(c.Measured),
        ["relation"] = c.Relation switch { Relation.Within => "within", Relation.RatioWithin => "ratio-within", Relation.AtMost => "at-most", _ => "at-least" },
        ["tolerance"] = Finite(c.Tolerance),
        ["unit"] = c.Unit,
        ["holds"] = c.Holds,
        ["source"] = c.Source,
        ["seeds"] = c.Seeds,
        ["spread"] = Finite(c.Spread),
    })]).ToJsonString(new JsonSerializerOptions { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping });

    private static JsonNode? Finite(double value) => double.IsFinite(value) ? JsonValue.Create(value) : null;

    private static string MustHold(Claim c) => c.Relation switch
    {
        Relation.Within => $"predicted ± {Number(c.Tolerance, c.Unit)}",
        Relation.RatioWithin => $"ratio 1 ± {Number(c.Tolerance, "")}",
        Relation.AtMost => $"≤ {Number(c.Predicted, c.Unit)}",
        _ => $"≥ {Number(c.Predicted, c.Unit)}",
    };

    private static string Allowed(Claim c) => c.Relation switch
    {
        Relation.Within => $", allowed ± {Number(c.Tolerance, c.Unit)}",
        Relation.RatioWithin => $", allowed ratio 1 ± {Number(c.Tolerance, "")}",
        _ => "",
    };

    private static string Seeds(Claim c) => c.Seeds > 1 ? $" ({c.Seeds} runs, spread {Number(c.Spread, c.Unit)})" : "";

    private static string Color(Claim c) => c.Holds ? "#00664d" : "#b00020";

    private static string Verdict(Claim c) => $"<strong style=\"color:{Color(c)};background:#fff;padding:0 4px\">{(c.Holds ? "✓ holds" : "✗ FAILS")}</strong>";

    private static string Number(double value, string unit) => value.ToString("G4", CultureInfo.InvariantCulture).Replace("E", "e", StringComparison.Ordinal) + (unit == "" ? "" : " " + unit);

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
