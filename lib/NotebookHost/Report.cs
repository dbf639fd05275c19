using System.Text.Json;
using System.Text.Json.Nodes;
using NotebookHost.Pages;

namespace NotebookHost;

/// <summary>What a run leaves in its output folder: the executed notebooks, report.json and index.html.</summary>
internal sealed class Report(string folder)
{
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true, Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
    private readonly DateTimeOffset _started = DateTimeOffset.UtcNow;
    private readonly List<NotebookRun> _runs = [];

    public int Finished => _runs.Count;

    public bool AllPassed => _runs.All(r => r.Status == "passed");

    /// <summary>Writes the executed notebook at once, so that an interruption later does not lose it.</summary>
    public void Add(NotebookRun run)
    {
        Replace(Path.Combine(folder, run.Name), run.Notebook.WithOutputs(run.Cells));
        lock (_runs)
            _runs.Add(run);
    }

    /// <summary>Writes report.json and index.html of all that is finished.</summary>
    public void Write()
    {
        var runs = _runs.OrderBy(r => r.Name, StringComparer.Ordinal).ToList();
        Replace(Path.Combine(folder, "report.json"), Json(runs).ToJsonString(Indented) + "\n");
        Replace(Path.Combine(folder, "index.html"), Page.Build(runs));
    }

    public string Summary()
    {
        var claims = _runs.SelectMany(r => r.Claims).ToList();
        var cells = _runs.Sum(r => r.CellsDone);
        var lines = _runs.Where(r => r.Status != "passed").OrderBy(r => r.Name, StringComparer.Ordinal).Select(r => $"{r.Status}: {r.Name}: {r.Problem}").ToList();
        lines.Add($"{_runs.Count(r => r.Status == "passed")} of {_runs.Count} notebooks passed, {cells} cells, {claims.Count(NotebookRun.Holds)} of {claims.Count} claims hold, {(DateTimeOffset.UtcNow - _started).TotalSeconds:0.0} s");
        lines.Add($"the page: {Path.GetFullPath(Path.Combine(folder, "index.html"))}");
        return string.Join('\n', lines);
    }

    private JsonObject Json(List<NotebookRun> runs) => new()
    {
        ["version"] = 1,
        ["started"] = _started.ToString("yyyy-MM-ddTHH:mm:ssZ", System.Globalization.CultureInfo.InvariantCulture),
        ["seconds"] = Math.Round((DateTimeOffset.UtcNow - _started).TotalSeconds, 3),
        ["notebooks"] = new JsonArray([.. runs.Select(run => new JsonObject
        {
            ["path"] = run.Name,
            ["status"] = run.Status,
            ["seconds"] = Math.Round(run.Seconds, 3),
            ["peakMemoryMB"] = Math.Round(run.PeakMemoryMB, 1),
            ["cells"] = new JsonArray([.. run.Notebook.Cells.Where(c => c.IsCode).Select(c => (c.Id, Cell: run.Cells[c.Id])).Select(c => new JsonObject
            {
                ["id"] = c.Id,
                ["status"] = c.Cell.Status,
                ["seconds"] = Math.Round(c.Cell.Seconds, 3),
                ["error"] = c.Cell.Error is { } error ? new JsonObject { ["type"] = error.Type, ["message"] = error.Message } : null,
            })]),
            ["claims"] = new JsonArray([.. run.Claims.Select(c => c.DeepClone())]),
        })]),
    };

    /// <summary>Writes a file beside the old one and then puts it in its place: a reader never sees half of it.</summary>
    internal static void Replace(string path, string text)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!);
        var draft = path + ".part";
        File.WriteAllText(draft, text);
        File.Move(draft, path, overwrite: true);
    }
}
