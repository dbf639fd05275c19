using System.Text.Json.Nodes;

namespace NotebookHost.Tests;

public sealed class ParameterTests : HostTest
{
    private const string Cell =
        "// What can be changed.\nvar seeds = new[] { 1, 2, 3 };   // of everything\nvar rate = 0.1;\nvar steps = 10;\n"
        + "var name = \"a\";\nvar twice = true;\nvar rates = new[] { 0.3, 3 };\nvar computed = steps * 2;";

    private const string Shows =
        "Console.Write(string.Join(\" \", seeds) + $\"|{rate}|{steps}|{name}|{twice}|{string.Join(\" \", rates)}\");";

    private void WriteParameterized(string parameters = Cell, string code = Shows)
        => File.WriteAllText(Path.Combine(Folder, "n.ipynb"), Host.Notebook(parameters, [code]));

    private JsonNode Executed => Files.Json(File.ReadAllText(Path.Combine(Folder, "out", "n.ipynb")))!;

    private string Shown => NotebookFile.Text(Executed["cells"]!.AsArray()[^1]!["outputs"]![0]!["text"]);

    [Fact]
    public async Task ValuesComeFromTheCommandLineAsPapermillWouldPutThemThere()
    {
        WriteParameterized();
        var (status, _, error) = await Run("n.ipynb", "--set", "seeds=21, 22",
            "--set", "rate=2", "--set", "steps=-5", "--set", "name=b, \"c\"",
            "--set", "twice=False", "--set", "rates=[1,1e-5]");
        Assert.True(status == 0, error);
        Assert.Equal("21 22|2|-5|b, \"c\"|False|1 1E-05", Shown);
        var injected = Executed["cells"]![1]!;
        Assert.Equal("injected-parameters", (string?)injected["metadata"]!["tags"]![0]);
        Assert.Equal("// Parameters\nvar seeds = new [] { 21, 22 };\nvar rate = 2.0;\nvar steps = -5;\nvar name = \"b, \\\"c\\\"\";\n"
            + "var twice = false;\nvar rates = new [] { 1.0, 1e-05 };\n", NotebookFile.Text(injected["source"]));
        Assert.Equal("[21,22]", Executed["metadata"]!["papermill"]!["parameters"]!["seeds"]!.ToJsonString());
        await Validation.AssertValid(Path.Combine(Folder, "out", "n.ipynb"));

        // A copy that was executed can be run again with others: the cell is replaced.
        File.Copy(Path.Combine(Folder, "out", "n.ipynb"), Path.Combine(Folder, "n.ipynb"), overwrite: true);
        Assert.Equal(0, (await Run("n.ipynb", "--set", "seeds=5")).Status);
        Assert.Equal("5|0.1|10|a|True|0.3 3", Shown);
        Assert.Equal(3, Executed["cells"]!.AsArray().Count);
    }

    [Theory]
    [InlineData("p.json", "{\n\t\"seeds\": [7, 8],\n\t\"rate\": 5e-1, \"name\": \"x y\"\n}")]
    [InlineData("p.yaml", "# ours\nseeds: [7, 8]\nrate: 0.5\nname: x y\n")]
    [InlineData("p.yml", "seeds:\n  - 7\n  - 8\nrate: .5\nname: 'x y'\n")]
    public async Task ValuesComeFromAFileAndTheCommandLineIsStronger(string file, string text)
    {
        WriteParameterized();
        File.WriteAllText(Path.Combine(Folder, file), text);
        var (status, _, error) = await Run("n.ipynb", "--parameters", file, "--set", "steps=3", "--set", "rate=0.25");
        Assert.True(status == 0, error);
        Assert.Equal("7 8|0.25|3|x y|True|0.3 3", Shown);
    }

    [Theory]
    [InlineData("seed=1",
        "has no parameter 'seed'; it has seeds (int[]), rate (double), steps (int), name (string), twice (bool), rates (double[])")]
    [InlineData("steps=2.5", "steps is int, and '2.5' is none")]
    [InlineData("seeds=1,x", "seeds is int[], and 'x' is none")]
    [InlineData("seeds=", "seeds is int[], and '' is none")]
    [InlineData("steps=99999999999", "steps is int, and '99999999999' is none")]
    [InlineData("rate=1,2", "rate is double, got 2 values")]
    [InlineData("rate=NaN", "rate is double, and 'NaN' is none")]
    [InlineData("computed=3", "computed is no plain int, long, double")]
    [InlineData("rate", "--set rate is not of the form NAME=VALUE")]
    public async Task AWrongValueIsNamedBeforeAnythingRuns(string setting, string says)
    {
        WriteParameterized();
        var (status, _, error) = await Run("n.ipynb", "--set", setting);
        Assert.Equal(2, status);
        Assert.Contains(says, error);
        Assert.False(Directory.Exists(Path.Combine(Folder, "out")));
    }

    [Theory]
    [InlineData("{\"seeds\": {\"a\": 1}}", "is no number, word, or list of them")]
    [InlineData("[1, 2]", "is no object of names and values")]
    [InlineData("{\"seeds\": [1, 2", "is damaged (line ")]
    [InlineData("", "is no object of names and values")]
    [InlineData("seeds: null", "is no number, word, or list of them")]
    public async Task AWrongFileIsNamed(string text, string says)
    {
        WriteParameterized();
        File.WriteAllText(Path.Combine(Folder, "p.json"), text);
        var (status, _, error) = await Run("n.ipynb", "--parameters", "p.json");
        Assert.Equal(2, status);
        Assert.Contains("--parameters p.json", error);
        Assert.Contains(says, error);
        Assert.Contains("--parameters q.json is not there", (await Run("n.ipynb", "--parameters", "q.json")).Error);
    }

    [Theory]
    [InlineData("var x = new double[] { 1, 2 };", "double[]")]
    [InlineData("int[] x = { 1, 2 };", "int[]")]
    [InlineData("double x = 1;", "double")]
    [InlineData("var x = -2;", "int")]
    [InlineData("var x = 3_000_000_000;", null)]
    [InlineData("float x = 1;", null)]
    [InlineData("List<int> x = [1, 2];", null)]
    [InlineData("int[] x = [1, .. y];", null)]
    [InlineData("var x = new[] { 1, 2.5 };", "double[]")]
    [InlineData("var x = new[] { 1, \"a\" };", null)]
    public void AParametersTypeIsWhatItIsDeclaredOrLooksLike(string cell, string? type)
    {
        WriteParameterized(cell);
        Assert.Equal(type, Parameters.Of(NotebookFile.Read(Path.Combine(Folder, "n.ipynb"))).Single().Type);
    }

    [Fact]
    public async Task ANotebookWithoutSuchACellSaysSo()
    {
        Write("n.ipynb", "var seeds = new[] { 1 };");
        var (status, _, error) = await Run("n.ipynb", "--set", "seeds=2");
        Assert.Equal(2, status);
        Assert.Contains("n.ipynb has no cell tagged parameters", error);
        WriteParameterized();
        var before = File.ReadAllText(Path.Combine(Folder, "n.ipynb"));
        Assert.Contains("--in-place", (await Run("n.ipynb", "--set", "seeds=2", "--in-place")).Error);
        Assert.Equal(before, File.ReadAllText(Path.Combine(Folder, "n.ipynb")));
    }

    /// <summary>The file that papermill would write (its cell has a tag, an id of its own, and no mark of a language), on the kernel of
    /// .NET Interactive's own tool.</summary>
    [Fact]
    public async Task TheToolsOwnKernelRunsWhatPapermillWrites()
    {
        await RealTool.RequireAsync();
        await Jupyter.RequireAsync("nbclient", "nbformat");
        const string show = "(\"[{\\\"name\\\": \\\"\" + string.Join(\" \", seeds) + "
            + "$\"|{rate}|{name}\\\"}}]\").DisplayAs(\"application/vnd.notebook.claims+json\");";
        var notebook = JsonNode.Parse(Host.Notebook("var seeds = new[] { 1, 2, 3 };\nvar rate = 0.1;\nvar name = \"a\";", [show]))!;
        notebook["cells"]!.AsArray().Insert(1, new JsonObject
        {
            ["cell_type"] = "code",
            ["execution_count"] = null,
            ["id"] = "6f1a09c2",
            ["metadata"] = new JsonObject { ["tags"] = new JsonArray("injected-parameters") },
            ["outputs"] = new JsonArray(),
            ["source"] = "// Parameters\nvar seeds = new [] { 21, 22 };\nvar rate = 0.05;\nvar name = \"b\";\n",
        });
        // Inside the repository, whose manifest names the tool.
        var path = Path.Combine(Directory.CreateDirectory(Path.Combine(Host.Root, "artifacts", "papermill")).FullName, "n.ipynb");
        File.WriteAllText(path, notebook.ToJsonString());
        await RealTool.InstallKernelAsync(Folder);
        var (status, output) = await Jupyter.RunAsync("collection.py", Folder, [Path.Combine(Folder, "claims.json"), path]);
        Assert.True(status == 0, output);
        var claims = JsonNode.Parse(File.ReadAllText(Path.Combine(Folder, "claims.json")))!["claims"]![path]!;
        Assert.Equal("21 22|0.05|b", (string?)claims[0]!["name"]);
    }
}
