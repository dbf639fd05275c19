using TrainingDynamics.Data;

namespace TrainingDynamics.Tests;

public sealed class LongTableTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("long-table").FullName;
    private const string Notebook = "weight-decay/08-which-weights-should-decay.ipynb";

    private record Row(string Rule, double Decay, int Seed, double Loss);

    private string File(string name) => Path.Combine(_folder, name);

    [Fact]
    public void WhatIsWrittenIsReadAgainAndSaysHowItWasMade()
    {
        Row[] rows = [new("q, k", 0.1, 7, 1.25), new("all \"but\" gains", 1e-7, -3, 2.0 / 3)];
        LongTable.WriteFile(File("a.csv"), Notebook, "full=true", rows, TimeSpan.FromMinutes(12.34));
        var table = LongTable.ReadFile<Row>(File("a.csv"));
        Assert.Equal(rows, table.Rows);
        Assert.Equal($"dotnet run --project lib/NotebookHost -- run notebooks/{Notebook} --set full=true --timeout 7200",
            table.About["command"]);
        Assert.Equal("12.3", table.About["minutes"]);
        Assert.Equal(LongTable.CodeOf(Notebook), table.About["code"]);
        Assert.Matches("^[0-9a-f]{12}$", table.About["commit"]);
        Assert.Equal([File("a.csv")], Directory.GetFiles(_folder));
    }

    [Fact]
    public void EveryShippedTableIsOfTheCellsThatAreInItsNotebook()
    {
        var files = Directory.GetFiles(Path.Combine(Shipped.Folder, "results"), "*.csv");
        Assert.NotEmpty(files);
        Assert.All(files, file =>
        {
            var about = LongTable.AboutOf(file);
            Assert.True(LongTable.CodeOf(about["notebook"]) == about["code"],
                $"the cells that made {Path.GetFileName(file)} have changed since; make it anew: {about["command"]}");
        });
    }

    [Fact]
    public void BadFilesAreNamed()
    {
        Assert.Contains("b.csv is missing", Assert.Throws<DataFileException>(() => LongTable.ReadFile<Row>(File("b.csv"))).Message);
        System.IO.File.WriteAllText(File("c.csv"), "# command: x\nRule,Decay,Seed,Loss\na,0.1,7,1.5\nb,much,7,1.5\n");
        var wrong = Assert.Throws<DataFileException>(() => LongTable.ReadFile<Row>(File("c.csv"))).Message;
        Assert.Contains("c.csv does not fit Row", wrong);
        Assert.EndsWith("line 4", wrong);
        System.IO.File.WriteAllText(File("d.csv"), "Rule,Decay,Loss\na,0.1,1.5\n");
        Assert.Contains("d.csv does not fit Row", Assert.Throws<DataFileException>(() => LongTable.ReadFile<Row>(File("d.csv"))).Message);
        Assert.Contains("without a row", Assert.Throws<ArgumentException>(() =>
            LongTable.WriteFile<Row>(File("e.csv"), Notebook, "full=true", [], TimeSpan.Zero)).Message);
        Assert.Contains("no cell tagged", Assert.Throws<DataFileException>(() =>
            LongTable.CodeOf("weight-decay/01-weight-decay-is-a-valve.ipynb")).Message);
        Assert.Contains("is missing", Assert.Throws<DataFileException>(() => LongTable.CodeOf("weight-decay/none.ipynb")).Message);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);
}
