using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text.Json.Nodes;

namespace NotebookHost.Tests;

public sealed class JupyterTests : HostTest
{
    [Fact]
    public async Task ThePublicSuiteForKernelsPasses()
    {
        await Jupyter.RequireAsync("jupyter_kernel_test");
        await Jupyter.InstallAsync(Folder);
        var (status, output) = await Jupyter.RunAsync("suite.py", Folder);
        Assert.True(status == 0 && output.Contains("OK"), output);
    }

    [Fact]
    public async Task InterruptsInputOrderSignaturesAndEndsAreAsTheProtocolHasThem()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "it looks into /proc");
        await Jupyter.RequireAsync("jupyter_client", "zmq");
        await Jupyter.InstallAsync(Folder);
        Script.AssertAllOk(await Jupyter.RunAsync("cases.py", Folder), checks: 30);
    }

    [Theory]
    [InlineData("ours")]
    [InlineData("tool")]
    public async Task JupytersOwnPageShowsWhatAReaderShouldSee(string kernel)
    {
        Browser.Require();
        await Jupyter.RequireAsync("notebook");
        if (kernel == "ours")
        {
            await Jupyter.InstallAsync(Folder);
        }
        else
        {
            await RealTool.RequireAsync();
            File.Copy(Path.Combine(Host.Root, ".config", "dotnet-tools.json"),
                Path.Combine(Directory.CreateDirectory(Path.Combine(Folder, ".config")).FullName, "dotnet-tools.json"));
            await RealTool.InstallKernelAsync(Folder);
        }
        Write("n.ipynb", "var kept = 41; display(HTML(\"<b>x</b>\")); kept", "while (true) { }", "kept + 1",
            $"#r \"{Host.Library}\"\nTrainingDynamics.Figures.Figure.Lines(\"a line\", \"x\", \"y\").Line(\"l\", [1, 2], [1, 2])",
            "TrainingDynamics.Notebook.Table.Of(new[] { new { Method = \"first\", LostAt93 = 0.5 }, new { Method = \"second\", LostAt93 "
                + "= 0.25 } })",
            "using TrainingDynamics.Experiments; using TrainingDynamics.Models; using TrainingDynamics.Optimizers; using "
                + "TrainingDynamics.Runtime; using TrainingDynamics.Tasks;\n"
            + "var walk = new RandomWalk(1000, new ReplicaRandom(1, 2, 3), 1.0);\n_ = Training.Run(walk, new Sgd(walk.Weights, 0.1), "
                + "500, observe: _ => System.Threading.Thread.Sleep(10));",
            "var a = 1;\nvar b = nosuch;");
        var port = FreePort();
        const string token = "for-this-test";
        using var server = Process.Start(new ProcessStartInfo(Jupyter.Python,
            ["-m", "notebook", "--no-browser", "--ip=127.0.0.1",
            $"--port={port}", "--port-retries=0", "--allow-root", $"--NotebookApp.token={token}"])
        {
            WorkingDirectory = Folder,
            Environment = { ["JUPYTER_DATA_DIR"] = Folder, ["JUPYTER_CONFIG_DIR"] = Path.Combine(Folder, "config"),
                ["JUPYTER_RUNTIME_DIR"] = Path.Combine(Folder, "runtime") },
            RedirectStandardError = true,
        })!;
        var log = server.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        try
        {
            using var client = new HttpClient();
            for (var i = 0; i < 600; i++, await Task.Delay(100, TestContext.Current.CancellationToken))
            {
                try
                {
                    await client.GetAsync($"http://127.0.0.1:{port}/api?token={token}", TestContext.Current.CancellationToken);
                    break;
                }
                catch (HttpRequestException) when (!server.HasExited)
                {
                }
            }
            Script.AssertAllOk(await Browser.RunAsync("jupyter.cjs", $"http://127.0.0.1:{port}/?token={token}", "n.ipynb", kernel),
                checks: kernel == "ours" ? 10 : 7);
        }
        finally
        {
            server.Kill(entireProcessTree: true);
            await server.WaitForExitAsync(TestContext.Current.CancellationToken);
        }
        Assert.Equal(kernel == "ours", (await log).Contains("Kernel interrupted"));
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    [Fact]
    public async Task TheKernelIsRegisteredUnderItsNameUnlessAnotherHasIt()
    {
        var (usual, other) = (Path.Combine(Folder, "kernels", ".net-csharp", "kernel.json"),
            Path.Combine(Folder, "kernels", "notebook-host-csharp", "kernel.json"));
        Assert.Contains("registered as .net-csharp", await Jupyter.InstallAsync(Folder));
        var spec = JsonNode.Parse(File.ReadAllText(usual))!;
        var argv = spec["argv"]!.AsArray().Select(a => (string?)a).ToList();
        Assert.Equal("dotnet", argv[0]);
        Assert.Equal([Host.Dll, "kernel", "start", "{connection_file}"], argv[^4..]);
        Assert.Equal("message", (string?)spec["interrupt_mode"]);
        await Jupyter.InstallAsync(Folder);                                                // again is harmless
        await Jupyter.InstallAsync(Folder, "uninstall");
        Assert.False(File.Exists(usual));
        // A .NET Interactive stays what it is.
        Directory.CreateDirectory(Path.GetDirectoryName(usual)!);
        File.WriteAllText(usual, """{"argv":["dotnet","interactive"],"display_name":".NET (C#)"}""");
        Assert.Contains("this one is notebook-host-csharp", await Jupyter.InstallAsync(Folder));
        Assert.True(File.Exists(other));
        await Jupyter.InstallAsync(Folder, "uninstall");
        Assert.True(File.Exists(usual) && !File.Exists(other));
        Assert.Contains("not registered", await Jupyter.InstallAsync(Folder, "uninstall"));
        // One that belongs to the whole machine would be hidden by ours of the same name.
        File.Delete(usual);
        var shared = Directory.CreateDirectory(Path.Combine(Folder, "shared", "kernels", ".net-csharp")).FullName;
        File.WriteAllText(Path.Combine(shared, "kernel.json"), """{"argv":["dotnet","interactive"],"display_name":".NET (C#)"}""");
        Assert.Contains("this one is notebook-host-csharp", await Jupyter.InstallAsync(Folder, shared: Path.Combine(Folder, "shared")));
        Assert.False(File.Exists(usual));
    }

    [Fact]
    public async Task AConnectionThatCannotBeUsedIsToldInALine()
    {
        var ports = Enumerable.Range(0, 5).Select(_ => FreePort()).ToArray();
        JsonObject Good() => new()
        {
            ["transport"] = "tcp",
            ["ip"] = "127.0.0.1",
            ["signature_scheme"] = "hmac-sha256",
            ["key"] = "k",
            ["shell_port"] = ports[0],
            ["control_port"] = ports[1],
            ["iopub_port"] = ports[2],
            ["stdin_port"] = ports[3],
            ["hb_port"] = ports[4]
        };
        async Task Refused(JsonObject? connection, string why)
        {
            var file = Path.Combine(Folder, "connection.json");
            File.Delete(file);
            if (connection is not null)
                File.WriteAllText(file, connection.ToJsonString());
            var (status, _, error) = await Host.RunAsync(Folder, "kernel", "start", file);
            Assert.Equal(2, status);
            Assert.Contains(why, error);
            Assert.Single(error.Trim().Split('\n'));
        }
        JsonObject With(string name, JsonNode? value)
        {
            var changed = Good();
            changed[name] = value;
            return changed;
        }
        await Refused(null, "cannot be read");
        await Refused(With("shell_port", null), "no usable 'shell_port'");
        await Refused(With("transport", "ipc"), "transport 'ipc'");
        await Refused(With("signature_scheme", "hmac-md5"), "hmac-md5");
        await Refused(With("ip", "0.0.0.0"), "knows 127.0.0.1 only");
        await Refused(With("ip", "::1"), "ip '::1'");
        await Refused(With("key", ""), "empty key");
        await Refused(With("hb_port", 70_000), "hb_port 70000");
        using var taken = new TcpListener(IPAddress.Loopback, ports[3]);
        taken.Start();
        await Refused(Good(), $"port {ports[3]}");
    }
}
