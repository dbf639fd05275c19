using System.Globalization;
using System.Text.Json.Nodes;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace NotebookHost;

/// <summary>A variable of the cell tagged <c>parameters</c>.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Type">int, long, double, bool, string, or such with []; null where its value is no plain literal.</param>
/// <param name="Count">How many values it has: 1, or a list's length.</param>
internal sealed record Parameter(string Name, string? Type, int Count);

/// <summary>
/// Other values for a notebook's parameters, put there as papermill does it for C# (papermill.readthedocs.io): a cell behind the one
/// that is tagged <c>parameters</c>, so that other tools do the same with the same notebook.
/// </summary>
internal static class Parameters
{
    /// <summary>The parameters of a notebook, in order; none without such a cell.</summary>
    public static IReadOnlyList<Parameter> Of(NotebookFile notebook)
    {
        var cell = notebook.Cells.FirstOrDefault(c => c.IsCode && c.Tags.Contains("parameters"));
        var script = CSharpParseOptions.Default.WithKind(SourceCodeKind.Script);
        return [.. CSharpSyntaxTree.ParseText(cell?.Source ?? "", script).GetRoot().ChildNodes()
            .OfType<FieldDeclarationSyntax>().SelectMany(f => f.Declaration.Variables.Select(v => Declared(f.Declaration.Type, v)))];
    }

    /// <summary>The notebook with other values for some of its parameters.</summary>
    /// <param name="notebook">With a cell tagged <c>parameters</c>.</param>
    /// <param name="name">What the notebook is called in an error.</param>
    /// <param name="values">A text for each, or for a list one for each of its elements.</param>
    /// <exception cref="NotebookFileException">There is no such parameter, or its type is another.</exception>
    public static NotebookFile Set(NotebookFile notebook, string name, IReadOnlyDictionary<string, string[]> values)
    {
        if (values.Count == 0)
            return notebook;
        var known = Of(notebook);
        if (known.Count == 0)
            throw new NotebookFileException($"{name} has no cell tagged parameters with variables in it, so {values.Keys.First()} "
                + "cannot be set");
        var lines = new List<string> { "// Parameters" };
        var plain = new JsonObject();
        foreach (var (parameter, texts) in values)
        {
            if (known.FirstOrDefault(p => p.Name == parameter) is not { } at)
                throw new NotebookFileException($"{name} has no parameter '{parameter}'; it has "
                    + string.Join(", ", known.Select(p => $"{p.Name} ({p.Type ?? "computed"})")));
            if (at.Type is null)
                throw new NotebookFileException($"{name}: {parameter} is no plain int, long, double, bool, string or list of them, so "
                    + "it cannot be set");
            var isList = at.Type.EndsWith("[]", StringComparison.Ordinal);
            // A word may have commas in it, and [1, 2] is the list 1,2.
            string[] given = at.Type == "string" ? [string.Join(',', texts)] : [.. texts.Select(text => text.Trim())];
            if (isList && given is [['[', ..], ..] && given[^1].EndsWith(']'))
                given = [.. string.Join(',', given)[1..^1].Split(',').Select(text => text.Trim())];
            if (given.Length == 0 || (given.Length > 1 && !isList))
                throw new NotebookFileException($"{name}: {parameter} is {at.Type}, got {given.Length} values");
            var literals = given.Select(text => Literal(text, at.Type.Replace("[]", "", StringComparison.Ordinal))
                ?? throw new NotebookFileException($"{name}: {parameter} is {at.Type}, and '{text}' is none")).ToList();
            lines.Add($"var {parameter} = {(isList ? $"new [] {{ {string.Join(", ", literals)} }}" : literals[0])};");
            JsonNode Plain(string literal) => literal[0] == '"' ? JsonValue.Create(given[literals.IndexOf(literal)])
                : JsonNode.Parse(literal.TrimEnd('L'))!;
            plain[parameter] = isList ? new JsonArray([.. literals.Select(Plain)]) : Plain(literals[0]);
        }
        return notebook.WithInjected(string.Join("\n", lines) + "\n", plain);
    }

    /// <summary>Values from a command line, each NAME=VALUE with commas between a list's elements, over those of a file.</summary>
    /// <param name="settings">seeds=21,22,23 and the like.</param>
    /// <param name="file">JSON or YAML: an object of names and values; null for none.</param>
    /// <exception cref="NotebookFileException">A setting has no name, or the file is missing or something else.</exception>
    public static Dictionary<string, string[]> Read(IEnumerable<string> settings, string? file)
    {
        var values = file is null ? [] : ReadFile(file);
        foreach (var setting in settings)
        {
            if (setting.IndexOf('=') is not (> 0 and var at))
                throw new NotebookFileException($"--set {setting} is not of the form NAME=VALUE");
            var text = setting[(at + 1)..].Trim();
            values[setting[..at].Trim()] = text.Split(',');
        }
        return values;
    }

    private static Dictionary<string, string[]> ReadFile(string file)
    {
        if (!File.Exists(file))
            throw new NotebookFileException($"--parameters {file} is not there");
        try
        {
            // JSON is YAML, but for tabs.
            var yaml = new YamlStream();
            yaml.Load(new StringReader(Files.ReadText(file).Replace('\t', ' ')));
            if (yaml.Documents is not [{ RootNode: YamlMappingNode root }])
                throw new NotebookFileException($"--parameters {file} is no object of names and values");
            return root.Children.ToDictionary(pair => Text(pair.Key), pair => pair.Value is YamlSequenceNode list
                ? list.Children.Select(Text).ToArray() : [Text(pair.Value)]);
        }
        catch (YamlException e)
        {
            throw new NotebookFileException(
                $"--parameters {file} is damaged (line {e.Start.Line}: {e.InnerException?.Message ?? e.Message})", e);
        }

        string Text(YamlNode node) => node is YamlScalarNode { Value: { } text, Style: var style }
            && (style != ScalarStyle.Plain || text is not ("" or "~" or "null")) ? text
            : throw new NotebookFileException($"--parameters {file}: line {node.Start.Line} is no number, word, or list of them");
    }

    private static Parameter Declared(TypeSyntax type, VariableDeclaratorSyntax variable)
    {
        var value = variable.Initializer?.Value;
        IReadOnlyList<ExpressionSyntax>? elements = value switch
        {
            ImplicitArrayCreationExpressionSyntax array => array.Initializer.Expressions,
            ArrayCreationExpressionSyntax { Initializer: { } initializer } => initializer.Expressions,
            InitializerExpressionSyntax array => array.Expressions,
            CollectionExpressionSyntax list when list.Elements.All(e => e is ExpressionElementSyntax)
                => [.. list.Elements.Cast<ExpressionElementSyntax>().Select(e => e.Expression)],
            _ => null,
        };
        string[] types = ["int", "long", "double", "bool", "string"];
        var found = (elements ?? [value!]).Select(TypeOf).ToList();
        var widest = found.Contains(null) || (found.Distinct().Count() > 1 && found.Any(t => t is "bool" or "string"))
            ? null : found.MaxBy(t => Array.IndexOf(types, t));
        // A declared type is stronger than what the values look like.
        var said = value is ArrayCreationExpressionSyntax created ? created.Type.ElementType.ToString() + "[]" : type.ToString();
        var element = said.Replace("[]", "", StringComparison.Ordinal);
        if (said != "var" && widest is not null)
            widest = types.Contains(element) && (element != said) == (elements is not null) ? element : null;
        return new Parameter(variable.Identifier.Text, widest is null ? null : widest + (elements is null ? "" : "[]"), found.Count);
    }

    private static string? TypeOf(ExpressionSyntax? value) => value switch
    {
        PrefixUnaryExpressionSyntax { RawKind: (int)SyntaxKind.UnaryMinusExpression } minus => TypeOf(minus.Operand),
        LiteralExpressionSyntax literal => literal.Token.Value switch
        {
            int => "int",
            long => "long",
            double => "double",
            bool => "bool",
            string => "string",
            _ => null,
        },
        _ => null,
    };

    /// <summary>A value as C# writes it; null if it is not of the type.</summary>
    private static string? Literal(string text, string type)
    {
        var culture = CultureInfo.InvariantCulture;
        return type switch
        {
            "int" => int.TryParse(text, NumberStyles.AllowLeadingSign, culture, out var i) ? i.ToString(culture) : null,
            "long" => long.TryParse(text, NumberStyles.AllowLeadingSign, culture, out var l) ? l.ToString(culture) + "L" : null,
            "double" => double.TryParse(text, NumberStyles.Float, culture, out var d) && double.IsFinite(d) ? Real(d) : null,
            "bool" => bool.TryParse(text, out var b) ? (b ? "true" : "false") : null,
            _ => SymbolDisplay.FormatLiteral(text, quote: true),
        };

        // Never a whole number, which would be an int.
        static string Real(double value) => value.ToString("R", CultureInfo.InvariantCulture) is var s
            && s.AsSpan().IndexOfAny(".E") < 0 ? s + ".0" : s.Replace("E", "e", StringComparison.Ordinal);
    }
}
