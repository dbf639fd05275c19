using System.Text.Json;
using System.Text.Json.Nodes;

namespace NotebookHost;

/// <summary>A path that is no notebook this host can run; says which, and why.</summary>
public class NotebookFileException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>A notebook that is well, in another language.</summary>
public sealed class OtherLanguageException(string message) : NotebookFileException(message);

/// <summary>One cell of a notebook.</summary>
/// <param name="Id">The cell's id in the file.</param>
/// <param name="IsCode">Code, or prose.</param>
/// <param name="Source">Its text.</param>
/// <param name="Language">The language it is marked with, if any.</param>
/// <param name="Tags">Its tags.</param>
/// <param name="Outputs">What the file has of its outputs.</param>
internal sealed record NotebookCell(string Id, bool IsCode, string Source,
    string? Language, IReadOnlyList<string> Tags, IReadOnlyList<JsonObject> Outputs)
{
    /// <summary>Whether an error in it is meant.</summary>
    public bool MayFail => Tags.Contains("raises-exception");
}

/// <summary>A C# notebook in nbformat 4: read, checked, and written back with outputs.</summary>
internal sealed class NotebookFile
{
    private static readonly JsonSerializerOptions Indented = new()
    {
        WriteIndented = true,
        MaxDepth = 1000,
        IndentSize = 1,
        NewLine = "\n",
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    private readonly JsonObject _root;

    private NotebookFile(string path, JsonObject root, IReadOnlyList<NotebookCell> cells) => (Path, _root, Cells) = (path, root, cells);

    /// <summary>The full path.</summary>
    public string Path { get; }

    /// <summary>All cells in order.</summary>
    public IReadOnlyList<NotebookCell> Cells { get; }

    /// <summary>Reads a notebook.</summary>
    /// <exception cref="NotebookFileException">It is missing, no JSON, not nbformat 4, or not in C#.</exception>
    public static NotebookFile Read(string path)
    {
        path = System.IO.Path.GetFullPath(path);
        try
        {
            return Parse(path);
        }
        catch (Exception e) when (e is InvalidOperationException or ArgumentException or FormatException || Files.IsAboutFiles(e))
        {
            throw new NotebookFileException($"{path} is no notebook that can be read: {e.Message}", e);
        }
    }

    private static NotebookFile Parse(string path)
    {
        JsonObject root;
        try
        {
            root = JsonNode.Parse(Files.ReadText(path),
                documentOptions: new JsonDocumentOptions { MaxDepth = 1000 }) as JsonObject ?? throw new NotebookFileException(
                $"{path} is no notebook: the JSON in it is no object");
        }
        catch (FileNotFoundException)
        {
            throw new NotebookFileException($"{path} is not there");
        }
        catch (JsonException e)
        {
            throw new NotebookFileException(
                $"{path} is no notebook: its JSON is truncated or damaged (line {e.LineNumber + 1}: {e.Message.Split(" Path:")[0]})", e);
        }
        return Parse(path, root);
    }

    private static NotebookFile Parse(string path, JsonObject root)
    {
        if ((root["nbformat"] as JsonValue)?.TryGetValue<int>(out var format) != true)
            throw new NotebookFileException($"{path} is no notebook: it has no nbformat number");
        format = root["nbformat"]!.GetValue<int>();
        if (format != 4)
            throw new NotebookFileException(
                $"{path} is in nbformat {format}; this host runs nbformat 4 (jupyter nbconvert --to notebook --nbformat 4 converts it)");
        var metadata = root["metadata"];
        var kernel = metadata?["kernelspec"];
        var language = (string?)kernel?["language"] ?? (string?)metadata?["language_info"]?["name"] ?? "C#";
        if (!new[] { "C#", "csharp", "polyglot-notebook" }.Contains(language, StringComparer.OrdinalIgnoreCase))
            throw new OtherLanguageException(
                $"{path} is a notebook in {language} (kernel '{(string?)kernel?["name"]}'); this host runs C#");
        root.ToJsonString(Indented);                                                           // what could not be written again is no text
        if (root["cells"] is not JsonArray cells)
            throw new NotebookFileException($"{path} is no notebook: it has no list of cells");
        if (cells.Index().Where(c => c.Item is not JsonObject).Select(c => c.Index + 1).FirstOrDefault() is > 0 and var odd)
            throw new NotebookFileException($"{path} is no notebook: cell {odd} is {cells[odd - 1]?.ToJsonString() ?? "null"}, not a cell");
        var usual = (string?)metadata?["polyglot_notebook"]?["kernelInfo"]?["defaultKernelName"];
        var ids = new HashSet<string>();
        return new NotebookFile(path, root, [.. cells.Select((cell, i) => new NotebookCell(
            Unused(ids, String(cell!["id"], i, "id") ?? $"cell-{i + 1}"),
            String(cell["cell_type"], i, "cell_type") is "code" or "markdown" or "raw"
                ? (string?)cell["cell_type"] == "code" : throw Odd(cell["cell_type"], i, "cell_type"),
            cell["source"] is JsonArray lines ? string.Concat(lines.Select(line => String(line, i, "source")))
                : String(cell["source"], i, "source") ?? throw Odd(null, i, "source"),
            Language(cell["metadata"] as JsonObject, i) ?? usual,
            Tags(cell),
            [.. (cell["outputs"] as JsonArray ?? []).OfType<JsonObject>()]))]);
    }

    private static string[] Tags(JsonNode? cell) => [.. ((cell?["metadata"] as JsonObject)?["tags"] as JsonArray ?? [])
        .Select(tag => tag is JsonValue v && v.TryGetValue<string>(out var text) ? text : "")];

    /// <summary>The notebook with a cell behind the one that is tagged <c>parameters</c>, which sets its variables anew, as papermill
    /// puts it there: tagged <c>injected-parameters</c>, in place of one that is there already.</summary>
    /// <param name="source">The cell.</param>
    /// <param name="values">The same values, for the notebook's metadata.</param>
    public NotebookFile WithInjected(string source, JsonObject values)
    {
        const string tag = "injected-parameters";
        var root = (JsonObject)_root.DeepClone();
        var cells = root["cells"]!.AsArray();
        foreach (var (cell, known) in cells.Zip(Cells))
            cell!["id"] = known.Id;
        if (Cells.Index().FirstOrDefault(c => c.Item.Tags.Contains(tag)) is (var old, not null))
            cells.RemoveAt(old);
        var at = cells.Index().First(c => (string?)c.Item!["cell_type"] == "code" && Tags(c.Item).Contains("parameters")).Index;
        cells.Insert(at + 1, new JsonObject
        {
            ["cell_type"] = "code",
            ["execution_count"] = null,
            ["id"] = tag,
            ["metadata"] = new JsonObject { ["tags"] = new JsonArray(tag) },
            ["outputs"] = new JsonArray(),
            ["source"] = source,
        });
        root["metadata"] ??= new JsonObject();
        root["metadata"]!["papermill"] = new JsonObject { ["parameters"] = values };
        return Parse(Path, root);
    }

    /// <summary>What a cell is marked with: by .NET Interactive in one of two ways, or by VS Code.</summary>
    private static string? Language(JsonObject? metadata, int cell)
    {
        string? Marked(string by, string name) => String((metadata?[by] as JsonObject)?[name], cell, $"metadata.{by}.{name}");
        var marked = Marked("polyglot_notebook", "kernelName") ?? Marked("dotnet_interactive", "language")
            ?? Marked("vscode", "languageId")?.Replace("dotnet-interactive.", "", StringComparison.Ordinal);
        return marked is "polyglot-notebook" ? null : marked;                             // VS Code's word for "see the other mark"
    }

    private static string? String(JsonNode? node, int cell, string what)
        => node is null ? null : node is JsonValue value && value.TryGetValue<string>(out var text) ? text : throw Odd(node, cell, what);

    private static InvalidOperationException Odd(JsonNode? node,
        int cell, string what) => new($"cell {cell + 1} has {what} {node?.ToJsonString() ?? "null"}");

    /// <summary>The id, or with a suffix where it is taken: nbformat before 4.5 has no ids, and they may repeat by mistake.</summary>
    private static string Unused(HashSet<string> taken, string id)
    {
        var free = id;
        for (var i = 2; !taken.Add(free); i++)
            free = $"{id}-{i}";
        return free;
    }

    /// <summary>A notebook's text: one string, or a list of lines.</summary>
    public static string Text(JsonNode? source) => source switch
    {
        JsonArray lines => string.Concat(lines.Select(l => (string?)l)),
        JsonValue value => (string?)value ?? "",
        _ => "",
    };

    /// <summary>The title: the first heading, or the file's name.</summary>
    public string Title => Cells.Where(c => !c.IsCode).SelectMany(c => c.Source.Split('\n'))
        .FirstOrDefault(l => l.StartsWith("# ", StringComparison.Ordinal))?[2..].Trim()
        ?? System.IO.Path.GetFileNameWithoutExtension(Path);

    /// <summary>The stamp that saved outputs carry; null if there is none.</summary>
    public string? Stamp(string metadata) => (string?)_root["metadata"]?[metadata]?["stamp"];

    /// <summary>The notebook with these outputs, by cell id, as the JSON of a valid nbformat 4.5 file.</summary>
    /// <param name="runs">What each cell gave; none for a cell without.</param>
    /// <param name="change">What becomes of a copy of each output; it is told the output itself.</param>
    /// <param name="finish">Last changes to the file.</param>
    public string WithOutputs(IReadOnlyDictionary<string, CellRun> runs,
        Func<JsonObject, JsonObject>? change = null, Action<JsonObject>? finish = null)
    {
        var root = (JsonObject)_root.DeepClone();
        root["nbformat_minor"] = 5;
        root["metadata"] ??= new JsonObject();
        var count = 0;
        foreach (var (cell, known) in root["cells"]!.AsArray().Zip(Cells))
        {
            cell!["id"] = known.Id;
            if (!known.IsCode)
                continue;
            var run = runs.GetValueOrDefault(known.Id);
            cell["execution_count"] = run is { Started: true } ? ++count : null;
            cell["outputs"] = new JsonArray([.. (run?.Outputs ?? []).Select(output =>
            {
                output = (JsonObject)(change?.Invoke(output) ?? output).DeepClone();
                output.Remove("transient");
                if ((string?)output["output_type"] == "execute_result")
                    output["execution_count"] = count;
                return output;
            })]);
        }
        finish?.Invoke(root);
        return root.ToJsonString(Indented) + "\n";
    }
}
