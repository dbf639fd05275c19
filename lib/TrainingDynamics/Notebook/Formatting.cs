namespace TrainingDynamics.Notebook;

/// <summary>Something a notebook shows as HTML.</summary>
internal interface IHtml
{
    /// <summary>The HTML to show now.</summary>
    string Show();
}

/// <summary>
/// Notebook hosts that follow .NET Interactive's convention find this attribute by its name, so no reference to any of
/// them is needed.
/// </summary>
[AttributeUsage(AttributeTargets.Class)]
internal sealed class TypeFormatterSourceAttribute(Type formatterSourceType) : Attribute
{
    public Type FormatterSourceType { get; } = formatterSourceType;

    public string[] PreferredMimeTypes { get; set; } = [];
}

/// <summary>Formats a <typeparamref name="T"/> as HTML, and as text where there is no HTML.</summary>
internal sealed class HtmlFormatterSource<T> where T : IHtml
{
    public IEnumerable<object> CreateTypeFormatters()
        => [new Formatter<T>("text/html", value => value.Show()), new Formatter<T>("text/plain", value => value.ToString()!)];
}

/// <summary>One type of content that a <typeparamref name="T"/> can be shown as; hosts find the two members by name.</summary>
internal sealed class Formatter<T>(string mimeType, Func<T, string> format)
{
    public string MimeType => mimeType;

    public bool Format(object instance, TextWriter writer)
    {
        if (instance is not T value)
            return false;
        writer.Write(format(value));
        return true;
    }
}
