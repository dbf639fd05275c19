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
            Console.Error.WriteLine($"… (more than {MostDisplayed:N0} characters displayed: the rest is left out)");
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

    /// <summary>What is printed, line by line.</summary>
    private sealed class Text(string name, Action<JsonObject> send) : TextWriter
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
                send(new JsonObject { ["output_type"] = "stream", ["name"] = name, ["text"] = _pending.ToString() });
                _pending.Clear();
            }
        }
    }
}
