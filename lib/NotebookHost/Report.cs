using System.Text.Json;
using System.Text.Json.Nodes;
using NotebookHost.Pages;

namespace NotebookHost;

/// <summary>What a run leaves in its output folder: the executed notebooks, report.json and index.html.</summary>
internal sealed class Report(string folder)
{
    internal static readonly JsonSerializerOptions OneLine = new()
    {
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping
    };

    internal static readonly JsonSerializerOptions Indented = new(OneLine) { WriteIndented = true };

    /// <summary>Which build of this host a report is of: beside a notebook's stamp it tells whether that is the build at hand.</summary>
    internal static readonly string Host = typeof(Report).Module.ModuleVersionId.ToString();

    private readonly DateTimeOffset _started = DateTimeOffset.UtcNow;
    private readonly List<NotebookRun> _runs = [];
    private readonly System.Collections.Concurrent.ConcurrentQueue<string> _unwritten = [];

    public int Finished => _runs.Count(r => r.Status != "interrupted");

    public bool AllPassed => _runs.All(r => r.Status == "passed") && _unwritten.IsEmpty;

    /// <summary>Writes the executed notebook at once, so that nothing later loses it; one that was interrupted, as far as it
    /// came.</summary>
    public void Add(NotebookRun run)
    {
        if (run.Status == "interrupted" && run.CellsDone == 0)
            return;
        Write(run.Name, () => run.Notebook.WithOutputs(run.Cells));
        lock (_runs)
            _runs.Add(run);
    }

    /// <summary>Writes report.json and index.html of all that is finished; nothing where nothing is, so that an older run's stay.</summary>
    public void Write()
    {
        var runs = _runs.OrderBy(r => r.Name, StringComparer.Ordinal).ToList();
        if (runs.Count == 0)
            return;
        Write("report.json", () => Json(runs).ToJsonString(Indented) + "\n");
        Write("index.html", () => Page.Build(runs));
    }

    /// <summary>A file that cannot be written is told of, and the others are kept.</summary>
    private void Write(string name, Func<string> text)
    {
        try
        {
            Files.Replace(Path.Combine(folder, name), text());
        }
        catch (Exception e)
        {
            _unwritten.Enqueue($"{Path.Combine(folder, name)} could not be written: {e.Message}");
        }
    }

    public string Summary()
    {
        var claims = _runs.SelectMany(r => r.Claims).ToList();
        var cells = _runs.Sum(r => r.CellsDone);
        var lines = _runs.Where(r => r.Status != "passed").OrderBy(r => r.Name, StringComparer.Ordinal)
            .Select(r => $"{r.Status}: {r.Name}: {r.Problem}").Concat(_unwritten).ToList();
        lines.Add($"{_runs.Count(r => r.Status == "passed")} of {_runs.Count} notebooks passed, {cells} cells, "
            + $"{claims.Count(NotebookRun.Holds)} of {claims.Count} claims hold, {(DateTimeOffset.UtcNow - _started).TotalSeconds:0.0} s");
        if (File.Exists(Path.Combine(folder, "index.html")))
            lines.Add($"the page: {Path.GetFullPath(Path.Combine(folder, "index.html"))}");
        return string.Join('\n', lines);
    }

    private JsonObject Json(List<NotebookRun> runs) => new()
    {
        ["version"] = 1,
        ["started"] = _started.ToString("yyyy-MM-ddTHH:mm:ssZ", System.Globalization.CultureInfo.InvariantCulture),
        ["seconds"] = Math.Round((DateTimeOffset.UtcNow - _started).TotalSeconds, 3),
        ["host"] = Host,
        ["notebooks"] = new JsonArray([.. runs.Select(run => new JsonObject
        {
            ["path"] = run.Name,
            ["status"] = run.Status,
            ["stamp"] = SavedNotebook.Stamp(run.Notebook),
            ["seconds"] = Math.Round(run.Seconds, 3),
            ["peakMemoryMB"] = Math.Round(run.PeakMemoryMB, 1),
            ["cells"] = new JsonArray([.. run.Notebook.Cells.Where(c => c.IsCode)
                .Select(c => (c.Id, Cell: run.Cells[c.Id])).Select(c => new JsonObject
            {
                ["id"] = c.Id,
                ["status"] = c.Cell.Status,
                ["seconds"] = Math.Round(c.Cell.Seconds, 3),
                ["error"] = c.Cell.Error is { } error ? new JsonObject { ["type"] = error.Type, ["message"] = error.Message } : null,
            })]),
            ["claims"] = new JsonArray([.. run.Claims.Select(c => c.DeepClone())]),
        })]),
    };
}
