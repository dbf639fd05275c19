using System.Globalization;
using System.Reflection;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using CsvHelper;
using CsvHelper.Configuration;

namespace TrainingDynamics.Data;

/// <summary>
/// A table of runs that take longer than a reader waits: <c>data/results/NAME.csv</c>, made by the cells of a notebook that are tagged
/// <c>long-table</c>, shown by the same notebook, which runs a part of it anew. Above the rows the file says, in lines that begin with #,
/// how it was made; <c>code</c> is the hash of those cells, so that a test can tell when they changed and the table did not.
/// </summary>
/// <param name="About">What the lines above the rows say, by name: notebook, command, commit, date, minutes, code.</param>
/// <param name="Rows">A record a row, its properties the columns.</param>
public sealed record LongTable<T>(IReadOnlyDictionary<string, string> About, IReadOnlyList<T> Rows);

/// <summary>Reads and writes long tables.</summary>
public static class LongTable
{
    private const string Tag = "long-table";

    private static readonly CsvConfiguration s_csv = new(CultureInfo.InvariantCulture) { AllowComments = true, NewLine = "\n" };

    private static string Notebooks => Path.Combine(Path.GetDirectoryName(Path.TrimEndingDirectorySeparator(Shipped.Folder))!, "notebooks");

    /// <summary>Where the table of a name is.</summary>
    public static string PathOf(string name) => Path.Combine(Shipped.Folder, "results", $"{name}.csv");

    /// <summary>A table that is shipped.</summary>
    /// <param name="name">The file's name, without <c>.csv</c>.</param>
    /// <exception cref="DataFileException">It is missing, or its rows are of another kind.</exception>
    public static LongTable<T> Read<T>(string name) => ReadFile<T>(PathOf(name));

    /// <summary>Writes a table, in place of the one that is there once it is whole.</summary>
    /// <param name="name">The file's name, without <c>.csv</c>.</param>
    /// <param name="notebook">Whose tagged cells made it: its path under <c>notebooks/</c>.</param>
    /// <param name="set">What was given to <c>run NOTEBOOK --set</c>, such as <c>full=true</c>.</param>
    /// <param name="rows">A record a row.</param>
    /// <param name="took">How long it took.</param>
    /// <exception cref="ArgumentException">There is no row.</exception>
    /// <exception cref="DataFileException">The notebook has no cell with the tag.</exception>
    public static void Write<T>(string name, string notebook, string set, IReadOnlyList<T> rows, TimeSpan took)
        => WriteFile(PathOf(name), notebook, set, rows, took);

    internal static LongTable<T> ReadFile<T>(string file)
    {
        if (!File.Exists(file))
            throw new DataFileException($"{file} is missing: it is made by the notebook that shows it");
        try
        {
            using var csv = new CsvReader(new StreamReader(file), s_csv);
            return new LongTable<T>(AboutOf(file), [.. csv.GetRecords<T>()]);
        }
        catch (CsvHelperException e)
        {
            throw new DataFileException($"{file} does not fit {typeof(T).Name}: {e.Message.Split('\n')[0].Trim()}, "
                + $"line {e.Context?.Parser?.RawRow}", e);
        }
    }

    /// <summary>What the lines above the rows say.</summary>
    internal static Dictionary<string, string> AboutOf(string file) => File.ReadLines(file).TakeWhile(line => line.StartsWith('#'))
        .Select(line => line[1..].Split(':', 2)).Where(parts => parts.Length == 2)
        .ToDictionary(parts => parts[0].Trim(), parts => parts[1].Trim());

    internal static void WriteFile<T>(string file, string notebook, string set, IReadOnlyList<T> rows, TimeSpan took)
    {
        if (rows.Count == 0)
            throw new ArgumentException("a table without a row is not written", nameof(rows));
        var commit = typeof(LongTable).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion
            .Split('+')[^1];
        var text = new StringWriter { NewLine = "\n" };
        foreach (var (key, value) in new[]
        {
            ("notebook", notebook), ("command", $"dotnet run --project lib/NotebookHost -- run notebooks/{notebook} --set {set} "
                + "--timeout 7200"),
            ("commit", commit[..Math.Min(12, commit.Length)]),
            ("date", DateTime.UtcNow.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture)),
            ("minutes", took.TotalMinutes.ToString("0.0", CultureInfo.InvariantCulture)), ("code", CodeOf(notebook)),
        })
            text.WriteLine($"# {key}: {value}");
        using (var csv = new CsvWriter(text, s_csv, leaveOpen: true))
            csv.WriteRecords(rows);
        File.WriteAllText(file + ".new", text.ToString());
        File.Move(file + ".new", file, overwrite: true);
    }

    /// <summary>The hash (SHA-256, its first 16 digits) of the cells of a notebook that are tagged <c>long-table</c>.</summary>
    /// <param name="notebook">Its path under <c>notebooks/</c>.</param>
    /// <exception cref="DataFileException">There is no such notebook, or it has no such cell.</exception>
    public static string CodeOf(string notebook)
    {
        var file = Path.Combine(Notebooks, notebook);
        if (!File.Exists(file))
            throw new DataFileException($"{file} is missing: it should have the cells that made a table");
        try
        {
            string[] cells = [.. JsonNode.Parse(File.ReadAllText(file))!["cells"]!.AsArray()
                .Where(cell => cell!["metadata"]?["tags"] is JsonArray tags && tags.Any(tag => (string?)tag == Tag))
                .Select(cell => cell!["source"] is JsonArray lines ? string.Concat(lines.Select(l => (string?)l)) : (string?)cell["source"])
                .OfType<string>()];
            return cells.Length > 0
                ? Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(string.Join('\n', cells))))[..16]
                : throw new DataFileException($"{file} has no cell tagged {Tag}");
        }
        catch (JsonException e)
        {
            throw new DataFileException($"{file} is not a notebook: {e.Message}", e);
        }
    }
}
