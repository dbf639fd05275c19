using System.Text.Json.Nodes;

namespace NotebookHost.Tests;

/// <summary>A folder of its own, and the host run in it.</summary>
public abstract class HostTest : IDisposable
{
    protected string Folder { get; } = Directory.CreateTempSubdirectory("host-tests").FullName;

    public void Dispose()
    {
        Directory.Delete(Folder, recursive: true);
        GC.SuppressFinalize(this);
    }

    protected string Write(string name, params string[] code)
    {
        File.WriteAllText(Path.Combine(Folder, name), Host.Notebook(code));
        return name;
    }

    protected JsonNode Report => JsonNode.Parse(File.ReadAllText(Path.Combine(Folder, "out", "report.json")))!;

    protected Task<(int Status, string Output, string Error)> Run(params string[] arguments) => Host.RunAsync(Folder,
        [.. arguments, "--output", "out"]);

    /// <summary>Runs one notebook of these cells and gives the outputs of each.</summary>
    protected async Task<(int Status, JsonArray[] Outputs)> Cells(params string[] code)
    {
        Write("n.ipynb", code);
        var (status, _, _) = await Run("n.ipynb");
        var executed = Files.Json(File.ReadAllText(Path.Combine(Folder, "out", "n.ipynb")))!;
        return (status, [.. executed["cells"]!.AsArray().Select(c => c!["outputs"]!.AsArray())]);
    }
}
