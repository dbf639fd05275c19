using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;

namespace NotebookHost.Tests;

/// <summary>One thing that .NET Interactive's own tool said.</summary>
/// <param name="Type">CommandSucceeded, DisplayedValueProduced, …</param>
/// <param name="Event">The rest of it.</param>
internal sealed record ToolEvent(string Type, JsonNode Event)
{
    /// <summary>What is on display after it: where, and in each of its types.</summary>
    public IEnumerable<(string Id, string MimeType, string Value)> Shown => (Event["formattedValues"] as JsonArray ?? [])
        .Select(v => ((string?)Event["valueId"] ?? "", (string)v!["mimeType"]!, (string?)v["value"] ?? ""));
}

/// <summary>
/// .NET Interactive's own tool, restored by the repository's tool manifest and driven as VS Code's extension does: one JSON command a line
/// in, events out. What needs it is skipped, visibly, where it cannot be restored.
/// </summary>
internal sealed class RealTool : IAsyncDisposable
{
    private static readonly Lazy<Task<string?>> Restored = new(async () =>
    {
        var (status, said) = await Script.RunAsync("dotnet", Host.Root, [], "tool", "restore");
        return status == 0 ? null : said;
    });

    private readonly Process _process;
    private readonly Task _ready;
    private int _sent;

    /// <summary>Starts it in a folder.</summary>
    public RealTool(string folder)
    {
        var start = new ProcessStartInfo("dotnet",
            ["tool", "run", "dotnet-interactive", "--", "[vscode]", "stdio", "--working-dir", folder, "--default-kernel", "csharp"])
        {
            WorkingDirectory = Host.Root,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            Environment = { ["OMP_NUM_THREADS"] = "1", ["MKL_NUM_THREADS"] = "1", ["DOTNET_INTERACTIVE_CLI_TELEMETRY_OPTOUT"] = "1" },
        };
        _process = Process.Start(start)!;
        _process.ErrorDataReceived += (_, _) => { };
        _process.BeginErrorReadLine();
        _ready = ReadyAsync();
    }

    /// <summary>What is sent before the tool says that it is ready is lost.</summary>
    private async Task ReadyAsync()
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromMinutes(1));
        while (await _process.StandardOutput.ReadLineAsync(limit.Token) is { } line
            && !line.Contains("\"KernelReady\"", StringComparison.Ordinal))
        {
        }
    }

    /// <summary>Skips the test where the tool cannot be restored.</summary>
    public static async Task RequireAsync()
    {
        var why = await Restored.Value;
        Assert.SkipUnless(why is null, $".NET Interactive's tool could not be restored (dotnet tool restore): {why}");
    }

    /// <summary>Runs a cell; the last event says how it ended.</summary>
    public async Task<IReadOnlyList<ToolEvent>> RunAsync(string code)
    {
        await _ready;
        var token = $"cell-{++_sent}";
        await _process.StandardInput.WriteLineAsync(new JsonObject
        {
            ["token"] = token,
            ["commandType"] = "SubmitCode",
            ["command"] = new JsonObject { ["code"] = code, ["targetKernelName"] = "csharp" }
        }.ToJsonString());
        await _process.StandardInput.FlushAsync();
        using var limit = new CancellationTokenSource(TimeSpan.FromMinutes(5));
        var events = new List<ToolEvent>();
        while (await _process.StandardOutput.ReadLineAsync(limit.Token) is { } line)
        {
            if (!line.StartsWith('{') || JsonNode.Parse(line) is not JsonObject message
                || ((string?)message["command"]?["token"])?.StartsWith(token, StringComparison.Ordinal) != true)
                continue;
            events.Add(new ToolEvent((string)message["eventType"]!, message["event"]!));
            if ((string?)message["command"]!["token"] == token && events[^1].Type is "CommandSucceeded" or "CommandFailed")
                return events;
        }
        throw new InvalidOperationException("the tool ended in the middle of a cell");
    }

    /// <summary>Where it listens: "127.0.0.1 only", also where it does not listen at all, or the other addresses.</summary>
    public async Task<string> ListensAsync()
    {
        if (!OperatingSystem.IsLinux())
            return "127.0.0.1 only";
        var sockets = new HashSet<string>();
        foreach (var process in Directory.GetDirectories("/proc").Where(p => int.TryParse(Path.GetFileName(p), out var id) && IsOurs(id)))
            sockets.UnionWith(Directory.GetFiles(Path.Combine(process, "fd")).Select(f => new FileInfo(f).LinkTarget)
                .Where(t => t?.StartsWith("socket:[", StringComparison.Ordinal) == true).Select(t => t![8..^1]));
        var lines = (await File.ReadAllLinesAsync("/proc/net/tcp")).Skip(1).Concat((await File.ReadAllLinesAsync("/proc/net/tcp6")).Skip(1))
            .Select(l => l.Split(' ', StringSplitOptions.RemoveEmptyEntries))
                .Where(f => f[3] == "0A" && sockets.Contains(f[9])).Select(f => f[1].Split(':')[0]).ToList();
        return lines.All(address => address == "0100007F") ? "127.0.0.1 only" : string.Join(", ", lines);
    }

    private bool IsOurs(int id)
    {
        try
        {
            for (; id > 1; id = int.Parse(File.ReadAllText($"/proc/{id}/stat")
                .Split(')')[^1].Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture))
            {
                if (id == _process.Id)
                    return true;
            }
        }
        catch (IOException)
        {
            // It has ended.
        }
        return false;
    }

    /// <summary>Registers the tool's own kernel for Jupyter under <paramref name="data"/>.</summary>
    public static async Task InstallKernelAsync(string data)
    {
        var folder = Directory.CreateDirectory(Path.Combine(data, "kernels", ".net-csharp")).FullName;
        // As "dotnet interactive jupyter install" writes it, but found by the manifest above the notebooks, and heard on this machine only.
        await File.WriteAllTextAsync(Path.Combine(folder, "kernel.json"), new JsonObject
        {
            ["argv"] = new JsonArray("dotnet", "tool", "run", "dotnet-interactive",
                "--", "jupyter", "--default-kernel", "csharp", "--http-local-only", "{connection_file}"),
            ["display_name"] = ".NET (C#)",
            ["language"] = "C#",
            ["env"] = new JsonObject { ["DOTNET_INTERACTIVE_CLI_TELEMETRY_OPTOUT"] = "1" },
        }.ToJsonString());
    }

    public async ValueTask DisposeAsync()
    {
        _process.Kill(entireProcessTree: true);
        await _process.WaitForExitAsync();
        _process.Dispose();
    }
}
