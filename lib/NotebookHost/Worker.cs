using System.Diagnostics;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.Win32.SafeHandles;
using NotebookHost.Engine;

namespace NotebookHost;

/// <summary>A code cell as a worker is sent it.</summary>
internal sealed record WorkerCell(string Id, string Source, string? Language, bool MayFail);

/// <summary>
/// The child process that runs one notebook. It tells its parent what happens as one JSON object a line, each after a mark that
/// only these two know; whatever else arrives on standard output was written past .NET by native code, or by a cell that looks like us.
/// </summary>
internal static class Worker
{
    private static readonly Lock Gate = new();
    // On Unix the console's own stream takes Console.Out's lock, which a cell that prints may hold while it waits for us.
    private static readonly Stream Parent = OperatingSystem.IsWindows() ? Console.OpenStandardOutput()
        : new FileStream(new SafeFileHandle(1, false), FileAccess.Write, 0);
    private static string s_mark = "";

    /// <summary>Runs the notebook's code cells in order until one fails that is not meant to.</summary>
    /// <param name="path">The notebook.</param>
    /// <param name="mark">What starts a message.</param>
    public static async Task<int> Run(string path, string mark)
    {
        s_mark = mark;
        Console.CancelKeyPress += (_, e) => e.Cancel = true;                           // the parent decides
        // The parent sends the cells it read: what is run is what is reported, whatever becomes of the file.
        var parent = new StreamReader(Console.OpenStandardInput());
        var cells = JsonSerializer.Deserialize<List<WorkerCell>>(await parent.ReadLineAsync() ?? "[]")!;
        ExitWithParent(parent);
        Directory.SetCurrentDirectory(Path.GetDirectoryName(path)!);
        Console.SetIn(TextReader.Null);                                                // nobody is there to answer
        var outputs = new CellOutput(output => Send(new JsonObject { ["event"] = "output", ["output"] = output }));
        var session = new Session(outputs, (_, _) => null);
        foreach (var cell in cells)
        {
            Send(new JsonObject { ["event"] = "started", ["cell"] = cell.Id });
            outputs.StartCell();
            var clock = Stopwatch.StartNew();
            var error = await session.RunAsync(cell.Id, cell.Source, cell.Language);
            if (error is not null)
                outputs.Emit(CellOutput.Of(error));
            outputs.Flush();
            Send(new JsonObject
            {
                ["event"] = "finished",
                ["cell"] = cell.Id,
                ["seconds"] = clock.Elapsed.TotalSeconds,
                ["peakMemoryMB"] = Process.GetCurrentProcess().PeakWorkingSet64 / 1e6,
                ["error"] = error is null ? null : new JsonObject { ["type"] = error.Type, ["message"] = error.Message },
            });
            if (error is not null && !cell.MayFail)
                return 1;
        }
        Send(new JsonObject { ["event"] = "done" });
        return 0;
    }

    private static void Send(JsonObject message)
    {
        var line = Encoding.UTF8.GetBytes($"{s_mark}{message.ToJsonString()}\n");
        lock (Gate)
            Parent.Write(line);
    }

    /// <summary>The parent holds this process' standard input open; when it closes, the parent is gone, however it went.</summary>
    private static void ExitWithParent(StreamReader parent) => new Thread(() =>
    {
        while (parent.Read() >= 0) { }
        Environment.Exit(130);
    })
    { IsBackground = true }.Start();
}
