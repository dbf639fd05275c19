using System.Text.Json.Nodes;

namespace NotebookHost.Tests;

/// <summary>Saving outputs into notebooks, and taking them out.</summary>
public sealed class SavedTests : HostTest
{
    /// <summary>Something that draws as the library's figures do, without the library.</summary>
    private const string Drawing = """
        HTML("<div class=\"js-plotly-plot\" data-drawn=\"\"></div><script>"
            + "document.querySelector('.js-plotly-plot').layout = { height: 100 }; window.Plotly = { toImage: async (g, o) => "
            + "btoa((o.format === 'png' ? 'a picture of ' : 'a much larger picture of ') + o.height) };</script>")
        """;

    private JsonNode Saved => JsonNode.Parse(File.ReadAllText(Path.Combine(Folder, "n.ipynb")))!;

    [Fact]
    public async Task OutputsAreSavedAsStillPicturesTwiceTheSameAndStripTakesThemOut()
    {
        Assert.SkipUnless(Browser.Chromium, "no Chromium is installed (Debian: apt-get install chromium)");
        Write("n.ipynb", "Console.WriteLine(1); 2", Drawing.Trim());
        var bare = File.ReadAllText(Path.Combine(Folder, "n.ipynb"));
        var (status, said, error) = await Run("n.ipynb", "--in-place");
        Assert.True(status == 0, said + error);
        var once = File.ReadAllText(Path.Combine(Folder, "n.ipynb"));
        var data = (JsonObject)Saved["cells"]![1]!["outputs"]![0]!["data"]!;
        Assert.Equal("a picture of 100", System.Text.Encoding.ASCII.GetString(Convert.FromBase64String((string)data["image/png"]!)));
        Assert.DoesNotContain("<script", Saved["cells"]![1]!["outputs"]!.ToJsonString());
        await Validation.AssertValid(Path.Combine(Folder, "n.ipynb"));
        await Run("n.ipynb", "--in-place");
        Assert.Equal(once, File.ReadAllText(Path.Combine(Folder, "n.ipynb")));
        Assert.Equal(0, (await Host.RunAsync(Folder, "saved", "n.ipynb")).Status);
        // A changed cell makes the outputs stale.
        File.WriteAllText(Path.Combine(Folder, "n.ipynb"), once.Replace("Console.WriteLine(1)", "Console.WriteLine(3)"));
        var (stale, told, _) = await Host.RunAsync(Folder, "saved", "n.ipynb");
        Assert.Equal(1, stale);
        Assert.Contains("changed after its outputs were saved", told);
        Assert.Equal(0, (await Host.RunAsync(Folder, "strip", "n.ipynb")).Status);
        Assert.All(Saved["cells"]!.AsArray(), c => Assert.Empty(c!["outputs"]!.AsArray()));
        Assert.Null(Saved["metadata"]!["notebook_host"]);
        Assert.Equal(JsonNode.Parse(bare)!["cells"]!.AsArray().Count, Saved["cells"]!.AsArray().Count);
    }

    [Fact]
    public async Task WhatChangedWhileItRanIsNotOverwrittenAndWhatFailedIsNotSaved()
    {
        Assert.SkipUnless(Browser.Chromium, "no Chromium is installed (Debian: apt-get install chromium)");
        Write("n.ipynb", "System.IO.File.WriteAllText(\"n.ipynb\", System.IO.File.ReadAllText(\"n.ipynb\").Replace(\"4711\", \"4712\"));",
            "4711");
        var (status, output, _) = await Run("n.ipynb", "--in-place");
        Assert.Equal(1, status);
        Assert.Contains("changed while it ran", output);
        Assert.Contains("4712", File.ReadAllText(Path.Combine(Folder, "n.ipynb")));
        Write("n.ipynb", "throw new Exception();");
        var before = File.ReadAllText(Path.Combine(Folder, "n.ipynb"));
        await Run("n.ipynb", "--in-place");
        Assert.Equal(before, File.ReadAllText(Path.Combine(Folder, "n.ipynb")));
    }

    [Fact]
    public async Task WithoutABrowserItIsSaidBeforeAnythingRuns()
    {
        Write("n.ipynb", "System.IO.File.WriteAllText(\"ran\", \"\");");
        using var process = System.Diagnostics.Process.Start(new System.Diagnostics.ProcessStartInfo("dotnet",
            [Host.Dll, "run", "n.ipynb", "--in-place", "--output", "out"])
        {
            WorkingDirectory = Folder,
            RedirectStandardError = true,
            RedirectStandardOutput = true,
            Environment = { ["CHROME"] = Path.Combine(Folder, "nowhere") },
        })!;
        var error = await process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();
        Assert.Equal(2, process.ExitCode);
        Assert.Contains("install one", error);
        Assert.False(File.Exists(Path.Combine(Folder, "ran")));
    }

    [Fact]
    public async Task ALinkStaysALinkAndAFilesRightsStay()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "rights are other things there");
        if (OperatingSystem.IsWindows())
            return;
        Assert.SkipUnless(Browser.Chromium, "no Chromium is installed (Debian: apt-get install chromium)");
        Directory.CreateDirectory(Path.Combine(Folder, "real"));
        Write("real/n.ipynb", "1 + 1");
        var (real, link) = (Path.Combine(Folder, "real", "n.ipynb"), Path.Combine(Folder, "n.ipynb"));
        File.SetUnixFileMode(real, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupWrite);
        File.CreateSymbolicLink(link, "real/n.ipynb");
        var before = File.GetUnixFileMode(real);
        Assert.Equal(0, (await Run("n.ipynb", "--in-place")).Status);
        Assert.Equal(Path.Combine("real", "n.ipynb"), new FileInfo(link).LinkTarget);
        Assert.Contains("notebook_host", File.ReadAllText(real));
        Assert.Equal(before, File.GetUnixFileMode(real));
        Assert.Equal(0, (await Host.RunAsync(Folder, "strip", "n.ipynb")).Status);
        Assert.Equal(Path.Combine("real", "n.ipynb"), new FileInfo(link).LinkTarget);
        Assert.Equal(before, File.GetUnixFileMode(real));
        Assert.DoesNotContain("notebook_host", File.ReadAllText(real));
    }
}
