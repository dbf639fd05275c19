using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;

namespace NotebookHost.Pages;

/// <summary>What a replication found, as one page that needs no network: every claim, the ones that do not replicate first.</summary>
internal static class ReplicationPage
{
    private const int Width = 220, Height = 26, Edge = 8;

    public static string Build(IReadOnlyList<ReplicatedNotebook> notebooks)
    {
        var rows = notebooks.SelectMany(n => n.Claims.Select(c => (Notebook: n, Claim: c)))
            .OrderBy(r => r.Claim.Replicates ? 1 : (double)r.Claim.Held / r.Claim.In.Count).ToList();
        var counted = rows.Where(r => r.Claim.Counts).ToList();
        var runs = notebooks.Max(n => n.Runs.Count);
        var page = new StringBuilder($$"""
            <!DOCTYPE html>
            <html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
            <title>Claims on other seeds</title><link rel="icon" href="data:,"><style>{{Page.Resource("Page.css")}}
            main { max-width: 84rem; } td.share { font-weight: 600; white-space: nowrap; } code { overflow-wrap: anywhere; }
            td:nth-child(2) { min-width: 14rem; } td:nth-child(5) { min-width: 19rem; }
            svg { background: #fff; border-radius: 3px; }</style></head><body><main>
            <h1>Claims on other seeds</h1>
            <p>{{counted.Count(r => r.Claim.Replicates)}} of {{counted.Count}} claims hold in at least nine of ten runs, each on
            seeds of its own ({{runs}} {{(runs == 1 ? "run" : "runs")}} a notebook; identities, which check the code, and
            published numbers, which check nothing, are not counted). Those that do not come first.</p>
            <p>A picture shows what each run measured: a dot a run, filled where the claim held and hollow where it failed; the line is
            the prediction or the bound, the band what is allowed around it.</p>
            <div class="scroll" tabindex="0" role="region" aria-label="all claims"><table><thead><tr>

            """);
        foreach (var head in (string[])["held", "claim", "kind", "measured, beside the prediction", "worst run alone"])
            page.Append($"<th scope=\"col\">{head}</th>");
        page.Append("</tr></thead><tbody>\n");
        foreach (var (notebook, claim) in rows)
        {
            var seeds = notebook.Runs[claim.Worst[0]].Seeds;
            var alone = $"run {notebook.Name}{Replicate.Setting(seeds)}";
            page.Append(CultureInfo.InvariantCulture,
                $"<tr><td class=\"share {(claim.Replicates ? "passed" : "failed")}\">{claim.Held} of {claim.In.Count}</td>")
                .Append($"<td>{Page.Encode(claim.Name)}<br><small>{Page.Encode(notebook.Title)}</small></td>")
                .Append($"<td>{Page.Encode(claim.Kind)}</td>")
                .Append($"<td>{Strip(claim)}</td><td><code>{Page.Encode(alone)}</code></td></tr>\n");
        }
        return page.Append("</tbody></table></div>\n</main></body></html>\n").ToString();
    }

    /// <summary>The measured numbers of all runs on one line.</summary>
    private static string Strip(ReplicatedClaim claim)
    {
        double? Of(JsonObject? c, string name) => (double?)c?[name];
        var measured = claim.In.Select(c => Of(c, "measured")).ToList();
        var (predicted, tolerance) = (Of(claim.Any, "predicted"), Of(claim.Any, "tolerance") ?? 0);
        var relation = (string?)claim.Any["relation"];
        // Predictions may depend on the seed: then what is shown is measured over predicted, or their difference.
        var differ = claim.In.Select(c => Of(c, "predicted")).Distinct().Count() > 1;
        var ratio = relation == "ratio-within";
        if (differ || ratio)
        {
            measured = [.. claim.In.Select(c => ratio ? Of(c, "measured") / Of(c, "predicted") : Of(c, "measured") - Of(c, "predicted"))];
            predicted = ratio ? 1 : 0;
        }
        var (low, high) = relation is "within" or "ratio-within" ? (predicted - tolerance, predicted + tolerance) : (predicted, predicted);
        var all = measured.Append(low).Append(high).Where(v => v is { } x && double.IsFinite(x)).Select(v => v!.Value).ToList();
        if (all.Count == 0)
            return "no number";
        double from = all.Min(), width = Math.Max(all.Max() - from, 1e-300);
        string At(double? value) => (Edge + ((value!.Value - from) / width * (Width - (2 * Edge))))
            .ToString("0.#", CultureInfo.InvariantCulture);
        static string Number(double? value) => value?.ToString("G4", CultureInfo.InvariantCulture) ?? "none";
        var svg = new StringBuilder($"<svg role=\"img\" width=\"{Width}\" height=\"{Height}\" aria-label=\"measured from "
            + $"{Number(measured.Min())} to {Number(measured.Max())}, predicted {Number(predicted)}\">");
        if (low < high)
            svg.Append(CultureInfo.InvariantCulture,
                $"<rect x=\"{At(low)}\" y=\"2\" width=\"{(high - low) / width * (Width - (2 * Edge)):0.#}\" height=\"{Height - 4}\" ")
                .Append("fill=\"#d9e8f5\"/>");
        if (predicted is not null)
            svg.Append(CultureInfo.InvariantCulture,
                $"<path d=\"M{At(predicted)} 2V{Height - 2}\" stroke=\"#0b57a4\" stroke-dasharray=\"4 2\"/>");
        foreach (var (run, value) in measured.Index().Where(m => m.Item is { } x && double.IsFinite(x)))
        {
            var held = NotebookRun.Holds(claim.In[run]!);
            svg.Append(CultureInfo.InvariantCulture,
                $"<circle cx=\"{At(value)}\" cy=\"{Height / 2}\" r=\"4\" fill=\"{(held ? "#00664d" : "none")}\" "
                + $"fill-opacity=\".6\" stroke=\"{(held ? "#00664d" : "#b00020")}\" stroke-width=\"1.5\"/>");
        }
        return svg.Append("</svg>").ToString() + $"<br><small>{Number(measured.Min())} to {Number(measured.Max())}"
            + (ratio ? ", as a ratio" : differ ? ", less the prediction" : "") + "</small>";
    }
}
