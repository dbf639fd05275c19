using System.Diagnostics;
using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace NotebookHost;

/// <summary>A still picture of a figure.</summary>
/// <param name="MimeType">image/png or image/jpeg.</param>
/// <param name="Data">In base64.</param>
internal sealed record Picture(string MimeType, string Data);

/// <summary>
/// Still pictures of interactive figures, drawn by plotly.js itself in a headless Chromium that is installed: for readers who see no
/// scripts, GitHub's page among them. PNG or JPEG, whichever is smaller, and not SVG: Jupyter's nbconvert takes the inside out of an
/// SVG, for safety.
/// </summary>
internal static partial class Pictures
{
    private const int Width = 680;

    private static readonly string[] Browsers = OperatingSystem.IsWindows()
        ? [@"C:\Program Files\Google\Chrome\Application\chrome.exe", @"C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe"]
        : OperatingSystem.IsMacOS()
            ? ["/Applications/Google Chrome.app/Contents/MacOS/Google Chrome", "/Applications/Chromium.app/Contents/MacOS/Chromium"]
            : ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

    /// <summary>The browser that draws: $CHROME, or one of the usual ones.</summary>
    /// <exception cref="NotebookFileException">There is none; says what to install.</exception>
    public static string Browser() => (Environment.GetEnvironmentVariable("CHROME") is { Length: > 0 } named ? [named] : Browsers)
        .SelectMany(b => Path.IsPathRooted(b) ? [b] : (Environment.GetEnvironmentVariable("PATH") ?? "")
            .Split(Path.PathSeparator).Select(folder => Path.Combine(folder, b)))
        .FirstOrDefault(File.Exists)
        ?? throw new NotebookFileException("pictures are drawn by Chromium or Chrome, and none was found: install one (Debian: apt-get "
            + "install chromium), or name it in the environment variable CHROME");

    /// <summary>Draws each HTML fragment that holds a plotly.js figure, as a picture; null for one that drew nothing.</summary>
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
                  // Plotly names no quality for JPEG; at this one lettering stays clean and a picture is a third smaller.
                  var encode = HTMLCanvasElement.prototype.toDataURL;
                  HTMLCanvasElement.prototype.toDataURL = function (type) { return encode.call(this, type, 0.7); };
                  var shots = Array.from(document.querySelectorAll('.shot')), drawn = [];
                  var waits = s => s.querySelector('[data-drawn]') === null && s.querySelector('script');
                  for (var wait = 0; wait < 400 && shots.some(waits); wait++) await new Promise(r => setTimeout(r, 50));
                  for (var shot of shots) {
                    var plot = shot.querySelector('.js-plotly-plot');
                    if (!plot) { drawn.push(null); continue; }
                    var size = { width: {{Width}}, height: plot.layout.height || 450, imageDataOnly: true };
                    drawn.push({ png: await Plotly.toImage(plot, Object.assign({ format: 'png' }, size)),
                                 jpeg: await Plotly.toImage(plot, Object.assign({ format: 'jpeg' }, size)) });
                  }
                  document.body.innerHTML = '<pre id="drawn"></pre>';
                  document.getElementById('drawn').textContent = btoa(unescape(encodeURIComponent(JSON.stringify(drawn))));
                })();</script>
                """);
            var file = Path.Combine(folder, "page.html");
            await File.WriteAllTextAsync(file, page.ToString());
            using var process = Process.Start(new ProcessStartInfo(browser,
                ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
                 "--force-device-scale-factor=1", $"--user-data-dir={Path.Combine(folder, "profile")}",
                     $"--window-size={Width},800", "--virtual-time-budget=120000", "--dump-dom", new Uri(file).AbsoluteUri])
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
            return [.. drawn.Select(d => d is null ? null : Smaller((string)d["png"]!, (string)d["jpeg"]!))];
        }
        finally
        {
            try
            {
                Directory.Delete(folder, recursive: true);
            }
            catch (IOException) { } // The browser's helpers may hold a file for a moment; it is a temporary folder.
        }
    }

    private static Picture Smaller(string png, string jpeg) => png.Length <= jpeg.Length
        ? new Picture("image/png", png) : new Picture("image/jpeg", jpeg);

    [GeneratedRegex("<pre id=\"drawn\">([A-Za-z0-9+/=]+)</pre>")]
    private static partial Regex DrawnPattern();
}
