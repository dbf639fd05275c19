using System.Diagnostics;
using System.Text;
using System.Text.Json.Nodes;
using NotebookHost.Pages;

namespace NotebookHost;

/// <summary>What came of one cell.</summary>
internal sealed class CellRun
{
    public List<JsonObject> Outputs { get; } = [];

    public bool Started { get; set; }

    public double Seconds { get; set; }

    /// <summary>passed, failed, timed-out, crashed, interrupted, or skipped.</summary>
    public string Status { get; set; } = "skipped";

    public (string Type, string Message)? Error { get; set; }
}

/// <summary>One notebook run in a child process, which may fail in any way without taking the others along.</summary>
internal sealed class NotebookRun(NotebookFile notebook, string name)
{
    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(2);

    private readonly Stopwatch _clock = new();
    private readonly string _mark = Guid.NewGuid().ToString("N");
    private CellRun? _current;

    public NotebookFile Notebook { get; } = notebook;

    /// <summary>The path as the report has it: relative, with forward slashes.</summary>
    public string Name { get; } = name;

    public Dictionary<string, CellRun> Cells { get; } = notebook.Cells.Where(c => c.IsCode).ToDictionary(c => c.Id, _ => new CellRun());

    public double PeakMemoryMB { get; private set; }

    public double Seconds => _clock.Elapsed.TotalSeconds;

    /// <summary>passed, failed, crashed, timed-out or interrupted; running before that.</summary>
    public string Status { get; private set; } = "running";

    public int CellsStarted => Cells.Values.Count(c => c.Started);

    public int CellsDone => Cells.Values.Count(c => c.Status is not ("skipped" or "interrupted"));

    /// <summary>How far the running cell is, where it says so: a fraction, and a line.</summary>
    public (double Fraction, string Text)? Progress { get; private set; }

    /// <summary>Why it is not passed, in a line.</summary>
    public string? Problem { get; private set; }

    /// <summary>The claims that outputs carry, each name once, the last one counting.</summary>
    public IEnumerable<JsonObject> Claims => Cells.Values.SelectMany(c => c.Outputs)
        .SelectMany(o => o["data"]?["application/vnd.notebook.claims+json"] as JsonArray ?? []).OfType<JsonObject>()
        .Where(c => c["name"] is JsonValue name && name.TryGetValue<string>(out _))
        .Reverse().DistinctBy(c => (string?)c["name"]).Reverse();

    /// <summary>Whether a claim says that it holds.</summary>
    public static bool Holds(JsonObject claim) => claim["holds"] is JsonValue value && value.TryGetValue<bool>(out var holds) && holds;

    /// <summary>Runs the notebook; returns when its process has ended.</summary>
    /// <param name="cellTimeout">What a cell may take.</param>
    /// <param name="threads">What torch and its kind may use.</param>
    /// <param name="changed">Called when there is progress to show.</param>
    /// <param name="cancellation">Ends the child; what its cells gave until then is kept.</param>
    /// <param name="plain">Whether numbers are written the same way wherever it runs.</param>
    public async Task RunAsync(TimeSpan cellTimeout, int threads, Action changed, CancellationToken cancellation, bool plain = false)
    {
        _clock.Start();
        using var child = Start(threads, plain);
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        using var end = ended.Token.Register(() => Kill(child));
        var timedOut = false;
        using var watch = new Timer(_ => { timedOut = true; Kill(child); });
        var complaints = new List<string>();
        var errors = Task.Run(async () =>
        {
            while (await child.StandardError.ReadLineAsync(CancellationToken.None) is { } line)
            {
                if (!line.Contains("weak version", StringComparison.Ordinal))          // the dynamic linker on a healed library
                    complaints.Add(line);
            }
        }, CancellationToken.None);
        var done = false;
        while (await child.StandardOutput.ReadLineAsync(CancellationToken.None) is { } line)
        {
            // Native code prints without line ends of ours, so a message may start in the middle of a line.
            var at = line.IndexOf(_mark, StringComparison.Ordinal);
            if (at != 0)
                AddStream("stdout", (at < 0 ? line : line[..at]) + "\n");
            if (at < 0 || Parse(line[(at + _mark.Length)..]) is not { } message)
                continue;
            switch ((string?)message["event"])
            {
                case "started":
                    _current = Cells[(string)message["cell"]!];
                    _current.Started = true;
                    Progress = null;
                    watch.Change(cellTimeout, Timeout.InfiniteTimeSpan);
                    break;
                case "output":
                    var output = (JsonObject)message["output"]!;
                    // How far a cell is concerns who waits for it; no file keeps it.
                    if (output["data"]?["application/vnd.notebook.progress+json"] is JsonObject progress)
                    {
                        Progress = ((double?)progress["fraction"] ?? 0, (string?)progress["text"] ?? "");
                        break;
                    }
                    AddOutput(output);
                    continue;
                case "finished":
                    watch.Change(Timeout.Infinite, Timeout.Infinite);
                    Finish(message);
                    break;
                default:
                    done = true;
                    break;
            }
            changed();
            if (done || _current?.Status == "failed")
                break;                                                                 // what the notebook left running is not waited for
        }
        if (!child.WaitForExit(done || _current?.Status == "failed" ? Grace : Timeout.InfiniteTimeSpan))
            Kill(child);
        await child.WaitForExitAsync(CancellationToken.None).WaitAsync(Grace, CancellationToken.None).ContinueWith(_ => { }, CancellationToken.None);
        await Task.WhenAny(errors, Task.Delay(Grace, CancellationToken.None));
        watch.Change(Timeout.Infinite, Timeout.Infinite);
        _clock.Stop();
        Judge(done, timedOut, cancellation.IsCancellationRequested, cellTimeout, child.HasExited ? child.ExitCode : -1, [.. complaints]);
        changed();
    }

    /// <summary>A message, or null for what a child that was killed left half-written.</summary>
    private static JsonObject? Parse(string line)
    {
        try
        {
            return JsonNode.Parse(line) as JsonObject;
        }
        catch (System.Text.Json.JsonException)
        {
            return null;
        }
    }

    /// <summary>What an exception outside the cells makes of the run: the others go on.</summary>
    public void Break(Exception e)
    {
        _clock.Stop();
        (Status, Problem) = e is NotebookFileException ? ("failed", e.Message) : ("crashed", $"the host failed: {e.GetType().Name}: {e.Message}");
    }

    private Process Start(int threads, bool plain)
    {
        var start = DotNet.Start(forCells: true, "worker", Notebook.Path, _mark);
        start.StandardOutputEncoding = Encoding.UTF8;
        foreach (var variable in new[] { "OMP_NUM_THREADS", "MKL_NUM_THREADS" })
            start.Environment.TryAdd(variable, threads.ToString(System.Globalization.CultureInfo.InvariantCulture));     // the user's own setting stays
        start.Environment.TryAdd(Engine.GarbageCollection.Variable, Engine.GarbageCollection.Budget);
        if (plain)
            start.Environment["LC_ALL"] = "C.UTF-8";
        return Process.Start(start)!;
    }

    private static void Kill(Process child)
    {
        try
        {
            child.Kill(entireProcessTree: true);
        }
        catch (Exception e) when (e is InvalidOperationException or System.ComponentModel.Win32Exception)
        {
            // It has ended by itself.
        }
    }

    private void AddStream(string name, string text) => AddOutput(new JsonObject { ["output_type"] = "stream", ["name"] = name, ["text"] = text });

    private void AddOutput(JsonObject output)
    {
        if (_current is null)
            return;
        var outputs = _current.Outputs;
        if ((string?)output["output_type"] == "update_display_data")
        {
            var id = (string?)output["transient"]!["display_id"];
            foreach (var shown in Cells.Values.SelectMany(c => c.Outputs).Where(o => (string?)o["transient"]?["display_id"] == id))
                shown["data"] = KeepScript(shown["data"]!, (JsonObject)output["data"]!.DeepClone());
        }
        else if ((string?)output["output_type"] == "stream" && outputs is [.., var last] && (string?)last["output_type"] == "stream" && (string?)last["name"] == (string?)output["name"])
        {
            ((JsonArray)last["text"]!).Add((string?)output["text"]);                   // nbformat takes a list of pieces
        }
        else if ((string?)output["output_type"] == "stream")
        {
            outputs.Add(new JsonObject { ["output_type"] = "stream", ["name"] = (string?)output["name"], ["text"] = new JsonArray((string?)output["text"]) });
        }
        else
        {
            outputs.Add((JsonObject)output.DeepClone());
        }
    }

    /// <summary>A script that comes once a session must not go with the output that brought it.</summary>
    private static JsonObject KeepScript(JsonNode old, JsonObject data)
    {
        if (Page.OnceScripts(NotebookFile.Text(old["text/html"])) is { Length: > 0 } scripts)
            data["text/html"] = scripts + NotebookFile.Text(data["text/html"]);
        return data;
    }

    private void Finish(JsonObject message)
    {
        _current!.Seconds = (double)message["seconds"]!;
        PeakMemoryMB = Math.Max(PeakMemoryMB, (double)message["peakMemoryMB"]!);
        var meant = Notebook.Cells.First(c => Cells.GetValueOrDefault(c.Id) == _current).MayFail;
        _current.Error = message["error"] is { } error && !meant ? ((string)error["type"]!, (string)error["message"]!) : null;
        foreach (var stream in _current.Outputs.Where(o => (string?)o["output_type"] == "stream"))
        {
            if (NotebookFile.Text(stream["text"]) is var text && text.Contains('\r'))
                stream["text"] = new JsonArray(Engine.CellOutput.Settled(text));
        }
        _current.Status = _current.Error is null ? "passed" : "failed";
    }

    private void Judge(bool done, bool timedOut, bool interrupted, TimeSpan cellTimeout, int exitCode, List<string> complaints)
    {
        var open = Cells.Values.FirstOrDefault(c => c.Started && c.Status == "skipped");
        if (timedOut)
        {
            Status = "timed-out";
            Problem = $"a cell took longer than {cellTimeout.TotalSeconds:0.#} s";
            Close(open, "timed-out", "Timeout", Problem);
        }
        else if (interrupted)
        {
            Status = "interrupted";
            Problem = $"interrupted after {CellsDone} of {Cells.Count} cells";
            Close(open, "interrupted", "Interrupted", "the run was interrupted in this cell");
        }
        else if (Cells.FirstOrDefault(c => c.Value.Status == "failed") is { Value: { } failed, Key: var id })
        {
            Status = "failed";
            Problem = $"cell {id}: {failed.Error!.Value.Type}: {failed.Error!.Value.Message}";
        }
        else if (!done || Cells.Values.Any(c => c.Status != "passed"))
        {
            // Whatever the process said last is the best hint there is.
            var hint = string.Join('\n', complaints.Where(l => !l.StartsWith("frame #", StringComparison.Ordinal)).Take(4));
            Status = "crashed";
            Problem = $"the notebook's process ended with status {exitCode}{(hint == "" ? "" : ": " + hint)}";
            Close(open, "crashed", "ProcessCrashed", Problem);
        }
        else
        {
            var broken = Claims.Where(c => !Holds(c)).Select(c => (string?)c["name"]).ToList();
            Status = broken.Count == 0 ? "passed" : "failed";
            Problem = broken.Count == 0 ? null : $"{broken.Count} claim(s) do not hold: {string.Join("; ", broken)}";
        }
    }

    private static void Close(CellRun? cell, string status, string type, string message)
    {
        if (cell is null)
            return;
        cell.Status = status;
        cell.Error = (type, message);
        cell.Outputs.Add(new JsonObject { ["output_type"] = "error", ["ename"] = type, ["evalue"] = message, ["traceback"] = new JsonArray(JsonValue.Create(message)) });
    }
}
