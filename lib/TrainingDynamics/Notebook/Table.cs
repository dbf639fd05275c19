using System.Collections;
using System.Globalization;
using System.Net;
using System.Reflection;
using System.Text;

namespace TrainingDynamics.Notebook;

/// <summary>
/// Results as a table: the same in every notebook host, whatever it makes of the values themselves. Numbers have five significant
/// digits and stand right in their column; a sequence's values stand side by side.
/// </summary>
[TypeFormatterSource(typeof(HtmlFormatterSource<Table>), PreferredMimeTypes = ["text/html", "text/plain"])]
public sealed class Table : IHtml
{
    private const int MostItems = 20;

    private readonly string[] _heads;
    private readonly (string Text, bool IsNumber)[][] _rows;

    private Table(string[] heads, (string, bool)[][] rows) => (_heads, _rows) = (heads, rows);

    /// <summary>One row for each record; a column for each of their public properties, <c>LostAt93</c> headed "Lost at 93".</summary>
    /// <param name="records">Records of one type, anonymous ones too.</param>
    /// <exception cref="ArgumentException">They have no property to show.</exception>
    public static Table Of<T>(IEnumerable<T> records)
    {
        T[] all = [.. records];
        var columns = Columns(typeof(T) == typeof(object) && all is [{ } first, ..] ? first.GetType() : typeof(T), nameof(records));
        var rows = all.Select(record => columns.Select(c => Cell(c.GetValue(record))).ToArray());
        return new Table([.. columns.Select(c => Words(c.Name))], [.. rows]);
    }

    /// <summary>One record, a row for each of its public properties.</summary>
    /// <exception cref="ArgumentException">It has no property to show.</exception>
    public static Table Of(object record)
    {
        ArgumentNullException.ThrowIfNull(record);
        var columns = Columns(record.GetType(), nameof(record));
        return new Table(["", ""], [.. columns.Select(c => new[] { (Words(c.Name), false), (Cell(c.GetValue(record)).Text, false) })]);
    }

    /// <inheritdoc/>
    string IHtml.Show()
    {
        var html = new StringBuilder("<table class=\"results\" style=\"border-collapse:collapse;margin:.5em 0\">");
        if (_heads.Any(h => h != ""))
        {
            html.Append("<thead><tr>");
            for (var i = 0; i < _heads.Length; i++)
                html.Append(Element("th scope=\"col\"", _heads[i], _rows.Length > 0 && _rows.All(row => row[i].IsNumber)));
            html.Append("</tr></thead>");
        }
        html.Append("<tbody>");
        foreach (var row in _rows)
        {
            html.Append("<tr>");
            foreach (var (i, (text, isNumber)) in row.Index())
                html.Append(Element(i == 0 && _heads[0] == "" ? "th scope=\"row\"" : "td", text, isNumber));
            html.Append("</tr>");
        }
        return html.Append("</tbody></table>").ToString();

        static string Element(string tag, string text, bool isNumber) => $"<{tag} style=\"text-align:{(isNumber ? "right" : "left")};"
            + $"padding:2px 10px;border-bottom:1px solid #8884\">{WebUtility.HtmlEncode(text)}</{tag[..2]}>";
    }

    /// <summary>The table as text, its columns under each other.</summary>
    public override string ToString()
    {
        var lines = _rows.Select(row => row.Select(cell => cell.Text).ToArray()).ToList();
        if (_heads.Any(h => h != ""))
            lines.Insert(0, _heads);
        var widths = _heads.Select((_, i) => lines.Max(line => line[i].Length)).ToArray();
        return string.Join('\n', lines.Select(line => string.Join("  ", line.Select((text, i) => text.PadRight(widths[i]))).TrimEnd()));
    }

    private static PropertyInfo[] Columns(Type type, string name)
    {
        var properties = type.GetProperties(BindingFlags.Public | BindingFlags.Instance);
        var columns = properties.Where(p => p.GetIndexParameters().Length == 0 && p.CanRead).ToArray();
        return columns.Length > 0 ? columns : throw new ArgumentException($"{name} of type {type.Name}: there is no property to show",
            name);
    }

    /// <summary>A property's name as words: LostAt93 is "Lost at 93", KLAtEnd "KL at end".</summary>
    private static string Words(string name)
    {
        var words = new StringBuilder().Append(name[0]);
        for (var i = 1; i < name.Length; i++)
        {
            var (before, smallFollows) = (name[i - 1], i + 1 < name.Length && char.IsLower(name[i + 1]));
            var starts = char.IsLower(before) ? !char.IsLower(name[i]) : char.IsUpper(before) && char.IsUpper(name[i]) && smallFollows;
            var small = starts && (smallFollows || i + 1 == name.Length);
            words.Append(starts ? " " : "").Append(small ? char.ToLowerInvariant(name[i]) : name[i]);
        }
        return words.ToString();
    }

    private static (string Text, bool IsNumber) Cell(object? value) => value switch
    {
        null => ("—", false),
        string text => (text, false),
        double or float => (((IFormattable)value).ToString("G5", CultureInfo.InvariantCulture), true),
        sbyte or byte or short or ushort or int or uint or long or ulong or decimal
            => (((IFormattable)value).ToString(null, CultureInfo.InvariantCulture), true),
        IFormattable other => (other.ToString(null, CultureInfo.InvariantCulture), false),
        IEnumerable items => (Joined([.. items.Cast<object?>().Take(MostItems + 1)]), false),
        _ => (value.ToString() ?? "", false),
    };

    private static string Joined(List<object?> items)
        => string.Join(", ", items.Take(MostItems).Select(i => Cell(i).Text)) + (items.Count > MostItems ? ", …" : "");
}
