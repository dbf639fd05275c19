using System.Text.Json.Nodes;
using TrainingDynamics.Data;

namespace TrainingDynamics.Claims;

/// <summary>In how many runs on other seeds a claim held, as <c>data/results/replication.json</c> says (made by the host's
/// <c>replicate</c>).</summary>
internal static class Replicated
{
    private static readonly Lazy<List<Dictionary<string, string>>> s_notebooks = new(() => Read(File));

    /// <summary>The file that is shipped.</summary>
    internal static string File => Path.Combine(Shipped.Folder, "results", "replication.json");

    /// <summary>"10 of 10" by the name of the claim, of the notebook that has most of these claims; empty where there is none.</summary>
    public static IReadOnlyDictionary<string, string> Of(IReadOnlyList<Claim> claims)
        => s_notebooks.Value.MaxBy(notebook => claims.Count(c => notebook.ContainsKey(c.Name))) is { } best
            && claims.Any(c => best.ContainsKey(c.Name)) ? best : new Dictionary<string, string>();

    /// <summary>The shares of every notebook's claims.</summary>
    /// <exception cref="DataFileException">The file is damaged.</exception>
    internal static List<Dictionary<string, string>> Read(string file)
    {
        if (!System.IO.File.Exists(file))
            return [];
        try
        {
            return [.. JsonNode.Parse(System.IO.File.ReadAllText(file))!["notebooks"]!.AsArray().Select(notebook =>
                notebook!["claims"]!.AsArray().ToDictionary(c => (string)c!["name"]!, c => $"{c!["held"]} of {c["of"]}"))];
        }
        catch (Exception e) when (e is System.Text.Json.JsonException or NullReferenceException or InvalidOperationException
            or ArgumentException)
        {
            throw new DataFileException($"{file} is damaged: {e.Message}");
        }
    }
}
