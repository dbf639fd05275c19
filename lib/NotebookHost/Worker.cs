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

    /// <summary>What a cell prints beyond this many characters is dropped, with a notice.</summary>
    private const int MostText = 1_000_000;

    /// <summary>What a cell displays beyond this many characters is dropped, with a notice.</summary>
    private const long MostDisplayed = 30_000_000;

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
        var (stdout, stderr) = (new StreamWriterToParent("stdout"), new StreamWriterToParent("stderr"));
        Console.SetOut(stdout);
        Console.SetError(stderr);
        Console.SetIn(TextReader.Null);                                                // nobody is there to answer
        var displayed = 0L;
        void Emit(JsonObject output)
        {
            stdout.Flush();
            stderr.Flush();
            if (displayed > MostDisplayed)
                return;
            displayed += (output["data"] as JsonObject)?.Sum(d => d.Value is JsonValue v && v.TryGetValue<string>(out var text) ? text.Length : 0) ?? 0;
            Send(new JsonObject { ["event"] = "output", ["output"] = output });
            if (displayed > MostDisplayed)
                Console.Error.WriteLine($"… (more than {MostDisplayed:N0} characters displayed: the rest is left out)");
        }
        var session = new CSharpSession(Path.GetDirectoryName(notebook.Path)!, Emit);
        foreach (var cell in notebook.Cells.Where(c => c.IsCode))
        {
            Send(new JsonObject { ["event"] = "started", ["cell"] = cell.Id });
            stdout.StartCell();
            stderr.StartCell();
            displayed = 0;
            var clock = Stopwatch.StartNew();
            var error = cell.Language is null or "csharp" or "C#"
                ? cell.Source.Trim() == "" ? null : await session.RunAsync(cell.Id, cell.Source)
                : new CellError("UnknownLanguage", $"the cell is marked as '{cell.Language}'; this host runs csharp", []);
            if (error is not null)
            {
                Emit(new JsonObject
                {
                    ["output_type"] = "error",
                    ["ename"] = error.Type,
                    ["evalue"] = error.Message,
                    ["traceback"] = new JsonArray([.. error.Traceback.Select(l => JsonValue.Create(l))]),
                });
            }
            stdout.Flush();
            stderr.Flush();
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

    /// <summary>What the notebook prints, line by line, in order with everything else.</summary>
    private sealed class StreamWriterToParent(string name) : TextWriter
    {
        private readonly StringBuilder _pending = new();
        private int _room = MostText;

        public override Encoding Encoding => Encoding.UTF8;

        public void StartCell() => _room = MostText;

        public override void Write(char value) => Write(value.ToString());

        public override void Write(string? value)
        {
            if (string.IsNullOrEmpty(value) || _room <= 0)
                return;
            lock (_pending)
            {
                _room -= value.Length;
                _pending.Append(_room > 0 ? value : value[..^-_room] + $"\n… (more than {MostText:N0} characters: the rest is left out)\n");
                if (_room <= 0 || _pending.Length > 4096 || value.EndsWith('\n'))
                    Flush();
            }
        }

        public override void Flush()
        {
            lock (_pending)
            {
                if (_pending.Length == 0)
                    return;
                Send(new JsonObject { ["event"] = "output", ["output"] = new JsonObject { ["output_type"] = "stream", ["name"] = name, ["text"] = _pending.ToString() } });
                _pending.Clear();
            }
        }
    }
}
