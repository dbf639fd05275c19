using System.Globalization;
using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Markdig;

namespace NotebookHost.Pages;

/// <summary>All notebooks of a run as one page that needs no network.</summary>
internal static partial class Page
{
    private static readonly MarkdownPipeline Markdown = new MarkdownPipelineBuilder()
        .UsePipeTables().UseMathematics().UseAutoIdentifiers().UseAutoLinks().Build();

    public static string Build(IReadOnlyList<NotebookRun> runs)
    {
        var page = new StringBuilder($"""
            <!DOCTYPE html>
            <html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
            <title>{runs.Count} executed notebooks</title><style>{Resource("Page.css")}</style></head><body><main>

            """);
        var overview = new StringBuilder("<nav aria-label=\"notebooks\"><table><thead><tr><th scope=\"col\">notebook</th><th "
            + "scope=\"col\">status</th><th scope=\"col\">claims</th><th scope=\"col\">seconds</th></tr></thead><tbody>");
        foreach (var run in runs)
        {
            overview.Append(CultureInfo.InvariantCulture, $"<tr><td><a href=\"#{Anchor(run)}\">{Encode(run.Notebook.Title)}</a></td><td "
                + $"class=\"{run.Status}\">{run.Status}</td><td>{run.Claims.Count(c => NotebookRun.Holds(c))} of {run.Claims.Count()} "
                + $"hold</td><td>{run.Seconds:0.0}</td></tr>");
        }
        page.Append(Reachable(overview.Append("</tbody></table></nav>\n").ToString()));
        foreach (var run in runs)
        {
            page.Append($"<article id=\"{Anchor(run)}\" data-notebook=\"{Encode(run.Name)}\">");
            if (run.Problem is not null)
                page.Append($"<p class=\"problem\">{Encode(run.Status)}: {Encode(run.Problem)}</p>");
            foreach (var cell in run.Notebook.Cells)
                page.Append(cell.IsCode ? Code(cell, run.Cells[cell.Id].Seconds, run.Cells[cell.Id].Outputs,
                    code => $"<pre tabindex=\"0\"><code>{Encode(code)}</code></pre>")
                    : Reachable(LinksWithin(Prose(cell.Source), run, runs)));
            page.Append("</article>\n");
        }
        return OneScriptOfAName(page.Append("</main></body></html>\n").ToString());
    }

    /// <summary>Markdown as HTML, formulas as MathML, which browsers draw without help.</summary>
    internal static string Prose(string markdown)
    {
        try
        {
            return Rendered(markdown);
        }
        catch (Exception e) when (e is ArgumentException or InsufficientExecutionStackException)
        {
            return $"<pre>{Encode(markdown)}</pre>";                                   // too deep for anybody
        }
    }

    private static string Rendered(string markdown)
    {
        // A paragraph that is one $$…$$ is a formula on a line of its own, as in Jupyter.
        var html = Markdig.Markdown.ToHtml(DisplayPattern().Replace(markdown, m => $"\n$$\n{m.Groups["tex"].Value.Trim()}\n$$\n"),
            Markdown);
        return MathPattern().Replace(html,
            m => MathMl.From(WebUtility.HtmlDecode(m.Groups["tex"].Value), block: m.Groups["open"].Value == "\\["));
    }

    /// <summary>A link to a notebook of this run leads to its place on the page; to what is not in it, nowhere.</summary>
    private static string LinksWithin(string html, NotebookRun run, IReadOnlyList<NotebookRun> runs) => LinkPattern().Replace(html, m =>
    {
        var target = Path.GetFullPath(Path.Combine(Path.GetDirectoryName(run.Notebook.Path)!,
            Uri.UnescapeDataString(m.Groups["path"].Value)));
        return runs.FirstOrDefault(r => r.Notebook.Path == target) is { } other
            ? $"href=\"#{Anchor(other)}\"" : "title=\"not in this run\"";
    });

    /// <summary>A cell: its code, folded under its first line, and its outputs.</summary>
    internal static string Code(NotebookCell cell, double seconds, IEnumerable<JsonObject> outputs, Func<string, string> code)
    {
        var html = new StringBuilder("<div class=\"cell\">");
        if (cell.Source.Trim() is { Length: > 0 } source)
        {
            var first = source.Split('\n').FirstOrDefault(line => !line.StartsWith("//", StringComparison.Ordinal)) ?? source;
            html.Append(CultureInfo.InvariantCulture,
                $"<details class=\"code\"><summary>code <span class=\"first\">{Encode(first.Trim())}</span> ")
                .Append(CultureInfo.InvariantCulture,
                    $"<span class=\"seconds\">{seconds:0.0} s</span></summary>{code(cell.Source)}</details>");
        }
        foreach (var output in outputs)
            html.Append("<div class=\"output\">").Append(Reachable(Output(output))).Append("</div>");
        return html.Append("</div>\n").ToString();
    }

    /// <summary>An output as HTML, in the richest form that it has.</summary>
    internal static string Output(JsonObject output)
    {
        switch ((string?)output["output_type"])
        {
            case "stream":
                return $"<pre class=\"{output["name"]}\">{Encode(NotebookFile.Text(output["text"]))}</pre>";
            case "error":
                return $"<pre class=\"error\">{Encode((string?)output["ename"] + ": " + (string?)output["evalue"])}</pre>";
            default:
                var data = output["data"]!;
                if (data["text/html"] is { } html)
                    return NotebookFile.Text(html);
                if (data["image/svg+xml"] is { } svg)
                    return NotebookFile.Text(svg);
                foreach (var type in (string[])["image/png", "image/jpeg"])
                {
                    if (data[type] is { } image)
                        return $"<img alt=\"{Encode(NotebookFile.Text(data["text/plain"]))}\" "
                            + $"src=\"data:{type};base64,{NotebookFile.Text(image)}\">";
                }
                if (data["text/markdown"] is { } markdown)
                    return Prose(NotebookFile.Text(markdown));
                return $"<pre>{Encode(NotebookFile.Text(data["text/plain"]))}</pre>";
        }
    }

    /// <summary>Outputs may bring a script that a page needs once: of those with one data-once name the first stays.</summary>
    internal static string OneScriptOfAName(string html)
    {
        var seen = new HashSet<string>();
        return OncePattern().Replace(html, m => seen.Add(m.Groups["name"].Value) ? m.Value : "");
    }

    /// <summary>The scripts of an output that a page needs once.</summary>
    internal static string OnceScripts(string html) => string.Concat(OncePattern().Matches(html).Select(m => m.Value));

    private static string Anchor(NotebookRun run) => "notebook-"
        + string.Concat(run.Name.Select(c => char.IsAsciiLetterOrDigit(c) ? c : '-'));

    /// <summary>What scrolls must be reachable by keyboard.</summary>
    internal static string Reachable(string html) => html.Replace("<pre class", "<pre tabindex=\"0\" class", StringComparison.Ordinal)
        .Replace("<pre style", "<pre tabindex=\"0\" style", StringComparison.Ordinal)
        .Replace("<pre>", "<pre tabindex=\"0\">", StringComparison.Ordinal)
            .Replace("<table", "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"table\"><table", StringComparison.Ordinal)
            .Replace("</table>", "</table></div>", StringComparison.Ordinal);

    internal static string Encode(string text) => WebUtility.HtmlEncode(text);

    /// <summary>A text that comes with the host: a style sheet, a script.</summary>
    internal static string Resource(string name)
    {
        using var reader = new StreamReader(typeof(Page).Assembly.GetManifestResourceStream("NotebookHost.Pages." + name)!);
        return reader.ReadToEnd();
    }

    [GeneratedRegex("""<(?<tag>span|div) class="math">\s*(?<open>\\\(|\\\[)(?<tex>.*?)(\\\)|\\\])\s*</\k<tag>>""", RegexOptions.Singleline)]
    private static partial Regex MathPattern();

    [GeneratedRegex("href=\"(?<path>[^\":#]+\\.(ipynb|md))\"")]
    private static partial Regex LinkPattern();

    [GeneratedRegex("""^\$\$(?<tex>.+?)\$\$\s*$""", RegexOptions.Singleline | RegexOptions.Multiline)]
    private static partial Regex DisplayPattern();

    [GeneratedRegex("""<script data-once="(?<name>[^"]+)">.*?</script>""", RegexOptions.Singleline)]
    private static partial Regex OncePattern();
}
