using System.Diagnostics;
using System.Reflection;
using System.Text.Json.Nodes;

namespace NotebookHost.Tests;

/// <summary>Runs the host as a user does: as a process, on files.</summary>
internal static class Host
{
    public static string Root { get; } = typeof(Host).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>()
        .First(a => a.Key == "RepositoryRoot").Value!;

    public static string Dll { get; } = Path.Combine(Root, "artifacts", "bin", "NotebookHost", "NotebookHost.dll");

    /// <summary>The library as a cell names it.</summary>
    public static string Library { get; } = Path.Combine(Root, "artifacts", "bin", "TrainingDynamics", "TrainingDynamics.dll")
        .Replace('\\', '/');

    /// <summary>Starts the host in <paramref name="folder"/>; torch computes on one thread, so that a run repeats bitwise.</summary>
    public static Process Start(string folder, params IEnumerable<string> arguments) => Start(folder, [], arguments);

    /// <summary>The same with more variables in its environment.</summary>
    public static Process Start(string folder, IEnumerable<(string Name, string Value)> environment, IEnumerable<string> arguments)
    {
        var start = new ProcessStartInfo(DotNet.Command, [Dll, .. arguments])
        {
            WorkingDirectory = folder,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            RedirectStandardInput = true
        };
        foreach (var (name, value) in environment.Append(("OMP_NUM_THREADS", "1")).Append(("MKL_NUM_THREADS", "1")))
            start.Environment[name] = value;
        return Process.Start(start)!;
    }

    /// <summary>Runs it to its end.</summary>
    public static Task<(int Status, string Output, string Error)> RunAsync(string folder,
        params IEnumerable<string> arguments) => RunAsync(folder, [], arguments);

    /// <summary>The same with more variables in its environment.</summary>
    public static async Task<(int Status, string Output, string Error)> RunAsync(string folder,
        IEnumerable<(string Name, string Value)> environment, IEnumerable<string> arguments)
    {
        using var process = Start(folder, environment, arguments);
        var (output, error) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        await process.WaitForExitAsync();
        return (process.ExitCode, await output, await error);
    }

    /// <summary>The JSON of a notebook of these code cells.</summary>
    public static string Notebook(params IEnumerable<string> code) => Notebook(null, code);

    /// <summary>The same with a first cell that is tagged parameters.</summary>
    public static string Notebook(string? parameters, IEnumerable<string> code) => new JsonObject
    {
        ["cells"] = new JsonArray([.. (parameters is null ? code : code.Prepend(parameters)).Select((source, i) => new JsonObject
        {
            ["cell_type"] = "code",
            ["id"] = $"cell-{i + 1}",
            ["metadata"] = i == 0 && parameters is not null ? new JsonObject { ["tags"] = new JsonArray("parameters") } : [],
            ["execution_count"] = null,
            ["outputs"] = new JsonArray(),
            ["source"] = source,
        })]),
        ["metadata"] = new JsonObject
        {
            ["kernelspec"] = new JsonObject
            {
                ["display_name"] = ".NET (C#)",
                ["language"] = "C#",
                ["name"] = ".net-csharp"
            }
        },
        ["nbformat"] = 4,
        ["nbformat_minor"] = 5,
    }.ToJsonString();
}
