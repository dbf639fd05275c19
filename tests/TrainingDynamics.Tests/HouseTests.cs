using System.Reflection;
using System.Text.RegularExpressions;

namespace TrainingDynamics.Tests;

/// <summary>The rooms of the library, and that what is needed flows one way.</summary>
public partial class HouseTests
{
    /// <summary>What each room may import, each after what it imports: there is no circle.</summary>
    private static readonly (string Room, string[] Imports)[] House =
    [
        ("Runtime", []),
        ("Theory", []),
        ("Notebook", []),
        ("Data", ["Runtime"]),
        ("Checkpoints", ["Runtime", "Theory", "Data"]),
        ("Models", ["Runtime", "Data"]),
        ("Tasks", ["Runtime", "Data", "Models"]),
        ("Schedules", ["Theory"]),
        ("Optimizers", ["Runtime", "Theory", "Models"]),
        ("Measurement", ["Runtime", "Models"]),
        ("Objectives", ["Runtime", "Data", "Models", "Tasks", "Measurement"]),
        ("Bandits", ["Runtime", "Data", "Models"]),
        ("Codes", ["Runtime"]),
        ("Figures", ["Runtime", "Notebook", "Measurement"]),
        ("Claims", ["Notebook", "Data"]),
        ("Experiments", ["Runtime", "Theory", "Notebook", "Data",
            "Models", "Tasks", "Schedules", "Optimizers", "Measurement", "Objectives", "Bandits"]),
    ];

    private static readonly string Library = Path.Combine(
        typeof(HouseTests).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().First(a => a.Key == "RepositoryRoot").Value!,
            "lib", "TrainingDynamics");

    [Fact]
    public void EveryFolderIsARoomAndEveryRoomImportsOnlyWhatCameBefore()
    {
        var folders = Directory.GetDirectories(Library).Select(Path.GetFileName).Where(f => f is not ("obj" or "bin"));
        Assert.Equal(House.Select(h => h.Room).Order(), folders.Order());
        foreach (var (i, (_, imports)) in House.Index())
            Assert.Empty(imports.Except(House.Take(i).Select(h => h.Room)));
    }

    [Fact]
    public void EveryRoomImportsOnlyWhatItMay()
    {
        var rooms = string.Join('|', House.Select(h => h.Room));
        var named = new Regex($@"using TrainingDynamics\.({rooms})\b|(?<![\w.])({rooms})\.(?=[A-Z])");
        var wrong = new List<string>();
        foreach (var (room, imports) in House)
        {
            foreach (var file in Directory.GetFiles(Path.Combine(Library, room), "*.cs", SearchOption.AllDirectories))
            {
                var text = File.ReadAllText(file);
                Assert.Contains($"namespace TrainingDynamics.{room};", text);
                // A reference in a comment, or a name in a text, needs nothing.
                var code = TextPattern().Replace(CommentPattern().Replace(text, ""), "\"\"");
                var used = named.Matches(code).Select(m => m.Groups[1].Value + m.Groups[2].Value).Distinct();
                wrong.AddRange(used.Where(u => u != room && !imports.Contains(u))
                    .Select(u => $"{Path.GetRelativePath(Library, file)} imports {u}"));
            }
        }
        Assert.Empty(wrong);
    }

    [Fact]
    public void LinesOfLibraryAndTestsFitAReview()
    {
        var root = Path.GetDirectoryName(Path.GetDirectoryName(Library))!;
        foreach (var folder in new[] { "lib", "tests", "data" })
        {
            foreach (var file in Directory.EnumerateFiles(Path.Combine(root, folder), "*.cs", SearchOption.AllDirectories))
                Assert.All(File.ReadAllLines(file).Index(), line => Assert.True(line.Item.Length <= 140,
                    $"{Path.GetRelativePath(root, file)}, line {line.Index + 1}: {line.Item.Length} columns"));
        }
    }

    [GeneratedRegex("//.*$", RegexOptions.Multiline)]
    private static partial Regex CommentPattern();

    [GeneratedRegex("\"[^\"\n]*\"")]
    private static partial Regex TextPattern();
}
