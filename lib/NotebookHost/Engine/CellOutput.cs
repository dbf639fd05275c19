using System.Diagnostics;
using System.Text;
using System.Text.Json.Nodes;

namespace NotebookHost.Engine;

/// <summary>
/// What a cell gives: printed text and displayed values, in one order, as nbformat has them; cut with a notice where a cell gives
/// more than anybody reads. Takes the place of the console.
/// </summary>
/// <remarks>
/// A cell's thread may be aborted between any two instructions, so it only puts what it gives on a stack, in one atomic step, and calls
/// nobody: an event's own lock might be left taken. A thread of ours looks there, often while a cell runs.
/// </remarks>
internal sealed class CellOutput
{
    /// <summary>What a cell prints beyond this many characters is dropped, with a notice.</summary>
    private const int MostText = 1_000_000;

    /// <summary>And what it displays beyond this many.</summary>
    private const long MostDisplayed = 30_000_000;

    /// <summary>Who gives more than this at once waits.</summary>
    private const int MostGiven = 20_000;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(0.1),
        Often = TimeSpan.FromMilliseconds(2), Seldom = TimeSpan.FromMilliseconds(50);
    private readonly Action<JsonObject> _send;
    private readonly AutoResetEvent _called = new(false);
    private readonly TextWriter _stdout, _stderr;
    private Given? _given;
    private int _count;
    private volatile bool _busy;

    // What follows is the sending thread's alone.
    private readonly StringBuilder _pending = new();
    private readonly Dictionary<string, int> _room = [];
    private string _stream = "";
    private bool _lineStarts;
    private long _displayed;

    /// <summary>Outputs go to <paramref name="send"/>, from a thread of this object's.</summary>
    public CellOutput(Action<JsonObject> send)
    {
        _send = send;
        (_stdout, _stderr) = (new Text(this, "stdout"), new Text(this, "stderr"));
        TakeConsole();
        new Thread(SendAll) { IsBackground = true, Name = "outputs" }.UnsafeStart();
    }

    private sealed class Given(Action act)
    {
        public readonly Action Act = act;
        public Given? Before;
    }

    /// <summary>Takes the console back from a cell that set another.</summary>
    public void TakeConsole()
    {
        Console.SetOut(_stdout);
        Console.SetError(_stderr);
    }

    /// <summary>Gives every cell its own room.</summary>
    public void StartCell()
    {
        Give(() => (_displayed, _room["stdout"], _room["stderr"], _lineStarts) = (0, MostText, MostText, true));
        _busy = true;
        _called.Set();
    }

    /// <summary>A displayed value or an error, after what was printed before it.</summary>
    public void Emit(JsonObject output) => Give(() =>
    {
        SendPending();
        var data = output["data"] as JsonObject ?? [];
        // What a host reads is short, and never left out.
        if (_displayed > MostDisplayed && !data.Any(d => d.Key.StartsWith("application/vnd.notebook.", StringComparison.Ordinal)))
            return;
        var before = _displayed;
        _displayed += data.Sum(d => d.Value is JsonValue v && v.TryGetValue<string>(out var text) ? text.Length : 0);
        _send(output);
        if (before <= MostDisplayed && _displayed > MostDisplayed)
            Print("stderr", $"… (more than {MostDisplayed:N0} characters displayed: the rest is left out)\n");
    });

    /// <summary>What was printed is sent without waiting for its line's end.</summary>
    public void Hurry() => Give(SendPending);

    /// <summary>Returns when all that was given is sent; not for a cell's own thread.</summary>
    public void Flush()
    {
        using var sent = new ManualResetEventSlim();
        Hurry();
        Give(sent.Set);
        _busy = false;
        _called.Set();
        sent.Wait();
    }

    /// <summary>An error as an output.</summary>
    public static JsonObject Of(CellError error) => new()
    {
        ["output_type"] = "error",
        ["ename"] = error.Type,
        ["evalue"] = error.Message,
        ["traceback"] = new JsonArray([.. error.Traceback.Select(l => JsonValue.Create(l))]),
    };

    /// <summary>Text as a terminal leaves it: what follows a carriage return is written over the line's beginning.</summary>
    public static string Settled(string text) => !text.Contains('\r')
        ? text : string.Join('\n', text.Replace("\r\n", "\n").Split('\n').Select(line =>
    {
        var shown = "";
        foreach (var part in line.Split('\r').Where(part => part != ""))
            shown = part.Length >= shown.Length ? part : part + shown[part.Length..];
        return shown;
    }));

    private void Give(Action act)
    {
        var given = new Given(act);
        do
            given.Before = _given;
        while (Interlocked.CompareExchange(ref _given, given, given.Before) != given.Before);
        Interlocked.Increment(ref _count);
        while (Volatile.Read(ref _count) > MostGiven)
            Thread.Yield();
    }

    private void SendAll()
    {
        for (var clock = Stopwatch.StartNew(); ;)
        {
            _called.WaitOne(_busy ? Often : Seldom);
            if (_pending.Length == 0)
                clock.Restart();
            else if (clock.Elapsed > Patience)
                SendPending();                                                         // what has no end of line is sent after a moment
            var acts = new Stack<Action>();
            for (var given = Interlocked.Exchange(ref _given, null); given is not null; given = given.Before)
                acts.Push(given.Act);
            Interlocked.Add(ref _count, -acts.Count);
            while (acts.TryPop(out var act))
                act();
            if (_pending.Length > 0 && _pending[^1] == '\n')
                SendPending();
        }
    }

    private void Print(string stream, string text)
    {
        if (_room.GetValueOrDefault(stream, MostText) <= 0)
            return;
        if (stream != _stream)
            SendPending();
        _stream = stream;
        _pending.Append(text);
        if (_pending.Length > 4096)
            SendPending();
    }

    private void SendPending()
    {
        if (_pending.Length == 0)
            return;
        var text = _pending.ToString();
        _pending.Clear();
        // Of a bar that is written over and over, the last state is enough.
        if (text.Contains('\r') && (_lineStarts || text.StartsWith('\r')))
            text = (text.StartsWith('\r') ? "\r" : "") + Settled(text) + (text.EndsWith('\r') ? "\r" : "");
        _lineStarts = text == "" || text[^1] is '\n' or '\r';
        var room = _room[_stream] = _room.GetValueOrDefault(_stream, MostText) - text.Length;
        if (room <= 0)
            text = text[..(text.Length + Math.Min(0, room))] + $"\n… (more than {MostText:N0} characters: the rest is left out)\n";
        _send(new JsonObject { ["output_type"] = "stream", ["name"] = _stream, ["text"] = text });
    }

    /// <summary>The console's place.</summary>
    private sealed class Text : TextWriter
    {
        private readonly CellOutput _outputs;
        private readonly string _name;

        public Text(CellOutput outputs, string name) => (_outputs, _name, CoreNewLine) = (outputs, name, ['\n']);
        public override Encoding Encoding => Encoding.UTF8;

        public override void Write(char value) => Write(value.ToString());
        public override void Write(char[] buffer, int index, int count) => Write(new string(buffer, index, count));
        public override void WriteLine(string? value) => Write(value + "\n");

        public override void Write(string? value)
        {
            CellThread.EndIfInterrupted();
            if (!string.IsNullOrEmpty(value))
                _outputs.Give(() => _outputs.Print(_name, value));
        }
    }
}
