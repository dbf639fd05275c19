using System.Text.RegularExpressions;

namespace NotebookHost.Tests;

/// <summary>The library as a NuGet package, used as somebody without this repository uses it.</summary>
public sealed class PackageTests : HostTest
{
    /// <summary>Packs, and runs the package's README in a clean notebook and a clean program, with a package cache of their own: nothing
    /// is found where this repository's build has it.</summary>
    [Fact]
    public async Task ThePackageRunsInACleanNotebookAndInACleanProgram()
    {
        var (feed, cache) = (Path.Combine(Folder, "feed"), Path.Combine(Folder, "cache"));
        (string, string)[] environment = [("NUGET_PACKAGES", cache)];
        // With folders of its own, since other tests build at the same time.
        var packed = await DotNetAsync("pack", Path.Combine(Host.Root, "lib", "TrainingDynamics"), "--output", feed,
            $"-p:BaseIntermediateOutputPath={Path.Combine(Folder, "obj")}/", $"-p:OutputPath={Path.Combine(Folder, "bin")}/");
        Assert.SkipWhen(packed.Output.Contains("NU1301", StringComparison.Ordinal), "no feed has libtorch for every system");
        Assert.True(packed.Status == 0, packed.Output);
        var version = Regex.Match(Assert.Single(Directory.GetFiles(feed)), @"TrainingDynamics\.(\d.*)\.nupkg$").Groups[1].Value;
        foreach (var file in Directory.GetFiles(Path.Combine(Folder, "bin"), "TrainingDynamics.*"))
            Assert.DoesNotContain(Host.Root, File.ReadAllText(file));                          // no folder of this machine

        var readme = await File.ReadAllTextAsync(Path.Combine(Host.Root, "lib", "TrainingDynamics", "README.md"));
        var code = Regex.Match(readme, "```csharp\n(using .*?)```", RegexOptions.Singleline).Groups[1].Value;
        var figure = "TrainingDynamics.Figures.Figure.Lines(\"a figure\", x: \"x\", y: \"y\").Measured(\"m\", [1, 2], [[1], [2]])";
        var data = "Console.WriteLine($\"{Digits.Load().Train.Count} digits\");";

        Write("n.ipynb", $"#i \"nuget:{feed.Replace('\\', '/')}\"\n#r \"nuget: TrainingDynamics, {version}\"", code, figure, data);
        var notebook = await Host.RunAsync(Folder, environment, ["run", "n.ipynb", "--output", "out", "--timeout", "600"]);
        Assert.True(notebook.Status == 0, notebook.Output + notebook.Error);
        var executed = await File.ReadAllTextAsync(Path.Combine(Folder, "out", "n.ipynb"));
        Assert.Contains("1300 digits", executed);
        Assert.Contains("Plotly", executed);

        var program = Directory.CreateDirectory(Path.Combine(Folder, "program")).FullName;
        await File.WriteAllTextAsync(Path.Combine(program, "program.csproj"), $"""
            <Project Sdk="Microsoft.NET.Sdk">
              <PropertyGroup>
                <OutputType>Exe</OutputType><TargetFramework>net10.0</TargetFramework><ImplicitUsings>enable</ImplicitUsings>
                <RestoreAdditionalProjectSources>{feed}</RestoreAdditionalProjectSources>
              </PropertyGroup>
              <ItemGroup><PackageReference Include="TrainingDynamics" Version="{version}" /></ItemGroup>
            </Project>
            """);
        await File.WriteAllTextAsync(Path.Combine(program, "Program.cs"), code + data);
        var run = await DotNetAsync("run", "--project", program);
        Assert.True(run.Status == 0, run.Output);
        Assert.Contains("1300 digits", run.Output);
        var said = Regex.Match(run.Output, @"norm ([\d.]+), predicted ([\d.]+)");
        Assert.InRange(double.Parse(said.Groups[1].Value) / double.Parse(said.Groups[2].Value), 0.9, 1.1);

        Task<(int Status, string Output)> DotNetAsync(params string[] arguments) => Script.RunAsync(DotNet.Command, Folder,
            [new("NUGET_PACKAGES", cache), new("OMP_NUM_THREADS", "1"), new("MKL_NUM_THREADS", "1")], arguments);
    }
}
