using System.Collections;
using System.Globalization;
using System.Net;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json.Nodes;

namespace NotebookHost.Engine;

/// <summary>A text that is already of a type of content.</summary>
/// <param name="Value">The text.</param>
/// <param name="MimeType">Its type.</param>
internal sealed record FormattedText(string Value, string MimeType);

/// <summary>Values as what a notebook shows: by the type's own formatters where it has them, else as text and tables.</summary>
internal static class Formatter
{
    private const int MostItems = 20;

    /// <summary>The value in the wanted types of content, or in those it prefers.</summary>
    public static JsonObject Format(object? value, IReadOnlyList<string> wanted)
    {
        var all = value switch
        {
            HtmlContent html => new() { ["text/html"] = html.Content },
            FormattedText text => new() { [text.MimeType] = AsNotebookHasIt(text.MimeType, text.Value) },
            _ => (value is null ? null : ByConvention(value, wanted)) ?? ByDefault(value),
        };
        if (wanted.Count == 0)
            return all;
        var chosen = new JsonObject();
        foreach (var type in wanted)
            chosen[type] = all[type]?.DeepClone() ?? (type == "text/html" ? WebUtility.HtmlEncode(Text(value)) : Text(value));
        return chosen;
    }

    /// <summary>
    /// The reference-free convention of .NET Interactive: an attribute of the name TypeFormatterSourceAttribute on the class
    /// or a base class names a source type, whose CreateTypeFormatters gives objects with MimeType and Format.
    /// </summary>
    private static JsonObject? ByConvention(object value, IReadOnlyList<string>? wanted = null)
    {
        foreach (var attribute in value.GetType().GetCustomAttributes(inherit: true).Where(a => a.GetType().Name == "TypeFormatterSourceAttribute"))
        {
            if (attribute.GetType().GetProperty("FormatterSourceType")?.GetValue(attribute) is not Type sourceType || Activator.CreateInstance(sourceType, nonPublic: true) is not { } source)
                continue;
            var preferred = attribute.GetType().GetProperty("PreferredMimeTypes")?.GetValue(attribute) as string[];
            var bundle = new JsonObject();
            foreach (var formatter in (IEnumerable)source.GetType().GetMethod("CreateTypeFormatters")!.Invoke(source, null)!)
            {
                var type = (string)formatter.GetType().GetProperty("MimeType")!.GetValue(formatter)!;
                if (wanted is { Count: > 0 } ? !wanted.Contains(type) : preferred is { Length: > 0 } && !preferred.Contains(type))
                    continue;                                                          // formatting may have effects: only what is shown
                using var writer = new StringWriter(CultureInfo.InvariantCulture);
                if (Invoke(formatter, value, writer))
                    bundle[type] = AsNotebookHasIt(type, writer.ToString());
            }
            if (bundle.Count > 0)
                return bundle;
        }
        return null;
    }

    /// <summary>JSON as JSON, everything else as a text.</summary>
    private static JsonNode? AsNotebookHasIt(string type, string text) => type.EndsWith("json", StringComparison.Ordinal) ? JsonNode.Parse(text) : JsonValue.Create(text);

    private static bool Invoke(object formatter, object value, TextWriter writer)
    {
        try
        {
            return formatter.GetType().GetMethod("Format")!.Invoke(formatter, [value, writer]) is true;
        }
        catch (TargetInvocationException e) when (e.InnerException is { } inner)
        {
            throw inner;
        }
    }

    private static JsonObject ByDefault(object? value)
    {
        var bundle = new JsonObject { ["text/plain"] = Text(value) };
        if (Table(value) is { } html)
            bundle["text/html"] = html;
        return bundle;
    }

    private static bool IsSimple(object? value) => value is null or string or IFormattable or bool or char or Type or Delegate or Exception || value.GetType().IsEnum;

    private static string Text(object? value) => value switch
    {
        null => "<null>",
        string text => text,
        IFormattable number => number.ToString(null, CultureInfo.InvariantCulture),
        IDictionary map => Limited(map.Keys.Cast<object>(), key => $"{Text(key)}: {Text(map[key])}"),
        IEnumerable items => Limited(items.Cast<object?>(), Text),
        _ when Columns(value) is { Count: > 0 } columns && value.ToString() == value.GetType().ToString()
            => $"{value.GetType().Name} {{ {string.Join(", ", columns.Select(c => $"{c.Name} = {(IsSimple(c.Get(value)) ? Text(c.Get(value)) : c.Get(value))}"))} }}",
        _ => value.ToString() ?? "",
    };

    private static string Limited<T>(IEnumerable<T> items, Func<T, string> text)
    {
        var first = items.Take(MostItems + 1).ToList();
        return $"[ {string.Join(", ", first.Take(MostItems).Select(text))}{(first.Count > MostItems ? ", …" : "")} ]";
    }

    private static string? Table(object? value) => value switch
    {
        _ when IsSimple(value) => null,
        IDictionary map => Rows(["key", "value"], map.Keys.Cast<object>(), key => [key, map[key]]),
        IEnumerable items => Sequence([.. items.Cast<object?>().Take(MostItems + 1)]),
        ITuple tuple => Rows(["item", "value"], Enumerable.Range(0, tuple.Length), i => [i + 1, tuple[i]]),
        _ when Columns(value!) is { Count: > 0 } columns => Rows(["property", "value"], columns, c => [c.Name, c.Get(value!)]),
        _ => null,
    };

    private static string Sequence(List<object?> items)
    {
        var sample = items.FirstOrDefault(i => i is not null);
        var columns = sample is null || IsSimple(sample) || sample is IEnumerable or ITuple || items.Any(i => i is not null && i.GetType() != sample.GetType()) ? [] : Columns(sample);
        return columns.Count == 0
            ? Rows(["index", "value"], items.Index(), pair => [pair.Index, pair.Item])
            : Rows(["index", .. columns.Select(c => c.Name)], items.Index(), pair => [pair.Index, .. columns.Select(c => pair.Item is null ? null : c.Get(pair.Item))]);
    }

    private static string Rows<T>(IReadOnlyList<string> heads, IEnumerable<T> items, Func<T, object?[]> cells)
    {
        var html = new StringBuilder("<table><thead><tr>");
        foreach (var head in heads)
            html.Append($"<th>{WebUtility.HtmlEncode(head)}</th>");
        html.Append("</tr></thead><tbody>");
        foreach (var (i, item) in items.Index())
        {
            if (i == MostItems)
            {
                html.Append($"<tr><td colspan=\"{heads.Count}\">… (more)</td></tr>");
                break;
            }
            html.Append("<tr>");
            foreach (var cell in cells(item))
                html.Append($"<td>{(cell is not null && ByConvention(cell)?["text/html"] is { } own ? (string?)own : WebUtility.HtmlEncode(Text(cell)))}</td>");
            html.Append("</tr>");
        }
        return html.Append("</tbody></table>").ToString();
    }

    private static List<(string Name, Func<object, object?> Get)> Columns(object value) =>
        [.. value.GetType().GetProperties(BindingFlags.Public | BindingFlags.Instance).Where(p => p.GetIndexParameters().Length == 0 && p.CanRead)
            .Select(p => (p.Name, (Func<object, object?>)(o => Get(p, o)))),
         .. value.GetType().GetFields(BindingFlags.Public | BindingFlags.Instance).Select(f => (f.Name, (Func<object, object?>)f.GetValue))];

    private static object? Get(PropertyInfo property, object value)
    {
        try
        {
            return property.GetValue(value);
        }
        catch (TargetInvocationException e)
        {
            return $"({e.InnerException?.GetType().Name})";                            // one bad property does not hide the others
        }
    }
}
