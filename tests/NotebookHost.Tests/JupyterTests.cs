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
        var (_, output) = await Jupyter.RunAsync("cases.py", Folder);
        Assert.DoesNotContain("FAILED", output);
        Assert.True(output.Split("\nok ").Length >= 20, output);
    }

    [Fact]
    public async Task TheKernelIsRegisteredUnderItsNameUnlessAnotherHasIt()
    {
        var (usual, other) = (Path.Combine(Folder, "kernels", ".net-csharp", "kernel.json"), Path.Combine(Folder, "kernels", "notebook-host-csharp", "kernel.json"));
        Assert.Contains("registered as .net-csharp", await Jupyter.InstallAsync(Folder));
        var spec = JsonNode.Parse(File.ReadAllText(usual))!;
        Assert.Equal(["dotnet", Host.Dll, "kernel", "start", "{connection_file}"], spec["argv"]!.AsArray().Select(a => (string?)a));
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
    }

    [Fact]
    public async Task AConnectionThatCannotBeUsedIsToldInALine()
    {
        static int FreePort()
        {
            using var listener = new TcpListener(IPAddress.Loopback, 0);
            listener.Start();
            return ((IPEndPoint)listener.LocalEndpoint).Port;
        }
        var ports = Enumerable.Range(0, 5).Select(_ => FreePort()).ToArray();
        JsonObject Good() => new() { ["transport"] = "tcp", ["ip"] = "127.0.0.1", ["signature_scheme"] = "hmac-sha256", ["key"] = "k", ["shell_port"] = ports[0], ["control_port"] = ports[1], ["iopub_port"] = ports[2], ["stdin_port"] = ports[3], ["hb_port"] = ports[4] };
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
        await Refused(With("ip", "0.0.0.0"), "127.0.0.1 only");
        using var taken = new TcpListener(IPAddress.Loopback, ports[3]);
        taken.Start();
        await Refused(Good(), $"port {ports[3]}");
    }
}
