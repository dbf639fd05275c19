using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Loader;
using System.Text;
using System.Text.Json.Nodes;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Scripting;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Microsoft.CodeAnalysis.Scripting;
using Microsoft.CodeAnalysis.Scripting.Hosting;

namespace NotebookHost.Engine;

/// <summary>A directive in a cell that cannot be carried out.</summary>
internal sealed class ScriptDirectiveException(string message) : Exception(message);

/// <summary>What went wrong in a cell.</summary>
/// <param name="Type">The exception's type, or CompilationError.</param>
/// <param name="Message">What it says.</param>
/// <param name="Traceback">Where, line by line.</param>
internal sealed record CellError(string Type, string Message, IReadOnlyList<string> Traceback);

/// <summary>A C# session: cells run one after the other and see what the earlier ones declared, as in .NET Interactive's C# kernel.</summary>
internal sealed class CSharpSession
{
    private static readonly CSharpParseOptions Parse = new(LanguageVersion.Latest, kind: SourceCodeKind.Script);

    private readonly string _folder;
    private readonly Action<JsonObject> _emit;
    private readonly InteractiveAssemblyLoader _loader = new();
    private readonly HashSet<string> _probed = [];
    private readonly HashSet<string> _packages = [];
    private readonly Dictionary<string, string> _natives = [];
    private HashSet<string> _referenced = [];
    private ScriptOptions _options;
    private ScriptState? _state;

    /// <summary>A session for a notebook in <paramref name="folder"/>; outputs go to <paramref name="emit"/> as nbformat has them.</summary>
    public CSharpSession(string folder, Action<JsonObject> emit)
    {
        (_folder, _emit) = (folder, emit);
        var own = typeof(CSharpSession).Assembly;
        _loader.RegisterDependency(own);
        _options = ScriptOptions.Default
            .WithLanguageVersion(LanguageVersion.Latest)
            .WithOptimizationLevel(OptimizationLevel.Release)
            .WithEmitDebugInformation(true)
            .WithFileEncoding(Encoding.UTF8)
            .WithMetadataResolver(ScriptMetadataResolver.Default.WithBaseDirectory(folder))
            .WithSourceResolver(ScriptSourceResolver.Default.WithBaseDirectory(folder))
            .AddReferences(own)
            .AddImports("System", "System.Text", "System.Collections", "System.Collections.Generic", "System.Threading.Tasks", "System.Linq", typeof(Kernel).FullName!);
        AssemblyLoadContext.Default.Resolving += Probe;
        AssemblyLoadContext.Default.ResolvingUnmanagedDll += (_, name) => _natives.TryGetValue(name, out var path) ? NativeLibrary.Load(path) : 0;
    }

    /// <summary>Runs one cell; null if all went well.</summary>
    /// <param name="name">What stack traces call it.</param>
    /// <param name="code">The cell's text.</param>
    public async Task<CellError?> RunAsync(string name, string code)
    {
        Kernel.Output = _emit;
        var (referenced, before) = (new HashSet<string>(_referenced), _state);
        try
        {
            code = await CarryOutDirectives(code);
            var options = _options.WithFilePath(name);
            _state = _state is null
                ? await CSharpScript.Create(code, options, assemblyLoader: _loader).RunAsync(catchException: _ => true)
                : await _state.ContinueWithAsync(code, options, catchException: _ => true);
            if (_state.Exception is { } thrown)
                return Describe(thrown);
            if (ShowsItsValue(_state.Script))
                Kernel.Emit("execute_result", Formatter.Format(_state.ReturnValue, []));
            return null;
        }
        catch (CompilationErrorException e)
        {
            var lines = e.Diagnostics.Where(d => d.Severity == DiagnosticSeverity.Error).Select(d =>
            {
                var at = d.Location.GetLineSpan().StartLinePosition;
                return $"line {at.Line + 1}, column {at.Character + 1}: {d.Id}: {d.GetMessage()}";
            }).ToList();
            return new CellError("CompilationError", string.Join('\n', lines), lines);
        }
        catch (Exception e)
        {
            return Describe(e);                                                        // a directive, or a formatter
        }
        finally
        {
            if (_state == before)
                _referenced = referenced;                                              // the cell did not begin: what it refers to is yet to be known
        }
    }

    /// <summary>What the compiler knows of a cell that has not run: the next submission after those that did.</summary>
    public SemanticModel Next(string code)
    {
        var tree = CSharpSyntaxTree.ParseText(code, Parse);
        var last = (_state?.Script ?? CSharpScript.Create("", _options)).GetCompilation();
        var next = CSharpCompilation.CreateScriptCompilation("next", tree, last.References, ((CSharpCompilationOptions)last.Options).WithUsings(_options.Imports), (CSharpCompilation)last);
        return next.GetSemanticModel(tree);
    }

    /// <summary>Whether the script ends in an expression without a semicolon that has a value.</summary>
    private static bool ShowsItsValue(Script script)
    {
        var tree = script.GetCompilation().SyntaxTrees.Single();
        return tree.GetRoot() is CompilationUnitSyntax { Members: [.., GlobalStatementSyntax { Statement: ExpressionStatementSyntax { SemicolonToken.IsMissing: true } last }] }
            && script.GetCompilation().GetSemanticModel(tree).GetTypeInfo(last.Expression).Type is { SpecialType: not SpecialType.System_Void };
    }

    private async Task<string> CarryOutDirectives(string code)
    {
        var lines = code.Split('\n');
        var strings = CSharpSyntaxTree.ParseText(code, Parse).GetRoot().DescendantTokens().Where(t => t.Span.Length > 0 && t.Text.Contains('\n')).Select(t => t.Span).ToList();
        var start = 0;
        for (var i = 0; i < lines.Length; start += lines[i].Length + 1, i++)
        {
            var line = lines[i].TrimEnd();
            var magic = line.StartsWith("#!", StringComparison.Ordinal) || line.StartsWith("#i ", StringComparison.Ordinal)
                || (line.StartsWith('%') && lines[..i].All(l => l.Trim() == ""));
            if (!magic || strings.Any(s => s.Contains(start)))                         // not inside a string of several lines
                continue;
            if (line is not ("#!csharp" or "#!c#" or "#!C#"))
                throw new ScriptDirectiveException($"line {i + 1}: this host does not know '{line.Split(' ')[0]}'; a cell is C#, with #r for references and no other magic");
            lines[i] = new string(' ', lines[i].Length);
        }
        code = string.Join('\n', lines);
        var root = (CompilationUnitSyntax)CSharpSyntaxTree.ParseText(code, Parse).GetRoot();
        foreach (var directive in root.GetReferenceDirectives().Reverse())
        {
            var what = directive.File.ValueText;
            if (what.StartsWith("nuget:", StringComparison.OrdinalIgnoreCase))
                await ReferencePackage(what["nuget:".Length..].Trim());
            else if (!what.EndsWith(".dll", StringComparison.OrdinalIgnoreCase) || LoadFile(Path.GetFullPath(Path.Combine(_folder, what)), what))
                continue;                                                              // Roslyn's own directive makes what is beside the DLL known to cells
            code = code.Remove(directive.Span.Start, directive.Span.Length);
        }
        return code;
    }

    /// <summary>Loads an assembly where everything else is loaded; false if that was done before, so that the directive may go.</summary>
    private bool LoadFile(string path, string asWritten)
    {
        if (!File.Exists(path))
            throw new ScriptDirectiveException($"#r \"{asWritten}\": {path} is not there; if it is built from source, build it first (dotnet build)");
        if (!_referenced.Add(path))
            return false;
        _probed.Add(Path.GetDirectoryName(path)!);
        var assembly = AssemblyLoadContext.Default.LoadFromAssemblyPath(path);
        _loader.RegisterDependency(assembly);
        // A library may prepare what its dependencies need (natives, say) before a cell uses those directly.
        RuntimeHelpers.RunModuleConstructor(assembly.ManifestModule.ModuleHandle);
        // What the assembly's own interface may speak of must be one and the same type in a cell.
        foreach (var name in assembly.GetReferencedAssemblies())
        {
            if (Path.Combine(Path.GetDirectoryName(path)!, name.Name + ".dll") is var beside && File.Exists(beside))
                _loader.RegisterDependency(AssemblyLoadContext.Default.LoadFromAssemblyPath(beside));
        }
        return true;
    }

    private async Task ReferencePackage(string specification)
    {
        if (_packages.Contains(specification))
            return;
        var package = await NuGetReference.RestoreAsync(specification, _folder);
        foreach (var native in package.Native)
            _natives[Path.GetFileName(native)] = _natives[Path.GetFileNameWithoutExtension(native).Replace("lib", "")] = native;
        foreach (var file in package.Managed)
        {
            _probed.Add(Path.GetDirectoryName(file)!);
            _loader.RegisterDependency(AssemblyLoadContext.Default.LoadFromAssemblyPath(file));
            _options = _options.AddReferences(MetadataReference.CreateFromFile(file));
        }
        _packages.Add(specification);
    }

    private Assembly? Probe(AssemblyLoadContext context, AssemblyName name)
    {
        var file = _probed.Select(folder => Path.Combine(folder, name.Name + ".dll")).FirstOrDefault(File.Exists);
        return file is null ? null : context.LoadFromAssemblyPath(file);
    }

    private static CellError Describe(Exception e)
    {
        while (e is TypeInitializationException or TargetInvocationException && e.InnerException is { } inner)
            e = inner;                                                                 // the cause, not its wrapping
        var trace = (e.StackTrace ?? "").Split('\n', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries)
            .TakeWhile(line => !line.Contains("Microsoft.CodeAnalysis.Scripting"))
            .Where(line => !line.Contains("System.Runtime.CompilerServices") && !line.StartsWith("at NotebookHost.", StringComparison.Ordinal))
            .Select(line => line.Replace(".<<Initialize>>d__0.MoveNext()", "", StringComparison.Ordinal));
        return new CellError(e.GetType().Name, e.Message, [$"{e.GetType().FullName}: {e.Message}", .. trace]);
    }
}
