using PublicApiGenerator;
using TrainingDynamics.Models;

namespace TrainingDynamics.Tests;

/// <summary>What a package's users rely on: a change of it is seen, and meant.</summary>
public class PublicApiTests
{
    [Fact]
    public void ThePublicApiIsTheFileThatSaysIt()
    {
        var file = Path.Combine(Root.Folder, "lib", "TrainingDynamics", "PublicApi.txt");
        var now = typeof(Layout).Assembly.GeneratePublicApi(new ApiGeneratorOptions { IncludeAssemblyAttributes = false })
            .ReplaceLineEndings("\n") + "\n";
        if (File.Exists(file) && File.ReadAllText(file).ReplaceLineEndings("\n") == now)
            return;
        var made = Path.Combine(Root.Folder, "artifacts", "PublicApi.txt");
        File.WriteAllText(made, now);
        string[] known = File.Exists(file) ? File.ReadAllLines(file) : [];
        var (gone, added) = (known.Except(now.Split('\n')).ToArray(), now.Split('\n').Except(known).ToArray());
        Assert.Fail($"the public API is not what {file} says; if that is meant, copy {made} over it.\n"
            + string.Join('\n', gone.Take(10).Select(line => "gone:  " + line.Trim())
                .Concat(added.Take(10).Select(line => "added: " + line.Trim()))));
    }
}
