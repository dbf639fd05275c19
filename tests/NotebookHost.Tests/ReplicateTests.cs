using System.Diagnostics;
using System.Text.Json.Nodes;

namespace NotebookHost.Tests;

public sealed class ReplicateTests : HostTest
{
    /// <summary>Claims of a test: always, on seeds whose first is odd, an identity that never holds, and one that depends on the
    /// seed.</summary>
    internal const string Claims = """"
        string Claim(string name, string kind, double measured, bool holds) => $$"""
            {"name": "{{name}}", "kind": "{{kind}}", "predicted": 0, "measured": {{measured}}, "relation": "within", "tolerance": 0.5,
            "unit": "", "holds": {{(holds ? "true" : "false")}}, "source": "", "seeds": {{seeds.Length}}, "spread": 0}
            """;
        var odd = seeds[0] % 2 == 1;
        string[] claims = [Claim("always", "prediction", seeds[0] / 1e4, true), Claim("odd", "comparison", odd ? 0.1 : 0.9, odd),
            Claim("never", "identity", 1, false)];
        $"[{string.Join(", ", claims)}]".DisplayAs("application/vnd.notebook.claims+json");
        """";

    private void WriteSeeded(string name, string code = Claims)
        => File.WriteAllText(Path.Combine(Folder, name), Host.Notebook("var seeds = new[] { 1 };", [code]));

    private Task<(int Status, string Output, string Error)> Replicate(params string[] arguments) => Run(["replicate", .. arguments]);

    private JsonNode Merged => JsonNode.Parse(File.ReadAllText(Path.Combine(Folder, "out", "replication.json")))!;

    private string[] Results => [.. Directory.EnumerateFiles(Path.Combine(Folder, "out", "runs"),
        "*.json", SearchOption.AllDirectories).Order()];

    private int Finished => Directory.Exists(Path.Combine(Folder, "out", "runs")) ? Results.Length : 0;

    [Fact]
    public async Task EveryClaimIsToldInHowManyRunsItHeldAndASecondCallRunsNothing()
    {
        WriteSeeded("n.ipynb");
        Write("once.ipynb", "1");
        var (status, output, error) = await Replicate("n.ipynb", "once.ipynb", "--runs", "4", "--seeds", "50");
        Assert.True(status == 1, output + error);
        Assert.Equal(5, Results.Length);                                               // what has no seeds runs once
        Assert.Contains("1 of 2 claims (50.0 %) hold in at least nine of ten", output);
        var notebook = Merged["notebooks"]![0]!;
        Assert.Equal("[[50],[51],[52],[53]]", notebook["seeds"]!.ToJsonString());
        Assert.Equal(["always 4 of 4", "odd 2 of 4", "never 0 of 4"],
            notebook["claims"]!.AsArray().Select(c => $"{c!["name"]} {c["held"]} of {c["of"]}"));
        Assert.Equal("[0,2]", notebook["claims"]![1]!["failed"]!.ToJsonString());
        Assert.Equal("[0.005,0.0051,0.0052,0.0053]", notebook["claims"]![0]!["measured"]!.ToJsonString());
        Assert.Equal(DateTime.UtcNow.Year, DateTime.Parse((string)Merged["date"]!, System.Globalization.CultureInfo.InvariantCulture).Year);

        // The page: what does not replicate comes first, with what runs its worst seeds alone.
        var page = File.ReadAllText(Path.Combine(Folder, "out", "index.html"));
        Assert.True(page.IndexOf("0 of 4", StringComparison.Ordinal) < page.IndexOf("2 of 4", StringComparison.Ordinal)
            && page.IndexOf("2 of 4", StringComparison.Ordinal) < page.IndexOf("4 of 4", StringComparison.Ordinal));
        Assert.Contains("run n.ipynb --set seeds=50</code>", page);

        var before = Results.Select(File.GetLastWriteTimeUtc).ToList();
        (_, output, _) = await Replicate("n.ipynb", "once.ipynb", "--runs", "4", "--seeds", "50");
        Assert.Contains("5 of 5 runs are there already", output);
        Assert.Equal(before, Results.Select(File.GetLastWriteTimeUtc));
        // A cell that changed makes the old runs those of another notebook.
        WriteSeeded("n.ipynb", Claims + "\n1");
        (_, output, _) = await Replicate("n.ipynb", "once.ipynb", "--runs", "4", "--seeds", "50");
        Assert.Contains("1 of 5 runs are there already", output);
    }

    [Fact]
    public async Task AClaimBehindACellThatFailsDidNotHold()
    {
        WriteSeeded("n.ipynb", "if (seeds[0] == 2) throw new Exception(\"on two\");\n"
            + Claims.Replace("\"odd\", \"comparison\", odd ? 0.1 : 0.9, odd",
            "\"other\", \"observation\", 0, true"));
        var (status, output, _) = await Replicate("n.ipynb", "--runs", "2", "--seeds", "1");
        Assert.Equal(1, status);
        Assert.Contains("broke: n.ipynb --set seeds=2: cell cell-2: Exception: on two", output);
        Assert.Equal(["always 1 of 2", "other 1 of 2", "never 0 of 2"],
            Merged["notebooks"]![0]!["claims"]!.AsArray().Select(c => $"{c!["name"]} {c["held"]} of {c["of"]}"));
        Assert.Contains("run n.ipynb --set seeds=2</code>", File.ReadAllText(Path.Combine(Folder, "out", "index.html")));
    }

    [Fact]
    public async Task KilledAtAnyMomentNothingFinishedIsLostAndTheNextCallGoesOn()
    {
        WriteSeeded("a.ipynb");
        WriteSeeded("b.ipynb", "await System.Threading.Tasks.Task.Delay(400);\n" + Claims);
        string[] command = ["replicate", "a.ipynb", "b.ipynb", "--runs", "8", "--jobs", "2", "--output", "out"];
        var moments = new Random(13);
        var kept = new Dictionary<string, (DateTime At, string Text)>();
        for (var kill = 0; kill < 10; kill++)
        {
            using var host = Host.Start(Folder, command);
            // Now early, in the midst of a start, and now soon after one more run was finished.
            var known = Finished;
            for (var clock = Stopwatch.StartNew(); kill % 2 == 1 && Finished == known && clock.Elapsed < TimeSpan.FromMinutes(1);)
                await Task.Delay(20);
            await Task.Delay(moments.Next(kill % 2 == 1 ? 300 : 3000));
            host.Kill();                                                               // SIGKILL, to it alone: its children lose their pipe
            await host.WaitForExitAsync();
            foreach (var (file, was) in kept)
                Assert.Equal(was, (File.GetLastWriteTimeUtc(file), File.ReadAllText(file)));
            foreach (var file in Finished == 0 ? [] : Results)
            {
                var text = File.ReadAllText(file);
                Assert.Equal(3, JsonNode.Parse(text)!["claims"]!.AsArray().Count);
                kept[file] = (File.GetLastWriteTimeUtc(file), text);
            }
        }
        var (status, output, error) = await Host.RunAsync(Folder, command);
        Assert.True(status == 1, output + error);                                      // the identity never holds, "odd" every other time
        Assert.Contains("16 of 16 runs", output);
        Assert.NotEmpty(kept);
        foreach (var (file, was) in kept)
            Assert.Equal(was, (File.GetLastWriteTimeUtc(file), File.ReadAllText(file)));
        // What was half written is no result, and goes away once it is old enough to be nobody's.
        foreach (var draft in Directory.EnumerateFiles(Folder, "*.part", SearchOption.AllDirectories))
            File.SetLastWriteTimeUtc(draft, DateTime.UtcNow.AddHours(-1));
        await Host.RunAsync(Folder, [.. command, "--collect"]);
        Assert.Empty(Directory.EnumerateFiles(Folder, "*.part", SearchOption.AllDirectories));
    }

    [Fact]
    public async Task CollectMergesWhatIsDoneAndRunsNothing()
    {
        WriteSeeded("n.ipynb");
        var (status, output, _) = await Replicate("n.ipynb", "--runs", "3", "--collect");
        Assert.Equal(1, status);
        Assert.Contains("is finished yet", output);
        await Replicate("n.ipynb", "--runs", "2");
        (_, output, _) = await Replicate("n.ipynb", "--runs", "3", "--collect");
        Assert.Contains("2 of 3 runs", output);
    }

    [Fact]
    public async Task SeedsThatCannotBeReplacedAreNoNotebookWithoutSeeds()
    {
        File.WriteAllText(Path.Combine(Folder, "n.ipynb"), Host.Notebook("var seeds = Enumerable.Range(1, 3).ToArray();", ["1"]));
        var (status, _, error) = await Replicate("n.ipynb");
        Assert.Equal(2, status);
        Assert.Contains("n.ipynb: seeds is computed", error);
    }

    [Theory]
    [InlineData("--runs", "0", "--runs is 0, at least 1 is needed")]
    [InlineData("--seeds", "-1", "--seeds is -1, at least 0 is needed")]
    [InlineData("--seeds", "2147483640", "go beyond 2147483647")]
    [InlineData("--on", "moon", "'moon'")]
    public async Task BadInputIsNamed(string option, string value, string says)
    {
        WriteSeeded("n.ipynb");
        var (status, _, error) = await Replicate("n.ipynb", option, value);
        Assert.Equal(2, status);
        Assert.Contains(says, error);
    }
}
