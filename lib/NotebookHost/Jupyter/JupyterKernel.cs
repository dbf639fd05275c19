using System.Collections.Concurrent;
using System.Diagnostics;
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
internal sealed class JupyterKernel
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
    private readonly CellOutput _outputs;
    private readonly Session _cells;
    private volatile Message? _running, _last;
    private int _count, _together;

    private JupyterKernel(Connection connection)
    {
        _connection = connection;
        // nothing that a cell says is dropped, however fast it speaks
        _ioPub.Options.SendHighWatermark = 0;
        foreach (var (socket, port) in new (NetMQSocket, int)[] { (_shell, connection.Shell),
            (_control, connection.Control), (_stdin, connection.Stdin), (_ioPub, connection.IoPub), (_heartbeat, connection.Heartbeat) })
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
        _stdin.ReceiveReady += (_, e) => Receive(e.Socket,
            m => { if (m.Type == "input_reply") _answers.Add((string?)m.Content["value"] ?? ""); });
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
        new JupyterKernel(Connection.Read(connectionFile)).Run();
        NetMQConfig.Cleanup(block: false);
        return 0;
    }

    private void Run()
    {
        Console.CancelKeyPress += (_, e) => e.Cancel = true;                           // an interrupt comes as a message
        EndWithParent();
        _poller.RunAsync("jupyter sockets");
        Publish("status", null, new JsonObject { ["execution_state"] = "starting" });
        foreach (var message in _work.GetConsumingEnumerable())
        {
            (_running, _last) = (message, message);
            var together = _together > 0;
            _together -= together ? 1 : 0;
            Publish("status", message, new JsonObject { ["execution_state"] = "busy" });
            try
            {
                if (together && message.Type == "execute_request")
                    Reply(_shell, message, new JsonObject { ["status"] = "aborted" });
                else
                    Answer(message);
            }
            catch (Exception e)
            {
                var said = CellOutput.Of(new CellError(e.GetType().Name, e.Message, []));
                said["status"] = "error";
                Reply(_shell, message, said);
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
                Reply(_shell, message, Session.IsComplete(Code(message)));
                break;
            case "complete_request":
                Reply(_shell, message, _cells.CompleteAsync(Code(message), (int?)message.Content["cursor_pos"] ?? 0)
                    .GetAwaiter().GetResult());
                break;
            case "inspect_request":
                Reply(_shell, message, _cells.InspectAsync(Code(message), (int?)message.Content["cursor_pos"] ?? 0)
                    .GetAwaiter().GetResult());
                break;
            case "history_request":
                // clients keep their own
                Reply(_shell, message, new JsonObject { ["status"] = "ok", ["history"] = new JsonArray() });
                break;
            case "comm_info_request":
                Reply(_shell, message, new JsonObject { ["status"] = "ok", ["comms"] = new JsonObject() });
                break;
            case "shutdown_request":
                Shutdown(_shell, message);
                break;
        }
    }

    private static string Code(Message message) => (string?)message.Content["code"] ?? "";

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
        _ = Task.Delay(2000).ContinueWith(_ => Environment.Exit(0), TaskScheduler.Default);                    // whatever a cell does
    }

    private void Interrupt()
    {
        _cells.Interrupt();
        _answers.Add(null);                                                            // whoever waits for an answer waits in vain
    }

    private void Execute(Message message)
    {
        var code = Code(message);
        var silent = (bool?)message.Content["silent"] ?? false;
        if (!silent && ((bool?)message.Content["store_history"] ?? true))
            _count++;
        if (!silent)
            Publish("execute_input", message, new JsonObject { ["code"] = code, ["execution_count"] = _count });
        _outputs.StartCell();
        var error = _cells.RunAsync($"cell {_count}", code).GetAwaiter().GetResult();
        // What has arrived by now was sent together with the cell, and is not run if it failed; what is sent on hearing of the error is.
        _together = error is not null && ((bool?)message.Content["stop_on_error"] ?? true) ? _work.Count : 0;
        if (error is not null && !silent)
            _outputs.Emit(CellOutput.Of(error));
        _outputs.Flush();
        var reply = error is null ? new JsonObject { ["payload"] = new JsonArray(), ["user_expressions"] = new JsonObject() }
            : CellOutput.Of(error);
        (reply["status"], reply["execution_count"]) = (error is null ? "ok" : "error", _count);
        Reply(_shell, message, reply);
    }

    private static JsonObject KernelInfo() => new()
    {
        ["status"] = "ok",
        ["protocol_version"] = "5.3",
        ["implementation"] = "NotebookHost",
        ["implementation_version"] = "1.0",
        ["language_info"] = new JsonObject
        {
            ["name"] = "C#",
            ["version"] = "14.0",
            ["mimetype"] = "text/x-csharp",
            ["file_extension"] = ".cs",
            ["pygments_lexer"] = "csharp",
            ["codemirror_mode"] = "text/x-csharp"
        },
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
            content["execution_count"] = _count;
        // Red, as the clients show other languages' errors.
        if (type == "error" && content["traceback"] is JsonArray { Count: > 0 } trace)
            trace[0] = $"\u001b[31m{(string?)trace[0]}\u001b[0m";
        Publish(type, _last, content);                                                 // of a cell that is over, as its own
    }

    private void Publish(string type, Message? parent, JsonObject content)
        => _out.Enqueue((_ioPub, Message.New(type, _session, parent, content, [System.Text.Encoding.ASCII.GetBytes(type)])
            .ToFrames(_connection.Key)));

    private void Reply(RouterSocket socket, Message request, JsonObject content)
        => _out.Enqueue((socket, Message.New(request.Type.Replace("_request", "_reply"), _session, request, content)
            .ToFrames(_connection.Key)));

    private void Receive(NetMQSocket socket, Action<Message> handle)
    {
        if (Message.FromFrames(socket.ReceiveMultipartMessage(), _connection.Key) is not { } message)
            return;                                                                    // what is not signed is dropped
        try
        {
            handle(message);
        }
        catch (InvalidOperationException) { } // It came after the end, or says nothing that can be read.
    }

    /// <summary>A kernel without its client is of no use to anybody.</summary>
    private static void EndWithParent()
    {
        if (!int.TryParse(Environment.GetEnvironmentVariable("JPY_PARENT_PID"), out var parent))
            return;
        _ = Task.Run(async () =>
        {
            try
            {
                await Process.GetProcessById(parent).WaitForExitAsync();
            }
            catch (ArgumentException) { } // It is gone already.
            Environment.Exit(1);
        });
    }

    /// <summary>Asks the client; null where it was interrupted.</summary>
    private string? Ask(string prompt, bool password)
    {
        if (_running is not { } request || !((bool?)request.Content["allow_stdin"] ?? false))
            throw new InvalidOperationException("this client does not take input");
        _outputs.Hurry();
        while (_answers.TryTake(out _)) { }
        _out.Enqueue((_stdin, Message.New("input_request", _session,
            request, new JsonObject { ["prompt"] = prompt, ["password"] = password }).ToFrames(_connection.Key)));
        return _answers.Take();
    }

    /// <summary>Console.In: asks the client.</summary>
    private sealed class Input(JupyterKernel kernel) : TextReader
    {
        public override string? ReadLine() => kernel.Ask("", false);

        public override int Read() => throw new NotSupportedException("one character cannot be asked for; use Console.ReadLine()");
    }
}
