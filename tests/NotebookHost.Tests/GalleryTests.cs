namespace NotebookHost.Tests;

public sealed class GalleryTests : HostTest
{
    private Task<(int Status, string Output, string Error)> Gallery(params string[] arguments) => Host.RunAsync(Folder,
        ["gallery", .. arguments]);

    private string Site(string file) => File.ReadAllText(Path.Combine(Folder, "site", file));

    [Fact]
    public async Task ASiteIsMadeOfARunAndMadeAnew()
    {
        File.WriteAllText(Path.Combine(Folder, "README.md"), "# A collection\n\nWhat it *is*.\n");
        Directory.CreateDirectory(Path.Combine(Folder, "a-track"));
        Write("a-track/one.ipynb", "var s = \"text\"; // <tag>", "\"shown\"");
        Write("a-track/two.ipynb", "throw new Exception(\"no & no\");");
        // Texts beside the tracks are pages, and links lead to them.
        Directory.CreateDirectory(Path.Combine(Folder, "book", "a-track"));
        File.WriteAllText(Path.Combine(Folder, "book", "SYMBOLS.md"), "# Symbols\n\n[one](b-track/three.ipynb), [lost](gone.ipynb)\n");
        Directory.CreateDirectory(Path.Combine(Folder, "book", "b-track"));
        Write("book/b-track/three.ipynb", "1");
        var (status, output, _) = await Gallery("a-track", "book", "--output", "out", "--site", "site");
        Assert.Equal(1, status);                                                           // a notebook failed, and the site says so
        Assert.Contains("3 notebooks", output);
        Assert.Contains("<a href=\"b-track/three.html\">one</a>, <a>lost</a>", Site("book/SYMBOLS.html"));
        Assert.Contains("<a href=\"book/SYMBOLS.html\">SYMBOLS</a>", Site("index.html"));
        Assert.Contains("<h1>A collection</h1>", Site("index.html"));
        Assert.Contains("What it <em>is</em>", Site("index.html"));
        Assert.Contains("<h2>A track</h2>", Site("index.html"));
        Assert.Contains("<span class=\"string\">&quot;text&quot;</span>", Site("a-track/one.html"));
        Assert.Contains("&lt;tag&gt;", Site("a-track/one.html"));
        Assert.Contains("shown", Site("a-track/one.html"));
        Assert.Contains("no &amp; no", Site("a-track/two.html"));
        File.WriteAllText(Path.Combine(Folder, "site", "old.html"), "of before");
        Assert.Equal(0, (await Gallery("--from", "out", "--site", "site")).Status);
        Assert.False(File.Exists(Path.Combine(Folder, "site", "old.html")));
    }

    [Fact]
    public async Task TheScoreboardTellsInHowManyRunsOnOtherSeedsAClaimHeld()
    {
        const string old = "{\\\"name\\\":\\\"old\\\",\\\"holds\\\":true,\\\"replicated\\\":\\\"9 of 10\\\"}";
        const string fresh = "{\\\"name\\\":\\\"new\\\",\\\"holds\\\":true}";
        Write("n.ipynb", $"\"[{old},{fresh}]\".DisplayAs(\"application/vnd.notebook.claims+json\");");
        await Gallery("n.ipynb", "--output", "out", "--site", "site");
        Assert.Contains("<td data-value=\"0.9\">9 of 10</td>", Site("scoreboard.html"));
        Assert.Contains(">other seeds</button>", Site("scoreboard.html"));
    }

    [Fact]
    public async Task WhatIsNoRunOrNoSiteIsSaidAndNothingIsLost()
    {
        async Task Refused(string why, params string[] arguments)
        {
            var (status, _, error) = await Gallery(arguments);
            Assert.Equal(2, status);
            Assert.Contains(why, error);
            Assert.Single(error.Trim().Split('\n'));
        }
        Directory.CreateDirectory(Path.Combine(Folder, "empty"));
        await Refused("has no report.json", "--from", "empty");
        File.WriteAllText(Path.Combine(Folder, "empty", "report.json"), "{\"version\":1,");
        await Refused("is damaged (line 1)", "--from", "empty");
        File.WriteAllText(Path.Combine(Folder, "empty", "report.json"), "{\"version\":2,\"notebooks\":[]}");
        await Refused("no report of version 1", "--from", "empty");
        Write("n.ipynb", "1");
        await Run("n.ipynb");
        File.WriteAllText(Path.Combine(Directory.CreateDirectory(Path.Combine(Folder, "mine")).FullName, "letter.txt"), "dear");
        await Refused("other things in it", "--from", "out", "--site", "mine");
        Assert.Equal("dear", File.ReadAllText(Path.Combine(Folder, "mine", "letter.txt")));
        File.Delete(Path.Combine(Folder, "out", "n.ipynb"));
        await Refused("n.ipynb is not there", "--from", "out", "--site", "site");
    }
}
