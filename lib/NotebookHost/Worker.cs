using System.Diagnostics;
using System.Text;
using System.Text.Json.Nodes;
using NotebookHost.Engine;

namespace NotebookHost;

/// <summary>
/// The child process that runs one notebook. It tells its parent what happens as one JSON object a line, each after a
/// record separator (RFC 7464); whatever else arrives on standard output was written past .NET by native code.
/// </summary>
internal static class Worker
{
    /// <summary>Starts a message.</summary>
    public const char Separator = '\u001e';

    private static readonly Lock Gate = new();
    private static Stream s_parent = Stream.Null;

    /// <summary>Runs the notebook's code cells in order until one fails.</summary>
    public static async Task<int> Run(string path)
    {
        s_parent = Console.OpenStandardOutput();
        Console.CancelKeyPress += (_, e) => e.Cancel = true;                           // the parent decides
        ExitWithParent();
        var notebook = NotebookFile.Read(path);
        Directory.SetCurrentDirectory(Path.GetDirectoryName(notebook.Path)!);
        Console.SetIn(TextReader.Null);                                                // nobody is there to answer
        var outputs = new CellOutput(output => Send(new JsonObject { ["event"] = "output", ["output"] = output }));
        var session = new CSharpSession(Path.GetDirectoryName(notebook.Path)!, outputs.Emit);
        foreach (var cell in notebook.Cells.Where(c => c.IsCode))
        {
            Send(new JsonObject { ["event"] = "started", ["cell"] = cell.Id });
            outputs.StartCell();
            var clock = Stopwatch.StartNew();
            var error = cell.Language is null or "csharp" or "C#"
                ? cell.Source.Trim() == "" ? null : await session.RunAsync(cell.Id, cell.Source)
                : new CellError("UnknownLanguage", $"the cell is marked as '{cell.Language}'; this host runs csharp", []);
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
            if (error is not null)
                return 1;
        }
        Send(new JsonObject { ["event"] = "done" });
        return 0;
    }

    private static void Send(JsonObject message)
    {
        var line = Encoding.UTF8.GetBytes($"{Separator}{message.ToJsonString()}\n");
        lock (Gate)
        {
            s_parent.Write(line);
            s_parent.Flush();
        }
    }

    /// <summary>The parent holds this process' standard input open; when it closes, the parent is gone, however it went.</summary>
    private static void ExitWithParent()
    {
        var thread = new Thread(() =>
        {
            using var input = Console.OpenStandardInput();
            while (input.ReadByte() >= 0)
            {
            }
            Environment.Exit(130);
        })
        { IsBackground = true };
        thread.Start();
    }
}
