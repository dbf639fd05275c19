using System.Net;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using NetMQ;

namespace NotebookHost.Jupyter;

/// <summary>A connection file that cannot be used; the message is one line.</summary>
internal sealed class ConnectionException(string message) : NotebookFileException(message);

/// <summary>Where a Jupyter client expects its kernel, and the key that signs what they say.</summary>
internal sealed record Connection(string Ip, int Shell, int Control, int IoPub, int Stdin, int Heartbeat, string Key)
{
    /// <summary>Reads the file that a client writes.</summary>
    /// <exception cref="ConnectionException">It is missing, no such file, or asks for another transport, another signature, or an address
    /// others can reach.</exception>
    public static Connection Read(string path)
    {
        ConnectionException Off(string what) => new($"the connection file {path} {what}");
        JsonNode? json;
        try
        {
            json = JsonNode.Parse(File.ReadAllText(path));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException)
        {
            throw Off($"cannot be read: {e.Message.ReplaceLineEndings(" ")}");
        }
        T Get<T>(string name) => (json as JsonObject)?[name] is JsonValue value
            && value.TryGetValue<T>(out var found) ? found : throw Off($"has no usable '{name}'");
        int Port(string name) => Get<int>(name) is var port and > 0 and <= IPEndPoint.MaxPort
            ? port : throw Off($"has {name} {Get<int>(name)}; a port is 1 to {IPEndPoint.MaxPort}");
        foreach (var (name, ours) in new[] { ("transport", "tcp"), ("signature_scheme", "hmac-sha256"), ("ip", "127.0.0.1") })
        {
            if (Get<string>(name) is var asked && asked != ours)
                throw Off($"asks for {name} '{asked}'; this kernel runs code, and knows {ours} only");
        }
        if (Get<string>("key") is "")
            throw Off("has an empty key; this kernel runs code and hears signed messages only");
        return new Connection(Get<string>("ip"), Port("shell_port"),
            Port("control_port"), Port("iopub_port"), Port("stdin_port"), Port("hb_port"), Get<string>("key"));
    }

    /// <summary>The address of a port.</summary>
    public string Address(int port) => $"tcp://{Ip}:{port}";
}

/// <summary>A message of Jupyter's protocol.</summary>
/// <param name="Identities">Whom a reply goes to, as ZeroMQ routes it.</param>
/// <param name="Header">msg_id, msg_type, session, username, date, version.</param>
/// <param name="Parent">The header of what it answers; empty otherwise.</param>
/// <param name="Content">What is said.</param>
internal sealed record Message(IReadOnlyList<byte[]> Identities, JsonObject Header, JsonObject Parent, JsonObject Content)
{
    private static readonly byte[] Delimiter = "<IDS|MSG>"u8.ToArray();

    /// <summary>msg_type.</summary>
    public string Type => (string?)Header["msg_type"] ?? "";

    /// <summary>A new message.</summary>
    public static Message New(string type, string session, Message? parent,
        JsonObject content, IReadOnlyList<byte[]>? identities = null) => new(identities ?? parent?.Identities ?? [], new JsonObject
        {
            ["msg_id"] = Guid.NewGuid().ToString(),
            ["msg_type"] = type,
            ["session"] = session,
            ["username"] = "kernel",
            ["date"] = DateTime.UtcNow.ToString("o"),
            ["version"] = "5.3",
        }, (JsonObject?)parent?.Header.DeepClone() ?? [], content);

    /// <summary>The frames of a message, signed.</summary>
    public NetMQMessage ToFrames(string key)
    {
        byte[][] parts = [.. new[] { Header, Parent, [], Content }.Select(p => Encoding.UTF8.GetBytes(p.ToJsonString()))];
        var frames = new NetMQMessage();
        foreach (var part in Identities.Append(Delimiter).Append(Encoding.ASCII.GetBytes(Sign(key, parts))).Concat(parts))
            frames.Append(part);
        return frames;
    }

    /// <summary>What came, or null where it is no message or its signature is not ours.</summary>
    public static Message? FromFrames(NetMQMessage frames, string key)
    {
        var all = frames.Select(f => f.ToByteArray()).ToList();
        var at = all.FindIndex(f => f.AsSpan().SequenceEqual(Delimiter));
        if (at < 0 || all.Count < at + 6)
            return null;
        byte[][] parts = [.. all.Skip(at + 2).Take(4)];
        if (!CryptographicOperations.FixedTimeEquals(all[at + 1], Encoding.ASCII.GetBytes(Sign(key, parts))))
            return null;
        try
        {
            JsonObject Part(int i) => JsonNode.Parse(parts[i])!.AsObject();
            var message = new Message(all[..at], Part(0), Part(1), Part(3));
            return message.Type == "" ? null : message;                                // one that cannot be read throws here and not later
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or ArgumentException or NullReferenceException)
        {
            return null;
        }
    }

    private static string Sign(string key, byte[][] parts)
        => Convert.ToHexStringLower(HMACSHA256.HashData(Encoding.UTF8.GetBytes(key), parts.SelectMany(p => p).ToArray()));
}
