using System.Text.Json.Nodes;

namespace NotebookHost.Tests;

public sealed class OutputTests : HostTest
{
    private static string? Data(JsonNode? output, string type) => output?["data"]?[type]?.ToString();

    [Fact]
    public async Task StateIsCarriedAndOnlyALastExpressionIsShown()
    {
        var (status, outputs) = await Cells("var x = 40;", "x + 2", "_ = x + 3;", "await Task.FromResult(x)",
            "var x = \"redeclared\";", "x", "Console.Write(1)", "record P(int A, string B); var p = new P(1, \"b\");", "p");
        Assert.Equal(0, status);
        Assert.Empty(outputs[0]);
        Assert.Equal("42", Data(outputs[1][0], "text/plain"));
        Assert.Equal("execute_result", (string?)outputs[1][0]!["output_type"]);
        Assert.Empty(outputs[2]);
        Assert.Equal("40", Data(outputs[3][0], "text/plain"));
        Assert.Equal("redeclared", Data(outputs[5][0], "text/plain"));
        Assert.Equal(["stream"], outputs[6].Select(o => (string?)o!["output_type"]));
        Assert.StartsWith("P { A = 1, B = b }", Data(outputs[8][0], "text/plain"));
        Assert.Contains("<td>A</td><td>1</td>", Data(outputs[8][0], "text/html"));
        Assert.DoesNotContain("<style", Data(outputs[8][0], "text/html"));
    }

    [Fact]
    public async Task OutputsComeInOrderAndOfEveryKind()
    {
        var (status, outputs) = await Cells(
            "Console.WriteLine(\"one\"); display(\"two\"); Console.Error.WriteLine(\"three\"); HTML(\"<b>four</b>\").Display(); "
                + "\"five\".DisplayAs(\"text/markdown\"); 6.5.Display(); display(\"<b>\", \"text/html\"); 8",
            "new[] { new { A = 1, B = \"x\" }, new { A = 2, B = \"<y>\" } }", "new Dictionary<string, int> { [\"k\"] = 5 }",
                "Enumerable.Range(0, 100)", "(1, \"a\")", "(string)null", "new Exception(\"as a value\")");
        Assert.Equal(0, status);
        Assert.Equal(["stdout", "two", "stderr", "<b>four</b>", "five", "6.5", "<b>", "8"],
            outputs[0].Select(o => (string?)o!["name"] ?? Data(o, "text/html") ?? Data(o, "text/markdown") ?? Data(o, "text/plain")));
        Assert.Contains("&lt;y&gt;", Data(outputs[1][0], "text/html"));
        Assert.Contains("<td>k</td><td>5</td>", Data(outputs[2][0], "text/html"));
        Assert.EndsWith("19 ... (80 more) ]", Data(outputs[3][0], "text/plain"));
        Assert.Contains("<td>Item2</td><td>a</td>", Data(outputs[4][0], "text/html"));
        Assert.Equal("<null>", Data(outputs[5][0], "text/plain"));
        Assert.Contains("as a value", Data(outputs[6][0], "text/plain"));
    }

    [Fact]
    public async Task ADisplayedValueCanBeReplaced()
    {
        var (_, outputs) = await Cells("var d = display(\"old\");", "d.Update(\"new\");");
        Assert.Equal("new", Data(outputs[0][0], "text/plain"));
        Assert.Empty(outputs[1]);
        Assert.Null(outputs[0][0]!["transient"]);
    }

    [Fact]
    public async Task HowFarALongCellIsIsALineOfTheRunAndNotKept()
    {
        Write("n.ipynb", """
            "{\"fraction\":0.1,\"text\":\"1 of 10 steps\"}".DisplayAs("application/vnd.notebook.progress+json");
            System.Threading.Thread.Sleep(6000);
            "{\"fraction\":0.2,\"text\":\"2 of 10 steps\"}".DisplayAs("application/vnd.notebook.progress+json");
            Console.Write("kept");
            """);
        var (status, output, _) = await Run("n.ipynb");
        Assert.Equal(0, status);
        Assert.Contains("n.ipynb: cell 1/1: 2 of 10 steps", output);
        var executed = JsonNode.Parse(File.ReadAllText(Path.Combine(Folder, "out", "n.ipynb")))!;
        Assert.Equal("kept", (string?)Assert.Single(executed["cells"]![0]!["outputs"]!.AsArray())!["text"]![0]);
    }

    [Fact]
    public async Task TypesAreShownByTheirOwnFormatters()
    {
        var (_, outputs) = await Cells("""
            public class TypeFormatterSourceAttribute(Type t) : Attribute
            {
                public Type FormatterSourceType { get; } = t;
                public string[] PreferredMimeTypes { get; set; }
            }
            public class Source
            {
                public IEnumerable<object> CreateTypeFormatters() => new[] { new F("text/html"), new F("text/plain"), new F("text/other") };
            }
            public class F(string m)
            {
                public string MimeType { get; } = m;
                public bool Format(object o, System.IO.TextWriter w) { w.Write("own " + MimeType); return true; }
            }
            [TypeFormatterSource(typeof(Source), PreferredMimeTypes = new[] { "text/html", "text/plain" })] public class Base { }
            public class Derived : Base { }
            """, "new Derived()", "new[] { new Derived() }");
        Assert.Equal(["text/html", "text/plain"], outputs[1][0]!["data"]!.AsObject().Select(p => p.Key).Order());
        Assert.Equal("own text/html", Data(outputs[1][0], "text/html"));
        Assert.Contains("<td>own text/html</td>", Data(outputs[2][0], "text/html"));
    }

    [Fact]
    public async Task TheUsingsAreThoseOfDotNetInteractive()
    {
        var (status, _) = await Cells("var list = new List<int>(); var text = new StringBuilder(); var t = Task.CompletedTask; "
            + "IEnumerable e = list.Where(i => i > 0); Math.Max(1, 2)", "File.Exists(\"x\")");
        Assert.Equal(1, status);
        var cells = Report["notebooks"]![0]!["cells"]!;
        Assert.Equal("passed", (string?)cells[0]!["status"]);
        Assert.Contains("'File'", (string?)cells[1]!["error"]!["message"]);
    }

    [Fact]
    public async Task AFailedCellEndsItsNotebookAndSaysWhereItFailed()
    {
        var (status, outputs) = await Cells("var a = 1;\nvar b = missing + 1;", "a");
        Assert.Equal(1, status);
        var cells = Report["notebooks"]![0]!["cells"]!;
        Assert.Equal(["failed", "skipped"], cells.AsArray().Select(c => (string?)c!["status"]));
        Assert.Equal("CompilationError", (string?)cells[0]!["error"]!["type"]);
        Assert.Contains("line 2, column 9", (string?)cells[0]!["error"]!["message"]);
        Assert.Equal("error", (string?)outputs[0][0]!["output_type"]);

        await Cells("int F(int x) => x / (x - x);\nvar y = 1;\nF(2)");
        var error = Report["notebooks"]![0]!["cells"]![0]!["error"]!;
        Assert.Equal("DivideByZeroException", (string?)error["type"]);
        var executed = File.ReadAllText(Path.Combine(Folder, "out", "n.ipynb"));
        Assert.Contains("cell-1:line 1", executed);
    }

    [Theory]
    [InlineData("1", "CommandFailed", "#!nosuch\n1", "Unknown magic command '#!nosuch'")]
    [InlineData("1", "CompilationError", "%matplotlib inline", "line 1, column 1")]
    [InlineData("1", "CompilationError", "#r \"missing.dll\"", "missing.dll")]
    [InlineData("1", "CommandFailed", "#r \"nuget: No.Such.Package.Of.This.Name, 1.2.3\"", "No.Such.Package.Of.This.Name")]
    [InlineData("1", "CommandFailed", "#!set --name answer --value @input:\"what?\"", "Input not provided")]
    [InlineData("1", "Exception", "await GetInputAsync(\"what?\")", "nobody is there to answer 'what?'")]
    [InlineData("1", "CompilationError", "#r \"nuget: MathNet.Numerics, 5.0.0\"\n\nvar z = nosuch;", "line 3, column 9")]
    public async Task WhatCannotBeCarriedOutIsAClearErrorAtItsCell(string before, string type, string code, string says)
    {
        var (status, _) = await Cells(before, code);
        Assert.Equal(1, status);
        var cell = Report["notebooks"]![0]!["cells"]![1]!;
        Assert.Equal(type, (string?)cell["error"]!["type"]);
        Assert.Contains(says, (string?)cell["error"]!["message"]);
    }

    [Fact]
    public async Task WhatReadersTypeElsewhereWorksHere()
    {
        var (status, outputs) = await Cells(
            "using Microsoft.DotNet.Interactive.Formatting;\nusing static "
                + "Microsoft.DotNet.Interactive.Formatting.PocketViewTags;\ndiv(b(\"x\"), 3)",
            "Formatter.Register<decimal>(d => $\"<i>{d}</i>\", \"text/html\"); 2.5m",
                "#!time\n1", "var a = 5;", "#!who", "#!html\n<b>y</b>", "#!markdown\n# hello",
            "#!value --name v --from-value hello", "#!set --name w --value @value:v\nw",
                "System.IO.File.WriteAllText(\"imported.csx\", \"var seven = 7;\");", "#!import imported.csx", "seven",
            "#!mermaid\ngraph TD; A-->B", "#!javascript\nconsole.log(1)", "#load \"imported.csx\"\nseven + 1", "seven + 2");
        Assert.Equal(0, status);
        Assert.Equal("<div><b>x</b>3</div>", Data(outputs[0][0], "text/html"));
        Assert.Equal("<i>2.5</i>", Data(outputs[1][0], "text/html"));
        Assert.Matches(@"^Wall time: [\d.]+ ms$", Data(outputs[2][1], "text/plain"));
        Assert.Contains("a", Data(outputs[4][0], "text/html"));
        Assert.Equal("<b>y</b>", Data(outputs[5][0], "text/html"));
        Assert.Equal("# hello", Data(outputs[6][0], "text/markdown"));
        Assert.Equal("hello", Data(outputs[8][0], "text/plain"));
        Assert.Equal("7", Data(outputs[11][0], "text/plain"));
        Assert.Equal("graph TD; A-->B", Data(outputs[12][0], "text/vnd.mermaid"));
        Assert.Contains("<script", Data(outputs[13][0], "text/html"));
        Assert.Equal(["8", "9"], outputs[14..].Select(o => Data(o[0], "text/plain")));
    }

    [Fact]
    public async Task WhatOnlyLooksLikeAMagicIsLeftAlone()
    {
        var (status, outputs) = await Cells("var x = 17\n    % 5;\nx", "#!csharp\n4", "#!c#\n5", "Console.ReadLine() ?? \"nobody\"");
        Assert.Equal(0, status);
        Assert.Equal(["2", "4", "5", "nobody"], outputs.Select(o => Data(o[0], "text/plain")));
    }

    [Fact]
    public async Task ACellsLanguageIsReadWhereverItIsMarked()
    {
        JsonObject Marked(string id, string source, string metadata) => new()
        {
            ["cell_type"] = "code",
            ["id"] = id,
            ["metadata"] = JsonNode.Parse(metadata),
            ["execution_count"] = null,
            ["outputs"] = new JsonArray(),
            ["source"] = source,
        };
        var notebook = JsonNode.Parse(Host.Notebook())!;
        notebook["cells"] = new JsonArray(
            Marked("a", "# prose", """{"polyglot_notebook":{"kernelName":"markdown"}}"""),
                Marked("b", "<i>z</i>", """{"dotnet_interactive":{"language":"html"}}"""),
            Marked("c", "1 + 1", """{"vscode":{"languageId":"c#"}}"""),
                Marked("d", "2 + 1", """{"vscode":{"languageId":"polyglot-notebook"}}"""),
            Marked("e", "let x = 1", """{"vscode":{"languageId":"fsharp"}}"""));
        File.WriteAllText(Path.Combine(Folder, "n.ipynb"), notebook.ToJsonString());
        Assert.Equal(1, (await Run("n.ipynb")).Status);
        var cells = JsonNode.Parse(File.ReadAllText(Path.Combine(Folder, "out", "n.ipynb")))!["cells"]!.AsArray();
        Assert.Equal("# prose", Data(cells[0]!["outputs"]![0], "text/markdown"));
        Assert.Equal("<i>z</i>", Data(cells[1]!["outputs"]![0], "text/html"));
        Assert.Equal(["2", "3"], cells.Skip(2).Take(2).Select(c => Data(c!["outputs"]![0], "text/plain")));
        Assert.Contains("'fsharp'", (string?)cells[4]!["outputs"]![0]!["evalue"]);
    }

    [Fact]
    public async Task AnErrorThatIsMeantDoesNotEndTheNotebook()
    {
        var notebook = JsonNode.Parse(Host.Notebook("throw new Exception(\"meant\");", "Console.WriteLine(\"went on\");"))!;
        notebook["cells"]![0]!["metadata"]!["tags"] = new JsonArray("raises-exception");
        File.WriteAllText(Path.Combine(Folder, "n.ipynb"), notebook.ToJsonString());
        Assert.Equal(0, (await Run("n.ipynb")).Status);
        var executed = JsonNode.Parse(File.ReadAllText(Path.Combine(Folder, "out", "n.ipynb")))!;
        Assert.Equal("meant", (string?)executed["cells"]![0]!["outputs"]![0]!["evalue"]);
        Assert.Equal("went on\n", NotebookFile.Text(executed["cells"]![1]!["outputs"]![0]!["text"]));
    }

    [Fact]
    public async Task OfAProgressThatIsWrittenOverTheLastStateIsKept()
    {
        var (status, outputs) = await Cells("for (var i = 0; i <= 200_000; i++) Console.Write($\"\\rstep {i} of 200000\");",
            "for (var i = 0; i < 50; i++) { Console.Write($\"{i} \\r\"); System.Threading.Thread.Sleep(5); }",
            "Console.Write(\"abc\\rX\"); Console.WriteLine(); Console.Write(\"kept\\r\\n\");");
        Assert.Equal(0, status);
        Assert.Equal(["step 200000 of 200000", "49 ", "Xbc\nkept\n"], outputs.Select(o => NotebookFile.Text(Assert.Single(o)!["text"])));
    }

    [Fact]
    public async Task CellsHaveTheReadersCulturesAndTheirOwnConsoleAgain()
    {
        Assert.SkipUnless(DotNet.Cultures, "no ICU library is installed here");
        var (status, outputs) = await Cells("1234.5.ToString(\"N1\", new System.Globalization.CultureInfo(\"de-DE\"))",
            "Console.SetOut(new System.IO.StringWriter()); Console.WriteLine(\"to somewhere else\");", "Console.WriteLine(\"seen\");");
        Assert.Equal(0, status);
        Assert.Equal("1.234,5", Data(outputs[0][0], "text/plain"));
        Assert.Empty(outputs[1]);
        Assert.Equal("seen\n", NotebookFile.Text(outputs[2][0]!["text"]));
    }

    [Fact]
    public async Task WithoutCulturesItIsSaidAndCellsRun()
    {
        Write("n.ipynb", "1.5", "new System.Globalization.CultureInfo(\"de-DE\")");
        var (status, _, error) = await Host.RunAsync(Folder, [("DOTNET_SYSTEM_GLOBALIZATION_INVARIANT", "1")],
            ["n.ipynb", "--output", "out"]);
        Assert.Equal(1, status);
        Assert.Contains("cells run without cultures", error);
        Assert.Equal("CultureNotFoundException", (string?)Report["notebooks"]![0]!["cells"]![1]!["error"]!["type"]);
    }

    [Fact]
    public async Task AValueThatContainsItselfIsCut()
    {
        var (status, outputs) = await Cells(
            "class Tree : IEnumerable<Tree> { public IEnumerator<Tree> GetEnumerator() { yield return this; } IEnumerator "
                + "IEnumerable.GetEnumerator() => GetEnumerator(); }\nnew Tree()",
            "var list = new List<object> { 1 }; list.Add(list); list", "new { A = 1, L = list, T = new Tree() }",
                "new Dictionary<string, object> { [\"k\"] = list }",
                "display(new Tree(), \"text/plain\");", "new[] { new[] { 1, 2 }, new[] { 3 } }");
        Assert.Equal(0, status);
        Assert.All(outputs[..4], o => Assert.Contains("…",
            o[0]!["data"]!.ToJsonString(new System.Text.Json.JsonSerializerOptions
            {
                Encoder =
            System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping
            })));
        Assert.Contains("[ 1, 2 ]", outputs[5][0]!.ToJsonString());
    }

    [Fact]
    public async Task WhatBelongsToAThreadLastsAndNoValueIsReadTwice()
    {
        var (status, outputs) = await Cells(
            "var local = new System.Threading.ThreadLocal<int>(() => 7); local.Value = 9;", "local.Value",
                "int reads = 0; class Counter { public static int N; public int Next => ++N; }", "new Counter()", "Counter.N",
            "Microsoft.DotNet.Interactive.KernelInvocationContext.Current.Display(\"a string\");",
                "await Microsoft.DotNet.Interactive.Kernel.Root.SendAsync(new Microsoft.DotNet.Interactive.Commands.SubmitCode(\"var "
                + "inner = 5;\", \"csharp\")); 5",
            "Console.Write(\"a\"); Console.Error.WriteLine(\"err\"); Console.Write(\"b\\n\");",
                "var raw = \"\"\"\n    #r \"a.dll\" // kept\n    \"\"\"; raw");
        Assert.Equal(0, status);
        Assert.Equal(["9", "1"], new[] { outputs[1], outputs[4] }.Select(o => Data(o[0], "text/plain")));
        Assert.Equal("a string", Data(outputs[5][0], "text/plain"));
        Assert.Equal("5", Data(outputs[6][0], "text/plain"));
        Assert.Equal(["a", "err\n", "b\n"], outputs[7].Select(o => NotebookFile.Text(o!["text"])));
        Assert.Contains("// kept", Data(outputs[8][0], "text/plain"));
    }

    [Theory]
    [InlineData("Console.WriteLine(1);\nint a = \"x\";\n#!time\nint b = 1;", "line 2, column 9")]
    [InlineData("#!time\n\nint a = \"x\";", "line 3, column 9")]
    [InlineData("#load \"bad.csx\"", "bad.csx, line 2, column 13")]
    public async Task AMistakeIsPlacedWhereTheReaderMadeIt(string code, string says)
    {
        File.WriteAllText(Path.Combine(Folder, "bad.csx"), "// a script\nint count = \"x\";");
        await Cells("1", code);
        Assert.Contains(says, (string?)Report["notebooks"]![0]!["cells"]![1]!["error"]!["message"]);
    }

    [Fact]
    public async Task BlockingOnOnesOwnTaskIsAllowed()
    {
        var (status, outputs) = await Cells("async Task<int> F() { await Task.Delay(10); return 1; }",
            "F().Result", "F().GetAwaiter().GetResult() + await F()", "var t = F(); t.Wait(); t.Result + 2");
        Assert.Equal(0, status);
        Assert.Equal(["1", "2", "3"], outputs[1..].Select(o => Data(o[0], "text/plain")));
    }

    [Fact]
    public async Task ALibraryIsReferencedByItsPathFromTheNotebooksFolderTwiceWithoutHarm()
    {
        var dll = Path.GetRelativePath(Folder, Path.Combine(Host.Root, "artifacts", "bin", "TrainingDynamics", "TrainingDynamics.dll"));
        var setup = $"#r \"{dll}\"\nusing TorchSharp;\nusing TrainingDynamics.Claims;\nusing TrainingDynamics.Models;\nvar claims = new "
            + "ClaimList();";
        var (status, outputs) = await Cells(setup, setup, "torch.ones(2).sum().item<float>()",
            "var layout = new Layout(new Block(\"w\", new long[] { 2 })); layout.Size", "torch.ones(2)");
        Assert.Equal(0, status);
        Assert.Equal("2", Data(outputs[2][0], "text/plain"));
        Assert.Equal("2", Data(outputs[3][0], "text/plain"));
        Assert.Contains("[2]", Data(outputs[4][0], "text/plain"));
    }

    [Theory]
    [InlineData("#r \"nuget: MathNet.Numerics, 5.0.0\"")]
    [InlineData("#r \"nuget:MathNet.Numerics\"")]
    [InlineData("#r \"nuget: MathNet.Numerics, [5.0.0]\"")]
    [InlineData("#r nuget:MathNet.Numerics,5.0.0")]
    [InlineData("#i \"nuget: https://127.0.0.1:9/v3/index.json\"\n#r \"nuget: MathNet.Numerics, 5.0.0\"")]
    public async Task APackageIsReferencedThroughARealRestore(string reference)
    {
        var (status, outputs) = await Cells(reference + "\nusing MathNet.Numerics;\nSpecialFunctions.Gamma(5)");
        Assert.Equal(0, status);
        Assert.Equal("24", Data(outputs[0][^1], "text/plain")![..2]);
    }

    [Fact]
    public async Task WhereDotnetIsNotOnThePathPackagesAreRestoredAllTheSame()
    {
        Write("n.ipynb", "#r \"nuget: MathNet.Numerics, 5.0.0\"\n1");
        var (status, output, error) = await Host.RunAsync(Folder, [("PATH", "/nowhere")], ["n.ipynb", "--output", "out"]);
        Assert.True(status == 0, output + error);
    }

    [Fact]
    public async Task WhereALibraryIsNotBuiltItsCellNamesTheCommand()
    {
        File.WriteAllText(Path.Combine(Folder, "All.sln"), "");
        File.WriteAllText(Path.Combine(Directory.CreateDirectory(Path.Combine(Folder, "lib", "Mine")).FullName, "Mine.csproj"),
            "<Project />");
        Write("n.ipynb", "#r \"artifacts/bin/Mine/Mine.dll\"");
        await Run("n.ipynb");
        Assert.Contains("dotnet build lib/Mine", (string?)Report["notebooks"]![0]!["cells"]![0]!["error"]!["message"]);
    }
}
