using System.Text.Json.Nodes;

namespace NotebookHost.Tests;

public sealed class OutputTests : HostTest
{
    private static string? Data(JsonNode? output, string type) => output?["data"]?[type]?.ToString();

    [Fact]
    public async Task StateIsCarriedAndOnlyALastExpressionIsShown()
    {
        var (status, outputs) = await Cells("var x = 40;", "x + 2", "_ = x + 3;", "await Task.FromResult(x)", "var x = \"redeclared\";", "x", "Console.Write(1)", "record P(int A, string B); var p = new P(1, \"b\");", "p");
        Assert.Equal(0, status);
        Assert.Empty(outputs[0]);
        Assert.Equal("42", Data(outputs[1][0], "text/plain"));
        Assert.Equal("execute_result", (string?)outputs[1][0]!["output_type"]);
        Assert.Empty(outputs[2]);
        Assert.Equal("40", Data(outputs[3][0], "text/plain"));
        Assert.Equal("redeclared", Data(outputs[5][0], "text/plain"));
        Assert.Equal(["stream"], outputs[6].Select(o => (string?)o!["output_type"]));
        Assert.Equal("P { A = 1, B = b }", Data(outputs[8][0], "text/plain"));
        Assert.Contains("<td>A</td><td>1</td>", Data(outputs[8][0], "text/html"));
    }

    [Fact]
    public async Task OutputsComeInOrderAndOfEveryKind()
    {
        var (status, outputs) = await Cells(
            "Console.WriteLine(\"one\"); display(\"two\"); Console.Error.WriteLine(\"three\"); HTML(\"<b>four</b>\").Display(); \"five\".DisplayAs(\"text/markdown\"); 6.5.Display(); display(\"<b>\", \"text/html\"); 8",
            "new[] { new { A = 1, B = \"x\" }, new { A = 2, B = \"<y>\" } }", "new Dictionary<string, int> { [\"k\"] = 5 }", "Enumerable.Range(0, 100)", "(1, \"a\")", "(string)null", "new Exception(\"as a value\")");
        Assert.Equal(0, status);
        Assert.Equal(["stdout", "two", "stderr", "<b>four</b>", "five", "6.5", "&lt;b&gt;", "8"], outputs[0].Select(o => (string?)o!["name"] ?? Data(o, "text/html") ?? Data(o, "text/markdown") ?? Data(o, "text/plain")));
        Assert.Contains("<th>A</th><th>B</th>", Data(outputs[1][0], "text/html"));
        Assert.Contains("&lt;y&gt;", Data(outputs[1][0], "text/html"));
        Assert.Contains("<td>k</td><td>5</td>", Data(outputs[2][0], "text/html"));
        Assert.Contains("… (more)", Data(outputs[3][0], "text/html"));
        Assert.EndsWith("19, … ]", Data(outputs[3][0], "text/plain"));
        Assert.Contains("<td>2</td><td>a</td>", Data(outputs[4][0], "text/html"));
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
            public class TypeFormatterSourceAttribute : Attribute { public TypeFormatterSourceAttribute(Type t) => FormatterSourceType = t; public Type FormatterSourceType { get; } public string[] PreferredMimeTypes { get; set; } }
            public class Source { public IEnumerable<object> CreateTypeFormatters() { yield return new F("text/html"); yield return new F("text/plain"); yield return new F("text/other"); } }
            public class F { public F(string m) => MimeType = m; public string MimeType { get; } public bool Format(object o, System.IO.TextWriter w) { w.Write("own " + MimeType); return true; } }
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
        var (status, _) = await Cells("var list = new List<int>(); var text = new StringBuilder(); var t = Task.CompletedTask; IEnumerable e = list.Where(i => i > 0); Math.Max(1, 2)", "File.Exists(\"x\")");
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
    [InlineData("#!time\n1 + 1", "#!time")]
    [InlineData("%matplotlib inline", "%matplotlib")]
    [InlineData("#i \"nuget:https://example.org\"", "#i")]
    [InlineData("#r \"missing.dll\"", "missing.dll is not there")]
    [InlineData("#r \"nuget: OnlyAName\"", "names no package and version")]
    public async Task ADirectiveThatCannotBeCarriedOutIsAClearErrorAtItsCell(string code, string says)
    {
        var (status, _) = await Cells("1", code);
        Assert.Equal(1, status);
        var cell = Report["notebooks"]![0]!["cells"]![1]!;
        Assert.Equal("ScriptDirectiveException", (string?)cell["error"]!["type"]);
        Assert.Contains(says, (string?)cell["error"]!["message"]);
    }

    [Fact]
    public async Task WhatOnlyLooksLikeAMagicIsLeftAlone()
    {
        var (status, outputs) = await Cells("var x = 17\n    % 5;\nx", "var s = @\"first\n#!/bin/bash\";\ns.Length", "#!csharp\n4", "Console.ReadLine() ?? \"nobody\"");
        Assert.Equal(0, status);
        Assert.Equal(["2", "17", "4", "nobody"], outputs.Select(o => Data(o[0], "text/plain")));
    }

    [Fact]
    public async Task ALibraryIsReferencedByItsPathFromTheNotebooksFolderTwiceWithoutHarm()
    {
        var dll = Path.GetRelativePath(Folder, Path.Combine(Host.Root, "artifacts", "bin", "TrainingDynamics", "TrainingDynamics.dll"));
        var setup = $"#r \"{dll}\"\nusing TorchSharp;\nusing TrainingDynamics.Models;";
        var (status, outputs) = await Cells(setup, setup, "torch.ones(2).sum().item<float>()", "var layout = new Layout(new Block(\"w\", new long[] { 2 })); layout.Size", "torch.ones(2)");
        Assert.Equal(0, status);
        Assert.Equal("2", Data(outputs[2][0], "text/plain"));
        Assert.Equal("2", Data(outputs[3][0], "text/plain"));
        Assert.Contains("[2]", Data(outputs[4][0], "text/plain"));
    }

    [Fact]
    public async Task APackageIsReferencedThroughARealRestore()
    {
        var (status, outputs) = await Cells("#r \"nuget: MathNet.Numerics, 5.0.0\"\nusing MathNet.Numerics;\nSpecialFunctions.Gamma(5)");
        Assert.Equal(0, status);
        Assert.Equal("24", Data(outputs[0][0], "text/plain")![..2]);
    }

    [Fact]
    public async Task AMissingPackageSaysWhatTheRestoreSaid()
    {
        var (status, _) = await Cells("#r \"nuget: No.Such.Package.Of.This.Name, 1.2.3\"");
        Assert.Equal(1, status);
        Assert.Contains("No.Such.Package.Of.This.Name", (string?)Report["notebooks"]![0]!["cells"]![0]!["error"]!["message"]);
    }
}
