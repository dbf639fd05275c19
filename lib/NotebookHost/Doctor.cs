using System.Collections;
using System.Diagnostics;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Loader;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace NotebookHost;

/// <summary>
/// Tries what a run needs and says, line by line, what is ok and what to do. What a library needs, the library knows:
/// a public static class Doctor with a method Checks, in any DLL that the notebooks reference, is asked.
/// </summary>
internal static partial class Doctor
{
    public static async Task<int> Examine(string notebooks)
    {
        var failed = 0;
        void Say(string name, bool ok, string message)
        {
            failed += ok ? 0 : 1;
            Console.WriteLine($"{(ok ? "ok  " : "FAIL")}  {name}: {message.ReplaceLineEndings(" ")}");
        }
        var (sdkOk, sdk) = await Run(DotNet.Command, "--version");
        Say("SDK", sdkOk && Version.TryParse(sdk.Split('-')[0], out var v) && v.Major >= 10,
            !sdkOk ? "the dotnet command does not run: install the .NET 10 SDK"
                : sdk.StartsWith("10.", StringComparison.Ordinal) ? $".NET SDK {sdk}"
                : $".NET SDK {sdk}; the collection is built with .NET SDK 10 or newer");
        Say("runtime", true, RuntimeInformation.FrameworkDescription);
        Say("system", RuntimeInformation.OSArchitecture is Architecture.X64 or Architecture.Arm64, $"{RuntimeInformation.OSDescription}, "
            + $"{RuntimeInformation.RuntimeIdentifier}, {Environment.ProcessorCount} cores, "
            + $"{GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 1e9:0.0} GB of memory");
        Say("engine", true, $".NET Interactive {Engine.Session.Version}");
        var libraries = Referenced(notebooks).ToList();
        if (libraries.Count == 0)
            Say("library", false, "no notebook that references one is here: run doctor in the collection's folder");
        foreach (var library in libraries)
        {
            foreach (var (name, ok, message) in File.Exists(library) ? Ask(library)
                : [("library", false, $"{library} is not built: dotnet build lib/{Path.GetFileNameWithoutExtension(library)}")])
                Say(name, ok, message);
        }
        Say("cultures", true, DotNet.Cultures ? "cells have the reader's" : DotNet.NoCultures);
        var built = Path.Combine(Directory.GetCurrentDirectory(), "artifacts");
        var files = Directory.Exists(built) ? Directory.EnumerateFiles(built, "*", SearchOption.AllDirectories) : [];
        var free = new DriveInfo(Directory.GetCurrentDirectory()).AvailableFreeSpace;
        Say("disk", true, $"{files.Sum(f => new FileInfo(f).Length) / 1e6:0} MB built in artifacts, {free / 1e9:0} GB free");
        Console.WriteLine(failed == 0 ? "all is well" : $"{failed} check(s) failed");
        return failed == 0 ? Runner.Passed : Runner.Failed;
    }

    /// <summary>What a library's own Doctor says, if it has one.</summary>
    private static List<(string Name, bool Ok, string Message)> Ask(string library)
    {
        var folder = Path.GetDirectoryName(library)!;
        AssemblyLoadContext.Default.Resolving += (context, name)
            => Path.Combine(folder, name.Name + ".dll") is var file && File.Exists(file) ? context.LoadFromAssemblyPath(file) : null;
        try
        {
            var types = AssemblyLoadContext.Default.LoadFromAssemblyPath(library).GetExportedTypes();
            var checks = types.FirstOrDefault(t => t.Name == "Doctor")?.GetMethod("Checks", BindingFlags.Public | BindingFlags.Static);
            var said = ((IEnumerable?)checks?.Invoke(null, null))?.Cast<ITuple>() ?? [];
            return [.. said.Select(check => ((string)check[0]!, (bool)check[1]!, (string)check[2]!))];
        }
        catch (Exception e)
        {
            return [(Path.GetFileName(library), false, e.GetBaseException().Message)];
        }
    }

    private static IEnumerable<string> Referenced(string notebooks) => !Directory.Exists(notebooks) ? [] :
        Runner.NotebooksIn(notebooks).SelectMany(file =>
        {
            try
            {
                return NotebookFile.Read(file).Cells.Where(c => c.IsCode).SelectMany(c => ReferencePattern().Matches(c.Source))
                    .Select(m => Path.GetFullPath(Path.Combine(Path.GetDirectoryName(Path.GetFullPath(file))!, m.Groups[1].Value)));
            }
            catch (NotebookFileException)
            {
                return [];                                                             // run says what is wrong with it
            }
        }).Distinct();

    private static async Task<(bool Ok, string Said)> Run(string command, params string[] arguments)
    {
        try
        {
            using var process = Process.Start(new ProcessStartInfo(command,
                arguments)
            { RedirectStandardOutput = true, RedirectStandardError = true })!;
            var (output, error) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
            await process.WaitForExitAsync();
            return (process.ExitCode == 0, process.ExitCode == 0 ? (await output).Trim() : (await output + await error).Trim());
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            return (false, e.Message);
        }
    }

    [GeneratedRegex("""^\s*#r\s+"([^":]+\.dll)"\s*$""", RegexOptions.Multiline)]
    private static partial Regex ReferencePattern();
}
