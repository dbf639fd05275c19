using System.Text.Json.Nodes;
using NotebookHost.Tests;

namespace Notebooks.Tests;

/// <summary>The replication that is shipped, which the tables at the notebooks' ends and the scoreboard show.</summary>
public sealed class ReplicationTests
{
    private static readonly string s_file = Path.Combine(Host.Root, "data", "results", "replication.json");

    [Fact]
    public void TheShippedReplicationIsOfNotebooksThatAreHereOnSeedsThatAreNotTheirs()
    {
        Assert.SkipUnless(File.Exists(s_file), "no replication is shipped");
        var text = File.ReadAllText(s_file);
        Assert.True(text.Length <= 300_000, $"{text.Length} characters: too many to review");
        var root = JsonNode.Parse(text)!;
        // One commit, or those of the replications it was joined of.
        Assert.Matches(@"^[0-9a-f]{12}(, [0-9a-f]{12})*\+?$", (string?)root["commit"]);
        Assert.Matches(@"^\d{4}-\d\d-\d\d$", (string?)root["date"]);
        Assert.NotEmpty(root["notebooks"]!.AsArray());
        Assert.All(root["notebooks"]!.AsArray(), notebook =>
        {
            var path = Path.Combine(Host.Root, (string)notebook!["path"]!);
            var parameters = NotebookHost.Parameters.Of(NotebookHost.NotebookFile.Read(path));
            var runs = notebook["seeds"]!.AsArray();
            if (parameters.SingleOrDefault(p => p.Name == "seeds") is { } seeds)
                Assert.All(runs, run => Assert.Equal(seeds.Count, run!.AsArray().Count));
            // No seed twice, and none of those that everybody looks at.
            int[] used = [.. runs.SelectMany(run => run!.AsArray()).Select(seed => (int)seed!)];
            Assert.Distinct(used);
            Assert.All(used, seed => Assert.True(seed > 1000, $"{path} was replicated on seed {seed}"));
            Assert.All(notebook["claims"]!.AsArray(), claim => Assert.Equal((int)claim!["of"]!,
                (int)claim["held"]! + (claim["failed"]?.AsArray().Count ?? 0)));
            Assert.All(notebook["claims"]!.AsArray(), claim => Assert.Equal(runs.Count, (int)claim!["of"]!));
        });
    }
}
