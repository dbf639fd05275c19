using System.Diagnostics;
using System.Text.Json.Nodes;

namespace NotebookHost.Tests;

public sealed class RunTests : HostTest
{
    [Fact]
    public async Task WithoutAPathSolutionsAreLeftOut()
    {
        Directory.CreateDirectory(Path.Combine(Folder, "notebooks", "solutions"));
        Write(Path.Combine("notebooks", "a.ipynb"), "1 + 1");
        Write(Path.Combine("notebooks", "solutions", "a.ipynb"), "2 + 2");
        var (status, output, error) = await Run();
        Assert.True(status == 0, output + error);
        Assert.Contains("1 solution is left out; 'run notebooks' runs all", output);
        Assert.Equal("notebooks/a.ipynb", (string?)Assert.Single(Report["notebooks"]!.AsArray())!["path"]);
        (status, output, _) = await Run("notebooks");
        Assert.Equal(0, status);
        Assert.Equal(2, Report["notebooks"]!.AsArray().Count);
        Assert.DoesNotContain("left out", output);
    }

    [Fact]
    public async Task ACrashKillsOneNotebookAndTheOthersGoOn()
    {
        Write("a.ipynb", "1", "Console.WriteLine(\"before\");\nSystem.Environment.FailFast(\"native abort\");", "3");
        Write("b.ipynb", "2");
        var (status, output, _) = await Run(".");
        Assert.Equal(1, status);
        Assert.Equal(["crashed", "passed"], Report["notebooks"]!.AsArray().Select(n => (string?)n!["status"]));
        Assert.Equal(["passed", "crashed", "skipped"], Report["notebooks"]![0]!["cells"]!.AsArray().Select(c => (string?)c!["status"]));
        Assert.Contains("native abort", (string?)Report["notebooks"]![0]!["cells"]![1]!["error"]!["message"]);
        Assert.Contains("before", File.ReadAllText(Path.Combine(Folder, "out", "a.ipynb")));
        Assert.Contains("crashed: a.ipynb", output);
    }

    [Fact]
    public async Task ACellThatTakesTooLongIsEnded()
    {
        Write("slow.ipynb", "while (true) { }", "1");
        var clock = Stopwatch.StartNew();
        var (status, _, _) = await Run("slow.ipynb", "--timeout", "2");
        Assert.Equal(1, status);
        Assert.Equal("timed-out", (string?)Report["notebooks"]![0]!["status"]);
        Assert.Contains("2 s", (string?)Report["notebooks"]![0]!["cells"]![0]!["error"]!["message"]);
        Assert.Equal(["timed-out", "skipped"], Report["notebooks"]![0]!["cells"]!.AsArray().Select(c => (string?)c!["status"]));
        Assert.True(clock.Elapsed < TimeSpan.FromSeconds(60));
    }

    [Fact]
    public async Task AChildThatIsKilledInTheMiddleOfAMessageDoesNotTakeTheOthersAlong()
    {
        // The child's end of the pipe, past its own writer: half a message, with the mark of its own command line, and then the end.
        Write("bad.ipynb", "1", "using (var o = Console.OpenStandardOutput()) { "
            + "o.Write(Encoding.UTF8.GetBytes(Environment.GetCommandLineArgs()[^1] + \"{\\\"e\")); o.Flush(); } "
            + "System.Diagnostics.Process.GetCurrentProcess().Kill();");
        Write("good.ipynb", "1");
        var (status, _, error) = await Run(".");
        Assert.Equal(1, status);
        Assert.Equal("", error);
        Assert.Equal(["crashed", "passed"], Report["notebooks"]!.AsArray().Select(n => (string?)n!["status"]));
    }

    [Theory]
    [InlineData("new System.Threading.Thread(() => System.Threading.Thread.Sleep(300000)).Start();")]
    [InlineData("var p = System.Diagnostics.Process.Start(\"sleep\", \"120\");")]
    public async Task WhatANotebookLeavesRunningIsNotWaitedFor(string code)
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "sleep is not there");
        Write("n.ipynb", code);
        var clock = Stopwatch.StartNew();
        var (status, _, _) = await Run("n.ipynb");
        Assert.Equal(0, status);
        Assert.True(clock.Elapsed < TimeSpan.FromSeconds(60), $"took {clock.Elapsed}");
    }

    [Fact]
    public async Task NotebooksOfOneNameInTwoFoldersStayApart()
    {
        foreach (var folder in new[] { "one/bin", "two" })
        {
            Directory.CreateDirectory(Path.Combine(Folder, folder));
            Write($"{folder}/x.ipynb", "1");
        }
        var other = Directory.CreateDirectory(Path.Combine(Folder, "elsewhere"));
        var (status, _, _) = await Host.RunAsync(other.FullName, "../one/bin", "../two/x.ipynb", "--output", "../out");
        Assert.Equal(0, status);
        Assert.Equal(["one/bin/x.ipynb", "two/x.ipynb"], Report["notebooks"]!.AsArray().Select(n => (string?)n!["path"]));
        var (refused, _, error) = await Host.RunAsync(Folder, "two", "--output", ".");
        Assert.Equal(2, refused);
        Assert.Contains("would overwrite", error);
    }

    [Fact]
    public async Task CtrlCEndsTheChildrenAndKeepsWhatIsFinished()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "signals are sent by kill");
        Assert.SkipWhen(Ignores("-INT"), "these tests run in the background of a shell that has its jobs ignore SIGINT");
        Write("a.ipynb", "1 + 1");
        Write("b.ipynb",
            "System.IO.File.WriteAllText(\"pid\", System.Environment.ProcessId.ToString()); System.Threading.Thread.Sleep(300000);");
        using var host = Host.Start(Folder, "run", ".", "--jobs", "1", "--output", "out");
        var output = host.StandardOutput.ReadToEndAsync();
        var pid = Path.Combine(Folder, "pid");
        for (var i = 0; i < 600 && !File.Exists(pid); i++)
            await Task.Delay(100);
        await Task.Delay(200);
        using (var kill = Process.Start("kill", ["-INT", host.Id.ToString()]))
            await kill.WaitForExitAsync();
        await host.WaitForExitAsync();
        Assert.Equal(130, host.ExitCode);
        Assert.Equal(["a.ipynb"], Report["notebooks"]!.AsArray().Select(n => (string?)n!["path"]));
        Assert.True(File.Exists(Path.Combine(Folder, "out", "a.ipynb")));
        Assert.False(File.Exists(Path.Combine(Folder, "out", "b.ipynb")));                 // nothing of it was finished
        Assert.True(await Ended(int.Parse(File.ReadAllText(pid))));
        await output;
    }

    [Theory]
    [InlineData("-INT")]
    [InlineData("-HUP")]
    [InlineData("-TERM")]
    public async Task WhatAnInterruptedNotebookFinishedIsKeptAndALastReportIsNotEmptied(string signal)
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "signals are sent by kill");
        Assert.SkipWhen(Ignores(signal),
            $"these tests run where SIG{signal[1..]} is ignored: in the background of a shell, or under nohup");
        const string started = "System.IO.File.WriteAllText(\"started\", \"\"); System.Threading.Thread.Sleep(300000);";
        async Task Interrupted()
        {
            File.Delete(Path.Combine(Folder, "started"));
            using var host = Host.Start(Folder, "run", "n.ipynb", "--output", "out");
            var (output, error) = (host.StandardOutput.ReadToEndAsync(), host.StandardError.ReadToEndAsync());
            for (var i = 0; i < 600 && !File.Exists(Path.Combine(Folder, "started")); i++)
                await Task.Delay(100);
            await Task.Delay(200);
            using (var kill = Process.Start("kill", [signal, host.Id.ToString()]))
                await kill.WaitForExitAsync();
            await host.WaitForExitAsync();
            Assert.True(host.ExitCode == 130, $"{host.ExitCode}: {await output} {await error}");
        }
        Write("n.ipynb", "\"before\"", started);
        await Interrupted();
        Assert.Equal("interrupted", (string?)Report["notebooks"]![0]!["status"]);
        Assert.Equal(["passed", "interrupted"], Report["notebooks"]![0]!["cells"]!.AsArray().Select(c => (string?)c!["status"]));
        Assert.Contains("before", File.ReadAllText(Path.Combine(Folder, "out", "n.ipynb")));
        // A run in which nothing was finished leaves what an earlier one wrote.
        var (report, page) = (Report.ToJsonString(), File.ReadAllText(Path.Combine(Folder, "out", "index.html")));
        Write("n.ipynb", started);
        await Interrupted();
        Assert.Equal((report, page), (Report.ToJsonString(), File.ReadAllText(Path.Combine(Folder, "out", "index.html"))));
    }

    [Fact]
    public async Task ACellThatSpeaksLikeTheWorkerDeceivesNobody()
    {
        Write("n.ipynb", "1", "using (var o = Console.OpenStandardOutput()) { "
            + "o.Write(Encoding.UTF8.GetBytes(\"\\u001e{}\\n{\\\"event\\\":\\\"done\\\"}\\n\")); }", "throw new Exception(\"seen\");");
        var (status, output, _) = await Run("n.ipynb");
        Assert.Equal(1, status);
        Assert.Contains("Exception: seen", output);
        // Not even one that knows the mark: what did not run did not pass.
        Write("n.ipynb", "using (var o = Console.OpenStandardOutput()) { "
            + "o.Write(Encoding.UTF8.GetBytes(Environment.GetCommandLineArgs()[^1] + \"{\\\"event\\\":\\\"done\\\"}\\n\")); }",
            "throw new Exception(\"unseen\");");
        Assert.Equal(1, (await Run("n.ipynb")).Status);
    }

    [Fact]
    public async Task WhatIsRunIsWhatWasReadWhateverBecomesOfTheFile()
    {
        Write("a.ipynb", "System.IO.File.WriteAllText(\"b.ipynb\", System.IO.File.ReadAllText(\"b.ipynb\").Replace(\"throw new "
            + "Exception();\", \"1\")); System.IO.File.Delete(\"c.ipynb\");");
        Write("b.ipynb", "throw new Exception();");
        Write("c.ipynb", "\"read before it was deleted\"");
        var (status, _, error) = await Run(".", "--jobs", "1");
        Assert.Equal(1, status);
        Assert.Equal("", error);
        Assert.Equal(["passed", "failed", "passed"], Report["notebooks"]!.AsArray().Select(n => (string?)n!["status"]));
    }

    [Theory]
    [InlineData("class E : Exception { public override string Message => throw new E(); }\nthrow new E();", "")]
    [InlineData("class E : Exception { public override string Message => throw new InvalidOperationException(); }\nthrow new E();",
        "InvalidOperationException")]
    [InlineData("\"{\\\"name\\\":\\\"c\\\"}\".DisplayAs(\"application/vnd.notebook.claims+json\");", "cannot be understood")]
    [InlineData("\"[{\\\"holds\\\":true}]\".DisplayAs(\"application/vnd.notebook.claims+json\");", "cannot be understood")]
    [InlineData("for (var i = 0; i < 2; i++) new string('x', 16_000_000).DisplayAs(\"text/html\"); "
        + "\"[{\\\"name\\\":\\\"c\\\",\\\"holds\\\":false}]\".DisplayAs(\"application/vnd.notebook.claims+json\");", "do not hold: c")]
    public async Task WhatWouldBeAFalseGreenIsNone(string code, string says)
    {
        Write("n.ipynb", code);
        var (status, output, _) = await Run("n.ipynb");
        Assert.Equal(1, status);
        Assert.Contains(says, output);
    }

    [Fact]
    public async Task JsonOfAnyDepthArrivesAndOddProgressDoesNoHarm()
    {
        var (status, outputs) = await Cells("(new string('[', 200) + new string(']', 200)).DisplayAs(\"application/json\");",
            "\"{\\\"fraction\\\":\\\"x\\\"}\".DisplayAs(\"application/vnd.notebook.progress+json\"); 1",
            "\"{bad\".DisplayAs(\"application/json\");");
        Assert.Equal(0, status);
        Assert.Single(outputs[0]);
        Assert.Equal("{bad", (string?)outputs[2][0]!["data"]!["application/json"]);
    }

    [Fact]
    public async Task AProcessThatKeepsThePipeDoesNotKeepTheRun()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "setsid is not there");
        Write("n.ipynb",
            "System.Diagnostics.Process.Start(\"sh\", new[] { \"-c\", \"setsid sleep 90 & exit 0\" }).WaitForExit(); while (true) { }");
        Write("m.ipynb", "System.Diagnostics.Process.Start(\"sleep\", \"90\"); Environment.Exit(0);");
        var clock = Stopwatch.StartNew();
        var (status, _, _) = await Run(".", "--timeout", "25");
        Assert.Equal(1, status);
        Assert.Equal(["crashed", "timed-out"], Report["notebooks"]!.AsArray().Select(n => (string?)n!["status"]));
        Assert.True(clock.Elapsed < TimeSpan.FromSeconds(80), $"took {clock.Elapsed}");
    }

    [Fact]
    public async Task ProseThatIsTooDeepIsShownAsItIs()
    {
        var notebook = JsonNode.Parse(Host.Notebook("1"))!;
        foreach (var prose in (string[])[new string('[', 20_000), "$$" + new string('{', 100_000) + "$$"])
            notebook["cells"]!.AsArray().Add(new JsonObject
            {
                ["cell_type"] = "markdown",
                ["id"] = $"m{prose.Length}",
                ["metadata"] = new JsonObject(),
                ["source"] = prose
            });
        File.WriteAllText(Path.Combine(Folder, "n.ipynb"), notebook.ToJsonString());
        var (status, output, error) = await Run("n.ipynb");
        Assert.True(status == 0, output + error);
        Assert.True(File.Exists(Path.Combine(Folder, "out", "index.html")));
    }

    [Fact]
    public async Task InAFolderOtherLanguagesArePassedOverAndTheRestRuns()
    {
        Write("a.ipynb", "1");
        File.WriteAllText(Path.Combine(Folder, "p.ipynb"),
            """{"nbformat": 4, "nbformat_minor": 5, "cells": [], "metadata": {"kernelspec": {"name": "python3", "language": "python"}}}""");
        var (status, output, error) = await Run(".");
        Assert.True(status == 0, output);
        Assert.Contains("passed over:", error);
        Assert.Contains("a notebook in python", error);
        File.WriteAllText(Path.Combine(Folder, "broken.ipynb"), "{");
        (status, output, error) = await Run(".");
        Assert.Equal(1, status);
        Assert.Contains("broken.ipynb is no notebook", error);
        Assert.Contains("1 of 1 notebooks passed", output);
    }

    [Fact]
    public async Task TheWalkEntersNeitherItsOwnOutputNorLinks()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "links need rights there");
        Write("n.ipynb", "1");
        Directory.CreateDirectory(Path.Combine(Folder, "deep"));
        Write("deep/m.ipynb", "2");
        File.CreateSymbolicLink(Path.Combine(Folder, "self"), ".");
        Assert.Equal(0, (await Run(".")).Status);
        Assert.Equal(0, (await Run(".")).Status);
        Assert.Equal(["deep/m.ipynb", "n.ipynb"], Report["notebooks"]!.AsArray().Select(n => (string?)n!["path"]));
    }

    [Theory]
    [InlineData("a folder is in its place", "out/n.ipynb/x")]
    [InlineData("a folder is in its place", "out/report.json/x")]
    [InlineData("exists", "out")]
    public async Task WhatCannotBeWrittenIsToldBeforeAnythingRuns(string says, string inTheWay)
    {
        Write("n.ipynb", "System.IO.File.WriteAllText(\"ran\", \"\");");
        Directory.CreateDirectory(Path.GetDirectoryName(Path.Combine(Folder, inTheWay))!);
        File.WriteAllText(Path.Combine(Folder, inTheWay), "");
        var (status, _, error) = await Run("n.ipynb");
        Assert.Equal(2, status);
        Assert.Contains("cannot be written, so nothing was run", error);
        Assert.Contains(says, error);
        Assert.Single(error.Trim().Split('\n'));
        Assert.False(File.Exists(Path.Combine(Folder, "ran")));
    }

    [Fact]
    public async Task AFileThatCannotBeWrittenInTheEndIsALineAndTheOthersAreKept()
    {
        Write("a.ipynb", "System.IO.Directory.CreateDirectory(\"out/a.ipynb/x\");");
        Write("b.ipynb", "1");
        var (status, output, error) = await Run(".", "--jobs", "1");
        Assert.Equal(1, status);
        Assert.Contains("a.ipynb could not be written", output);
        Assert.Equal("", error);
        Assert.True(File.Exists(Path.Combine(Folder, "out", "b.ipynb")));
        Assert.Equal(["passed", "passed"], Report["notebooks"]!.AsArray().Select(n => (string?)n!["status"]));
    }

    [Theory]
    [InlineData("> /dev/full")]
    [InlineData(">&-")]
    [InlineData("| true")]
    public async Task WhereNobodyListensTheWorkIsDoneAllTheSame(string to)
    {
        Assert.SkipUnless(File.Exists("/dev/full"), "no /dev/full here");
        Write("n.ipynb", "1 + 1");
        using var shell = Process.Start(new ProcessStartInfo("/bin/sh",
            ["-c", $"dotnet '{Host.Dll}' n.ipynb --output out {to}"])
        { WorkingDirectory = Folder, RedirectStandardError = true })!;
        var error = await shell.StandardError.ReadToEndAsync();
        await shell.WaitForExitAsync();
        Assert.Equal("", error);
        Assert.Equal("passed", (string?)Report["notebooks"]![0]!["status"]);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(40)]
    public async Task ANarrowTerminalIsNoTrap(int columns)
    {
        Assert.SkipUnless(File.Exists("/usr/bin/script"), "script is not installed (Debian: apt-get install bsdutils)");
        Write("n.ipynb", "1 + 1");
        using var terminal = Process.Start(new ProcessStartInfo("/usr/bin/script",
            ["-qec", $"stty cols {columns} rows 10; dotnet '{Host.Dll}' n.ipynb --output out", "/dev/null"])
        {
            WorkingDirectory = Folder,
            RedirectStandardOutput = true,
            RedirectStandardInput = true
        })!;
        var output = terminal.StandardOutput.ReadToEndAsync();
        using var limit = new CancellationTokenSource(TimeSpan.FromMinutes(1));
        await terminal.WaitForExitAsync(limit.Token).ContinueWith(_ => terminal.Kill(entireProcessTree: true), TaskScheduler.Default);
        Assert.False(limit.IsCancellationRequested, "it hung");
        Assert.Contains("1 of 1 notebooks passed", await output);
    }

    [Fact]
    public async Task TextThatIsNotUtf8IsNamedByItsByteAndLeftAlone()
    {
        var bytes = System.Text.Encoding.UTF8.GetBytes(Host.Notebook("var s = \"X\";"));
        bytes[Array.IndexOf(bytes, (byte)'X')] = 0xFF;
        File.WriteAllBytes(Path.Combine(Folder, "n.ipynb"), bytes);
        foreach (var arguments in (string[][])[["n.ipynb", "--output", "out"], ["strip", "n.ipynb"]])
        {
            var (status, _, error) = await Host.RunAsync(Folder, arguments);
            Assert.Equal(2, status);
            Assert.Contains($"byte 0xFF at {Array.IndexOf(bytes, (byte)0xFF)} (line 1) is not UTF-8", error);
            Assert.Equal(bytes, File.ReadAllBytes(Path.Combine(Folder, "n.ipynb")));
        }
    }

    /// <summary>Whether a signal is ignored here, which children inherit.</summary>
    private static bool Ignores(string signal) => File.Exists("/proc/self/status")
        && (Convert.ToUInt64(File.ReadLines("/proc/self/status").First(l => l.StartsWith("SigIgn:", StringComparison.Ordinal))[7..].Trim(),
            16) >> (signal switch { "-HUP" => 0, "-INT" => 1, _ => 14 }) & 1) != 0;

    /// <summary>Whether a process ends within half a minute.</summary>
    private static async Task<bool> Ended(int id)
    {
        for (var i = 0; i < 300; i++, await Task.Delay(100))
        {
            try
            {
                using var process = Process.GetProcessById(id);
            }
            catch (ArgumentException)
            {
                return true;
            }
        }
        return false;
    }

    [Fact]
    public async Task AChildEndsWhenItsParentIsKilled()
    {
        Write("b.ipynb",
            "System.IO.File.WriteAllText(\"pid\", System.Environment.ProcessId.ToString()); System.Threading.Thread.Sleep(300000);");
        using var host = Host.Start(Folder, "b.ipynb", "--output", "out");
        var pid = Path.Combine(Folder, "pid");
        for (var i = 0; i < 600 && !File.Exists(pid); i++)
            await Task.Delay(100);
        await Task.Delay(300);
        host.Kill();
        await host.WaitForExitAsync();
        Assert.True(await Ended(int.Parse(File.ReadAllText(pid))));
    }

    [Theory]
    [InlineData("{\"cells\": [", "truncated or damaged")]
    [InlineData("{\"nbformat\": 3, \"worksheets\": []}", "nbformat 3")]
    [InlineData("{\"nbformat\": 4, \"cells\": [], \"metadata\": {\"kernelspec\": {\"name\": \"python3\", \"language\": \"python\"}}}",
        "a notebook in python (kernel 'python3')")]
    [InlineData("{\"some\": \"json\"}", "no nbformat number")]
    [InlineData("[1]", "no object")]
    [InlineData("{\"nbformat\": 4, \"metadata\": [], \"cells\": []}", "no notebook")]
    [InlineData("{\"nbformat\": 4, \"metadata\": {\"kernelspec\": \"python3\"}, \"cells\": []}", "no notebook")]
    [InlineData("{\"nbformat\": 4, \"metadata\": {}, \"cells\": [{\"cell_type\": \"code\", \"id\": 5, \"source\": \"1\"}]}", "no notebook")]
    [InlineData("{\"nbformat\": 4, \"metadata\": {}, \"cells\": [\"text\"]}", "cell 1 is \"text\", not a cell")]
    [InlineData("{\"nbformat\": 4, \"metadata\": {}, \"cells\": [{\"cell_type\": \"code\", \"source\": \"1\"}, null]}",
        "cell 2 is null, not a cell")]
    [InlineData("{\"nbformat\": 4, \"metadata\": {}, \"cells\": [{\"cell_type\": \"Code\", \"source\": \"1\"}]}",
        "cell 1 has cell_type \"Code\"")]
    [InlineData("{\"nbformat\": 4, \"metadata\": {}, \"cells\": [{\"cell_type\": \"code\", \"source\": {\"a\": 1}}]}",
        "cell 1 has source {\"a\":1}")]
    [InlineData("{\"nbformat\": 4, \"metadata\": {\"kernelspec\": {\"display_name\": \"\\ud800\"}}, \"cells\": []}", "no notebook")]
    public async Task APathThatIsNoNotebookIsNamedWithTheReason(string content, string why)
    {
        File.WriteAllText(Path.Combine(Folder, "bad.ipynb"), content);
        Write("good.ipynb", "1");
        var (status, _, error) = await Run("good.ipynb", "bad.ipynb");
        Assert.Equal(2, status);
        Assert.Contains("bad.ipynb", error);
        Assert.Contains(why, error);
        Assert.False(Directory.Exists(Path.Combine(Folder, "out")));
    }

    [Theory]
    [InlineData("nowhere.ipynb", "nowhere.ipynb is not there")]
    [InlineData("empty", "has no notebook")]
    [InlineData("n.ipynb --filter zzz", "'zzz'")]
    [InlineData("n.ipynb --jobs 0", "--jobs is 0")]
    [InlineData("n.ipynb --jobs abc", "abc")]
    [InlineData("n.ipynb --timeout 1,5", "1,5")]
    [InlineData("n.ipynb --timeout -1", "--timeout")]
    [InlineData("n.ipynb --bogus", "there is no option --bogus")]
    [InlineData("--bogus", "there is no option --bogus")]
    public async Task BadUsageIsToldAndEndsWithTwo(string arguments, string says)
    {
        Directory.CreateDirectory(Path.Combine(Folder, "empty"));
        Write("n.ipynb", "1");
        var (status, _, error) = await Run(arguments.Split(' '));
        Assert.Equal(2, status);
        Assert.Contains(says, error);
    }

    [Fact]
    public async Task HelpShowsTheCommands()
    {
        var (status, output, _) = await Host.RunAsync(Folder, "--help");
        Assert.Equal(0, status);
        foreach (var word in new[] { "run", "doctor", "--jobs", "--output", "--timeout", "--fail-fast", "--filter", "Exit status" })
            Assert.Contains(word, output);
        Assert.DoesNotContain("worker", output);
    }

    [Fact]
    public async Task ABrokenClaimFailsTheNotebookAndTheReportHasThemAll()
    {
        const string claims = """
            "[{\"name\":\"first\",\"predicted\":1,\"measured\":1.1,\"relation\":\"within\",\"tolerance\":0.2,\"unit\":\"\","
            + "\"holds\":true,\"source\":\"s\"},"
            + "{\"name\":\"second\",\"predicted\":1,\"measured\":5,\"relation\":\"within\",\"tolerance\":0.2,\"unit\":\"rad\","
            + "\"holds\":false,\"source\":\"s\"}]"
            """;
        Write("n.ipynb", $"public class TypeFormatterSourceAttribute : Attribute {{ public Type FormatterSourceType => typeof(S); public "
            + $"string[] PreferredMimeTypes => new[] {{ new F().MimeType }}; }} public class S {{ public object[] CreateTypeFormatters() "
            + $"=> new object[] {{ new F() }}; }} public class F {{ public string MimeType => \"application/vnd.notebook.claims+json\"; "
            + $"public bool Format(object o, System.IO.TextWriter w) {{ w.Write({claims.Trim()}); return true; }} }} "
            + $"[TypeFormatterSource] public class C {{ }}", "new C()", "new C()");
        var (status, output, _) = await Run("n.ipynb");
        Assert.Equal(1, status);
        var notebook = Report["notebooks"]![0]!;
        Assert.Equal("failed", (string?)notebook["status"]);
        Assert.Equal(["first", "second"], notebook["claims"]!.AsArray().Select(c => (string?)c!["name"]));
        Assert.Contains("1 claim(s) do not hold: second", output);
    }

    [Fact]
    public async Task TheReportHasItsSchema()
    {
        Write("n.ipynb", "1", "throw new Exception(\"x\");");
        await Run("n.ipynb");
        Assert.Equal(["version", "started", "seconds", "host", "notebooks"], Report.AsObject().Select(p => p.Key));
        Assert.Equal(1, (int)Report["version"]!);
        var notebook = Report["notebooks"]![0]!.AsObject();
        Assert.Equal(["path", "status", "stamp", "seconds", "peakMemoryMB", "cells", "claims"], notebook.Select(p => p.Key));
        Assert.InRange((double)notebook["peakMemoryMB"]!, 20, 2000);
        Assert.Equal(["id", "status", "seconds", "error"], notebook["cells"]![0]!.AsObject().Select(p => p.Key));
        Assert.Null(notebook["cells"]![0]!["error"]);
        Assert.Equal(["type", "message"], notebook["cells"]![1]!["error"]!.AsObject().Select(p => p.Key));
        Assert.True(DateTimeOffset.TryParse((string?)Report["started"], out _));
    }

    [Fact]
    public async Task FailFastStopsTheRest()
    {
        foreach (var name in new[] { "a", "b", "c" })
            Write($"{name}.ipynb", name == "a" ? "throw new Exception();" : "1");
        var (status, _, _) = await Run(".", "--fail-fast", "--jobs", "1");
        Assert.Equal(1, status);
        Assert.Equal(["a.ipynb"], Report["notebooks"]!.AsArray().Select(n => (string?)n!["path"]));
    }

    [Fact]
    public async Task AFloodOfTextIsCutWithANotice()
    {
        var (status, outputs) = await Cells("for (var i = 0; i < 300_000; i++) Console.WriteLine(\"0123456789\");",
            "Console.WriteLine(\"still here\");");
        Assert.Equal(0, status);
        var text = NotebookFile.Text(outputs[0][0]!["text"]);
        Assert.InRange(text!.Length, 1_000_000, 1_001_000);
        Assert.EndsWith("the rest is left out)\n", text);
        Assert.Equal("still here\n", NotebookFile.Text(outputs[1][0]!["text"]));
        (status, outputs) = await Cells("var s = new string('x', 10_000_000); for (var i = 0; i < 50; i++) display(s); Console.Write(1);");
        Assert.Equal(0, status);
        Assert.InRange(outputs[0].Count, 4, 7);
        Assert.Contains("the rest is left out", outputs[0].ToJsonString()[^400..]);
    }

    [Fact]
    public async Task ThePageNeedsNoNetworkAndHasEachScriptOnce()
    {
        File.WriteAllText(Path.Combine(Folder, "n.ipynb"),
            Host.Notebook("HTML(\"<script data-once=\\\"s\\\">var s = 1;</script><p>one</p>\")",
            "HTML(\"<script data-once=\\\"s\\\">var s = 1;</script><p>two</p>\")"));
        await Run("n.ipynb");
        var page = File.ReadAllText(Path.Combine(Folder, "out", "index.html"));
        Assert.Equal(2, page.Split("<script data-once").Length);
        Assert.Contains("<p>two</p>", page);
        Assert.DoesNotContain("src=\"http", page);
        Assert.DoesNotContain("<link", page);
    }

    [Fact]
    public async Task ExecutedNotebooksAreValid()
    {
        Write("n.ipynb", "Console.WriteLine(1); display(2); 3", "throw new Exception(\"x\");");
        await Run("n.ipynb");
        await Validation.AssertValid(Path.Combine(Folder, "out", "n.ipynb"));
    }

    [Fact]
    public async Task TheDoctorTellsWhatIsThere()
    {
        var (status, output, _) = await Host.RunAsync(Host.Root, "doctor");
        Assert.Equal(0, status);
        foreach (var line in new[] { "SDK", "runtime", "system", "libtorch", "TorchSharp", "torch multiplies", "Plotly.NET draws", "disk" })
            Assert.Contains($"ok    {line}:", output);
    }
}
