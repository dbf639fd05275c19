using System.Diagnostics;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;

namespace NotebookHost.Engine;

/// <summary>The files of a NuGet package and all it depends on, found by a restore of the SDK's own.</summary>
/// <param name="Managed">Assemblies to reference and load.</param>
/// <param name="Native">Native libraries of this platform.</param>
internal sealed record NuGetReference(IReadOnlyList<string> Managed, IReadOnlyList<string> Native)
{
    /// <summary>Restores what <c>#r "nuget: Name, Version"</c> asks for.</summary>
    /// <param name="specification">The text after <c>nuget:</c>.</param>
    /// <param name="folder">The notebook's folder, whose NuGet configuration holds.</param>
    /// <exception cref="ScriptDirectiveException">The directive is off, or the restore fails; carries what it said.</exception>
    public static async Task<NuGetReference> RestoreAsync(string specification, string folder)
    {
        var parts = specification.Split(',', StringSplitOptions.TrimEntries);
        if (parts.Length != 2 || parts.Any(p => p == "" || p.Any(c => !char.IsAsciiLetterOrDigit(c) && c is not ('.' or '-' or '_' or '*'))))
            throw new ScriptDirectiveException($"#r \"nuget:{specification}\" names no package and version; write #r \"nuget: Name, 1.2.3\"");
        var key = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes($"{string.Join('/', parts)} {Environment.Version} {folder}")))[..16];
        var project = Path.Combine(Path.GetTempPath(), "NotebookHost", $"{key}-{Environment.ProcessId}");
        Directory.CreateDirectory(project);
        try
        {
            await File.WriteAllTextAsync(Path.Combine(project, "packages.csproj"), $"""
                <Project Sdk="Microsoft.NET.Sdk">
                  <PropertyGroup>
                    <TargetFramework>net{Environment.Version.Major}.0</TargetFramework>
                    <RuntimeIdentifier>$(NETCoreSdkPortableRuntimeIdentifier)</RuntimeIdentifier>
                    <RestoreRootConfigDirectory>{folder}</RestoreRootConfigDirectory>
                    <WarningsNotAsErrors>NU1603</WarningsNotAsErrors>
                  </PropertyGroup>
                  <ItemGroup><PackageReference Include="{parts[0]}" Version="{parts[1]}" /></ItemGroup>
                </Project>
                """);
            var start = new ProcessStartInfo(Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") ?? "dotnet", ["restore", "--verbosity", "quiet", "packages.csproj"])
            {
                WorkingDirectory = project,
                RedirectStandardOutput = true,
                RedirectStandardError = true,
            };
            using var restore = Process.Start(start)!;
            var (said, complained) = (restore.StandardOutput.ReadToEndAsync(), restore.StandardError.ReadToEndAsync());
            await restore.WaitForExitAsync();
            if (restore.ExitCode != 0)
                throw new ScriptDirectiveException($"#r \"nuget:{specification}\" could not be restored: {(await said + await complained).Trim().Replace(project, "", StringComparison.Ordinal)}");
            return Read(JsonNode.Parse(await File.ReadAllTextAsync(Path.Combine(project, "obj", "project.assets.json")))!);
        }
        finally
        {
            Directory.Delete(project, recursive: true);
        }
    }

    private static NuGetReference Read(JsonNode assets)
    {
        var cache = assets["packageFolders"]!.AsObject().First().Key;
        var target = assets["targets"]!.AsObject().First(t => t.Key.Contains('/')).Value!.AsObject();
        List<string> managed = [], native = [];
        foreach (var (name, library) in target)
        {
            if (assets["libraries"]![name]?["path"] is not { } path)
                continue;
            foreach (var (kind, files) in new[] { ("runtime", managed), ("native", native) })
            {
                files.AddRange((library![kind] as JsonObject ?? []).Select(f => Path.Combine(cache, (string)path!, f.Key))
                    .Where(f => !f.EndsWith("_._", StringComparison.Ordinal)));
            }
        }
        return new NuGetReference(managed, native);
    }
}
