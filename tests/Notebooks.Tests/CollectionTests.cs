using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using NotebookHost.Tests;

namespace Notebooks.Tests;

/// <summary>One run of the whole collection: the lessons as the README's first command runs them, which is the one that is there if it
/// is of these very sources, else one made here; and their solutions, run here.</summary>
public sealed class CollectionRun : IAsyncLifetime
{
    /// <summary>What the first command left.</summary>
    internal string Left { get; private set; } = Path.Combine(Host.Root, "artifacts", "run");

    /// <summary>The executed lessons and solutions, with a report of both.</summary>
    internal string Folder => Path.Combine(Scratch, "run");

    /// <summary>What tests write goes here.</summary>
    internal string Scratch { get; } = Directory.CreateTempSubdirectory("collection").FullName;

    internal JsonNode Report { get; private set; } = null!;

    internal string Said { get; private set; } = "";

    public async ValueTask InitializeAsync()
    {
        var (lessons, solutions) = (CollectionTests.Lessons, CollectionTests.Files.Except(CollectionTests.Lessons));
        Said = $"the run in {Left}";
        if (!IsOfThese(Left, lessons))
        {
            Left = Path.Combine(Scratch, "lessons");
            var (_, output, error) = await Host.RunAsync(Host.Root, "run", "--output", Left);
            Said = output + error;
        }
        var answers = await Host.RunAsync(Host.Root, ["run", .. solutions, "--output", Folder]);
        Said += answers.Output + answers.Error;
        foreach (var lesson in lessons.Where(lesson => File.Exists(Path.Combine(Left, lesson))))
            File.Copy(Path.Combine(Left, lesson), Path.Combine(Folder, lesson));
        Report = Read(Left);
        foreach (var solution in Read(Folder)["notebooks"]!.AsArray())
            Report["notebooks"]!.AsArray().Add(solution!.DeepClone());
        await File.WriteAllTextAsync(Path.Combine(Folder, "report.json"), Report.ToJsonString());
    }

    private static JsonNode Read(string folder) => JsonNode.Parse(File.ReadAllText(Path.Combine(folder, "report.json")))!;

    /// <summary>Whether a folder has a run whose host, library and cells are those at hand, and no notebook is missing.</summary>
    private static bool IsOfThese(string folder, IEnumerable<string> files)
    {
        if (!File.Exists(Path.Combine(folder, "report.json")) || !File.Exists(Path.Combine(folder, "index.html")))
            return false;
        var report = Read(folder);
        var stamps = report["notebooks"]!.AsArray().ToDictionary(n => (string)n!["path"]!, n => (string?)n!["stamp"]);
        return (string?)report["host"] == NotebookHost.Report.Host
            && stamps.Keys.Order(StringComparer.Ordinal).SequenceEqual(files)
            && files.All(f =>
                stamps[f] == NotebookHost.SavedNotebook.Stamp(NotebookHost.NotebookFile.Read(Path.Combine(Host.Root, f))));
    }

    public ValueTask DisposeAsync()
    {
        Directory.Delete(Scratch, recursive: true);
        return ValueTask.CompletedTask;
    }
}

public partial class CollectionTests(CollectionRun run) : IClassFixture<CollectionRun>
{
    public static IEnumerable<string> Files => Directory.EnumerateFiles(Path.Combine(Host.Root, "notebooks"),
        "*.ipynb", SearchOption.AllDirectories)
        .Where(f => !f.Contains(".ipynb_checkpoints")).Select(f => Path.GetRelativePath(Host.Root, f).Replace('\\', '/'))
            .Order(StringComparer.Ordinal);

    /// <summary>All but the solutions.</summary>
    public static IReadOnlyList<string> Lessons => [.. Files.Where(f => !f.Contains("/solutions/"))];

    /// <summary>One notebook of each track, or with NOTEBOOKS=all in the environment all of them.</summary>
    private static IReadOnlyList<string> Some => Environment.GetEnvironmentVariable("NOTEBOOKS") == "all" ? [.. Files] :
    [
        "notebooks/forgetting/02-the-kl-minimal-solution.ipynb", "notebooks/recommenders/01-is-recommending-off-policy-supervision.ipynb",
        "notebooks/scale-invariance/01-the-weight-that-does-not-matter.ipynb",
            "notebooks/weight-decay/02-the-exponential-learning-rate.ipynb",
    ];

    public static TheoryData<string> Notebooks => [.. Files];

    [Theory, MemberData(nameof(Notebooks))]
    public void EveryCellRunsAndEveryClaimHolds(string path)
    {
        var notebook = run.Report["notebooks"]!.AsArray().Single(n => (string?)n!["path"] == path)!;
        Assert.True((string?)notebook["status"] == "passed", $"{notebook["status"]}: {run.Said}");
        Assert.NotEmpty(notebook["claims"]!.AsArray());
        Assert.All(notebook["claims"]!.AsArray(), claim => Assert.True((bool)claim!["holds"]!, claim.ToJsonString()));
    }

    [Fact]
    public void TheRunLeavesAPage()
    {
        Assert.Equal(Files, run.Report["notebooks"]!.AsArray().Select(n => (string?)n!["path"]).Order(StringComparer.Ordinal));
        Assert.Empty(Directory.EnumerateFiles(run.Left, "*.part", SearchOption.AllDirectories));
        var page = File.ReadAllText(Path.Combine(run.Left, "index.html"));
        Assert.Single(OncePattern().Matches(page));
        Assert.DoesNotMatch("""(src|href)="https?://[^"]*\.(js|css)""", page);
        // Every formula was understood.
        Assert.DoesNotContain(NotebookHost.Pages.MathMl.Unknown, page);
    }

    /// <summary>Notebook 14 of the generative track, the tables at the notebooks' ends and the scoreboard read the claims by their
    /// names.</summary>
    [Fact]
    public void TheShippedReplicationIsOfTheClaimsThatAreMade()
    {
        static IEnumerable<string> Counted(JsonNode notebook) => notebook["claims"]!.AsArray()
            .Where(claim => (string?)claim!["kind"] is "prediction" or "comparison" or "observation")
            .Select(claim => (string)claim!["name"]!);
        var made = run.Report["notebooks"]!.AsArray().ToDictionary(n => (string)n!["path"]!, n => Counted(n!).ToHashSet());
        var shipped = JsonNode.Parse(File.ReadAllText(Path.Combine(Host.Root, "data", "results", "replication.json")))!;
        // All but the page that is made of it.
        Assert.Equal(made.Keys.Where(path => !path.Contains("14-the-systems-of-the-field")).Order(StringComparer.Ordinal),
            shipped["notebooks"]!.AsArray().Select(n => (string)n!["path"]!).Order(StringComparer.Ordinal));
        // Some sections are left out where their ratings are not installed.
        var ratings = Environment.GetEnvironmentVariable("MOVIELENS_DIR") is { Length: > 0 };
        Assert.All(shipped["notebooks"]!.AsArray(), notebook =>
        {
            var (now, then) = (made[(string)notebook!["path"]!], Counted(notebook).ToHashSet());
            Assert.Empty(now.Except(then));
            Assert.Equal([], ratings ? then.Except(now) : []);
        });
    }

    [Fact]
    public async Task ASecondRunOnOneThreadGivesTheSameNumbersAndFiguresBitwise()
    {
        const string path = "notebooks/scale-invariance/01-the-weight-that-does-not-matter.ipynb";
        var again = Path.Combine(run.Scratch, "again");
        var (status, output, _) = await Host.RunAsync(Host.Root, path, "--output", again);
        Assert.True(status == 0, output);
        Assert.Equal(File.ReadAllText(Path.Combine(run.Folder, path)), File.ReadAllText(Path.Combine(again, path)));
    }

    [Fact]
    public async Task JupyterGivesTheSameClaimsAsTheHostsOwnRun()
    {
        await Jupyter.RequireAsync("nbclient", "nbformat");
        var data = Directory.CreateDirectory(Path.Combine(run.Scratch, "jupyter")).FullName;
        await Jupyter.InstallAsync(data);
        await AssertSameThroughJupyter(data, Some);
    }

    [Fact]
    public async Task TheToolItselfGivesTheSameClaimsThroughJupyter()
    {
        await RealTool.RequireAsync();
        await Jupyter.RequireAsync("nbclient", "nbformat");
        var data = Directory.CreateDirectory(Path.Combine(run.Scratch, "tool")).FullName;
        await RealTool.InstallKernelAsync(data);
        await AssertSameThroughJupyter(data, ["notebooks/weight-decay/02-the-exponential-learning-rate.ipynb"]);
    }

    [Fact]
    public async Task TheToolItselfGivesTheSameClaimsAsVsCodeDrivesIt()
    {
        await RealTool.RequireAsync();
        var bars = new Dictionary<string, string?>();
        foreach (var path in Some)
        {
            await using var tool = new RealTool(Path.GetDirectoryName(Path.Combine(Host.Root, path))!);
            var claims = new List<JsonNode?>();
            foreach (var cell in NotebookHost.NotebookFile.Read(Path.Combine(Host.Root, path)).Cells.Where(c => c.IsCode))
            {
                var events = await tool.RunAsync(cell.Source);
                Assert.True(events[^1].Type == "CommandSucceeded", $"{path}, {cell.Id}: {events[^1].Event["message"]}");
                // The tool shows a compiler's warnings in red: there are none, but that TorchSharp was built with .NET 8 (CS1701).
                var warnings = events.Where(e => e.Type == "DiagnosticsProduced")
                    .SelectMany(e => e.Event["formattedDiagnostics"]!.AsArray());
                var odd = warnings.Select(w => (string)w!["value"]!).Where(w => !w.Contains("warning CS1701", StringComparison.Ordinal));
                Assert.True(!odd.Any(), $"{path}, {cell.Id}: {string.Join("; ", odd)}");
                foreach (var shown in events.SelectMany(e => e.Shown))
                {
                    if (shown.MimeType == "application/vnd.notebook.claims+json")
                        claims.AddRange(JsonNode.Parse(shown.Value)!.AsArray());
                    if (shown.MimeType == "application/vnd.notebook.progress+json")
                        bars[shown.Id] = (string?)JsonNode.Parse(shown.Value)!["text"];
                }
            }
            AssertSame(path, claims);
            Assert.Equal("127.0.0.1 only", await tool.ListensAsync());
        }
        // The bars of long runs moved each in its own place, to its end.
        Assert.NotEmpty(bars);
        Assert.All(bars.Values, bar => Assert.Matches(@"^[\d,]+ steps in [\d.]+ s$", bar));
    }

    private async Task AssertSameThroughJupyter(string data, IReadOnlyList<string> files)
    {
        var file = Path.Combine(data, "claims.json");
        var (status, output) = await Jupyter.RunAsync("collection.py", data, [file, .. files.Select(f => Path.Combine(Host.Root, f))]);
        Assert.True(status == 0, output);
        var through = JsonNode.Parse(File.ReadAllText(file))!;
        foreach (var path in files)
            AssertSame(path, through["claims"]![Path.Combine(Host.Root, path)]!.AsArray());
        // A long run's bar was updated in place, to its end; with several notebooks there is one.
        Assert.True(files.Count == 1 || through["progress"]!.AsArray().Count > 0);
        Assert.All(through["progress"]!.AsArray(), bar => Assert.Matches(@"^[\d,]+ steps in [\d.]+ s$", (string?)bar));
    }

    /// <summary>The claims that a host saw, against those of the host's own run: the same names, verdicts, and numbers to the last digit,
    /// on one thread.</summary>
    private void AssertSame(string path, IEnumerable<JsonNode?> seen)
    {
        static string Line(JsonNode? claim) => $"{claim!["name"]}: {(double?)claim["measured"]:R}, {claim["holds"]}";
        var here = run.Report["notebooks"]!.AsArray().Single(n => (string?)n!["path"] == path)!["claims"]!.AsArray();
        Assert.NotEmpty(here);
        Assert.Equal(here.Select(Line).Order(), seen.Select(Line).Distinct().Order());
    }

    [Fact]
    public async Task SavedPicturesAreSeenWithoutScripts()
    {
        Browser.Require();
        await Jupyter.RequireAsync("nbconvert");
        var pages = Directory.CreateDirectory(Path.Combine(run.Scratch, "saved")).FullName;
        var (status, output) = await Jupyter.RunAsync("saved.py", pages, [pages, .. Files.Select(f => Path.Combine(Host.Root, f))]);
        Assert.True(status == 0, output);
        Script.AssertAllOk(await Browser.RunAsync("saved.cjs", pages), checks: 2);
    }

    [Fact]
    public async Task TheGalleryHoldsInARealBrowser()
    {
        Browser.Require();
        var site = Path.Combine(run.Scratch, "gallery");
        var (status, output, error) = await Host.RunAsync(Host.Root, "gallery", "--from", run.Folder, "--site", site);
        Assert.True(status == 0, output + error);
        Script.AssertAllOk(await Browser.RunAsync("gallery.cjs", site, Path.Combine(run.Left, "index.html")), checks: 27);
    }

    [Fact]
    public Task ExecutedNotebooksAreValid() => Validation.AssertValid([.. Files.Select(f => Path.Combine(run.Folder, f))]);

    [GeneratedRegex("<script data-once=\"plotly\">")]
    private static partial Regex OncePattern();
}

public sealed class ProgressTests : HostTest
{
    [Fact]
    public async Task ALongExperimentShowsHowFarItIs()
    {
        Write("n.ipynb", $"""
            #r "{Host.Library}"
            using TrainingDynamics.Experiments; using TrainingDynamics.Models; using TrainingDynamics.Optimizers;
            using TrainingDynamics.Runtime; using TrainingDynamics.Tasks;
            var walk = new RandomWalk(200_000, new ReplicaRandom(1, 2, 3), 1.0);
            Training.Run(walk, new Sgd(walk.Weights, 0.1), 2000, observe: _ => System.Threading.Thread.Sleep(3));
            """);
        var (status, output, error) = await Run("n.ipynb");
        Assert.True(status == 0, output + error);
        Assert.Matches(@"n\.ipynb: cell 1/1: [\d,]+ of 2,000 steps, [\d,]+ a second, \d+ s left", output);
    }
}

/// <summary>The library in a notebook's process, where something is in its way.</summary>
public sealed partial class LibraryTests : HostTest
{
    /// <summary>A cell that uses the library first, which then loads libtorch: what a notebook's setup does.</summary>
    private static string Cell(string code) => $"#r \"{Host.Library}\"\n_ = new TrainingDynamics.Claims.ClaimList();\n{code}";

    [Fact]
    public async Task TheReadmesExampleRuns()
    {
        var readme = File.ReadAllText(Path.Combine(Host.Root, "README.md"));
        var example = ExamplePattern().Match(readme).Groups[1].Value;
        Assert.NotEmpty(example);
        Write("n.ipynb", $"#r \"{Host.Library}\"\n" + "using TrainingDynamics.Data; using TrainingDynamics.Experiments; using "
            + "TrainingDynamics.Models; using TrainingDynamics.Optimizers; using TrainingDynamics.Runtime; using TrainingDynamics.Tasks;",
            example);
        var (status, output, error) = await Run("n.ipynb");
        Assert.True(status == 0, output + error);
    }

    [GeneratedRegex("```csharp\\n(.*?)```", RegexOptions.Singleline)]
    private static partial Regex ExamplePattern();

    [Fact]
    public async Task AnAbortInsideLibtorchEndsOneNotebook()
    {
        Write("a.ipynb", Cell("TorchSharp.torch.ones(2, 3).matmul(TorchSharp.torch.ones(2, 3))"), "1");
        Write("b.ipynb", Cell("TorchSharp.torch.ones(2, 3).sum().item<float>()"));
        var (status, output, error) = await Run(".");
        Assert.True(status == 1, output + error);
        Assert.Equal(["crashed", "passed"], Report["notebooks"]!.AsArray().Select(n => (string?)n!["status"]));
    }

    [Fact]
    public async Task ProcessesThatStartAtOnceShareAHealedCopy()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "only Linux libraries are healed");
        foreach (var name in (string[])["a", "b", "c", "d"])
            Write($"{name}.ipynb", Cell("TorchSharp.torch.ones(2, 3).sum().item<float>()"));
        var (status, output, error) = await Host.RunAsync(Folder,
            [("XDG_DATA_HOME", Path.Combine(Folder, "cache"))], ["run", ".", "--jobs", "4", "--output", "out"]);
        Assert.True(status == 0, output + error);
        Assert.SkipUnless(Directory.Exists(Path.Combine(Folder, "cache")), "this system's C++ runtime is new enough: nothing is healed");
        Assert.Single(Directory.GetFiles(Path.Combine(Folder, "cache"), "*", SearchOption.AllDirectories));
    }

    [Fact]
    public async Task WhereACopyCannotBeWrittenACellSaysWhy()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "only Linux libraries are healed");
        Write("n.ipynb", Cell("TorchSharp.torch.ones(2, 3)"));
        File.WriteAllText(Path.Combine(Folder, "file"), "");                               // where a folder should be
        var (status, output, error) = await Host.RunAsync(Folder,
            [("XDG_DATA_HOME", Path.Combine(Folder, "file"))], ["run", "n.ipynb", "--output", "out"]);
        Assert.SkipWhen(status == 0, "this system's C++ runtime is new enough: nothing is healed");
        Assert.True(status == 1, output + error);
        var problem = Report["notebooks"]![0]!["cells"]![0]!["error"]!;
        Assert.Equal("NativeLoadException", (string?)problem["type"]);
        Assert.Contains("could not be written", (string?)problem["message"]);
        Assert.Contains("GCC 13", (string?)problem["message"]);
    }

    [Fact]
    public async Task AFigureIsSavedAsTheSamePictureTwice()
    {
        Assert.SkipUnless(Browser.Chromium, "no Chromium is installed (Debian: apt-get install chromium)");
        Write("n.ipynb", Cell("TrainingDynamics.Figures.Figure.Lines(\"a line\", \"x\", \"y\").Line(\"l\", [1, 2], [1, 2])"));
        Assert.Equal(0, (await Run("n.ipynb", "--in-place")).Status);
        var once = File.ReadAllText(Path.Combine(Folder, "n.ipynb"));
        Assert.Contains("\"image/", once);
        Assert.Equal(0, (await Run("n.ipynb", "--in-place")).Status);
        Assert.Equal(once, File.ReadAllText(Path.Combine(Folder, "n.ipynb")));
    }
}

public partial class HygieneTests
{
    public static TheoryData<string> Notebooks => [.. CollectionTests.Files];

    private static string Text(JsonNode? source) => source is JsonArray lines
        ? string.Concat(lines.Select(l => (string?)l)) : (string?)source ?? "";

    [Theory, MemberData(nameof(Notebooks))]
    public void IsANotebookForEveryHost(string path)
    {
        var file = new FileInfo(Path.Combine(Host.Root, path));
        Assert.True(file.Length <= 500_000, $"{file.Length} bytes");
        var root = JsonNode.Parse(File.ReadAllText(file.FullName))!;
        Assert.Equal((4, 5), ((int)root["nbformat"]!, (int)root["nbformat_minor"]!));
        Assert.Equal(".net-csharp", (string?)root["metadata"]!["kernelspec"]!["name"]);
        Assert.Equal("C#", (string?)root["metadata"]!["kernelspec"]!["language"]);
        Assert.Equal("polyglot-notebook", (string?)root["metadata"]!["language_info"]!["name"]);
        Assert.Equal("csharp", (string?)root["metadata"]!["polyglot_notebook"]!["kernelInfo"]!["defaultKernelName"]);
        var cells = root["cells"]!.AsArray();
        Assert.Equal(cells.Count, cells.Select(c => (string?)c!["id"]).Distinct().Count());
        Assert.All(cells, c => Assert.Matches("^[a-zA-Z0-9_-]{1,64}$", (string?)c!["id"]));
        var code = cells.Where(c => (string?)c!["cell_type"] == "code").ToList();
        Assert.All(code, c => Assert.Equal("csharp", (string?)c!["metadata"]!["dotnet_interactive"]!["language"]));
        Assert.All(code, c => Assert.Equal("csharp", (string?)c!["metadata"]!["polyglot_notebook"]!["kernelName"]));
    }

    [Theory, MemberData(nameof(Notebooks))]
    public void HasOneReferenceNoMagicAndNoMachinesPath(string path)
    {
        var text = File.ReadAllText(Path.Combine(Host.Root, path));
        var cells = JsonNode.Parse(text)!["cells"]!.AsArray();
        var lines = cells.Where(c => (string?)c!["cell_type"] == "code").SelectMany(c => Text(c!["source"]).Split('\n')).ToList();
        var reference = Assert.Single(lines, l => l.StartsWith("#r", StringComparison.Ordinal));
        Assert.Matches("""^#r "(\.\./)+artifacts/bin/TrainingDynamics/TrainingDynamics\.dll"$""", reference);
        Assert.DoesNotContain(lines, l => l.StartsWith("#!", StringComparison.Ordinal) || l.StartsWith('%'));
        // What .NET Interactive's scripts refuse: a using declaration at the top of a cell.
        Assert.DoesNotContain(lines, l => l.StartsWith("using var ", StringComparison.Ordinal)
            || l.StartsWith("namespace ", StringComparison.Ordinal));
        Assert.DoesNotMatch("""(/home/|/root/|/Users/|[A-Z]:\\\\)""", text);
        Assert.DoesNotContain("<script", text);
    }

    [Theory, MemberData(nameof(Notebooks))]
    public void HasTheFormOfALesson(string path)
    {
        var cells = JsonNode.Parse(File.ReadAllText(Path.Combine(Host.Root, path)))!["cells"]!.AsArray();
        var prose = string.Join('\n', cells.Where(c => (string?)c!["cell_type"] == "markdown").Select(c => Text(c!["source"])));
        Assert.StartsWith("# ", prose);
        if (path.Contains("/solutions/"))
            return;
        foreach (var part in new[] { "**The question.**", "**After this notebook you can**", "**Time:**",
            "**Before:**", "**What you should see.**", "## Exercise", "### Experiments", "## Summary", "## References", "arXiv:" })
            Assert.Contains(part, prose);
        Assert.True(File.Exists(Path.Combine(Host.Root, Path.GetDirectoryName(path)!, "solutions", Path.GetFileName(path))),
            "no solutions");
        var code = string.Join('\n', cells.Where(c => (string?)c!["cell_type"] == "code").Select(c => Text(c!["source"])));
        Assert.Equal(Regex.Count(code, @"Figure\.(Lines|Bars|HeatMap|Plane|Panels|Slider)\(""") > 0, code.Contains(".Alt("));
    }

    [Fact]
    public async Task SavedOutputsAreThoseOfTheCellsAndTheLibrary()
    {
        var (status, output, _) = await Host.RunAsync(Host.Root, "saved", "notebooks");
        Assert.True(status == 0, output + "\nSave them again: dotnet run --project lib/NotebookHost -- run --in-place");
    }

    [Theory, MemberData(nameof(Notebooks))]
    public void EveryFigureIsSavedAsAPicture(string path)
    {
        var notebook = JsonNode.Parse(File.ReadAllText(Path.Combine(Host.Root, path)))!;
        var cells = notebook["cells"]!.AsArray().Where(c => (string?)c!["cell_type"] == "code").ToList();
        static bool IsPicture(JsonNode? output) => output!["data"] is JsonObject data
            && (data.ContainsKey("image/png") || data.ContainsKey("image/jpeg")) && !data.ContainsKey("text/html");
        static int Pictures(JsonNode? cell) => cell!["outputs"]!.AsArray().Count(IsPicture);
        // A section on data that may not be shipped is there only where the data are.
        Assert.All(cells.Where(c => !Text(c!["source"]).Contains("MovieLens.IsHere") || Pictures(c) > 0),
            c => Assert.Equal(Text(c!["source"]).Contains(".Alt(") ? 1 : 0, Pictures(c)));
    }

    [Fact]
    public Task CommittedNotebooksAreValid() => Validation.AssertValid([.. CollectionTests.Files.Select(f => Path.Combine(Host.Root, f))]);

    [Fact]
    public void TheReadmeListsEveryNotebook()
    {
        var readme = File.ReadAllText(Path.Combine(Host.Root, "README.md"));
        Assert.All(CollectionTests.Lessons, f => Assert.Contains($"]({f})", readme));
    }
}
