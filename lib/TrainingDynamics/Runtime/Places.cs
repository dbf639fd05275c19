using System.Reflection;
using System.Runtime.InteropServices;

namespace TrainingDynamics.Runtime;

/// <summary>
/// Where the native libraries, the data sets and the assemblies this one needs are: in a clone where its build found them; in a program
/// that uses the package beside it; in a notebook that does, in the package cache.
/// </summary>
internal static class Places
{
    private static readonly Dictionary<string, string> s_told = typeof(Places).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>()
        .Where(a => a.Value is not null).ToDictionary(a => a.Key, a => a.Value!.Replace('\\', '/'));

    private static string Own { get; } = Path.GetDirectoryName(typeof(Places).Assembly.Location)!;

    /// <summary>Folders that may hold libtorch, the likeliest first.</summary>
    public static IReadOnlyList<string> Torch => Natives("TorchNatives", $"libtorch-cpu-{Platform}", Versions[0]);

    /// <summary>Folders that may hold TorchSharp's own library, the likeliest first.</summary>
    public static IReadOnlyList<string> TorchSharp => Natives("TorchSharpNatives", "torchsharp", Versions[1]);

    /// <summary>The folder of the data sets, whether it is there or not.</summary>
    public static string Data { get; } = new[] { s_told.GetValueOrDefault("DataFolder"), Path.Combine(Own, "TrainingDynamics.data"),
        Path.GetFullPath(Path.Combine(Own, "..", "..", "data")) }.OfType<string>() is var folders
            ? folders.FirstOrDefault(Directory.Exists) ?? folders.First() : "";

    /// <summary>The file of an assembly that this one needs; null where there is none.</summary>
    /// <param name="name">Its simple name.</param>
    public static string? Assembly(string name)
    {
        var file = name + ".dll";
        if (File.Exists(Path.Combine(Own, file)))
            return Path.Combine(Own, file);
        // Package/version/path in it; another version serves where a project has chosen one.
        var known = s_told.GetValueOrDefault("Assemblies", "").Split(';')
            .FirstOrDefault(path => path.EndsWith("/" + file, StringComparison.Ordinal));
        if (known?.Split('/', 3) is not [var package, var version, var path])
            return null;
        return Caches.Select(cache => Path.Combine(cache, package.ToLowerInvariant())).Where(Directory.Exists)
            .SelectMany(Directory.GetDirectories).OrderByDescending(folder => Path.GetFileName(folder) == version)
            .Select(folder => Path.Combine(folder, path)).FirstOrDefault(File.Exists);
    }

    private static string[] Versions => s_told["TorchVersions"].Split('/');

    private static string Platform { get; } = (OperatingSystem.IsWindows() ? "win" : OperatingSystem.IsMacOS() ? "osx" : "linux")
        + "-" + RuntimeInformation.ProcessArchitecture.ToString().ToLowerInvariant();

    /// <summary>Package caches: the one that this assembly is in (CACHE/trainingdynamics/VERSION/lib/net10.0), the one that is set, the
    /// user's.</summary>
    private static IEnumerable<string> Caches => new[]
    {
        Path.GetFullPath(Path.Combine(Own, "..", "..", "..", "..")), Environment.GetEnvironmentVariable("NUGET_PACKAGES"),
        Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget", "packages"),
    }.OfType<string>().Where(Directory.Exists);

    private static string[] Natives(string told, string package, string version) =>
    [
        .. new[] { s_told.GetValueOrDefault(told) }.OfType<string>(), Path.Combine(Own, "runtimes", Platform, "native"), Own,
        .. Caches.Select(cache => Path.Combine(cache, package, version, "runtimes", Platform, "native")),
    ];
}
