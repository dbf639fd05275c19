using System.Text.Json;
using System.Text.Json.Nodes;

namespace NotebookHost.Jupyter;

/// <summary>Registers this host with Jupyter, so that notebooks of kernel ".net-csharp" find it.</summary>
internal static class KernelSpec
{
    private const string Usual = ".net-csharp", Other = "notebook-host-csharp", Mark = "NotebookHost";

    /// <summary>Where Jupyter looks for a user's kernels.</summary>
    private static string Folder => Path.Combine(Environment.GetEnvironmentVariable("JUPYTER_DATA_DIR") is { Length: > 0 } given ? given
        : OperatingSystem.IsWindows() ? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.ApplicationData), "jupyter")
        : OperatingSystem.IsMacOS() ? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), "Library", "Jupyter")
        : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData,
            Environment.SpecialFolderOption.DoNotVerify), "jupyter"), "kernels");

    /// <summary>Where Jupyter looks besides: the folders of JUPYTER_PATH before the user's own, those of the whole machine after
    /// it.</summary>
    private static IEnumerable<string> Shared => (Environment.GetEnvironmentVariable("JUPYTER_PATH") ?? "")
        .Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries)
        .Concat(OperatingSystem.IsWindows() ? [Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.CommonApplicationData),
            "jupyter")] : ["/usr/local/share/jupyter", "/usr/share/jupyter"])
        .Select(folder => Path.Combine(folder, "kernels"));

    private static bool OnPath => (Environment.GetEnvironmentVariable("PATH") ?? "")
        .Split(Path.PathSeparator).Any(folder => File.Exists(Path.Combine(folder, Path.GetFileName(DotNet.Command))));

    /// <summary>Writes the specification; under another name where a .NET Interactive is registered.</summary>
    public static int Install()
    {
        var usual = Path.Combine(Folder, Usual);
        var taken = Shared.Prepend(Folder).Select(folder => Path.Combine(folder, Usual))
            .Any(f => File.Exists(Path.Combine(f, "kernel.json")) && !IsOurs(f));
        if (taken && IsOurs(usual))
            Directory.Delete(usual, recursive: true);                                      // it would go on hiding the other
        var target = taken ? Path.Combine(Folder, Other) : usual;
        Directory.CreateDirectory(target);
        var spec = new JsonObject
        {
            ["argv"] = new JsonArray([.. DotNet.Arguments(forCells: true, "kernel", "start", "{connection_file}")
                .Prepend(OnPath ? "dotnet" : DotNet.Command).Select(a => JsonValue.Create(a))]),
            ["display_name"] = taken ? ".NET (C#), NotebookHost" : ".NET (C#)",
            ["language"] = "C#",
            ["interrupt_mode"] = "message",
            ["env"] = new JsonObject { [DotNet.CollectionVariable] = DotNet.CollectionBudget },
            ["metadata"] = new JsonObject { ["installer"] = Mark },
        };
        Files.Replace(Path.Combine(target, "kernel.json"), spec.ToJsonString(new JsonSerializerOptions { WriteIndented = true }));
        Console.WriteLine(taken
            ? $"Another kernel is registered as {Usual} and stays; this one is {Other}: {target}"
            : $"The kernel is registered as {Usual}: {target}");
        return 0;
    }

    /// <summary>Removes what <see cref="Install"/> wrote, and nothing else.</summary>
    public static int Uninstall()
    {
        var ours = new[] { Usual, Other }.Select(name => Path.Combine(Folder, name)).Where(IsOurs).ToList();
        foreach (var folder in ours)
        {
            Directory.Delete(folder, recursive: true);
            Console.WriteLine($"removed {folder}");
        }
        Console.Write(ours.Count > 0 ? "" : $"This kernel is not registered in {Folder}.\n");
        return 0;
    }

    private static bool IsOurs(string folder)
        => Path.Combine(folder, "kernel.json") is var file && File.Exists(file)
            && File.ReadAllText(file).Contains($"\"installer\": \"{Mark}\"", StringComparison.Ordinal);
}
