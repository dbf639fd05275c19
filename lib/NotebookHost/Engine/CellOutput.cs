using System.Text;
using System.Text.Json.Nodes;

namespace NotebookHost.Engine;

/// <summary>
/// What a cell gives: printed text and displayed values, in one order, as nbformat has them; cut with a notice where a cell gives
/// more than anybody reads. Takes the place of the console.
/// </summary>
internal sealed class CellOutput
{
    /// <summary>What a cell prints beyond this many characters is dropped, with a notice.</summary>
    private const int MostText = 1_000_000;

    /// <summary>What a cell displays beyond this many characters is dropped, with a notice.</summary>
    private const long MostDisplayed = 30_000_000;

    private readonly Action<JsonObject> _send;
    private readonly Text _stdout, _stderr;
    private long _displayed;

    /// <summary>Outputs go to <paramref name="send"/>.</summary>
    public CellOutput(Action<JsonObject> send)
    {
        _send = send;
        (_stdout, _stderr) = (new Text("stdout", send), new Text("stderr", send));
        TakeConsole();
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
        _stdout.StartCell();
        _stderr.StartCell();
        _displayed = 0;
    }

    /// <summary>A displayed value or an error, after what was printed before it.</summary>
    public void Emit(JsonObject output)
    {
        Flush();
        if (_displayed > MostDisplayed)
            return;
        _displayed += (output["data"] as JsonObject)?.Sum(d => d.Value is JsonValue v && v.TryGetValue<string>(out var text) ? text.Length : 0) ?? 0;
        _send(output);
        if (_displayed > MostDisplayed)
            _stderr.Write($"… (more than {MostDisplayed:N0} characters displayed: the rest is left out)\n");
    }

    /// <summary>Sends what was printed so far.</summary>
    public void Flush()
    {
        _stdout.Flush();
        _stderr.Flush();
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
    public static string Settled(string text)
    {
        if (!text.Contains('\r'))
            return text;
        return string.Join('\n', text.Replace("\r\n", "\n").Split('\n').Select(line =>
        {
            var shown = "";
            foreach (var part in line.Split('\r').Where(part => part != ""))
                shown = part.Length >= shown.Length ? part : part + shown[part.Length..];
            return shown;
        }));
    }

    /// <summary>What is printed: sent line by line, and what has no end of line after a tenth of a second.</summary>
    private sealed class Text : TextWriter
    {
        private static readonly TimeSpan Patience = TimeSpan.FromSeconds(0.1);

        private readonly StringBuilder _pending = new();
        private readonly string _name;
        private readonly Action<JsonObject> _send;
        private readonly Timer _timer;
        private int _room = MostText;
        private bool _lineStarts = true;

        public Text(string name, Action<JsonObject> send)
        {
            (_name, _send, CoreNewLine) = (name, send, ['\n']);
            _timer = new Timer(_ => Flush());
        }

        public override Encoding Encoding => Encoding.UTF8;

        public void StartCell() => (_room, _lineStarts) = (MostText, true);

        public override void Write(char value) => Write(value.ToString());

        public override void Write(string? value)
        {
            if (string.IsNullOrEmpty(value) || _room <= 0)
                return;
            lock (_pending)
            {
                if (_pending.Length == 0)
                    _timer.Change(Patience, Timeout.InfiniteTimeSpan);
                _pending.Append(value);
                if (_pending.Length > 4096 || value.EndsWith('\n'))
                    Flush();
            }
        }

        public override void Flush()
        {
            lock (_pending)
            {
                if (_pending.Length == 0)
                    return;
                _timer.Change(Timeout.Infinite, Timeout.Infinite);
                var text = _pending.ToString();
                _pending.Clear();
                // Of a bar that is written over and over, the last state is enough.
                if (text.Contains('\r') && (_lineStarts || text.StartsWith('\r')))
                    text = (text.StartsWith('\r') ? "\r" : "") + Settled(text) + (text.EndsWith('\r') ? "\r" : "");
                _lineStarts = text[^1] is '\n' or '\r';
                if ((_room -= text.Length) <= 0)
                    text = text[..(text.Length + Math.Min(0, _room))] + $"\n… (more than {MostText:N0} characters: the rest is left out)\n";
                _send(new JsonObject { ["output_type"] = "stream", ["name"] = _name, ["text"] = text });
            }
        }
    }
}
