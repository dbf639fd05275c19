using System.Collections.Concurrent;
using System.Diagnostics;
using System.IO.Enumeration;
using System.Text.Json.Nodes;
using NetMQ;
using NetMQ.Sockets;
using NotebookHost.Engine;

namespace NotebookHost.Jupyter;

/// <summary>
/// A Jupyter kernel (messaging protocol 5.3) on the engine that runs notebooks headless. One thread speaks with the sockets, one runs
/// cells in the order they came, one answers heartbeats.
/// </summary>
/// <remarks>https://jupyter-client.readthedocs.io/en/stable/messaging.html</remarks>
internal sealed class JupyterKernel : IDisposable
{
    private readonly Connection _connection;
    private readonly string _session = Guid.NewGuid().ToString();
    private readonly RouterSocket _shell = new(), _control = new(), _stdin = new();
    private readonly PublisherSocket _ioPub = new();
    private readonly ResponseSocket _heartbeat = new();
    private readonly NetMQPoller _poller;
    private readonly NetMQQueue<(NetMQSocket Socket, NetMQMessage Frames)> _out = new();
    private readonly BlockingCollection<Message> _work = [];
    private readonly BlockingCollection<string?> _answers = [];
    private readonly List<(string Code, string? Result)> _history = [];
    private readonly CellOutput _outputs;
    private readonly Session _cells;
    private volatile Message? _running;
    private bool _stored;
    private int _count, _together;

    private JupyterKernel(Connection connection)
    {
        _connection = connection;
        _ioPub.Options.SendHighWatermark = 0;                                          // nothing that a cell says is dropped, however fast it speaks
        foreach (var (socket, port) in new (NetMQSocket, int)[] { (_shell, connection.Shell), (_control, connection.Control), (_stdin, connection.Stdin), (_ioPub, connection.IoPub), (_heartbeat, connection.Heartbeat) })
        {
            socket.Options.Linger = TimeSpan.FromSeconds(1);
            try
            {
                socket.Bind(connection.Address(port));
            }
            catch (NetMQException e)
            {
                throw new ConnectionException($"port {port} of {connection.Ip} cannot be used: {e.ErrorCode}");
            }
        }
        _outputs = new CellOutput(Publish);
        _cells = new Session(_outputs, Ask);
        Console.SetIn(new Input(this));
        _shell.ReceiveReady += (_, e) => Receive(e.Socket, m => _work.Add(m));
        _control.ReceiveReady += (_, e) => Receive(e.Socket, Control);
        _stdin.ReceiveReady += (_, e) => Receive(e.Socket, m => { if (m.Type == "input_reply") _answers.Add((string?)m.Content["value"] ?? ""); });
        _heartbeat.ReceiveReady += (_, e) => e.Socket.SendMultipartMessage(e.Socket.ReceiveMultipartMessage());
        _out.ReceiveReady += (_, e) =>
        {
            while (e.Queue.TryDequeue(out var next, TimeSpan.Zero))
                next.Socket.SendMultipartMessage(next.Frames);
        };
        _poller = [_shell, _control, _stdin, _out, _heartbeat];
    }

    /// <summary>Runs the kernel until its client says so, or is gone.</summary>
    public static int Start(string connectionFile)
    {
        try
        {
            using var kernel = new JupyterKernel(Connection.Read(connectionFile));
            kernel.Run();
            return 0;
        }
        catch (ConnectionException e)
        {
            Console.Error.WriteLine(e.Message);
            return Runner.BadUsage;
        }
        finally
        {
            NetMQConfig.Cleanup(block: false);
        }
    }

    private void Run()
    {
        Console.CancelKeyPress += (_, e) => e.Cancel = true;                           // an interrupt comes as a message
        EndWithParent();
        _poller.RunAsync("jupyter sockets");
        Publish("status", null, new JsonObject { ["execution_state"] = "starting" });
        foreach (var message in _work.GetConsumingEnumerable())
        {
            _running = message;
            var together = _together > 0;
            _together -= together ? 1 : 0;
            Publish("status", message, new JsonObject { ["execution_state"] = "busy" });
            try
            {
                if (together && message.Type == "execute_request")
                    Reply(_shell, message, Aborted());
                else
                    Answer(message);
            }
            catch (Exception e)
            {
                Reply(_shell, message, new JsonObject { ["status"] = "error", ["ename"] = e.GetType().Name, ["evalue"] = e.Message, ["traceback"] = new JsonArray() });
            }
            _outputs.Flush();
            Publish("status", message, new JsonObject { ["execution_state"] = "idle" });
            _running = null;
        }
        Thread.Sleep(100);                                                             // the last replies are on their way
        _poller.Stop();
    }

    private void Answer(Message message)
    {
        switch (message.Type)
        {
            case "kernel_info_request":
                Reply(_shell, message, KernelInfo());
                break;
            case "execute_request":
                Execute(message);
                break;
            case "is_complete_request":
                Reply(_shell, message, Session.IsComplete((string?)message.Content["code"] ?? ""));
                break;
            case "complete_request":
                Reply(_shell, message, _cells.CompleteAsync((string?)message.Content["code"] ?? "", (int?)message.Content["cursor_pos"] ?? 0).GetAwaiter().GetResult());
                break;
            case "inspect_request":
                Reply(_shell, message, _cells.InspectAsync((string?)message.Content["code"] ?? "", (int?)message.Content["cursor_pos"] ?? 0).GetAwaiter().GetResult());
                break;
            case "history_request":
                Reply(_shell, message, History(message.Content));
                break;
            case "comm_info_request":
                Reply(_shell, message, new JsonObject { ["status"] = "ok", ["comms"] = new JsonObject() });
                break;
            case "shutdown_request":
                Shutdown(_shell, message);
                break;
        }
    }

    /// <summary>The cells of this session that were asked for: the last, those of some numbers, or those that a pattern fits.</summary>
    private JsonObject History(JsonObject asked)
    {
        var all = _history.Select((cell, i) => (Number: i + 1, cell.Code, cell.Result));
        var which = (string?)asked["hist_access_type"] switch
        {
            "range" => all.Where(c => c.Number >= ((int?)asked["start"] ?? 1) && c.Number < ((int?)asked["stop"] ?? int.MaxValue)),
            "search" => all.Where(c => FileSystemName.MatchesSimpleExpression((string?)asked["pattern"] ?? "*", c.Code, ignoreCase: false)),
            _ => all,
        };
        if ((bool?)asked["unique"] ?? false)
            which = which.GroupBy(c => c.Code).Select(same => same.Last()).OrderBy(c => c.Number);
        which = which.TakeLast((int?)asked["n"] ?? int.MaxValue);
        var withOutput = (bool?)asked["output"] ?? false;
        return new JsonObject { ["status"] = "ok", ["history"] = new JsonArray([.. which.Select(c => new JsonArray(0, c.Number, withOutput ? new JsonArray(c.Code, c.Result) : JsonValue.Create(c.Code)))]) };
    }

    /// <summary>What may not wait for a running cell.</summary>
    private void Control(Message message)
    {
        switch (message.Type)
        {
            case "interrupt_request":
                Interrupt();
                Reply(_control, message, new JsonObject { ["status"] = "ok" });
                break;
            case "shutdown_request":
                Shutdown(_control, message);
                break;
            case "kernel_info_request":
                Reply(_control, message, KernelInfo());
                break;
        }
    }

    private void Shutdown(RouterSocket socket, Message message)
    {
        Reply(socket, message, new JsonObject { ["status"] = "ok", ["restart"] = message.Content["restart"]?.DeepClone() ?? false });
        _work.CompleteAdding();
        Interrupt();
        // A cell that will not end does not keep the kernel.
        new Thread(() =>
        {
            Thread.Sleep(2000);
            Environment.Exit(0);
        })
        { IsBackground = true }.Start();
    }

    private void Interrupt()
    {
        _cells.Interrupt();
        _answers.Add(null);                                                            // whoever waits for an answer waits in vain
    }

    private void Execute(Message message)
    {
        var code = (string?)message.Content["code"] ?? "";
        var silent = (bool?)message.Content["silent"] ?? false;
        _stored = !silent && ((bool?)message.Content["store_history"] ?? true);
        if (_stored)
        {
            _count++;
            _history.Add((code, null));
        }
        if (!silent)
            Publish("execute_input", message, new JsonObject { ["code"] = code, ["execution_count"] = _count });
        _outputs.StartCell();
        var error = _cells.RunAsync($"cell {_count}", code).GetAwaiter().GetResult();
        // What has arrived by now was sent together with the cell, and is not run if it failed; what is sent on hearing of the error is.
        _together = error is not null && ((bool?)message.Content["stop_on_error"] ?? true) ? _work.Count : 0;
        if (error is not null && !silent)
            _outputs.Emit(CellOutput.Of(error));
        _outputs.Flush();
        if (error is null)
        {
            Reply(_shell, message, new JsonObject { ["status"] = "ok", ["execution_count"] = _count, ["payload"] = new JsonArray(), ["user_expressions"] = new JsonObject() });
            return;
        }
        Reply(_shell, message, new JsonObject { ["status"] = "error", ["execution_count"] = _count, ["ename"] = error.Type, ["evalue"] = error.Message, ["traceback"] = new JsonArray([.. error.Traceback.Select(l => JsonValue.Create(l))]) });
    }

    private static JsonObject Aborted() => new() { ["status"] = "aborted" };

    private static JsonObject KernelInfo() => new()
    {
        ["status"] = "ok",
        ["protocol_version"] = "5.3",
        ["implementation"] = "NotebookHost",
        ["implementation_version"] = "1.0",
        ["language_info"] = new JsonObject { ["name"] = "C#", ["version"] = "14.0", ["mimetype"] = "text/x-csharp", ["file_extension"] = ".cs", ["pygments_lexer"] = "csharp", ["codemirror_mode"] = "text/x-csharp" },
        ["banner"] = $"C# on .NET {Environment.Version}",
        ["help_links"] = new JsonArray(),
    };

    /// <summary>An output of the running cell.</summary>
    private void Publish(JsonObject output)
    {
        var content = (JsonObject)output.DeepClone();
        content.Remove("output_type");
        var type = (string)output["output_type"]!;
        if (type == "execute_result")
        {
            content["execution_count"] = _count;
            if (_stored)
                _history[^1] = _history[^1] with { Result = (string?)content["data"]?["text/plain"] };
        }
        // Red, as the clients show other languages' errors.
        if (type == "error" && content["traceback"] is JsonArray { Count: > 0 } trace)
            trace[0] = $"\u001b[31m{(string?)trace[0]}\u001b[0m";
        Publish(type, _running, content);
    }

    private void Publish(string type, Message? parent, JsonObject content)
        => _out.Enqueue((_ioPub, Message.New(type, _session, parent, content, [System.Text.Encoding.ASCII.GetBytes(type)]).ToFrames(_connection.Key)));

    private void Reply(RouterSocket socket, Message request, JsonObject content)
        => _out.Enqueue((socket, Message.New(request.Type.Replace("_request", "_reply"), _session, request, content).ToFrames(_connection.Key)));

    private void Receive(NetMQSocket socket, Action<Message> handle)
    {
        if (Message.FromFrames(socket.ReceiveMultipartMessage(), _connection.Key) is { } message && !_work.IsAddingCompleted)
            handle(message);                                                           // what is not signed is dropped
    }

    /// <summary>A kernel without its client is of no use to anybody.</summary>
    private static void EndWithParent()
    {
        if (!int.TryParse(Environment.GetEnvironmentVariable("JPY_PARENT_PID"), out var parent))
            return;
        new Thread(() =>
        {
            try
            {
                using var process = Process.GetProcessById(parent);
                process.WaitForExit();
            }
            catch (ArgumentException)
            {
            }
            Environment.Exit(1);
        })
        { IsBackground = true }.Start();
    }

    public void Dispose()
    {
        _poller.Dispose();
        foreach (var socket in new NetMQSocket[] { _shell, _control, _stdin, _ioPub, _heartbeat })
            socket.Dispose();
        _out.Dispose();
    }

    /// <summary>Asks the client; null where it was interrupted.</summary>
    private string? Ask(string prompt, bool password)
    {
        if (_running is not { } request || !((bool?)request.Content["allow_stdin"] ?? false))
            throw new InvalidOperationException("this client does not take input");
        _outputs.Flush();
        while (_answers.TryTake(out _))
        {
        }
        _out.Enqueue((_stdin, Message.New("input_request", _session, request, new JsonObject { ["prompt"] = prompt, ["password"] = password }).ToFrames(_connection.Key)));
        return _answers.Take();
    }

    /// <summary>Console.In: asks the client.</summary>
    private sealed class Input(JupyterKernel kernel) : TextReader
    {
        public override string? ReadLine() => kernel.Ask("", false);

        public override int Read() => throw new NotSupportedException("one character cannot be asked for; use Console.ReadLine()");
    }
}
