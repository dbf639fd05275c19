using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using NotebookHost.Tests;

namespace Notebooks.Tests;

/// <summary>The form of the notebooks: what a projector shows, what a reader can change, bets that are answered, symbols that are
/// explained.</summary>
public partial class FormTests
{
    private const int MostColumns = 100, MostLines = 25, MostShown = 14;

    public static TheoryData<string> All => [.. CollectionTests.Files];

    public static TheoryData<string> Lessons => [.. CollectionTests.Lessons];

    private static NotebookHost.NotebookFile Read(string path) => NotebookHost.NotebookFile.Read(Path.Combine(Host.Root, path));

    private static string Code(string path) => string.Join('\n', Read(path).Cells.Where(c => c.IsCode).Select(c => c.Source));

    [Theory, MemberData(nameof(All))]
    public void ACellFitsAProjector(string path)
    {
        foreach (var cell in Read(path).Cells.Where(c => c.IsCode))
        {
            var lines = cell.Source.Split('\n');
            Assert.All(lines, line => Assert.True(line.Length <= MostColumns, $"{path}, {cell.Id}: {line.Length} columns: {line}"));
            Assert.True(lines.Length <= MostLines, $"{path}, {cell.Id}: {lines.Length} lines");
        }
    }

    [Theory, MemberData(nameof(All))]
    public void ParametersArePlainVariablesOfATaggedCell(string path)
    {
        // What draws nothing has none: a solution of formulas.
        if (path.Contains("/solutions/") && !DrawPattern().IsMatch(Code(path)))
            return;
        var notebook = JsonNode.Parse(File.ReadAllText(Path.Combine(Host.Root, path)))!;
        var tagged = notebook["cells"]!.AsArray().Where(c => c!["metadata"]!["tags"] is JsonArray tags
            && tags.Any(t => (string?)t == "parameters"));
        Assert.Equal("parameters", (string?)Assert.Single(tagged)!["id"]);
        var lines = Read(path).Cells.Single(c => c.Id == "parameters").Source.Split('\n').Where(l => !l.StartsWith("//"));
        Assert.All(lines, line => Assert.Matches("""^var \w+ = (new\[\] \{ [^}]+ \}|[-\d._e]+|"[^"]*"|true|false);( *//.*)?$""", line));
        Assert.Contains(lines, line => line.StartsWith("var seeds = new[] {", StringComparison.Ordinal));
        // The host reads them as what they are: each can be set from outside.
        Assert.All(NotebookHost.Parameters.Of(Read(path)), parameter => Assert.NotNull(parameter.Type));
        Assert.Equal(lines.Count(), NotebookHost.Parameters.Of(Read(path)).Count);
    }

    [Theory, MemberData(nameof(All))]
    public void SeedsGovernEveryDraw(string path)
    {
        var code = Code(path);
        Assert.DoesNotMatch(@"ReplicaRandom\((\d|\[|new (long|int|\[))|new Random\(\d|new long\[\] \{|seed \+ \d|s \+ \d+\)", code);
        Assert.True(path.Contains("/solutions/") || Regex.IsMatch(code, @"\bseeds\b"), path);
    }

    [Theory, MemberData(nameof(Lessons))]
    public void EveryBetIsAnsweredByALaterCell(string path)
    {
        var cells = Read(path).Cells.Where(c => c.IsCode).ToList();
        var bets = 0;
        foreach (var (i, cell) in cells.Index())
        {
            foreach (Match bet in BetPattern().Matches(cell.Source))
            {
                bets++;
                var name = bet.Groups["name"].Value;
                Assert.Contains($"{name}.Mine = \"\";", cell.Source);
                Assert.True(cells.Skip(i + 1).Any(later => later.Source.Contains($"{name}.Answer(")), $"{path}, {cell.Id}: {name}");
            }
        }
        Assert.True(bets >= 2, $"{path} has {bets} bets");
    }

    [Theory, MemberData(nameof(All))]
    public void ACheckingCellShowsOneTableAndTheEndHasThemAll(string path)
    {
        var cells = Read(path).Cells.Where(c => c.IsCode).ToList();
        foreach (var cell in cells.Where(c => !c.Source.Contains("void Check")))
        {
            var checks = cell.Source.Contains("claims.Checked(");
            Assert.DoesNotMatch(@"claims\.\w+\([^;]*\)\s*\.Display\(\);", cell.Source.Replace("claims.Checked(", "Checked("));
            Assert.Equal(checks, CheckPattern().IsMatch(cell.Source) || cell.Source.Contains(".Judge(")
                || CheckFunctionPattern().IsMatch(cell.Source));
        }
        if (cells.Any(c => c.Source.Contains("claims.Checked(")))
            Assert.Equal("claims", Assert.Single(cells, c => c.Id == "all-claims").Source);
        if (!path.Contains("/solutions/"))
            Assert.InRange(CheckedPattern().Matches(Code(path)).Sum(m => m.Groups[1].Value is "" ? 2 : int.Parse(m.Groups[1].Value)),
                5, MostShown);
    }

    [Theory, MemberData(nameof(Lessons))]
    public void EverySymbolIsInTheListOfSymbols(string path)
    {
        var symbols = File.ReadAllText(Path.Combine(Host.Root, "notebooks", "SYMBOLS.md"));
        var known = FormulaPattern().Matches(symbols).SelectMany(m => SymbolPattern().Matches(m.Groups[1].Value + m.Groups[2].Value))
            .Select(m => m.Value).ToHashSet();
        var prose = string.Join('\n', Read(path).Cells.Where(c => !c.IsCode).Select(c => CodeSpanPattern().Replace(c.Source, "")));
        var used = FormulaPattern().Matches(prose).Select(m => TextPattern().Replace(m.Groups[1].Value + m.Groups[2].Value, ""))
            .SelectMany(formula => SymbolPattern().Matches(formula)).Select(m => m.Value).Distinct();
        Assert.Empty(used.Except(known));
        // What a notebook writes with Greek letters outside of formulas, too.
        var greek = GreekPattern().Matches(prose + Code(path)).Select(m => m.Value).Distinct();
        Assert.All(greek, letter => Assert.Contains(letter, symbols));
    }

    public static TheoryData<string> Texts => [.. CollectionTests.Files, "notebooks/SYMBOLS.md", "notebooks/WORKSHOP.md", "README.md"];

    [Theory, MemberData(nameof(Texts))]
    public void EveryFormulaIsTypeset(string path)
    {
        string[] texts = path.EndsWith(".md", StringComparison.Ordinal) ? [File.ReadAllText(Path.Combine(Host.Root, path))]
            : [.. Read(path).Cells.Where(c => !c.IsCode).Select(c => c.Source)];
        Assert.All(texts, text => Assert.DoesNotContain(NotebookHost.Pages.MathMl.Unknown, NotebookHost.Pages.Page.Prose(text)));
    }

    [Theory, MemberData(nameof(Lessons))]
    public void TheWorkshopsGuideHasIt(string path)
    {
        var part = Guide(path);
        Assert.All(new[] { "**Misconceptions**", "**Bets**", "**Exercise**", "**Experiments**" }, head => Assert.Contains(head, part));
        // One answer a bet; every cell that the guide names is there.
        var cells = Read(path).Cells.Select(c => c.Id).ToHashSet();
        Assert.Equal(BetPattern().Count(Code(path)), part[part.IndexOf("**Bets**", StringComparison.Ordinal)..part.IndexOf("**Exercise**",
            StringComparison.Ordinal)].Split('\n').Count(line => line.StartsWith("- ", StringComparison.Ordinal)));
        Assert.All(CellPattern().Matches(part).Select(m => m.Groups[1].Value), id => Assert.Contains(id, cells));
    }

    /// <summary>The part of the workshop's guide on a lesson.</summary>
    private static string Guide(string path)
    {
        var guide = File.ReadAllText(Path.Combine(Host.Root, "notebooks", "WORKSHOP.md"));
        var start = guide.IndexOf($"### {path["notebooks/".Length..^".ipynb".Length]}", StringComparison.Ordinal);
        Assert.True(start >= 0, $"WORKSHOP.md has no part on {path}");
        return guide[start..guide.IndexOf("\n##", start + 4, StringComparison.Ordinal)];
    }

    /// <summary>The letters of the guide are those that the saved outputs give.</summary>
    [Theory, MemberData(nameof(Lessons))]
    public void TheWorkshopsGuideKnowsTheAnswers(string path)
    {
        var cells = JsonNode.Parse(File.ReadAllText(Path.Combine(Host.Root, path)))!["cells"]!.AsArray()
            .Where(cell => cell!["outputs"] is not null)
            .Select(cell => (Id: (string)cell!["id"]!, Html: string.Concat(cell["outputs"]!.AsArray().Select(Html)))).ToArray();
        var answers = cells.SelectMany(cell => AnswerPattern().Matches(cell.Html))
            .ToDictionary(m => m.Groups[1].Value, m => m.Groups[2].Value);
        var asked = cells.SelectMany(cell => AskedPattern().Matches(cell.Html).Select(m => (cell.Id, Bet: m.Groups[1].Value))).ToArray();
        Assert.Equal(BetPattern().Count(Code(path)), asked.Length);
        var guide = Guide(path).Split('\n');
        Assert.All(asked, bet => Assert.Equal(answers[bet.Bet], GuidePattern().Match(guide.Single(line =>
            line.StartsWith($"- `{bet.Id}` ", StringComparison.Ordinal))).Groups[1].Value));
        static string Html(JsonNode? output) => output!["data"]?["text/html"] switch
        {
            JsonArray lines => string.Concat(lines.Select(line => (string?)line)),
            { } text => (string)text!,
            null => "",
        };
    }

    [Fact]
    public void ThePlansAddUp()
    {
        var guide = File.ReadAllText(Path.Combine(Host.Root, "notebooks", "WORKSHOP.md"));
        var plans = PlanPattern().Matches(guide)
            .Select(m => MinutesPattern().Matches(m.Groups[2].Value).Sum(r => int.Parse(r.Groups[1].Value)));
        Assert.Equal([90, 210, 390], plans);
        Assert.All(LinkPattern().Matches(guide),
            m => Assert.True(File.Exists(Path.Combine(Host.Root, "notebooks", m.Groups[1].Value)), m.Value));
    }

    [GeneratedRegex(@"var (?<name>\w+) =\s*new Bet\(")]
    private static partial Regex BetPattern();

    [GeneratedRegex(@"claims\.(Check|CheckAnew|CheckRatio|Identity|AtMost|AtLeast|MeanAtMost|MeanAtLeast|Greater|Alike|Published)\(")]
    private static partial Regex CheckPattern();

    /// <summary>A call of a function of an earlier cell that checks.</summary>
    [GeneratedRegex(@"^Check\w+\(", RegexOptions.Multiline)]
    private static partial Regex CheckFunctionPattern();

    [GeneratedRegex(@"claims\.Checked\((\d*)\)")]
    private static partial Regex CheckedPattern();

    [GeneratedRegex(@"\$\$(.+?)\$\$|\$([^$\n]+?)\$", RegexOptions.Singleline)]
    private static partial Regex FormulaPattern();

    /// <summary>A command, or a letter that stands alone.</summary>
    [GeneratedRegex(@"\\[a-zA-Z]+|(?<![a-zA-Z\\])[a-zA-Z](?![a-zA-Z])")]
    private static partial Regex SymbolPattern();

    /// <summary>Words within a formula.</summary>
    [GeneratedRegex(@"\\(text|mathrm|operatorname)\{[^}]*\}|_\{[a-zA-Z]{2,}\}")]
    private static partial Regex TextPattern();

    [GeneratedRegex("`[^`]*`")]
    private static partial Regex CodeSpanPattern();

    [GeneratedRegex("[α-ωΓΔΘΛΞΠΣΦΨΩ]")]
    private static partial Regex GreekPattern();

    [GeneratedRegex(@"class=""bet"" data-bet=""(\w+)""")]
    private static partial Regex AskedPattern();

    [GeneratedRegex(@"class=""bet-answer"" data-bet=""(\w+)"" data-answer=""(\w)""")]
    private static partial Regex AnswerPattern();

    /// <summary>The letter of an answer.</summary>
    [GeneratedRegex(@"→ \*\*(\w)\*\*")]
    private static partial Regex GuidePattern();

    [GeneratedRegex("`([a-z][a-z0-9]*(?:-[a-z0-9]+)+)`")]
    private static partial Regex CellPattern();

    [GeneratedRegex(@"^### (90 minutes|Half a day|A day)\b[^\n]*\n(.*?)(?=^##)", RegexOptions.Singleline | RegexOptions.Multiline)]
    private static partial Regex PlanPattern();

    [GeneratedRegex(@"^\| (\d+) \|", RegexOptions.Multiline)]
    private static partial Regex MinutesPattern();

    [GeneratedRegex(@"\bseeds(\[|\)|\.Stream)|Random\(|OnDigits|OnMnist|ParitySequences\.Load")]
    private static partial Regex DrawPattern();

    [GeneratedRegex(@"\]\(([\w/.-]+\.ipynb)\)")]
    private static partial Regex LinkPattern();
}

/// <summary>The exercises: an untouched stub says "not yet", the solution is accepted, a common mistake is refused.</summary>
public sealed class ExerciseTests : HostTest
{
    [Fact]
    public async Task StubsWaitSolutionsAreAcceptedAndMistakesAreRefused()
    {
        var lessons = CollectionTests.Lessons;
        foreach (var path in lessons)
        {
            var notebook = Cells(path);
            var solutions = Cells(Path.Combine(Path.GetDirectoryName(path)!, "solutions", Path.GetFileName(path)));
            var check = notebook["exercise-check"];
            Assert.Equal(check, solutions["exercise-check"]);
            var prose = string.Join('\n', NotebookHost.NotebookFile.Read(Path.Combine(Host.Root, path)).Cells
                .Where(c => !c.IsCode).Select(c => c.Source));
            Assert.Contains("<details><summary>Hint</summary>", prose);
            // Nothing but the first two cells before it: a reader may come to the exercise at any time.
            var setup = notebook["setup"].Replace("../../artifacts/bin/TrainingDynamics/TrainingDynamics.dll", Host.Library);
            Write(path.Replace('/', '-'), setup, notebook["parameters"], notebook["exercise"], check,
                solutions["exercise"], check, solutions["mistake"], check);
        }
        var (status, output, error) = await Run(".", "--timeout", "60");
        Assert.True(status == 0, output + error);
        foreach (var path in lessons)
        {
            var executed = NotebookHost.NotebookFile.Read(Path.Combine(Folder, "out", path.Replace('/', '-')));
            var said = executed.Cells.Select(c =>
                string.Concat(c.Outputs.Select(o => NotebookHost.NotebookFile.Text(o["data"]?["text/plain"]))))
                .Where(text => text.StartsWith("exercise", StringComparison.Ordinal)).Select(text => text.Split(':')[0]).ToList();
            Assert.Equal(["exercise not yet", "exercise right", "exercise not right"], said);
        }
    }

    private static Dictionary<string, string> Cells(string path) =>
        NotebookHost.NotebookFile.Read(Path.Combine(Host.Root, path)).Cells.Where(c => c.IsCode).ToDictionary(c => c.Id, c => c.Source);
}
