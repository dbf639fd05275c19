using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using NotebookHost.Pages;

namespace NotebookHost;

/// <summary>One run of one notebook on seeds of its own.</summary>
/// <param name="Notebook">As it is, with its own seeds.</param>
/// <param name="Name">Its path in reports.</param>
/// <param name="Stamp">Of its cells and its library.</param>
/// <param name="Seeds">This run's seeds; none where the notebook has no parameter of that name.</param>
internal sealed record Replicate(NotebookFile Notebook, string Name, string Stamp, int[] Seeds)
{
    /// <summary>Where its result lies in the output folder.</summary>
    public string ResultFile => $"runs/{Path.ChangeExtension(Name, null)}/{(Seeds.Length == 0 ? "once" : Seeds[0])}.json";

    /// <summary>As a reader types it.</summary>
    public static string Setting(IReadOnlyList<int> seeds) => seeds.Count == 0 ? "" : $" --set seeds={string.Join(',', seeds)}";

    /// <summary>The notebook with this run's seeds.</summary>
    public NotebookRun Run() => new(Seeds.Length == 0 ? Notebook : Parameters.Set(Notebook, Name,
        new Dictionary<string, string[]> { ["seeds"] = [.. Seeds.Select(s => s.ToString(CultureInfo.InvariantCulture))] }),
        Seeds.Length == 0 ? Name : $"{Name}, seeds {Seeds[0]} to {Seeds[^1]}");
}

/// <summary>
/// Runs notebooks on seeds that nobody looked at, and tells for every claim in how many of these runs it held. Every run is a process
/// and leaves one file, put in its place whole: what was killed is run again by the next call, and nothing else.
/// </summary>
internal static class Replication
{
    /// <summary>A claim replicates where it holds in at least nine of ten runs.</summary>
    public const double Enough = 0.9;

    /// <summary>Runs what is missing, and merges; returns the exit status.</summary>
    /// <param name="options">What to run, where to, how many at once.</param>
    /// <param name="count">Runs of each notebook that has seeds.</param>
    /// <param name="from">The first run's first seed; the other runs follow it without a gap.</param>
    /// <param name="cancellation">Ends what runs; what is finished is kept and merged.</param>
    public static async Task<int> RunAsync(RunOptions options, int count, int from, CancellationToken cancellation)
    {
        var all = Asked(options, count, from);
        var missing = Missing(options, all);
        if (missing.Count < all.Count)
            Console.WriteLine($"{all.Count - missing.Count} of {all.Count} runs are there already");
        var view = new RunView(missing.Count);
        var jobs = Math.Clamp(missing.Count, 1, options.Jobs);
        try
        {
            await Parallel.ForEachAsync(missing, new ParallelOptions { MaxDegreeOfParallelism = jobs, CancellationToken = cancellation },
                async (one, cancel) =>
                {
                    var run = one.Run();
                    view.Started(run);
                    // Where nobody sees it move, a line a cell of hundreds of runs is too much.
                    Action changed = Console.IsOutputRedirected ? () => { } : () => view.Changed(run);
                    await RunOneAsync(one, run, options, Math.Max(1, Environment.ProcessorCount / jobs), cancel, changed);
                    view.Finished(run);
                });
        }
        catch (OperationCanceledException) { } // What is finished is merged below.
        var status = Collect(options, all);
        if (!cancellation.IsCancellationRequested)
            return status;
        Console.Error.WriteLine("interrupted: the same command goes on from here");
        return Runner.Interrupted;
    }

    /// <summary>Runs one and leaves its result, unless it is interrupted.</summary>
    public static async Task RunOneAsync(Replicate one, NotebookRun run, RunOptions options,
        int threads, CancellationToken cancellation, Action changed)
    {
        try
        {
            await run.RunAsync(options.CellTimeout, threads, changed, cancellation);
        }
        catch (Exception e)
        {
            run.Break(e);
        }
        // What is finished already, by another process at the same run, is not put out by one that broke down.
        if (run.Status == "interrupted" || (run.Status is not ("passed" or "failed") && Result(options.Output, one) is not null))
            return;
        Files.Replace(Path.Combine(options.Output, one.ResultFile), new JsonObject
        {
            ["stamp"] = one.Stamp,
            ["seeds"] = new JsonArray([.. one.Seeds.Select(s => JsonValue.Create(s))]),
            ["status"] = run.Status,
            ["problem"] = run.Problem,
            ["broken"] = run.Cells.Values.Any(c => c.Status != "passed"),
            ["seconds"] = Math.Round(run.Seconds, 1),
            ["claims"] = new JsonArray([.. run.Claims.Select(c => c.DeepClone())]),
        }.ToJsonString(Report.Indented) + "\n");
    }

    /// <summary>Every run that is asked for: the first run of all notebooks, then the second. A notebook without seeds is run
    /// once.</summary>
    public static List<Replicate> Asked(RunOptions options, int count, int from)
    {
        // Left by a process that was killed. One that is being written, by another process or another machine, is younger.
        var drafts = new DirectoryInfo(Path.Combine(options.Output, "runs"));
        foreach (var draft in drafts.Exists ? drafts.GetFiles("*.json.*.part", SearchOption.AllDirectories) : [])
        {
            if (DateTime.UtcNow - draft.LastWriteTimeUtc > TimeSpan.FromMinutes(10))
                draft.Delete();
        }
        if (Files.WhyNotWritable(Path.Combine(options.Output, "replication.json")) is { } why)
            throw new NotebookFileException($"{options.Output} cannot be written, so nothing was run: {why}");
        var notebooks = Runner.Find(options).Runs.Select(run => (run.Notebook, run.Name, Stamp: SavedNotebook.Stamp(run.Notebook),
            Seeds: SeedsOf(run))).ToList();
        if (from + ((long)count * notebooks.Max(n => n.Seeds)) > int.MaxValue)
            throw new NotebookFileException($"--seeds {from} and {count} runs go beyond {int.MaxValue}");
        return [.. Enumerable.Range(0, count).SelectMany(k => notebooks.Where(n => n.Seeds > 0 || k == 0)
            .Select(n => new Replicate(n.Notebook, n.Name, n.Stamp, [.. Enumerable.Range(from + (k * n.Seeds), n.Seeds)])))];
    }

    /// <summary>How many seeds a notebook has; none where it has no parameter of that name.</summary>
    private static int SeedsOf(NotebookRun run) => Parameters.Of(run.Notebook).FirstOrDefault(p => p.Name == "seeds") switch
    {
        null => 0,
        { Type: "int[]" } seeds => seeds.Count,
        var odd => throw new NotebookFileException($"{run.Name}: seeds is {odd.Type ?? "computed"}; to give it others it must be a plain "
            + "list, var seeds = new[] { 1, 2, 3 };"),
    };

    /// <summary>What is still to be run.</summary>
    public static List<Replicate> Missing(RunOptions options, IReadOnlyList<Replicate> all)
        => [.. all.Where(one => !IsDone(options.Output, one))];

    /// <summary>Whether a run need not be run again; one in which a cell failed is, since what it lacked may be there by now.</summary>
    public static bool IsDone(string folder, Replicate one) => Result(folder, one) is { } result && !(bool)result["broken"]!;

    /// <summary>The result of a run of these very cells, seeds and library; null where there is none, or its process broke down.</summary>
    public static JsonNode? Result(string folder, Replicate one)
        => Left(folder, one) is { } result && (string?)result["status"] is "passed" or "failed" ? result : null;

    /// <summary>What a run of these very cells, seeds and library left, however it ended; null where there is nothing.</summary>
    private static JsonNode? Left(string folder, Replicate one) => Path.Combine(folder, one.ResultFile) is var file && File.Exists(file)
        && Files.Json(File.ReadAllText(file)) is { } left && (string?)left["stamp"] == one.Stamp
        && left["seeds"]!.AsArray().Select(seed => (int)seed!).SequenceEqual(one.Seeds) ? left : null;

    /// <summary>Merges the runs that are there into replication.json and a page; returns the exit status.</summary>
    /// <param name="options">Where they are.</param>
    /// <param name="all">The runs that are asked for.</param>
    public static int Collect(RunOptions options, IReadOnlyList<Replicate> all)
    {
        var notebooks = all.GroupBy(one => one.Name).Select(group => Merged(options.Output, [.. group])).Where(n => n.Runs.Count > 0)
            .OrderBy(n => n.Name, StringComparer.Ordinal).ToList();
        var finished = notebooks.Sum(n => n.Runs.Count);
        if (finished == 0)
        {
            Console.WriteLine("no run of these cells and this library is finished yet");
            return Runner.Failed;
        }
        Files.Replace(Path.Combine(options.Output, "replication.json"), Json(notebooks));
        var page = Path.Combine(options.Output, "index.html");
        Files.Replace(page, ReplicationPage.Build(notebooks));
        foreach (var (notebook, run) in notebooks.SelectMany(n => n.Runs.Where(r => r.Broken is not null).Select(r => (n, r))))
            Console.WriteLine($"broke: {notebook.Name}{Replicate.Setting(run.Seeds)}: {run.Broken}");
        foreach (var one in all)
        {
            if (Left(options.Output, one) is { } left && (string?)left["status"] is not ("passed" or "failed"))
                Console.WriteLine($"{left["status"]}, not counted: {one.Name}{Replicate.Setting(one.Seeds)}: {left["problem"]}");
        }
        var counted = notebooks.SelectMany(n => n.Claims).Where(c => c.Counts).ToList();
        var held = counted.Count(c => c.Replicates);
        Console.WriteLine($"{finished} of {all.Count} runs; {held} of {counted.Count} claims "
            + $"({100.0 * held / Math.Max(1, counted.Count):0.0} %) hold in at least nine of ten, identities and published numbers not "
                + "counted");
        Console.WriteLine($"the page: {Path.GetFullPath(page)}");
        return finished == all.Count && held == counted.Count
            && notebooks.All(n => n.Runs.All(r => r.Broken is null)) ? Runner.Passed : Runner.Failed;
    }

    private static ReplicatedNotebook Merged(string folder, IReadOnlyList<Replicate> asked)
    {
        var runs = asked.Select(one => (One: one, Result: Result(folder, one))).Where(r => r.Result is not null)
            .Select(r => new ReplicatedRun(r.One.Seeds, (bool)r.Result!["broken"]! ? (string?)r.Result["problem"] ?? "" : null,
                r.Result["claims"]!.AsArray().OfType<JsonObject>().Select(Plain).ToDictionary(c => (string)c["name"]!))).ToList();
        var names = runs.SelectMany(r => r.Claims.Keys).Distinct();
        return new ReplicatedNotebook(asked[0].Name, asked[0].Notebook.Title, runs,
            [.. names.Select(name => new ReplicatedClaim(name, [.. runs.Select(r => r.Claims.GetValueOrDefault(name))]))]);
    }

    /// <summary>A claim of which nothing is of another kind than it should be: notebooks write what they like.</summary>
    private static JsonObject Plain(JsonObject claim)
    {
        var plain = new JsonObject();
        foreach (var name in (string[])["name", "kind", "relation", "unit"])
            plain[name] = claim[name] is JsonValue text && text.TryGetValue<string>(out var s) ? s : "";
        foreach (var name in (string[])["predicted", "measured", "tolerance", "seeds", "spread"])
            plain[name] = claim[name] is JsonValue number && number.TryGetValue<double>(out var v) ? v : null;
        plain["holds"] = NotebookRun.Holds(claim);
        return plain;
    }

    /// <summary>A line a claim, so that what changed can be read: in how many runs it held, the measured numbers, the runs it failed
    /// in.</summary>
    private static string Json(IReadOnlyList<ReplicatedNotebook> notebooks)
    {
        static string Line(JsonObject o) => o.ToJsonString(Report.OneLine);
        var parts = notebooks.Select(n => $"{{\"path\": {JsonValue.Create(n.Name).ToJsonString()},\n"
            + $"\"seeds\": [{string.Join(", ", n.Runs.Select(r => $"[{string.Join(", ", r.Seeds)}]"))}],\n\"claims\": [\n"
            + string.Join(",\n", n.Claims.Select(c => Line(c.Json()))) + "\n]}");
        return $"{{\"version\": 1, \"commit\": \"{Commit()}\", \"date\": \"{DateTime.UtcNow:yyyy-MM-dd}\", \"notebooks\": [\n"
            + string.Join(",\n", parts) + "\n]}\n";
    }

    /// <summary>The commit at hand, with a + where files differ from it; empty where there is none.</summary>
    private static string Commit()
    {
        string Git(params string[] arguments)
        {
            try
            {
                var start = new ProcessStartInfo("git", arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
                using var git = Process.Start(start)!;
                var text = git.StandardOutput.ReadToEnd();
                git.WaitForExit();
                return git.ExitCode == 0 ? text.Trim() : "";
            }
            catch (System.ComponentModel.Win32Exception)
            {
                return "";
            }
        }
        return Git("rev-parse", "--short=12", "HEAD") + (Git("status", "--porcelain", "--untracked-files=no") == "" ? "" : "+");
    }
}

/// <summary>One finished run: its seeds, which cell failed and why, if any (the claims behind it are missing, and count as not held),
/// and its claims by name.</summary>
internal sealed record ReplicatedRun(int[] Seeds, string? Broken, IReadOnlyDictionary<string, JsonObject> Claims);

/// <summary>A notebook's runs and its claims over them.</summary>
internal sealed record ReplicatedNotebook(string Name, string Title,
    IReadOnlyList<ReplicatedRun> Runs, IReadOnlyList<ReplicatedClaim> Claims);

/// <summary>A claim over all runs of its notebook; null in <paramref name="In"/> where a run did not come to it.</summary>
internal sealed record ReplicatedClaim(string Name, IReadOnlyList<JsonObject?> In)
{
    /// <summary>As some run has it.</summary>
    public JsonObject Any { get; } = In.First(c => c is not null)!;

    /// <summary>In how many runs it held.</summary>
    public int Held => In.Count(c => c is not null && NotebookRun.Holds(c));

    /// <summary>identity, prediction, comparison, observation or published.</summary>
    public string Kind => (string?)Any["kind"] ?? "";

    /// <summary>Identities check the code and published numbers nothing.</summary>
    public bool Counts => Kind is not ("identity" or "published");

    public bool Replicates => Held >= Replication.Enough * In.Count;

    /// <summary>The runs by how near they came to failing, the worst first: those that failed, then by the room that was left.</summary>
    public IReadOnlyList<int> Worst => [.. Enumerable.Range(0, In.Count)
        .OrderBy(k => In[k] is { } claim && NotebookRun.Holds(claim)).ThenBy(k => Margin(In[k]))];

    /// <summary>How far a claim is inside what it must hold to, in its own unit: negative outside.</summary>
    private static double Margin(JsonObject? claim)
    {
        if (claim is null)
            return double.NegativeInfinity;
        double Of(string name) => (double?)claim[name] ?? double.NaN;
        var (measured, predicted, tolerance) = (Of("measured"), Of("predicted"), Of("tolerance"));
        var error = Of("spread") / Math.Sqrt(Of("seeds"));
        var margin = (string?)claim["relation"] switch
        {
            "within" => tolerance - Math.Abs(measured - predicted),
            "ratio-within" => tolerance - Math.Abs((measured / predicted) - 1),
            "at-most" => predicted - measured,
            "at-least" => measured - predicted,
            "above" => ((measured - predicted) / error) - 2,
            "below" => ((predicted - measured) / error) - 2,
            _ => 0,
        };
        return double.IsNaN(margin) ? double.NegativeInfinity : margin;
    }

    public JsonObject Json()
    {
        var line = new JsonObject { ["name"] = Name, ["kind"] = Kind, ["held"] = Held, ["of"] = In.Count };
        foreach (var name in (string[])["relation", "tolerance", "unit"])
        {
            if (Any[name] is JsonNode value && value.ToJsonString() is not ("0" or "\"\""))
                line[name] = value.DeepClone();
        }
        var predicted = In.Select(c => Short(c?["predicted"])).ToList();
        line["predicted"] = predicted.Distinct().Count() == 1 ? JsonNode.Parse(predicted[0])
            : JsonNode.Parse($"[{string.Join(",", predicted)}]");
        line["measured"] = JsonNode.Parse($"[{string.Join(",", In.Select(c => Short(c?["measured"])))}]");
        if (Enumerable.Range(0, In.Count).Where(k => In[k] is not { } c || !NotebookRun.Holds(c)).ToList() is { Count: > 0 } failed)
            line["failed"] = new JsonArray([.. failed.Select(k => JsonValue.Create(k))]);
        return line;
    }

    private static string Short(JsonNode? value)
        => value is null ? "null" : ((double)value).ToString("G4", CultureInfo.InvariantCulture);
}
