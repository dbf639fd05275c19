using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace NotebookHost;

/// <summary>Files as readers left them: read only if they are text, replaced only once their successor is whole.</summary>
internal static class Files
{
    private static readonly UTF8Encoding Strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>Whether an exception is about a file that cannot be read or written.</summary>
    public static bool IsAboutFiles(Exception e) => e is IOException or UnauthorizedAccessException or InvalidDataException;

    /// <summary>A file's text.</summary>
    /// <exception cref="InvalidDataException">It is not UTF-8; says which byte.</exception>
    public static string ReadText(string path)
    {
        var bytes = File.ReadAllBytes(path).AsSpan();
        try
        {
            return Strict.GetString(bytes.StartsWith(Encoding.UTF8.Preamble) ? bytes[3..] : bytes);
        }
        catch (DecoderFallbackException e)
        {
            var at = e.Index + (bytes.StartsWith(Encoding.UTF8.Preamble) ? 3 : 0);
            throw new InvalidDataException($"byte 0x{bytes[at]:X2} at {at} (line {bytes[..at].Count((byte)'\n') + 1}) is not UTF-8");
        }
    }

    /// <summary>JSON of any depth that is written here; null for what is none.</summary>
    public static JsonNode? Json(string text)
    {
        try
        {
            return JsonNode.Parse(text, documentOptions: new JsonDocumentOptions { MaxDepth = 1000 });
        }
        catch (JsonException)
        {
            return null;
        }
    }

    /// <summary>Writes beside the old file and then puts it in its place, with its rights; a link keeps leading where it led.</summary>
    public static void Replace(string path, string text)
    {
        var target = Target(path);
        Directory.CreateDirectory(Path.GetDirectoryName(target)!);
        var draft = $"{target}.{Guid.NewGuid():N}.part";
        try
        {
            File.WriteAllText(draft, text);
            if (!OperatingSystem.IsWindows() && File.Exists(target))
                File.SetUnixFileMode(draft, File.GetUnixFileMode(target));
            File.Move(draft, target, overwrite: true);
        }
        catch
        {
            File.Delete(draft);
            throw;
        }
    }

    /// <summary>Why a file could not be put into a place, in a line; null if it can. Tried, not guessed.</summary>
    public static string? WhyNotWritable(string path)
    {
        try
        {
            if (Directory.Exists(path))
                return "a folder is in its place";
            if (File.Exists(path))
                File.Open(path, FileMode.Open, FileAccess.ReadWrite).Dispose();
            var folder = Path.GetDirectoryName(Target(path))!;
            Directory.CreateDirectory(folder);
            var probe = Path.Combine(folder, $".{Guid.NewGuid():N}.part");
            File.WriteAllText(probe, "probe");
            File.Delete(probe);
            return null;
        }
        catch (Exception e) when (IsAboutFiles(e))
        {
            return e.Message;
        }
    }

    private static string Target(string path) => (File.Exists(path)
        ? new FileInfo(path).ResolveLinkTarget(returnFinalTarget: true)?.FullName : null) ?? Path.GetFullPath(path);
}

/// <summary>The console of a program that may outlive it: where nobody can be written to any more, nothing is written, and work goes
/// on.</summary>
internal sealed class PatientWriter(TextWriter inner) : TextWriter
{
    public override Encoding Encoding => inner.Encoding;

    public override void Write(char value) => Write(value.ToString());

    public override void Write(string? value)
    {
        try
        {
            inner.Write(value);
        }
        catch (Exception e) when (Files.IsAboutFiles(e) || e is ObjectDisposedException) { } // Closed, or a full disk behind it.
    }
}
