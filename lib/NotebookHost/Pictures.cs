using System.Diagnostics;
using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace NotebookHost;

/// <summary>A still picture of a figure.</summary>
/// <param name="MimeType">image/svg+xml or image/png.</param>
/// <param name="Data">The SVG's text, or the PNG in base64.</param>
internal sealed record Picture(string MimeType, string Data);

/// <summary>
/// Still pictures of interactive figures, drawn by plotly.js itself in a headless Chromium that is installed: for readers who see no
/// scripts, GitHub's page among them. Deterministic: what plotly.js names at random is numbered instead.
/// </summary>
internal static partial class Pictures
{
    private const int Width = 900;

    private static readonly string[] Browsers = OperatingSystem.IsWindows()
        ? [@"C:\Program Files\Google\Chrome\Application\chrome.exe", @"C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe"]
        : OperatingSystem.IsMacOS()
            ? ["/Applications/Google Chrome.app/Contents/MacOS/Google Chrome", "/Applications/Chromium.app/Contents/MacOS/Chromium"]
            : ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

    /// <summary>The browser that draws: $CHROME, or one of the usual ones.</summary>
    /// <exception cref="NotebookFileException">There is none; says what to install.</exception>
    public static string Browser() => (Environment.GetEnvironmentVariable("CHROME") is { Length: > 0 } named ? [named] : Browsers)
        .SelectMany(b => Path.IsPathRooted(b) ? [b] : (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator).Select(folder => Path.Combine(folder, b)))
        .FirstOrDefault(File.Exists)
        ?? throw new NotebookFileException("pictures are drawn by Chromium or Chrome, and none was found: install one (Debian: apt-get install chromium), or name it in the environment variable CHROME");

    /// <summary>Draws each HTML fragment that holds a plotly.js figure; null for one that drew nothing.</summary>
    /// <param name="fragments">In the order of the notebook: plotly.js comes with the first.</param>
    /// <param name="browser">From <see cref="Browser"/>.</param>
    public static async Task<Picture?[]> DrawAsync(IReadOnlyList<string> fragments, string browser)
    {
        if (fragments.Count == 0)
            return [];
        var folder = Directory.CreateTempSubdirectory("pictures").FullName;
        try
        {
            var page = new StringBuilder("<!doctype html><meta charset=\"utf-8\"><body>\n");
            foreach (var fragment in fragments)
                page.Append("<div class=\"shot\">").Append(fragment).Append("</div>\n");
            page.Append($$"""
                <script>(async function () {
                  var shots = Array.from(document.querySelectorAll('.shot')), drawn = [];
                  for (var wait = 0; wait < 400 && shots.some(s => s.querySelector('[data-drawn]') === null && s.querySelector('script')); wait++) await new Promise(r => setTimeout(r, 50));
                  for (var shot of shots) {
                    var plot = shot.querySelector('.js-plotly-plot');
                    if (!plot) { drawn.push(null); continue; }
                    var size = { width: {{Width}}, height: plot.layout.height || 450, imageDataOnly: true };
                    drawn.push({ svg: await Plotly.toImage(plot, Object.assign({ format: 'svg' }, size)), png: await Plotly.toImage(plot, Object.assign({ format: 'png' }, size)) });
                  }
                  document.body.innerHTML = '<pre id="drawn"></pre>';
                  document.getElementById('drawn').textContent = btoa(unescape(encodeURIComponent(JSON.stringify(drawn))));
                })();</script>
                """);
            var file = Path.Combine(folder, "page.html");
            await File.WriteAllTextAsync(file, page.ToString());
            using var process = Process.Start(new ProcessStartInfo(browser,
                ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
                 "--force-device-scale-factor=1", $"--user-data-dir={Path.Combine(folder, "profile")}", $"--window-size={Width},800", "--virtual-time-budget=120000", "--dump-dom", new Uri(file).AbsoluteUri])
            { RedirectStandardOutput = true, RedirectStandardError = true })!;
            var (output, error) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
            using var limit = new CancellationTokenSource(TimeSpan.FromMinutes(3));
            try
            {
                await process.WaitForExitAsync(limit.Token);
            }
            catch (OperationCanceledException)
            {
                process.Kill(entireProcessTree: true);
            }
            await error;
            var result = DrawnPattern().Match(await output);
            if (!result.Success)
                throw new NotebookFileException($"{browser} drew no picture within its time");
            var drawn = (JsonArray)JsonNode.Parse(Encoding.UTF8.GetString(Convert.FromBase64String(result.Groups[1].Value)))!;
            return [.. drawn.Select(d => d is null ? null : Smaller(Numbered((string)d["svg"]!), (string)d["png"]!))];
        }
        finally
        {
            try
            {
                Directory.Delete(folder, recursive: true);
            }
            catch (IOException)
            {
                // The browser's helpers may hold a file for a moment; it is a temporary folder.
            }
        }
    }

    private static Picture Smaller(string svg, string png) => svg.Length <= png.Length ? new Picture("image/svg+xml", svg) : new Picture("image/png", png);

    /// <summary>plotly.js names clip paths and the like at random: numbered in the order they appear.</summary>
    internal static string Numbered(string svg)
    {
        var names = new Dictionary<string, string>();
        svg = TracePattern().Replace(svg, "trace");
        foreach (Match id in IdPattern().Matches(svg))
            names.TryAdd(id.Groups[1].Value, $"i{names.Count}");
        return names.OrderByDescending(n => n.Key.Length).Aggregate(svg, (text, n) => text.Replace($"\"{n.Key}\"", $"\"{n.Value}\"").Replace($"#{n.Key})", $"#{n.Value})").Replace($"#{n.Key}\"", $"#{n.Value}\"").Replace($"#{n.Key}'", $"#{n.Value}'").Replace($"#{n.Key}&quot;", $"#{n.Value}&quot;"));
    }

    [GeneratedRegex("<pre id=\"drawn\">([A-Za-z0-9+/=]+)</pre>")]
    private static partial Regex DrawnPattern();

    [GeneratedRegex(" id=\"([^\"]+)\"")]
    private static partial Regex IdPattern();

    [GeneratedRegex("\\btrace[0-9a-f]{6}\\b")]
    private static partial Regex TracePattern();
}
