using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace NotebookHost;

/// <summary>
/// Notebooks that carry their outputs: text, tables, and a still picture in place of each figure's script. A stamp, a hash of the cells
/// and of the sources of the library they reference, tells when the outputs are no longer those of the source.
/// </summary>
internal static partial class SavedNotebook
{
    private const string Metadata = "notebook_host";

    /// <summary>Writes a notebook that passed back to its file, with outputs.</summary>
    /// <exception cref="NotebookFileException">The file changed while it ran; it is left as it is.</exception>
    public static async Task WriteAsync(NotebookRun run, string browser)
    {
        var outputs = run.Cells.Values.SelectMany(c => c.Outputs).ToList();
        var figures = outputs.Where(o => Html(o)?.Contains("<script", StringComparison.Ordinal) == true).ToList();
        var pictures = await Pictures.DrawAsync([.. figures.Select(o => Html(o)!)], browser);
        var still = figures.Zip(pictures).Where(p => p.Second is not null).ToDictionary(p => p.First, p => p.Second!);
        var saved = run.Notebook.WithOutputs(run.Cells, output => Still(output, still.GetValueOrDefault(output)),
            root => root["metadata"]![Metadata] = new JsonObject { ["stamp"] = Stamp(run.Notebook) });
        if (NotebookFile.Read(run.Notebook.Path) is var now && Cells(now) != Cells(run.Notebook))
            throw new NotebookFileException($"{run.Name} changed while it ran; it is not overwritten");
        Files.Replace(run.Notebook.Path, saved);
    }

    /// <summary>Takes outputs, counts and the stamp out of a notebook.</summary>
    public static void Strip(NotebookFile notebook)
        => Files.Replace(notebook.Path, notebook.WithOutputs(new Dictionary<string,
            CellRun>(), o => o, root => ((JsonObject)root["metadata"]!).Remove(Metadata)));

    /// <summary>Whether a notebook's outputs are those of its cells and its library.</summary>
    /// <returns>null if they are; otherwise why not.</returns>
    public static string? Stale(NotebookFile notebook) => notebook.Stamp(Metadata) switch
    {
        null => "has no saved outputs",
        var stamp => stamp == Stamp(notebook) ? null : "its cells or its library changed after its outputs were saved",
    };

    /// <summary>SHA-256 of the cells and of the sources (*.cs) of every project whose DLL the notebook references by path.</summary>
    internal static string Stamp(NotebookFile notebook)
    {
        var text = new StringBuilder(Cells(notebook));
        var root = new DirectoryInfo(Path.GetDirectoryName(notebook.Path)!);
        while (root is not null && root.GetFiles("*.sln").Length == 0)
            root = root.Parent;
        foreach (var name in notebook.Cells.Where(c => c.IsCode)
            .SelectMany(c => ReferencePattern().Matches(c.Source)).Select(m => m.Groups[1].Value).Distinct())
        {
            var project = root?.EnumerateFiles(name + ".csproj",
                new EnumerationOptions { RecurseSubdirectories = true, MaxRecursionDepth = 4 }).FirstOrDefault();
            foreach (var source in project?.Directory!.EnumerateFiles("*.cs", SearchOption.AllDirectories)
                .OrderBy(f => f.FullName, StringComparer.Ordinal) ?? Enumerable.Empty<FileInfo>())
                text.Append(source.Name).Append('\n').Append(File.ReadAllText(source.FullName).ReplaceLineEndings("\n"));
        }
        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text.ToString())));
    }

    private static string Cells(NotebookFile notebook) =>
        string.Concat(notebook.Cells.Select(c => $"{c.Id}\n{c.IsCode}\n{c.Source.ReplaceLineEndings("\n")}\n"));

    private static string? Html(JsonObject output) => output["data"]?["text/html"] is { } html ? NotebookFile.Text(html) : null;

    /// <summary>An output as it is saved: no script, and nothing that only a host reads.</summary>
    private static JsonObject Still(JsonObject output, Picture? picture)
    {
        if (output["data"] is not JsonObject data)
            return output;
        output = (JsonObject)output.DeepClone();
        data = (JsonObject)output["data"]!;
        foreach (var type in data.Select(d => d.Key).Where(type => type.StartsWith("application/vnd.notebook.", StringComparison.Ordinal))
            .ToList())
            data.Remove(type);
        if (Html(output)?.Contains("<script", StringComparison.Ordinal) == true)
            data.Remove("text/html");
        if (picture is not null)
            data[picture.MimeType] = picture.Data;
        return output;
    }

    [GeneratedRegex("""^#r\s+"[^"]*?([^/\\"]+)\.dll"\s*$""", RegexOptions.Multiline)]
    private static partial Regex ReferencePattern();
}
