using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Loader;

namespace TrainingDynamics.Runtime;

/// <summary>
/// Loads libtorch before anything touches TorchSharp, from the package cache where the build found it, and heals
/// TorchSharp's own library in a copy where the system's C++ runtime is older than the one it was built with.
/// </summary>
/// <remarks>
/// libLibTorchSharp.so 0.107.0 asks for version GLIBCXX_3.4.32 of libstdc++ (GCC 13), which Debian 12 and Ubuntu 22.04
/// lack. It uses nothing of that version: the one symbol that carries it is referenced by no relocation. Marking the
/// version as weak in a copy of the file (<see cref="ElfVersions"/>) lets the dynamic linker load it; libtorch itself
/// needs nothing so new.
/// </remarks>
public static class Natives
{
    /// <summary>The name of the context in which this assembly is loaded once more, to draw.</summary>
    internal const string DrawingContext = "TrainingDynamics.Figures";

    private const string MissingVersion = "GLIBCXX_3.4.32";

    /// <summary>What was loaded, from where, and whether a library had to be healed.</summary>
    public static NativeReport Report { get; private set; } = new("", "", Healed: false);

    [ModuleInitializer]
    internal static void LoadAtStart()
    {
        // Drawing loads this assembly a second time, in a context of its own (Figures/PlotlyContext.cs), and needs no torch.
        if (AssemblyLoadContext.GetLoadContext(typeof(Natives).Assembly)?.Name != DrawingContext)
        {
            Report = Load(Places.Torch, Places.TorchSharp, DefaultCache);
            Memory.KeepFreed();
        }
    }

    /// <summary>Where a healed copy is kept: one folder for each user, shared by all processes.</summary>
    public static string DefaultCache { get; } = Path.Combine(
        Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData,
            Environment.SpecialFolderOption.DoNotVerify) is { Length: > 0 } local
            ? local
            : Path.GetTempPath(),
        "TrainingDynamics", "natives");

    /// <summary>Loads libtorch from the first of <paramref name="torchFolders"/> that has it, and TorchSharp's library from the first of
    /// <paramref name="torchSharpFolders"/>.</summary>
    /// <exception cref="NativeLoadException">A file is missing, or does not load and cannot be healed; says why and what to do.</exception>
    internal static NativeReport Load(IReadOnlyList<string> torchFolders, IReadOnlyList<string> torchSharpFolders, string cache)
    {
        var (dependencies, own) =
            OperatingSystem.IsWindows() ? (new[] { "c10.dll", "torch_cpu.dll", "torch.dll" }, "LibTorchSharp.dll") :
            OperatingSystem.IsMacOS() ? (["libomp.dylib", "libc10.dylib", "libtorch_cpu.dylib", "libtorch.dylib"],
                "libLibTorchSharp.dylib") :
            (["libgomp-98b21ff3.so.1", "libc10.so", "libtorch_cpu.so", "libtorch.so"], "libLibTorchSharp.so");

        var torchFolder = FolderWith(dependencies[^1], torchFolders);
        foreach (var name in dependencies)
            LoadOne(Path.Combine(torchFolder, name));

        var library = Path.Combine(FolderWith(own, torchSharpFolders), own);
        try
        {
            LoadOne(library);
            return new NativeReport(torchFolder, library, Healed: false);
        }
        catch (NativeLoadException e) when (OperatingSystem.IsLinux() && e.Message.Contains(MissingVersion))
        {
            var healed = Heal(library, cache);
            LoadOne(healed);
            return new NativeReport(torchFolder, healed, Healed: true);
        }
    }

    /// <summary>Writes a healed copy of <paramref name="library"/> under <paramref name="cache"/>, or returns the one that is
    /// there.</summary>
    internal static string Heal(string library, string cache)
    {
        var bytes = File.ReadAllBytes(library);
        var key = Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(bytes))[..16];
        var target = Path.Combine(cache, key, Path.GetFileName(library));
        if (!ElfVersions.MakeWeak(bytes, MissingVersion))
            throw new NativeLoadException(
                $"{library} needs {MissingVersion}, which this system's libstdc++ lacks, and the library could not be healed: its "
                    + "version table has no such entry. " +
                "Install a libstdc++ of GCC 13 or newer (Debian 13, Ubuntu 24.04).");
        // Whole or not at all, and harmless when two processes do it at once: the name appears by a rename only.
        if (!File.Exists(target) || !bytes.AsSpan().SequenceEqual(File.ReadAllBytes(target)))
        {
            try
            {
                Directory.CreateDirectory(Path.GetDirectoryName(target)!);
                var draft = $"{target}.{Environment.ProcessId}.{Guid.NewGuid():N}";
                File.WriteAllBytes(draft, bytes);
                File.Move(draft, target, overwrite: true);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                throw new NativeLoadException(
                    $"{library} needs {MissingVersion}, which this system's libstdc++ lacks. A healed copy could not be written to "
                        + $"{cache}: {e.Message} " +
                    "Make that folder writable, or install a libstdc++ of GCC 13 or newer (Debian 13, Ubuntu 24.04).", e);
            }
        }
        return target;
    }

    private static string FolderWith(string file, IReadOnlyList<string> folders)
        => folders.FirstOrDefault(folder => File.Exists(Path.Combine(folder, file))) ?? throw new NativeLoadException(
            $"The native library {file} is not there. It belongs to a NuGet package that the build restored, and was looked for in "
            + string.Join(", ", folders) + ". In the collection's folder build again: dotnet build lib/TrainingDynamics --no-incremental. "
            + "In a project of your own reference TorchSharp-cpu.");

    private static void LoadOne(string path)
    {
        try
        {
            NativeLibrary.Load(path);
        }
        catch (Exception e) when (e is DllNotFoundException or BadImageFormatException)
        {
            var hint = OperatingSystem.IsWindows()
                ? " On Windows libtorch needs the Visual C++ redistributable (vc_redist.x64.exe or the arm64 one)."
                : OperatingSystem.IsLinux() ? " On Linux libtorch needs glibc (not musl) 2.28 or newer and libstdc++." : "";
            throw new NativeLoadException($"The native library {path} does not load: {e.Message.ReplaceLineEndings(" ")}{hint}", e);
        }
    }
}

/// <summary>What <see cref="Natives"/> did in this process.</summary>
/// <param name="TorchFolder">The folder libtorch was loaded from.</param>
/// <param name="Library">The TorchSharp library that was loaded: the original or the healed copy.</param>
/// <param name="Healed">Whether it is a healed copy.</param>
public sealed record NativeReport(string TorchFolder, string Library, bool Healed);

/// <summary>A native library that is missing or does not load; the message names the real cause and what to do.</summary>
public sealed class NativeLoadException(string message, Exception? inner = null) : Exception(message, inner);
