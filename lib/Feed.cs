// dotnet run lib/Feed.cs -- FOLDER [--runtime RID]...
// Gathers every package that building, running and testing the collection need into one folder, from which a room can install without a
// network: build here once with a network, copy the folder to a stick, and there: dotnet build lib/TrainingDynamics --source FOLDER.
#:property PublishAot=false
using System.Diagnostics;
using System.Text.Json;

const string Usage = """
    dotnet run lib/Feed.cs -- FOLDER [--runtime RID]...

      FOLDER           where the packages go; a folder of packages is a feed
      --runtime RID    packages for another system, too: linux-x64, win-x64, win-arm64, osx-arm64; may be given several times

    Then, on a machine without a network, in the collection's folder:
      dotnet build lib/TrainingDynamics --source FOLDER
      dotnet run --project lib/NotebookHost          (after: dotnet restore Notebooks.sln --source FOLDER)
      dotnet tool restore --add-source FOLDER        (for .NET Interactive's own tool)
    """;
string[] known = ["linux-x64", "win-x64", "win-arm64", "osx-arm64"];
var runtimes = new List<string>();
string? folder = null;
for (var i = 0; i < args.Length; i++)
{
    if (args[i] is "-h" or "--help")
        return Say(Console.Out, Usage, 0);
    if (args[i] == "--runtime")
    {
        if (args.ElementAtOrDefault(++i) is not { } runtime)
            return Say(Console.Error, $"--runtime needs a value: {string.Join(", ", known)}", 2);
        if (!known.Contains(runtime))
            return Say(Console.Error, $"--runtime is {runtime}; there are {string.Join(", ", known)}", 2);
        runtimes.Add(runtime);
    }
    else if (args[i].StartsWith('-') || folder is not null)
    {
        return Say(Console.Error, $"'{args[i]}' is not understood\n{Usage}", 2);
    }
    else
    {
        folder = args[i];
    }
}
if (folder is null)
    return Say(Console.Error, $"no folder is named\n{Usage}", 2);
var root = Directory.GetCurrentDirectory();
if (!File.Exists(Path.Combine(root, "Notebooks.sln")))
    return Say(Console.Error, $"{root} is not the collection's folder: Notebooks.sln is not here", 2);
try
{
    Directory.CreateDirectory(folder);
}
catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
{
    return Say(Console.Error, $"FOLDER is '{folder}': {e.Message}", 2);
}

var scratch = Directory.CreateTempSubdirectory("feed").FullName;
try
{
    var assets = new List<string>();
    foreach (var runtime in runtimes.Prepend(""))
    {
        Console.WriteLine($"restoring{(runtime == "" ? "" : $" for {runtime}")} …");
        var place = Path.Combine(scratch, "artifacts" + runtime);
        string[] platform = runtime == "" ? [] : [$"-p:TorchPlatform={runtime}"];
        if (Dotnet(["restore", "Notebooks.sln", $"-p:RepositoryRoot={place}/", .. platform]) is not 0 and var status)
            return Say(Console.Error, "the restore failed; what it said is above", status);
        assets.AddRange(Directory.EnumerateFiles(place, "project.assets.json", SearchOption.AllDirectories));
    }
    if (Dotnet(["tool", "restore"]) is not 0 and var tools)
        return Say(Console.Error, "the restore of the tools failed; what it said is above", tools);
    var packages = assets.SelectMany(Packages).Concat(Tools()).Distinct().Order(StringComparer.Ordinal).ToList();
    long bytes = 0;
    foreach (var package in packages)
    {
        var target = Path.Combine(folder, Path.GetFileName(package));
        if (!File.Exists(target) || new FileInfo(target).Length != new FileInfo(package).Length)
        {
            File.Copy(package, target + ".part", overwrite: true);
            File.Move(target + ".part", target, overwrite: true);
        }
        bytes += new FileInfo(target).Length;
    }
    return Say(Console.Out, $"{packages.Count} packages, {bytes / 1e6:0} MB in {folder}", 0);
}
finally
{
    Directory.Delete(scratch, recursive: true);
}

static int Say(TextWriter where, string what, int status)
{
    where.WriteLine(what);
    return status;
}

static int Dotnet(string[] arguments)
{
    using var process = Process.Start(new ProcessStartInfo("dotnet", arguments))!;
    process.WaitForExit();
    return process.ExitCode;
}

// The packages of one project, as files of the package cache.
static IEnumerable<string> Packages(string assets)
{
    using var json = JsonDocument.Parse(File.ReadAllText(assets));
    var caches = json.RootElement.GetProperty("packageFolders").EnumerateObject().Select(f => f.Name).ToList();
    var found = new List<string>();
    foreach (var library in json.RootElement.GetProperty("libraries").EnumerateObject())
    {
        if (library.Value.GetProperty("type").GetString() == "package")
            found.AddRange(InCaches(caches, library.Value.GetProperty("path").GetString()!));
    }
    // What is downloaded without being referenced: packs that the SDK does not bring along.
    foreach (var framework in json.RootElement.GetProperty("project").GetProperty("frameworks").EnumerateObject())
    {
        if (!framework.Value.TryGetProperty("downloadDependencies", out var downloads))
            continue;
        foreach (var download in downloads.EnumerateArray())
        {
            var version = download.GetProperty("version").GetString()!.Trim('[', ']').Split(',')[0].Trim();
            found.AddRange(InCaches(caches, $"{download.GetProperty("name").GetString()!.ToLowerInvariant()}/{version}"));
        }
    }
    return found;
}

static IEnumerable<string> InCaches(IEnumerable<string> caches, string path) => caches.Select(cache => Path.Combine(cache, path))
    .Where(Directory.Exists).SelectMany(place => Directory.EnumerateFiles(place, "*.nupkg")).Take(1);

static IEnumerable<string> Tools()
{
    var cache = Environment.GetEnvironmentVariable("NUGET_PACKAGES")
        ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget", "packages");
    using var json = JsonDocument.Parse(File.ReadAllText(Path.Combine(".config", "dotnet-tools.json")));
    return [.. json.RootElement.GetProperty("tools").EnumerateObject().SelectMany(tool =>
        InCaches([cache], Path.Combine(tool.Name, tool.Value.GetProperty("version").GetString()!)))];
}
