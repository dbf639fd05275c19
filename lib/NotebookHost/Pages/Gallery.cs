using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using ColorCode;

namespace NotebookHost.Pages;

/// <summary>
/// What a run left (executed notebooks and report.json) as a static site that needs no network: an index with the finding of every
/// notebook, a scoreboard of all claims, and a page for each notebook. Everything is read from the run's folder, and the leading
/// pictures from the saved notebooks; nothing is computed anew.
/// </summary>
internal static partial class Gallery
{
    private const string Assets = "assets";

    /// <summary>Writes the site.</summary>
    /// <param name="run">The folder of a run.</param>
    /// <param name="folder">Where the site goes; a site of before is replaced.</param>
    /// <param name="sources">Where the run's relative paths start, for saved pictures and the README.</param>
    /// <exception cref="NotebookFileException"><paramref name="run"/> has no report, or one of another version, or a notebook is missing;
    /// or <paramref name="folder"/> holds something else.</exception>
    public static int Build(string run, string folder, string sources)
    {
        if (Directory.Exists(folder) && Directory.EnumerateFileSystemEntries(folder).Any()
            && !File.Exists(Path.Combine(folder, Assets, "gallery.js")))
            throw new NotebookFileException($"--site {folder} is a folder with other things in it; it is not replaced");
        var readme = Path.Combine(sources, "README.md") is var file
            && File.Exists(file) ? File.ReadAllText(file).ReplaceLineEndings("\n") : "";
        // In the order in which the README lists them, what it does not list last.
        var lessons = Read(run, sources).OrderBy(l => readme.IndexOf(l.Path, StringComparison.Ordinal) is >= 0 and var place
            ? place : int.MaxValue).ThenBy(l => l.Path, StringComparer.Ordinal).ToList();
        var (name, about) = Introduced(readme);
        // Beside the old site, and then in its place: a reader never sees half of it.
        var draft = $"{folder.TrimEnd('/', '\\')}.{Guid.NewGuid():N}.part";
        void Write(string path, string text) => WriteBytes(path, Encoding.UTF8.GetBytes(text));
        void WriteBytes(string path, byte[] content)
        {
            var target = Path.Combine(draft, path);
            Directory.CreateDirectory(Path.GetDirectoryName(target)!);
            File.WriteAllBytes(target, content);
        }
        var guides = Guides(lessons, sources);
        var scripts = new Dictionary<string, string>();
        for (var i = 0; i < lessons.Count; i++)
        {
            var neighbours = lessons.Where(l => l.IsSolution == lessons[i].IsSolution).ToList();
            var at = neighbours.IndexOf(lessons[i]);
            Write(lessons[i].Page, LessonPage(name, lessons[i],
                neighbours.ElementAtOrDefault(at - 1), neighbours.ElementAtOrDefault(at + 1),
                    [.. lessons.Select(l => l.Path), .. guides], scripts));
        }
        foreach (var guide in guides)
            Write(Path.ChangeExtension(guide, ".html"), GuidePage(name, guide, sources, [.. lessons.Select(l => l.Path), .. guides]));
        foreach (var (once, script) in scripts)
            Write($"{Assets}/{once}.js", script);
        foreach (var lesson in lessons.Where(l => l.Picture is not null))
            WriteBytes(PictureOf(lesson)!, Convert.FromBase64String(lesson.Picture!.Data));
        Write("index.html", Index(name, about, lessons, guides));
        Write("scoreboard.html", Scoreboard(name, lessons));
        foreach (var asset in (string[])["Gallery.css", "Gallery.js"])
            Write($"{Assets}/{asset.ToLowerInvariant()}", Page.Resource(asset));
        if (Directory.Exists(folder))
            Directory.Delete(folder, recursive: true);
        Directory.Move(draft, folder);
        return lessons.Count;
    }

    /// <summary>One executed notebook and what the report says of it.</summary>
    private sealed record Lesson(string Path, NotebookFile Notebook, JsonNode Report, Picture? Picture, string Alt)
    {
        public string Page { get; } = System.IO.Path.ChangeExtension(Path, ".html");

        public bool IsSolution { get; } = Path.Contains("/solutions/", StringComparison.Ordinal);

        public IReadOnlyList<JsonObject> Claims { get; } = [.. Report["claims"]!.AsArray().OfType<JsonObject>()];

        public string Status { get; } = (string)Report["status"]!;

        /// <summary>The folder it lies in, as words.</summary>
        public string Track
        {
            get
            {
                var folders = Path.Split('/')[..^1].Where(f => f != "solutions").ToArray();
                var words = folders.Length == 0 ? "notebooks" : folders[^1].Replace('-', ' ');
                return char.ToUpperInvariant(words[0]) + words[1..];
            }
        }

        private string Prose => string.Join("\n\n", Notebook.Cells.Where(c => !c.IsCode).Select(c => c.Source));

        /// <summary>What it asks: the paragraph that starts with "The question."</summary>
        public string? Question => QuestionPattern().Match(Prose) is { Success: true } m ? m.Groups[1].Value.Trim() : null;

        public string? Minutes => MinutesPattern().Match(Prose) is { Success: true } m ? m.Groups[1].Value : null;

        /// <summary>What it found: the first line of its summary.</summary>
        public string? Finding => FindingPattern().Match(Prose) is { Success: true } m ? m.Groups[1].Value.Trim() : null;
    }

    private static List<Lesson> Read(string run, string sources)
    {
        var file = Path.Combine(run, "report.json");
        if (!File.Exists(file))
            throw new NotebookFileException($"{run} has no report.json: it is not the folder of a run (dotnet run --project "
                + "lib/NotebookHost makes one in artifacts/run)");
        JsonNode? report;
        try
        {
            report = JsonNode.Parse(File.ReadAllText(file));
        }
        catch (System.Text.Json.JsonException e)
        {
            throw new NotebookFileException($"{file} is damaged (line {e.LineNumber + 1})", e);
        }
        if ((report?["version"] as JsonValue)?.TryGetValue<int>(out var version) != true
            || version != 1 || report?["notebooks"] is not JsonArray notebooks)
            throw new NotebookFileException($"{file} is no report of version 1");
        return [.. notebooks.Select(entry =>
        {
            var path = (string)entry!["path"]!;
            var source = Path.Combine(sources, path);
            var leading = !File.Exists(source) ? null : NotebookFile.Read(source).Cells.SelectMany(c => c.Outputs)
                .FirstOrDefault(o => PictureIn(o) is not null);
            return new Lesson(path, NotebookFile.Read(Path.Combine(run, path)),
                entry, leading is null ? null : PictureIn(leading), NotebookFile.Text(leading?["data"]?["text/plain"]));
        })];

        static Picture? PictureIn(JsonObject output) => new[] { "image/png", "image/jpeg" }.Where(type => output["data"]?[type] is not null)
            .Select(type => new Picture(type, NotebookFile.Text(output["data"]![type]))).FirstOrDefault();
    }

    /// <summary>The collection's name and what it is: the first heading and the first paragraph of its README.</summary>
    private static (string Name, string About) Introduced(string readme)
    {
        var blocks = readme.Split("\n\n");
        return (blocks.FirstOrDefault(b => b.StartsWith("# ", StringComparison.Ordinal))?[2..].Trim() ?? "Notebooks",
            blocks.SkipWhile(b => b.StartsWith('#')).FirstOrDefault() ?? "");
    }

    private static string? PictureOf(Lesson lesson) => lesson.Picture is null ? null
        : Path.ChangeExtension($"{Assets}/pictures/{lesson.Path}", lesson.Picture.MimeType == "image/png" ? ".png" : ".jpg")
        .Replace('\\', '/');

    /// <summary>Texts beside the tracks: a list of symbols, a teacher's guide.</summary>
    private static List<string> Guides(IEnumerable<Lesson> lessons, string sources) => [.. lessons
        .Select(l => Path.GetDirectoryName(Path.GetDirectoryName(l.Path))).Where(f => !string.IsNullOrEmpty(f)).Distinct()
        .Where(f => !f!.Contains('/') && Directory.Exists(Path.Combine(sources, f)))
        .SelectMany(f => Directory.EnumerateFiles(Path.Combine(sources, f!), "*.md").Select(file => $"{f}/{Path.GetFileName(file)}"))
        .Order(StringComparer.Ordinal)];

    private static string GuidePage(string name, string guide, string sources, IReadOnlyList<string> all)
    {
        var text = File.ReadAllText(Path.Combine(sources, guide)).ReplaceLineEndings("\n");
        return Frame($"{Heading(text)} · {name}", name, "../",
            $"<div class=\"guide\">{Links(Page.Prose(text), guide, all)}</div>");
    }

    private static string Heading(string markdown) => markdown.Split('\n')[0].TrimStart('#', ' ');

    private static string Index(string name, string about, IReadOnlyList<Lesson> lessons, IReadOnlyList<string> guides)
    {
        var body = new StringBuilder($"<h1>{Page.Encode(name)}</h1>\n{Page.Prose(about)}");
        var claims = lessons.SelectMany(l => l.Claims).ToList();
        body.Append(CultureInfo.InvariantCulture, $"<p class=\"total\"><a href=\"scoreboard.html\">{claims.Count(NotebookRun.Holds)} of "
            + $"{claims.Count} claims hold</a>, in {lessons.Count} notebooks.</p>\n");
        foreach (var track in lessons.Where(l => !l.IsSolution).GroupBy(l => l.Track))
        {
            body.Append($"<section><h2>{Page.Encode(track.Key)}</h2><div class=\"cards\">\n");
            foreach (var lesson in track)
            {
                var solution = lessons.FirstOrDefault(l => l.IsSolution
                    && Path.GetFileName(l.Path) == Path.GetFileName(lesson.Path) && l.Track == lesson.Track);
                body.Append($"<article class=\"card\"><h3><a href=\"{lesson.Page}\">{Inline(lesson.Notebook.Title)}</a></h3>");
                if (lesson.Question is { } question)
                    body.Append($"<p>{Inline(question)}</p>");
                if (PictureOf(lesson) is { } picture)
                    body.Append($"<a href=\"{lesson.Page}\" tabindex=\"-1\" aria-hidden=\"true\"><img loading=\"lazy\" src=\"{picture}\" "
                        + $"alt=\"{Page.Encode(lesson.Alt)}\"></a>");
                if (lesson.Finding is { } finding)
                    body.Append($"<p class=\"finding\"><strong>Finding.</strong> {Inline(finding)}</p>");
                body.Append($"<p class=\"facts\">{Verdict(lesson)}");
                if (lesson.Minutes is { } minutes)
                    body.Append($" · {minutes} minutes to read");
                body.Append(CultureInfo.InvariantCulture, $" · {(double)lesson.Report["seconds"]!:0} s to run");
                if (solution is not null)
                    body.Append(
                        $" · <a href=\"{solution.Page}\" aria-label=\"solutions of {Page.Encode(lesson.Notebook.Title)}\">solutions</a>");
                body.Append("</p></article>\n");
            }
            body.Append("</div></section>\n");
        }
        if (guides.Count > 0)
        {
            body.Append($"<p>{string.Join(" · ", guides.Select(g =>
                $"<a href=\"{Path.ChangeExtension(g, ".html")}\">{Path.GetFileNameWithoutExtension(g)}</a>"))}</p>\n");
        }
        return Frame(name, name, "", body.ToString());
    }

    private static string Verdict(Lesson lesson)
    {
        var held = lesson.Claims.Count(NotebookRun.Holds);
        var well = lesson.Status == "passed" && held == lesson.Claims.Count;
        return $"<span class=\"{(well ? "holds" : "fails")}\">{(lesson.Status == "passed" ? "" : lesson.Status + ", ")}{held} of "
            + $"{lesson.Claims.Count} claims hold</span>";
    }

    private static string Scoreboard(string name, IReadOnlyList<Lesson> lessons)
    {
        var rows = lessons.SelectMany(l => l.Claims.Select(c => (Lesson: l, Claim: c))).ToList();
        string Options(IEnumerable<string> of) => string.Concat(of.Select(o => $"<option>{Page.Encode(o)}</option>"));
        var kinds = rows.Select(r => (string?)r.Claim["kind"] ?? "").Distinct().Order();
        var body = new StringBuilder($"""
            <h1>All claims</h1>
            <p>Each claim is a prediction held against a measurement, or says what else it is.
            <span id="shown" role="status" aria-live="polite">{rows.Count} of {rows.Count} claims</span></p>
            <form id="filters" onsubmit="return false">
            <label>Find <input type="search" id="find" placeholder="angle, Lion, arXiv…"></label>
            <label>Track <select id="track"><option value="">all</option>{Options(lessons.Select(l => l.Track).Distinct())}</select></label>
            <label>Kind <select id="kind"><option value="">all</option>{Options(kinds)}</select></label>
            <label>Verdict <select id="verdict"><option value="">all</option><option>holds</option><option>fails</option></select></label>
            </form>
            <div class="scroll" tabindex="0" role="region" aria-label="all claims"><table id="scoreboard"><thead><tr>
            """);
        foreach (var head in (string[])["notebook", "claim", "predicted",
            "measured", "must hold", "kind", "seeds", "spread", "other seeds", "verdict", "source"])
            body.Append($"<th scope=\"col\" aria-sort=\"none\"><button type=\"button\">{head}</button></th>");
        body.Append("</tr></thead><tbody>\n");
        foreach (var (lesson, claim) in rows)
        {
            var verdict = NotebookRun.Holds(claim) ? "holds" : "fails";
            var (unit, kind) = ((string?)claim["unit"] ?? "", Page.Encode((string?)claim["kind"] ?? ""));
            body.Append($"<tr data-track=\"{Page.Encode(lesson.Track)}\" data-kind=\"{kind}\" data-verdict=\"{verdict}\"><td><a "
                + $"href=\"{lesson.Page}\">{Inline(lesson.Notebook.Title)}{(lesson.IsSolution ? ", solutions" : "")}</a></td>"
                + $"<td>{Page.Encode((string?)claim["name"] ?? "")}</td>")
                .Append(Number(claim["predicted"], unit)).Append(Number(claim["measured"], unit))
                .Append($"<td>{Page.Encode(MustHold(claim, unit))}</td><td>{kind}</td>")
                    .Append(Number(claim["seeds"], "")).Append(Number((double?)claim["seeds"] > 1 ? claim["spread"] : null, unit))
                        .Append(Replicated((string?)claim["replicated"]))
                .Append($"<td class=\"{verdict}\">{verdict}</td><td>{Page.Encode((string?)claim["source"] ?? "")}</td></tr>\n");
        }
        return Frame("All claims · " + name, name, "", body.Append("</tbody></table></div>\n").ToString());
    }

    /// <summary>"9 of 10": in how many runs on other seeds a claim held, sorted by the share.</summary>
    private static string Replicated(string? share)
    {
        if (share?.Split(" of ").Select(n => double.Parse(n, CultureInfo.InvariantCulture)).ToArray() is not [var held, var of])
            return "<td data-value=\"\">—</td>";
        return string.Create(CultureInfo.InvariantCulture, $"<td data-value=\"{held / of}\">{share}</td>");
    }

    private static string Number(JsonNode? value, string unit) => value is null
        ? "<td data-value=\"\">—</td>" : $"<td data-value=\"{value.ToJsonString()}\">{Short((double)value, unit)}</td>";

    private static string Short(double value, string unit) => Page.Encode(value.ToString("G4", CultureInfo.InvariantCulture)
        .Replace("E", "e", StringComparison.Ordinal) + (unit == "" ? "" : " " + unit));

    private static string MustHold(JsonObject claim, string unit)
    {
        var (tolerance, predicted) = ((double?)claim["tolerance"] ?? double.NaN, (double?)claim["predicted"] ?? double.NaN);
        return (string?)claim["relation"] switch
        {
            "within" => $"predicted ± {Short(tolerance, unit)}",
            "ratio-within" => $"ratio 1 ± {Short(tolerance, "")}",
            "at-most" => $"≤ {Short(predicted, unit)}",
            "at-least" => $"≥ {Short(predicted, unit)}",
            "above" or "below" => $"{((string?)claim["relation"] == "above" ? '>' : '<')} {Short(predicted, unit)} by 2 s.e.",
            var other => other ?? "",
        };
    }

    private static string LessonPage(string name, Lesson lesson,
        Lesson? before, Lesson? after, IReadOnlyList<string> all, Dictionary<string, string> scripts)
    {
        var seconds = lesson.Report["cells"]!.AsArray().ToDictionary(c => (string)c!["id"]!, c => (double)c!["seconds"]!);
        var html = new StringBuilder();
        foreach (var cell in lesson.Notebook.Cells)
            html.Append(cell.IsCode ? Page.Code(cell, seconds.GetValueOrDefault(cell.Id), cell.Outputs, Highlighted)
                : Links(Page.Prose(cell.Source), lesson.Path, all));
        // A script that a page needs once is one file that all pages share.
        var needed = new List<string>();
        var content = OncePattern().Replace(html.ToString(), m =>
        {
            scripts.TryAdd(m.Groups["name"].Value, m.Groups["script"].Value);
            needed.Add(m.Groups["name"].Value);
            return "";
        });
        content = UniqueIds(content);
        var root = string.Concat(Enumerable.Repeat("../", lesson.Path.Count(c => c == '/')));
        var sections = SectionPattern().Split(content);
        var contents = new StringBuilder();
        var body = new StringBuilder();
        foreach (var section in sections)
        {
            if (HeadingPattern().Match(section) is { Success: true } heading)
                contents.Append($"<li><a href=\"#{heading.Groups["id"].Value}\">{heading.Groups["text"].Value}</a></li>");
            body.Append("<section class=\"step\">").Append(section).Append("</section>\n");
        }
        if (lesson.Report["cells"]!.AsArray().Select(c => c!["error"]).FirstOrDefault(e => e is not null) is { } error)
            body.Insert(0, $"<p class=\"problem\">{Page.Encode(lesson.Status)}: {Page.Encode((string?)error["message"] ?? "")}</p>");
        string Way(Lesson? other, string rel, string before, string after) => other is null ? "<span></span>"
            : $"<a rel=\"{rel}\" href=\"{root}{other.Page}\">{before}{Inline(other.Notebook.Title)}{after}</a>";
        return Frame($"{lesson.Notebook.Title} · {name}", name, root, $"""
            <p class="facts">{Page.Encode(lesson.Track)}{(lesson.IsSolution ? ", solutions" : "")} · {Verdict(lesson)} ·
            <button type="button" id="present">Present</button></p>
            {body}<nav class="ways" aria-label="neighbours">{Way(before, "prev", "← ", "")}{Way(after, "next", "", " →")}</nav>
            """,
            contents.Length == 0 ? "" : $"<nav class=\"contents\" aria-label=\"on this page\"><ol>{contents}</ol></nav>",
            string.Concat(needed.Select(s => $"<script defer src=\"{root}{Assets}/{s}.js\"></script>")));
    }

    private static string Highlighted(string code)
    {
        var html = new HtmlClassFormatter().GetHtmlString(code, Languages.CSharp);
        var (from, to) = (html.IndexOf("<pre>", StringComparison.Ordinal) + 5, html.LastIndexOf("</pre>", StringComparison.Ordinal));
        return $"<pre tabindex=\"0\"><code>{html[from..to].Trim('\r', '\n')}</code></pre>";
    }

    /// <summary>Links to other notebooks and to guides lead to their pages; to what has no page, nowhere.</summary>
    private static string Links(string html, string page, IReadOnlyList<string> all) => Page.Reachable(LinkPattern().Replace(html, m =>
    {
        var folder = new Uri("file:///" + page);
        var target = new Uri(folder, m.Groups["path"].Value).AbsolutePath.TrimStart('/');
        return all.Contains(target) ? $"<a href=\"{Path.ChangeExtension(m.Groups["path"].Value, ".html")}\"" : "<a";
    }));

    /// <summary>Every cell is a document of its own, so headings of one name have one id; on a page the second gets a number.</summary>
    private static string UniqueIds(string html)
    {
        var seen = new Dictionary<string, int>();
        return IdPattern().Replace(html, m =>
        {
            var count = seen[m.Groups["id"].Value] = seen.GetValueOrDefault(m.Groups["id"].Value) + 1;
            return count == 1 ? m.Value : $"{m.Groups["tag"].Value} id=\"{m.Groups["id"].Value}-{count}\"";
        });
    }

    /// <summary>A line of Markdown without the paragraph around it.</summary>
    private static string Inline(string markdown)
    {
        var html = Page.Prose(markdown).Trim();
        return html.StartsWith("<p>", StringComparison.Ordinal) && html.EndsWith("</p>", StringComparison.Ordinal) ? html[3..^4] : html;
    }

    private static string Frame(string title, string name, string root, string body, string contents = "", string scripts = "") => $"""
        <!DOCTYPE html>
        <html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
        <title>{Page.Encode(title)}</title><link rel="icon" href="data:,"><link rel="stylesheet" href="{root}{Assets}/gallery.css">
        <script src="{root}{Assets}/gallery.js"></script>{scripts}</head>
        <body><a class="skip" href="#main">Skip to the text</a>
        <header><nav aria-label="site"><a href="{root}index.html">{Page.Encode(name)}</a>
        <a href="{root}scoreboard.html">All claims</a></nav><button type="button" id="theme">Light or dark</button></header>
        <div class="page">{contents}<main id="main" tabindex="-1">
        {body}
        </main></div></body></html>

        """;

    [GeneratedRegex("""<script data-once="(?<name>[^"]+)">(?<script>.*?)</script>""", RegexOptions.Singleline)]
    private static partial Regex OncePattern();

    [GeneratedRegex("(?=<h2[ >])")]
    private static partial Regex SectionPattern();

    [GeneratedRegex("""^<h2 id="(?<id>[^"]+)">(?<text>.*?)</h2>""", RegexOptions.Singleline)]
    private static partial Regex HeadingPattern();

    [GeneratedRegex("(?<tag><h[1-6]) id=\"(?<id>[^\"]+)\"")]
    private static partial Regex IdPattern();

    [GeneratedRegex("<a href=\"(?<path>[^\":#]+\\.(ipynb|md))\"")]
    private static partial Regex LinkPattern();

    [GeneratedRegex("""^\*\*The question\.\*\*\s+(.+?)(\n\s*\n|$)""", RegexOptions.Singleline | RegexOptions.Multiline)]
    private static partial Regex QuestionPattern();

    [GeneratedRegex("""\*\*Time:\*\*\s+(\d+)""")]
    private static partial Regex MinutesPattern();

    [GeneratedRegex("""^## Summary\s+(?:[-*] )?(.+?)$""", RegexOptions.Multiline)]
    private static partial Regex FindingPattern();
}
