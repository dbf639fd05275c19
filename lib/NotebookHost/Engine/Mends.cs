using System.Collections;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Reflection;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Microsoft.AspNetCore.Html;
using Microsoft.DotNet.Interactive;
using Microsoft.DotNet.Interactive.Commands;
using Microsoft.DotNet.Interactive.Directives;
using Microsoft.DotNet.Interactive.Events;
using Microsoft.DotNet.Interactive.Formatting;

namespace NotebookHost.Engine;

/// <summary>A kernel whose cells are shown as they are: prose, and what a page may draw.</summary>
internal sealed class ProseKernel(string name, string mimeType) : Kernel(name), IKernelCommandHandler<SubmitCode>
{
    Task IKernelCommandHandler<SubmitCode>.HandleAsync(SubmitCode command, KernelInvocationContext context)
    {
        context.DisplayAs(command.Code, mimeType);
        return Task.CompletedTask;
    }
}

/// <summary>What the engine's packages lack that its tool has, and what they get wrong that readers would meet; LOG.md tells of
/// each.</summary>
internal static partial class Mends
{
    /// <summary>
    /// Runs before the first cell: the tool's one using, and a display whose handle updates what it showed (the package's own
    /// gives a handle to a value that was never shown).
    /// </summary>
    public static readonly string Prelude = $"""
        using static {typeof(Kernel).FullName};
        public static {typeof(DisplayedValue).FullName} display(object value, params string[] mimeTypes)
            => {typeof(KernelInvocationContext).FullName}.Current is null ? {typeof(DisplayExtensions).FullName}.Display(value, mimeTypes)
                : {typeof(KernelInvocationContextExtensions).FullName}.Display(
                    {typeof(KernelInvocationContext).FullName}.Current, value, mimeTypes);
        public static {typeof(DisplayedValue).FullName} Display(this object value, params string[] mimeTypes) => display(value, mimeTypes);
        public static {typeof(DisplayedValue).FullName} Display(
            this {typeof(KernelInvocationContext).FullName} context, string value, params string[] mimeTypes)
            => {typeof(KernelInvocationContextExtensions).FullName}.Display(context, value, mimeTypes);
        public static {typeof(DisplayedValue).FullName} DisplayAs(this string value, string mimeType)
            => {typeof(KernelInvocationContext).FullName}.Current is null ? {typeof(DisplayExtensions).FullName}.DisplayAs(value, mimeType)
                : {typeof(KernelInvocationContextExtensions).FullName}.DisplayAs(
                    {typeof(KernelInvocationContext).FullName}.Current, value, mimeType);
        """;

    /// <summary>Has values that contain themselves cut at the formatter's depth.</summary>
    public static void Register() => Formatter.GetPreferredMimeTypesFor(typeof(CutAtDepth));

    /// <summary>#!time: how long the rest of the cell takes.</summary>
    public static void AddTime(Kernel kernel)
    {
        var directive = new KernelActionDirective("#!time") { Description = "Time the execution of what follows in the cell." };
        kernel.AddDirective(directive, (_, context) =>
        {
            var clock = Stopwatch.StartNew();
            string Said() => string.Create(CultureInfo.InvariantCulture, $"Wall time: {clock.Elapsed.TotalMilliseconds:0.###} ms");
            context.OnComplete(cell => cell.DisplayAs(Said(), "text/plain"));
            return Task.CompletedTask;
        });
    }

    /// <summary>@input, @password and what a cell asks by Kernel.GetInputAsync.</summary>
    public static void AddInput(CompositeKernel kernel, Func<string, bool, string?> ask)
    {
        kernel.RegisterCommandHandler<RequestInput>((request, context) =>
        {
            if (ask(request.Prompt, request.IsPassword) is { } answer)
                context.Publish(new InputProduced(answer, request));
            else
                context.Fail(request, message: $"nobody is there to answer '{request.Prompt}'");
            return Task.CompletedTask;
        });
        kernel.SetDefaultTargetKernelNameForCommand(typeof(RequestInput), kernel.Name);
    }

    /// <summary>
    /// A value as nbformat has it: without the style sheet that the formatter puts into every value, JSON as JSON, and with a text for who
    /// reads no HTML.
    /// </summary>
    public static JsonObject Bundle(IEnumerable<FormattedValue> formatted, object? value)
    {
        var bundle = new JsonObject();
        foreach (var one in formatted)
        {
            var text = one.MimeType == "text/html" ? PlainPattern().Replace(StylePattern().Replace(one.Value, ""), "${text}") : one.Value;
            bundle[one.MimeType] = one.MimeType is "application/json"
                || one.MimeType.EndsWith("+json", StringComparison.Ordinal) ? Files.Json(text) ?? text : text;
        }
        if (bundle.Count != 1 || bundle["text/html"] is not { } only || value is IHtmlContent)
            return bundle;
        if (PlainWholePattern().Match((string)only!) is { Success: true } plain)
            return new JsonObject { ["text/plain"] = WebUtility.HtmlDecode(plain.Groups["text"].Value) };
        // Not of the value: to read it twice may change it.
        var told = RowPattern().Replace(CellPattern().Replace((string)only!, "  "), "\n");
        bundle["text/plain"] = BlankPattern().Replace(WebUtility.HtmlDecode(TagPattern().Replace(told, "")), "\n").Trim();
        return bundle;
    }

    /// <summary>A cell without comments behind the references at its top, which C# allows and the engine's parser never returns
    /// from.</summary>
    public static string WithoutComments(string code)
    {
        var lines = code.Split('\n');
        for (var i = 0; i < lines.Length && HeadPattern().IsMatch(lines[i]); i++)
            lines[i] = CommentPattern().Replace(lines[i], "${reference}");
        return string.Join('\n', lines);
    }

    /// <summary>What a package brings for notebooks, loaded as the tool does: types of its interactive-extensions folder, and a
    /// script.</summary>
    public static async Task LoadExtensionsAsync(CompositeKernel kernel, IEnumerable<ResolvedPackageReference> packages)
    {
        foreach (var folder in packages.Select(p => Path.Combine(p.PackageRoot, "interactive-extensions", "dotnet"))
            .Where(Directory.Exists))
        {
            var types = Directory.GetFiles(folder, "*.dll").SelectMany(file => Assembly.LoadFrom(file).GetExportedTypes());
            foreach (var type in types.Where(t => t.IsAssignableTo(typeof(IKernelExtension)) && !t.IsAbstract))
                await ((IKernelExtension)Activator.CreateInstance(type)!).OnLoadAsync(kernel);
            if (Path.Combine(folder, "extension.dib") is var script && File.Exists(script))
                await kernel.LoadAndRunInteractiveDocument(new FileInfo(script));
        }
    }

    /// <summary>What to do about a compiler's error, where this host knows it.</summary>
    public static string Advice(string id, string message)
    {
        if (id != "CS0006" || MissingPattern().Match(message) is not { Success: true } missing)
            return "";
        var folder = new DirectoryInfo(Directory.GetCurrentDirectory());
        while (folder is not null && folder.GetFiles("*.sln").Length == 0)
            folder = folder.Parent;
        var name = Path.GetFileNameWithoutExtension(missing.Groups["path"].Value) + ".csproj";
        var near = new EnumerationOptions { RecurseSubdirectories = true, MaxRecursionDepth = 4, IgnoreInaccessible = true };
        if (folder?.EnumerateFiles(name, near).FirstOrDefault()?.DirectoryName is not { } project)
            return "";
        return $". It is not built yet: dotnet build {Path.GetRelativePath(folder.FullName, project).Replace('\\', '/')}, in "
            + $"{folder.FullName}";
    }

    [TypeFormatterSource(typeof(Source))]
    private sealed class CutAtDepth(string mimeType) : ITypeFormatter
    {
        public string MimeType => mimeType;

        public Type Type => typeof(IEnumerable);

        /// <summary>The engine asks this one first: beyond its limit, and in a summary, it would go on for ever, so there nothing is
        /// read.</summary>
        public bool Format(object instance, FormatContext context)
        {
            var early = mimeType != PlainTextSummaryFormatter.MimeType && context.Depth < Formatter.RecursionLimit;
            if (early || !IsDeep(instance, 0))
                return false;
            context.Writer.Write("…");
            return true;
        }

        private static bool IsDeep(object? value, int depth) => value is IEnumerable items and not string && !IsOfScalars(value.GetType())
            && (depth == Formatter.RecursionLimit || items.Cast<object?>()
                .Take(Formatter.ListExpansionLimit).Any(item => IsDeep(item, depth + 1)));

        private static bool IsOfScalars(Type type) => type.GetInterfaces().Any(i => i.IsGenericType
            && i.GetGenericTypeDefinition() == typeof(IEnumerable<>)
                && i.GenericTypeArguments[0] is { IsSealed: true } of && !of.IsAssignableTo(typeof(IEnumerable)));

        private sealed class Source : ITypeFormatterSource
        {
            public IEnumerable<ITypeFormatter> CreateTypeFormatters()
                => [new CutAtDepth("text/plain"), new CutAtDepth("text/html"), new CutAtDepth(PlainTextSummaryFormatter.MimeType)];
        }
    }

    [GeneratedRegex(@"<style>\s*\.dni-code-hint.*?</style>", RegexOptions.Singleline)]
    private static partial Regex StylePattern();

    /// <summary>A plain text of one line among other HTML.</summary>
    [GeneratedRegex("(?<=.)<div class=\"dni-plaintext\"><pre>(?<text>[^<\\n]*)</pre></div>", RegexOptions.Singleline)]
    private static partial Regex PlainPattern();

    [GeneratedRegex("^<div class=\"dni-plaintext\"><pre>(?<text>[^<]*)</pre></div>$", RegexOptions.Singleline)]
    private static partial Regex PlainWholePattern();

    [GeneratedRegex("</t[dh]>")]
    private static partial Regex CellPattern();

    [GeneratedRegex("</(tr|div|p|summary|pre|li|strong)>|<br ?/?>")]
    private static partial Regex RowPattern();

    [GeneratedRegex("<[^>]*>")]
    private static partial Regex TagPattern();

    [GeneratedRegex(@"\s*\n\s*")]
    private static partial Regex BlankPattern();

    /// <summary>A line at the top of a cell, before its code.</summary>
    [GeneratedRegex(@"^\s*($|//|#|using\s)")]
    private static partial Regex HeadPattern();

    [GeneratedRegex("""^(?<reference>\s*#(r|i|load)\s+"[^"]*")\s*//.*$""")]
    private static partial Regex CommentPattern();

    [GeneratedRegex("'(?<path>[^']+\\.dll)'", RegexOptions.IgnoreCase)]
    private static partial Regex MissingPattern();
}
