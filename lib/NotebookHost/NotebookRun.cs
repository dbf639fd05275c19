using System.Diagnostics;
using System.Text;
using System.Text.Json;
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
    private bool _garbled;
    private int _room = 1_000_000;

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
    public IEnumerable<JsonObject> Claims => Claimed.OfType<JsonArray>().SelectMany(list => list).OfType<JsonObject>()
        .Where(IsClaim).Reverse().DistinctBy(c => (string?)c["name"]).Reverse();

    private IEnumerable<JsonNode> Claimed => Cells.Values.SelectMany(c => c.Outputs)
        .Select(o => o["data"]?["application/vnd.notebook.claims+json"]).OfType<JsonNode>();

    private static bool IsClaim(JsonNode? claim) => claim is JsonObject
        && claim["name"] is JsonValue name && name.TryGetValue<string>(out _);

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
        var cells = Notebook.Cells.Where(c => c.IsCode).Select(c => new WorkerCell(c.Id, c.Source, c.Language, c.MayFail));
        await child.StandardInput.WriteLineAsync(JsonSerializer.Serialize(cells));
        await child.StandardInput.FlushAsync(CancellationToken.None);
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
        // Who inherits the pipe may hold it for ever: what comes later than a moment after the process' end is not waited for.
        var over = child.WaitForExitAsync(CancellationToken.None).ContinueWith(_ => Thread.Sleep(Grace), TaskScheduler.Default);
        async Task<string?> Next()
        {
            var read = child.StandardOutput.ReadLineAsync(CancellationToken.None).AsTask();
            return await Task.WhenAny(read, over) == read || read.IsCompleted ? await read : null;
        }
        while (await Next() is { } line)
        {
            // Native code prints without line ends of ours, so a message may start in the middle of a line.
            var at = line.IndexOf(_mark, StringComparison.Ordinal);
            if (at != 0)
                AddPrinted((at < 0 ? line : line[..at]) + "\n");
            if (at < 0)
                continue;
            if (Files.Json(line[(at + _mark.Length)..]) is not JsonObject message)
            {
                // half-written by a child that was killed, or beyond us
                _garbled = true;
                continue;
            }
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
                        if (progress["fraction"] is JsonValue f && f.TryGetValue<double>(out var fraction)
                            && progress["text"] is JsonValue t && t.TryGetValue<string>(out var text))
                            Progress = (fraction, text);
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
        watch.Change(Timeout.Infinite, Timeout.Infinite);
        if (!child.WaitForExit(done || _current?.Status == "failed" ? Grace : Timeout.InfiniteTimeSpan))
            Kill(child);
        await child.WaitForExitAsync(CancellationToken.None).WaitAsync(Grace, CancellationToken.None)
            .ContinueWith(_ => { }, CancellationToken.None);
        await Task.WhenAny(errors, Task.Delay(Grace, CancellationToken.None));
        _clock.Stop();
        Judge(done, timedOut, cancellation.IsCancellationRequested, cellTimeout, child.HasExited ? child.ExitCode : -1, [.. complaints]);
        changed();
    }

    /// <summary>What an exception outside the cells makes of the run: the others go on.</summary>
    public void Break(Exception e)
    {
        _clock.Stop();
        (Status, Problem) = e is NotebookFileException ? ("failed", e.Message)
            : ("crashed", $"the host failed: {e.GetType().Name}: {e.Message}");
    }

    private Process Start(int threads, bool plain)
    {
        var start = DotNet.Start(forCells: true, "worker", Notebook.Path, _mark);
        start.StandardOutputEncoding = Encoding.UTF8;
        foreach (var variable in new[] { "OMP_NUM_THREADS", "MKL_NUM_THREADS" })
            // the user's own setting stays
            start.Environment.TryAdd(variable, threads.ToString(System.Globalization.CultureInfo.InvariantCulture));
        start.Environment.TryAdd(DotNet.CollectionVariable, DotNet.CollectionBudget);
        // A notebook's cells call the compiler's methods some hundred times. To compile these once more, after 30 calls as .NET does by
        // default, takes a core three seconds, which the faster code never earns back. (Hexadecimal: 1,024 calls.)
        start.Environment.TryAdd("DOTNET_TC_CallCountThreshold", "400");
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
        catch (Exception e) when (e is InvalidOperationException or System.ComponentModel.Win32Exception) { } // It has ended by itself.
    }

    /// <summary>What was printed past the console, by native code or another program.</summary>
    private void AddPrinted(string text)
    {
        text = text.Length <= _room ? text : text[.._room] + (_room > 0 ? "\n… (the rest is left out)\n" : "");
        _room = Math.Max(0, _room - text.Length);
        if (text != "")
            AddOutput(new JsonObject { ["output_type"] = "stream", ["name"] = "stdout", ["text"] = text });
    }

    private static bool IsStream(JsonObject output) => (string?)output["output_type"] == "stream";

    private void AddOutput(JsonObject output)
    {
        if (_current is null)
            return;
        var outputs = _current.Outputs;
        if ((string?)output["output_type"] == "update_display_data")
        {
            var id = (string?)output["transient"]!["display_id"];
            foreach (var shown in Cells.Values.SelectMany(c => c.Outputs).Where(o => (string?)o["transient"]?["display_id"] == id))
            {
                // A script that comes once a session must not go with the output that brought it.
                var (scripts, data) = (Page.OnceScripts(NotebookFile.Text(shown["data"]!["text/html"])), output["data"]!.DeepClone());
                if (scripts != "")
                    data["text/html"] = scripts + NotebookFile.Text(data["text/html"]);
                shown["data"] = data;
            }
        }
        else if (IsStream(output) && outputs is [.., var last] && IsStream(last) && (string?)last["name"] == (string?)output["name"])
        {
            ((JsonArray)last["text"]!).Add((string?)output["text"]);                   // nbformat takes a list of pieces
        }
        else
        {
            outputs.Add((JsonObject)output.DeepClone());
            if (IsStream(output))
                outputs[^1]["text"] = new JsonArray((string?)output["text"]);
        }
    }

    private void Finish(JsonObject message)
    {
        _current!.Seconds = (double)message["seconds"]!;
        PeakMemoryMB = Math.Max(PeakMemoryMB, (double)message["peakMemoryMB"]!);
        var meant = Notebook.Cells.First(c => Cells.GetValueOrDefault(c.Id) == _current).MayFail;
        _current.Error = message["error"] is { } error && !meant ? ((string)error["type"]!, (string)error["message"]!) : null;
        foreach (var stream in _current.Outputs.Where(o => IsStream(o) && NotebookFile.Text(o["text"]).Contains('\r')))
            stream["text"] = new JsonArray(Engine.CellOutput.Settled(NotebookFile.Text(stream["text"])));
        _current.Status = _current.Error is null ? "passed" : "failed";
    }

    private void Judge(bool done, bool timedOut, bool interrupted, TimeSpan cellTimeout, int exitCode, List<string> complaints)
    {
        var failed = Cells.FirstOrDefault(c => c.Value.Status == "failed");
        var broken = Claims.Where(c => !Holds(c)).Select(c => (string?)c["name"]).ToList();
        var odd = _garbled || Claimed.Any(list => list is not JsonArray claims || !claims.All(IsClaim));
        // Whatever a process said last is the best hint there is.
        var hint = string.Join('\n', complaints.Where(l => !l.StartsWith("frame #", StringComparison.Ordinal)).Take(4).Prepend(":"));
        (Status, Problem) = true switch
        {
            _ when timedOut => ("timed-out", $"a cell took longer than {cellTimeout.TotalSeconds:0.#} s"),
            _ when interrupted => ("interrupted", $"interrupted after {CellsDone} of {Cells.Count} cells"),
            _ when failed.Value is { Error: { } error } => ("failed", $"cell {failed.Key}: {error.Type}: {error.Message}"),
            _ when !done || Cells.Values.Any(c => c.Status != "passed")
                => ("crashed", $"the notebook's process ended with status {exitCode}{(hint == ":" ? "" : hint.Replace(":\n", ": "))}"),
            _ when broken.Count > 0 => ("failed", $"{broken.Count} claim(s) do not hold: {string.Join("; ", broken)}"),
            _ when odd => ("failed", "an output or a claim cannot be understood"),
            _ => ("passed", (string?)null),
        };
        if (Cells.Values.FirstOrDefault(c => c.Started && c.Status == "skipped") is not { } open)
            return;
        var type = Status switch { "timed-out" => "Timeout", "interrupted" => "Interrupted", _ => "ProcessCrashed" };
        (open.Status, open.Error) = (Status, (type, Problem!));
        open.Outputs.Add(Engine.CellOutput.Of(new Engine.CellError(type, Problem!, [Problem!])));
    }
}
