using System.Text.Json.Nodes;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.DotNet.Interactive;
using Microsoft.DotNet.Interactive.Commands;
using Microsoft.DotNet.Interactive.Events;

namespace NotebookHost.Engine;

/// <summary>What helps who writes a cell: the engine's completion, hover and signatures, as Jupyter's replies.</summary>
internal sealed partial class Session
{
    /// <summary>complete_reply: what may stand at the cursor, by its first letters.</summary>
    public async Task<JsonObject> CompleteAsync(string code, int cursor)
    {
        var position = Position(code, cursor);
        var start = position;
        while (start > 0 && (char.IsLetterOrDigit(code[start - 1]) || code[start - 1] == '_'))
            start--;
        if (code[..start].EndsWith("#!", StringComparison.Ordinal))
            start -= 2;
        var typed = code[start..position];
        var result = await _root.SendAsync(new RequestCompletions(code, Place(code, position)));
        var names = result.Events.OfType<CompletionsProduced>().SelectMany(p => p.Completions).Where(c => c.Kind != "Snippet").Select(c => c.DisplayText)
            .Where(n => n.StartsWith(typed, StringComparison.OrdinalIgnoreCase)).Distinct();
        return new JsonObject
        {
            ["status"] = "ok",
            ["matches"] = new JsonArray([.. names.OrderBy(n => !n.StartsWith(typed, StringComparison.Ordinal)).ThenBy(n => n, StringComparer.OrdinalIgnoreCase).Take(500).Select(n => JsonValue.Create(n))]),
            ["cursor_start"] = code[..start].EnumerateRunes().Count(),
            ["cursor_end"] = cursor,
            ["metadata"] = new JsonObject(),
        };
    }

    /// <summary>inspect_reply: what the name at the cursor stands for, or between parentheses what may be passed.</summary>
    public async Task<JsonObject> InspectAsync(string code, int cursor)
    {
        var place = Place(code, Position(code, cursor));
        var hover = await _root.SendAsync(new RequestHoverText(code, place));
        var told = string.Join('\n', hover.Events.OfType<HoverTextProduced>().SelectMany(h => h.Content).Select(c => c.Value));
        if (told == "")
        {
            var help = await _root.SendAsync(new RequestSignatureHelp(code, place));
            told = string.Join('\n', help.Events.OfType<SignatureHelpProduced>().SelectMany(s => s.Signatures).Select(s => $"{s.Label}\n> {s.Documentation.Value}"));
        }
        var data = told == "" ? new JsonObject() : new JsonObject { ["text/plain"] = told, ["text/markdown"] = told };
        return new JsonObject { ["status"] = "ok", ["found"] = told != "", ["data"] = data, ["metadata"] = new JsonObject() };
    }

    /// <summary>is_complete_reply: whether Enter may run it.</summary>
    public static JsonObject IsComplete(string code)
    {
        var lines = code.Split('\n').Select(line => line.StartsWith("#!", StringComparison.Ordinal) ? "" : line);
        var tree = CSharpSyntaxTree.ParseText(string.Join('\n', lines), CSharpParseOptions.Default.WithKind(SourceCodeKind.Script).WithLanguageVersion(LanguageVersion.Latest));
        if (!SyntaxFactory.IsCompleteSubmission(tree))
            return new JsonObject { ["status"] = "incomplete", ["indent"] = "    " };
        return new JsonObject { ["status"] = tree.GetDiagnostics().Any(d => d.Severity == Microsoft.CodeAnalysis.DiagnosticSeverity.Error) ? "invalid" : "complete" };
    }

    /// <summary>A position in UTF-16 from one in Unicode characters, as Jupyter counts.</summary>
    private static int Position(string code, int cursor)
    {
        var at = 0;
        for (; cursor > 0 && at < code.Length; cursor--)
            at += char.IsSurrogatePair(code, at) ? 2 : 1;
        return at;
    }

    private static LinePosition Place(string code, int position)
        => new(code.AsSpan(0, position).Count('\n'), position - 1 - code.LastIndexOf('\n', Math.Max(0, position - 1), Math.Max(0, position)));
}
