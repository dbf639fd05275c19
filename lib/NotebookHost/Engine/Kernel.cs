using System.Text.Json.Nodes;

namespace NotebookHost.Engine
{
    /// <summary>HTML that is shown as it is.</summary>
    /// <param name="Content">The markup.</param>
    public sealed record HtmlContent(string Content);

    /// <summary>Something on display, which can be replaced in place.</summary>
    public sealed class DisplayedValue
    {
        private readonly string _id = Guid.NewGuid().ToString("N");

        internal DisplayedValue(object? value, string[] mimeTypes) => Kernel.Emit("display_data", Formatter.Format(value, mimeTypes), _id);

        /// <summary>Shows another value in the same place.</summary>
        public void Update(object? updatedValue) => Kernel.Emit("update_display_data", Formatter.Format(updatedValue, []), _id);
    }

    /// <summary>What every cell can call without a using, as in .NET Interactive's C# kernel.</summary>
    public static class Kernel
    {
        /// <summary>Where displayed values go.</summary>
        internal static Action<JsonObject> Output { get; set; } = _ => { };

#pragma warning disable IDE1006 // The names are .NET Interactive's.
        /// <summary>Shows a value, in the given types or in its own.</summary>
        public static DisplayedValue display(object? value, params string[] mimeTypes) => new(value, mimeTypes);

        /// <summary>Markup to be shown as it is.</summary>
        public static HtmlContent HTML(string content) => new(content);
#pragma warning restore IDE1006

        internal static void Emit(string type, JsonObject data, string? displayId = null)
        {
            var output = new JsonObject { ["output_type"] = type, ["data"] = data, ["metadata"] = new JsonObject() };
            if (displayId is not null)
                output["transient"] = new JsonObject { ["display_id"] = displayId };
            Output(output);
        }
    }
}

namespace System
{
    using NotebookHost.Engine;

    /// <summary>Display as an extension, in the namespace where .NET Interactive has it.</summary>
    public static class DisplayExtensions
    {
        /// <summary>Shows the value.</summary>
        public static DisplayedValue Display(this object? value, params string[] mimeTypes) => Kernel.display(value, mimeTypes);

        /// <summary>Shows a text as a type of content.</summary>
        public static DisplayedValue DisplayAs(this string value, string mimeType) => Kernel.display(new FormattedText(value, mimeType));
    }
}
