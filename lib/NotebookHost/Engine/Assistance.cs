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
        var items = result.Events.OfType<CompletionsProduced>().SelectMany(p => p.Completions).Where(c => c.Kind != "Snippet");
        var names = items.Select(c => c.DisplayText).Where(n => n.StartsWith(typed, StringComparison.OrdinalIgnoreCase)).Distinct()
            .OrderBy(n => !n.StartsWith(typed, StringComparison.Ordinal)).ThenBy(n => n, StringComparer.OrdinalIgnoreCase).Take(500);
        return new JsonObject
        {
            ["status"] = "ok",
            ["matches"] = new JsonArray([.. names.Select(n => JsonValue.Create(n))]),
            ["cursor_start"] = code[..start].EnumerateRunes().Count(),
            ["cursor_end"] = code[..position].EnumerateRunes().Count(),
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
            var signatures = help.Events.OfType<SignatureHelpProduced>().SelectMany(s => s.Signatures);
            told = string.Join('\n', signatures.Select(s => $"{s.Label}\n> {s.Documentation.Value}"));
        }
        var data = told == "" ? new JsonObject() : new JsonObject { ["text/plain"] = told, ["text/markdown"] = told };
        return new JsonObject { ["status"] = "ok", ["found"] = told != "", ["data"] = data, ["metadata"] = new JsonObject() };
    }

    /// <summary>is_complete_reply: whether Enter may run it.</summary>
    public static JsonObject IsComplete(string code)
    {
        var lines = code.Split('\n').Select(line => line.StartsWith("#!", StringComparison.Ordinal) ? "" : line);
        var options = CSharpParseOptions.Default.WithKind(SourceCodeKind.Script).WithLanguageVersion(LanguageVersion.Latest);
        var tree = CSharpSyntaxTree.ParseText(string.Join('\n', lines), options);
        if (!SyntaxFactory.IsCompleteSubmission(tree))
            return new JsonObject { ["status"] = "incomplete", ["indent"] = "    " };
        var wrong = tree.GetDiagnostics().Any(d => d.Severity == Microsoft.CodeAnalysis.DiagnosticSeverity.Error);
        return new JsonObject { ["status"] = wrong ? "invalid" : "complete" };
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
        => new(code.AsSpan(0, position).Count('\n'),
            position - 1 - code.LastIndexOf('\n', Math.Max(0, position - 1), Math.Max(0, position)));
}
