using System.Diagnostics;
using System.Runtime.InteropServices;

namespace NotebookHost;

/// <summary>The .NET that runs this, for the processes it starts.</summary>
internal static class DotNet
{
    /// <summary>The dotnet command, whether or not it is on the PATH.</summary>
    public static string Command { get; } = Path.GetFullPath(Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(),
        "..", "..", "..", Name)) is var beside
        && File.Exists(beside) ? beside : Name;

    /// <summary>
    /// How the process that runs cells collects garbage: seldom, every 256 MB. Bindings of native libraries may free what a call still
    /// reads
    /// when a collection falls into it (TorchSharp 0.107's scalars do: 14 of 400,000 additions under constant collection).
    /// </summary>
    public const string CollectionVariable = "DOTNET_GCgen0size", CollectionBudget = "10000000";

    /// <summary>What says that cells run without cultures, and what to do.</summary>
    public const string NoCultures = "cells run without cultures: no ICU library is installed (Debian: apt-get install libicu72), or "
        + "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT is set";

    /// <summary>
    /// Whether cells can have the reader's cultures: not where the reader says so, nor where no ICU library is installed, without which
    /// .NET does not start.
    /// </summary>
    public static bool Cultures { get; }
        = Environment.GetEnvironmentVariable("DOTNET_SYSTEM_GLOBALIZATION_INVARIANT") is not ("1" or "true")
        && (!OperatingSystem.IsLinux() || IcuNames.Any(name => NativeLibrary.TryLoad(name, out _)));

    private static IEnumerable<string> IcuNames => Enumerable.Range(50, 60)
        .Reverse().Select(version => $"libicuuc.so.{version}").Append("libicuuc.so");

    private static string Name => OperatingSystem.IsWindows() ? "dotnet.exe" : "dotnet";

    /// <summary>This program's arguments for <see cref="Command"/>, in a process that runs cells, or in one like this.</summary>
    public static IEnumerable<string> Arguments(bool forCells, params IEnumerable<string> arguments)
    {
        var self = typeof(DotNet).Assembly.Location;
        string[] configuration = forCells && Cultures
            ? ["--runtimeconfig", Path.Combine(Path.GetDirectoryName(self)!, "Cells.runtimeconfig.json")] : [];
        return ["exec", .. configuration, self, .. arguments];
    }

    /// <summary>A process of this program.</summary>
    public static ProcessStartInfo Start(bool forCells, params IEnumerable<string> arguments)
        => new(Command, Arguments(forCells, arguments))
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            Environment = { ["DOTNET_HOST_PATH"] = Command },
        };
}
