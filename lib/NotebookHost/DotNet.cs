using System.Diagnostics;
using System.Runtime.InteropServices;

namespace NotebookHost;

/// <summary>The .NET that runs this, for the processes it starts.</summary>
internal static class DotNet
{
    /// <summary>The dotnet command, whether or not it is on the PATH.</summary>
    public static string Command { get; } = Path.GetFullPath(Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "..", "..", "..", OperatingSystem.IsWindows() ? "dotnet.exe" : "dotnet")) is var beside && File.Exists(beside)
        ? beside : "dotnet";

    /// <summary>Whether cells can have the reader's cultures: off where the reader says so, or where no ICU library is installed, without which .NET does not start.</summary>
    public static bool Cultures { get; } = Environment.GetEnvironmentVariable("DOTNET_SYSTEM_GLOBALIZATION_INVARIANT") is not ("1" or "true")
        && (!OperatingSystem.IsLinux() || Enumerable.Range(50, 60).Reverse().Select(version => $"libicuuc.so.{version}").Append("libicuuc.so").Any(name => NativeLibrary.TryLoad(name, out _)));

    /// <summary>This program's arguments for <see cref="Command"/>, in a process that runs cells, or in one like this.</summary>
    public static IEnumerable<string> Arguments(bool forCells, params IEnumerable<string> arguments)
    {
        var self = typeof(DotNet).Assembly.Location;
        string[] configuration = forCells && Cultures ? ["--runtimeconfig", Path.Combine(Path.GetDirectoryName(self)!, "Cells.runtimeconfig.json")] : [];
        return ["exec", .. configuration, self, .. arguments];
    }

    /// <summary>A process of this program.</summary>
    public static ProcessStartInfo Start(bool forCells, params IEnumerable<string> arguments)
        => new(Command, Arguments(forCells, arguments)) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true, Environment = { ["DOTNET_HOST_PATH"] = Command } };
}
