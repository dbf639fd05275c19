using System.Text.Json.Nodes;
using System.Xml.Linq;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using NotebookHost.Engine;

namespace NotebookHost.Jupyter;

/// <summary>Completion and inspection: the cell being written, compiled by Roslyn as the next submission after those that ran, and its semantic model asked.</summary>
internal static class Assistance
{
    /// <summary>complete_reply: what may stand at the cursor, by its first letters.</summary>
    public static JsonObject Complete(CSharpSession session, string code, int cursor)
    {
        var (model, position) = (session.Next(code), Position(code, cursor));
        var start = position;
        while (start > 0 && (char.IsLetterOrDigit(code[start - 1]) || code[start - 1] == '_'))
            start--;
        var typed = code[start..position];
        var names = Candidates(model, start).Where(n => n.StartsWith(typed, StringComparison.OrdinalIgnoreCase) && (char.IsLetter(n[0]) || n[0] == '_'));
        return new JsonObject
        {
            ["status"] = "ok",
            ["matches"] = new JsonArray([.. names.Distinct().OrderBy(n => !n.StartsWith(typed, StringComparison.Ordinal)).ThenBy(n => n, StringComparer.OrdinalIgnoreCase).Take(500).Select(n => JsonValue.Create(n))]),
            ["cursor_start"] = code[..start].EnumerateRunes().Count(),
            ["cursor_end"] = cursor,
            ["metadata"] = new JsonObject(),
        };
    }

    /// <summary>inspect_reply: what the name at the cursor stands for.</summary>
    public static JsonObject Inspect(CSharpSession session, string code, int cursor)
    {
        var (model, position) = (session.Next(code), Position(code, cursor));
        var root = model.SyntaxTree.GetRoot();
        var token = root.FindToken(Math.Min(position, Math.Max(0, code.Length - 1)));
        if (!token.IsKind(SyntaxKind.IdentifierToken) && position > 0)
            token = root.FindToken(position - 1);
        var info = token.Parent is null ? default : model.GetSymbolInfo(token.Parent);
        var symbol = info.Symbol ?? info.CandidateSymbols.FirstOrDefault() ?? (token.Parent is null ? null : model.GetDeclaredSymbol(token.Parent));
        var data = new JsonObject();
        if (symbol is not null)
        {
            var more = info.Symbol is null ? info.CandidateSymbols.Length - 1 : (symbol as IMethodSymbol)?.ContainingType?.GetMembers(symbol.Name).Length - 1 ?? 0;
            data["text/plain"] = symbol.ToDisplayString(SymbolDisplayFormat.MinimallyQualifiedFormat) + (more > 0 ? $" (+ {more} overloads)" : "") + Summary(model.Compilation, symbol);
        }
        return new JsonObject { ["status"] = "ok", ["found"] = symbol is not null, ["data"] = data, ["metadata"] = new JsonObject() };
    }

    private static IEnumerable<string> Candidates(SemanticModel model, int start)
    {
        var before = start == 0 ? default : model.SyntaxTree.GetRoot().FindToken(start - 1);
        var of = before.Parent switch
        {
            MemberAccessExpressionSyntax access when before == access.OperatorToken => access.Expression,
            MemberBindingExpressionSyntax binding when before == binding.OperatorToken => binding.Ancestors().OfType<ConditionalAccessExpressionSyntax>().First(a => a.WhenNotNull.Contains(binding)).Expression,
            _ => null,
        };
        if (of is not null)
        {
            var named = model.GetSymbolInfo(of).Symbol;
            if (named is INamespaceOrTypeSymbol container)
                return model.LookupSymbols(start, container).Where(s => s is not IMethodSymbol { MethodKind: MethodKind.Constructor } && (s.IsStatic || s is INamespaceOrTypeSymbol)).Select(s => s.Name);
            return Whole(model.GetTypeInfo(of).Type) is { } type
                ? model.LookupSymbols(start, type, includeReducedExtensionMethods: true).Where(s => !s.IsStatic && s.CanBeReferencedByName || s is IMethodSymbol { ReducedFrom: not null }).Select(s => s.Name)
                : [];
        }
        if (before.Parent is QualifiedNameSyntax qualified && before == qualified.DotToken)
            return model.GetSymbolInfo(qualified.Left).Symbol is INamespaceOrTypeSymbol space ? model.LookupNamespacesAndTypes(start, space).Select(s => s.Name) : [];
        var words = SyntaxFacts.GetKeywordKinds().Concat(SyntaxFacts.GetContextualKeywordKinds()).Select(SyntaxFacts.GetText);
        return model.LookupSymbols(start).Where(s => s.CanBeReferencedByName).Select(s => s.Name).Concat(words);
    }

    /// <summary>The type itself; of a nullable value that stands before a question mark, what it holds.</summary>
    private static ITypeSymbol? Whole(ITypeSymbol? type) => type is INamedTypeSymbol { OriginalDefinition.SpecialType: SpecialType.System_Nullable_T } nullable ? nullable.TypeArguments[0] : type;

    /// <summary>The summary of a symbol's documentation, from the file beside its assembly.</summary>
    private static string Summary(Compilation compilation, ISymbol symbol)
    {
        if (symbol.ContainingAssembly is not { } assembly || compilation.GetMetadataReference(assembly) is not PortableExecutableReference { FilePath: { } path })
            return "";
        try
        {
            var id = symbol.OriginalDefinition.GetDocumentationCommentId();
            var summary = XDocument.Load(Path.ChangeExtension(path, ".xml")).Descendants("member").FirstOrDefault(m => (string?)m.Attribute("name") == id)?.Element("summary");
            return summary is null ? "" : "\n\n" + string.Join(' ', Text(summary).Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
        }
        catch (Exception e) when (e is IOException or System.Xml.XmlException)
        {
            return "";
        }
    }

    /// <summary>What is said, and what a reference or a parameter is called.</summary>
    private static string Text(XNode node) => node switch
    {
        XText text => text.Value,
        XElement { IsEmpty: true } element => ((string?)element.Attribute("cref") ?? (string?)element.Attribute("name") ?? (string?)element.Attribute("langword") ?? "").Split('(')[0].Split('.', ':')[^1],
        XElement element => string.Concat(element.Nodes().Select(Text)),
        _ => "",
    };

    /// <summary>A position in UTF-16 from one in Unicode characters, as Jupyter counts.</summary>
    private static int Position(string code, int cursor)
    {
        var at = 0;
        for (; cursor > 0 && at < code.Length; cursor--)
            at += char.IsSurrogatePair(code, at) ? 2 : 1;
        return at;
    }
}
