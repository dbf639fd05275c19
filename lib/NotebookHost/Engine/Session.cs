using System.Reflection;
using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.Scripting;
using Microsoft.DotNet.Interactive;
using Microsoft.DotNet.Interactive.Commands;
using Microsoft.DotNet.Interactive.CSharp;
using Microsoft.DotNet.Interactive.Events;
using Microsoft.DotNet.Interactive.Formatting;
using Microsoft.DotNet.Interactive.PackageManagement;

namespace NotebookHost.Engine;

/// <summary>What went wrong in a cell.</summary>
/// <param name="Type">The exception's type, or CompilationError.</param>
/// <param name="Message">What it says.</param>
/// <param name="Traceback">Where, line by line.</param>
internal sealed record CellError(string Type, string Message, IReadOnlyList<string> Traceback);

/// <summary>
/// A session of .NET Interactive's own kernels, C# first: cells run one after the other and see what the earlier ones declared. The classes
/// Session and Mends are all that knows this engine; everything else sees cells go in, and outputs as nbformat has them come out.
/// </summary>
internal sealed partial class Session
{
    private static readonly FieldInfo Options = typeof(CSharpKernel)
        .GetField("_scriptOptions", BindingFlags.Instance | BindingFlags.NonPublic)!;

    /// <summary>The engine's version.</summary>
    public static string Version { get; }
        = typeof(Kernel).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion.Split('+')[0];

    private readonly CompositeKernel _root = [];
    private readonly CSharpKernel _csharp = new();
    private readonly CellThread _cells = new();
    private readonly CellOutput _outputs;
    private (string Name, string Code, int LinesBefore) _cell = ("", "", 0);
    private readonly string _folder = Directory.GetCurrentDirectory();
    private Exception? _failure;
    private int _at;
    private volatile CancellationTokenSource? _cancel;

    /// <summary>A session in the current folder.</summary>
    /// <param name="outputs">Where outputs go.</param>
    /// <param name="ask">Asks whoever runs the cells, with a prompt, openly or for a password; null where nobody is there.</param>
    public Session(CellOutput outputs, Func<string, bool, string?> ask)
    {
        _outputs = outputs;
        Mends.Register();
        _csharp.UseNugetDirective((kernel, packages) =>
        {
            kernel.AddAssemblyReferences(packages.SelectMany(p => p.AssemblyPaths));
            return Mends.LoadExtensionsAsync(_root, packages);
        });
        _csharp.UseWho().UseValueSharing();
        _csharp.DeferCommand(new SubmitCode(Mends.Prelude));
        _csharp.AddMiddleware(OnThread);
        _root.Add(_csharp, ["c#", "C#"]);
        _root.Add(new HtmlKernel());
        _root.Add(new JavaScriptKernel());
        _root.Add(new KeyValueStoreKernel().UseWho());
        _root.Add(new ProseKernel("markdown", "text/markdown"));
        _root.Add(new ProseKernel("mermaid", "text/vnd.mermaid"));
        _root.DefaultKernelName = _csharp.Name;
        _root.UseImportMagicCommand();
        Mends.AddTime(_root);
        Mends.AddInput(_root, ask);
        _root.KernelEvents.Subscribe(Show);
    }

    /// <summary>Runs one cell; null if all went well.</summary>
    /// <param name="name">What stack traces call it.</param>
    /// <param name="code">The cell's text.</param>
    /// <param name="language">The kernel it is for, by its name or that of its language; C# by default.</param>
    public async Task<CellError?> RunAsync(string name, string code, string? language = null)
    {
        var kernel = language is null ? _csharp : _root.ChildKernels.FirstOrDefault(k
            => ((string?[])[k.Name, k.KernelInfo.LanguageName, .. k.KernelInfo.Aliases])
                .Contains(language, StringComparer.OrdinalIgnoreCase));
        if (kernel is null)
        {
            var known = string.Join(", ", _root.ChildKernels.Select(k => k.Name));
            return new CellError("UnknownLanguage", $"the cell is marked as '{language}'; this host runs {known}", []);
        }
        if (code.Trim() == "")
            return null;
        code = Mends.WithoutComments(code);
        _cell = (name, code, 0);
        _at = 0;
        _cells.Interrupted = null;
        _failure = null;
        var cancel = _cancel = new CancellationTokenSource();
        try
        {
            var result = await _root.SendAsync(new SubmitCode(code, kernel.Name), cancel.Token);
            if (result.Events.OfType<CommandFailed>().FirstOrDefault() is { } failed)
                return Describe(failed);
            var well = _failure is null && _cells.Interrupted is null && result.Events.Any(e => e is CommandSucceeded);
            return well ? null
                : Describe(_failure ?? new InvalidOperationException("the cell did not succeed, and the engine does not say why"));
        }
        catch (OperationCanceledException) when (cancel.IsCancellationRequested)
        {
            return Interrupted("the cell was interrupted; what earlier cells declared is still there");
        }
        catch (Exception e)
        {
            return Describe(e);                                                        // the engine's own
        }
        finally
        {
            _cancel = null;
        }
    }

    /// <summary>Ends the running cell, if there is one; what earlier cells declared is kept.</summary>
    public void Interrupt()
    {
        if (!_cells.Interrupt() && _cancel is { } cancel)
            _ = Task.Run(cancel.Cancel);                                               // a package that is being fetched, say
    }

    /// <summary>Runs C# on a thread that can be interrupted, compiled as what is run and not as what is debugged.</summary>
    private async Task OnThread(KernelCommand command, KernelInvocationContext context, KernelPipelineContinuation next)
    {
        if (command is not SubmitCode { Code: var code } || context.CancellationToken.IsCancellationRequested)
        {
            await next(command, context);
            return;
        }
        // Of a cell with directives the engine hands on the parts between them, one after the other.
        if (_cell.Code.IndexOf(code, _at, StringComparison.Ordinal) is >= 0 and var at)
            (_cell.LinesBefore, _at) = (_cell.Code.AsSpan(0, at).Count('\n'), at + code.Length);
        Options.SetValue(_csharp, ((ScriptOptions)Options.GetValue(_csharp)!).WithOptimizationLevel(OptimizationLevel.Release)
            .WithEmitDebugInformation(true).WithFileEncoding(Encoding.UTF8).WithFilePath(code == Mends.Prelude ? "" : _cell.Name));
        _outputs.TakeConsole();
        try
        {
            await _cells.RunAsync(() => next(command, context));
        }
        catch (Exception e)
        {
            _failure = e;                                                              // the engine cannot tell of one whose message throws
        }
        if (_cells.Interrupted is { } said)
            context.Fail(command, message: said);
    }

    private void Show(KernelEvent happened)
    {
        switch (happened)
        {
            case ReturnValueProduced { Value: DisplayedValue }:
                break;                                                                 // it is on display already
            case ReturnValueProduced value:
                _outputs.Emit(Output("execute_result", value));
                break;
            case DisplayedValueProduced value:
                _outputs.Emit(Output("display_data", value));
                break;
            case DisplayedValueUpdated value:
                _outputs.Emit(Output("update_display_data", value));
                break;
        }
    }

    private static JsonObject Output(string type, DisplayEvent shown)
    {
        var data = Mends.Bundle(shown.FormattedValues, shown.Value);
        var output = new JsonObject { ["output_type"] = type, ["data"] = data, ["metadata"] = new JsonObject() };
        if (shown.ValueId is { } id)
            output["transient"] = new JsonObject { ["display_id"] = id };
        return output;
    }

    private static CellError Interrupted(string said) => new("Interrupted", said, ["Interrupted"]);

    private CellError Describe(CommandFailed failed)
    {
        if (_cells.Interrupted is { } said)
            return Interrupted(said);
        if (failed.Exception is CodeSubmissionCompilationErrorException { InnerException: CompilationErrorException compilation })
        {
            var errors = compilation.Diagnostics.Where(d => d.Severity == DiagnosticSeverity.Error).ToList();
            // Where a library is missing, all that does not know it is no news.
            var causes = errors.Where(d => d.Id == "CS0006").ToList();
            var lines = (causes.Count > 0 ? causes : errors).Select(d =>
            {
                var (span, said) = (d.Location.GetLineSpan(), d.GetMessage());
                var (at, here) = (span.StartLinePosition, Path.GetFileName(span.Path) == _cell.Name);
                var line = $"line {at.Line + 1 + (here ? _cell.LinesBefore : 0)}, column {at.Character + 1}: {d.Id}: "
                    + $"{said}{Mends.Advice(d.Id, said)}";
                return here ? line : $"{Path.GetFileName(span.Path)}, {line}";
            }).ToList();
            return new CellError("CompilationError", string.Join('\n', lines), lines);
        }
        if (failed.Exception is not { } e)
        {
            var text = PlacePattern().Replace(failed.Message, "line ${line}, column ${column}: ");
            return new CellError("CommandFailed", text, text.Split('\n'));
        }
        return Describe(e);
    }

    private static string Safe(Func<string?> read)
    {
        try
        {
            return read() ?? "";
        }
        catch (Exception e)
        {
            return $"(it throws {e.GetType().Name} when it is asked)";
        }
    }

    private CellError Describe(Exception e)
    {
        if (_cells.Interrupted is { } interrupted)
            return Interrupted(interrupted);
        while (e is TypeInitializationException or TargetInvocationException && e.InnerException is { } inner)
            e = inner;                                                                 // the cause, not its wrapping
        var message = Safe(() => e.Message);
        var trace = Safe(() => e.StackTrace).Split('\n', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries)
            .TakeWhile(line => !line.Contains("Microsoft.CodeAnalysis.Scripting"))
            .Where(line => !EnginePattern().IsMatch(line))
            .Select(line => InCell(line).Replace(".<<Initialize>>d__0.MoveNext()", "", StringComparison.Ordinal));
        return new CellError(e.GetType().Name, message, [$"{e.GetType().FullName}: {message}", .. trace]);
    }

    /// <summary>A line of a trace: a cell by its name, its lines counted as the notebook has them, whatever part the compiler was
    /// given.</summary>
    private string InCell(string line) => TracePattern().Replace(line, m =>
    {
        var (folder, name) = (Path.GetDirectoryName(m.Groups["path"].Value), Path.GetFileName(m.Groups["path"].Value));
        if (folder != _folder || Path.HasExtension(name))
            return m.Value;
        var number = int.Parse(m.Groups["line"].ValueSpan, System.Globalization.CultureInfo.InvariantCulture);
        return $"in {name}:line {number + (name == _cell.Name ? _cell.LinesBefore : 0)}";
    });

    [GeneratedRegex(@"^\((?<line>\d+),(?<column>\d+)\): error ", RegexOptions.Multiline)]
    private static partial Regex PlacePattern();

    /// <summary>A line of a trace that is not the reader's.</summary>
    [GeneratedRegex(@"^at (Microsoft\.DotNet\.Interactive|NotebookHost)|^at Submission#0\.|System\.Runtime\.CompilerServices|^---")]
    private static partial Regex EnginePattern();

    [GeneratedRegex(@"in (?<path>\S.*):line (?<line>\d+)$")]
    private static partial Regex TracePattern();
}
