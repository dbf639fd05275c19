using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text.Json.Nodes;

namespace NotebookHost.Tests;

/// <summary>A Slurm of one node, on the loopback only, with its own key, ports and folder; what needs it is skipped, visibly, where Slurm
/// is not installed.</summary>
[System.Runtime.Versioning.UnsupportedOSPlatform("windows")]
internal sealed class OneNodeSlurm : IAsyncDisposable
{
    private static readonly string[] Programs = ["munged", "slurmctld", "slurmd"];

    private readonly string _folder = Directory.CreateTempSubdirectory("slurm").FullName;
    private readonly List<Process> _running = [];

    /// <summary>What a program needs in its environment to find it.</summary>
    public (string Name, string Value)[] Environment => [("SLURM_CONF", Path.Combine(_folder, "slurm.conf"))];

    public static void Require() => Assert.SkipUnless(OperatingSystem.IsLinux() && Programs.All(p => File.Exists($"/usr/sbin/{p}"))
        && System.Environment.IsPrivilegedProcess,
        "Slurm is not installed, or this is not root (Debian: apt-get install slurmctld slurmd slurm-client munge)");

    public async Task StartAsync()
    {
        string Inside(string name) => Path.Combine(_folder, name);
        File.WriteAllBytes(Inside("key"), RandomNumberGenerator.GetBytes(1024));
        File.SetUnixFileMode(Inside("key"), UnixFileMode.UserRead | UnixFileMode.UserWrite);
        Directory.CreateDirectory(Inside("state"));
        Directory.CreateDirectory(Inside("spool"));
        var (host, user) = (Dns.GetHostName().Split('.')[0], System.Environment.UserName);
        File.WriteAllText(Inside("slurm.conf"), $"""
            ClusterName=one
            SlurmctldHost={host}(127.0.0.1)
            SlurmctldPort={FreePort()}
            SlurmdPort={FreePort()}
            SlurmUser={user}
            SlurmdUser={user}
            AuthType=auth/munge
            AuthInfo=socket={Inside("munge.socket")}
            CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
            StateSaveLocation={Inside("state")}
            SlurmdSpoolDir={Inside("spool")}
            SlurmctldPidFile={Inside("slurmctld.pid")}
            SlurmdPidFile={Inside("slurmd.pid")}
            ProctrackType=proctrack/linuxproc
            TaskPlugin=task/none
            SelectType=select/cons_tres
            SelectTypeParameters=CR_CPU
            SchedulerParameters=sched_interval=2
            MpiDefault=none
            NodeName={host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
            PartitionName=short Nodes=ALL Default=YES MaxTime=30 State=UP

            """);
        Run("/usr/sbin/munged", "--foreground", "--force", $"--key-file={Inside("key")}", $"--socket={Inside("munge.socket")}",
            $"--pid-file={Inside("munged.pid")}", $"--seed-file={Inside("seed")}");
        await Until(() => Task.FromResult(File.Exists(Inside("munge.socket"))), "munged");
        Run("/usr/sbin/slurmctld", "-D", "-c");
        Run("/usr/sbin/slurmd", "-D", "-c");
        await Until(async () => (await AskAsync("sinfo", "--noheader", "--format=%T")).Trim() == "idle", "the node");
    }

    /// <summary>What one of its commands prints.</summary>
    public async Task<string> AskAsync(string command, params string[] arguments)
        => (await Script.RunAsync(command, _folder, Environment.Select(e => KeyValuePair.Create(e.Name, e.Value)), arguments)).Output;

    /// <summary>Waits for a condition, for three minutes at most.</summary>
    public static async Task Until(Func<Task<bool>> holds, string what)
    {
        for (var clock = Stopwatch.StartNew(); !await holds(); await Task.Delay(200))
            Assert.True(clock.Elapsed < TimeSpan.FromMinutes(3), $"{what} did not come");
    }

    private void Run(string program, params string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments)
        {
            WorkingDirectory = _folder,
            RedirectStandardOutput = true,
            RedirectStandardError = true
        };
        foreach (var (name, value) in Environment)
            start.Environment[name] = value;
        var process = Process.Start(start)!;
        process.OutputDataReceived += (_, _) => { };
        process.ErrorDataReceived += (_, _) => { };
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        _running.Add(process);
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var process in Enumerable.Reverse(_running))
        {
            process.Kill(entireProcessTree: true);
            await process.WaitForExitAsync();
            process.Dispose();
        }
        Directory.Delete(_folder, recursive: true);
    }
}

[System.Runtime.Versioning.UnsupportedOSPlatform("windows")]
public sealed class SlurmTests : HostTest
{
    [Fact]
    public async Task AnArrayJobReplicatesATaskThatIsKilledIsRunByTheNextCallAndAllIsMerged()
    {
        OneNodeSlurm.Require();
        await using var slurm = new OneNodeSlurm();
        await slurm.StartAsync();
        string Seeded(string first) => Host.Notebook("var seeds = new[] { 1 };", [first + ReplicateTests.Claims]);
        File.WriteAllText(Path.Combine(Folder, "a.ipynb"), Seeded(""));
        // The run of seed 3 takes long enough to be killed, until a file says that it was.
        File.WriteAllText(Path.Combine(Folder, "b.ipynb"), Seeded(
            "if (seeds[0] == 3 && !System.IO.File.Exists(\"killed\")) { System.IO.File.WriteAllText(\"running\", \"\"); "
            + "await System.Threading.Tasks.Task.Delay(200000); }\n"));
        string[] command = ["replicate", "a.ipynb", "b.ipynb", "--runs", "2", "--seeds", "2", "--output", "out",
            "--on", "slurm", "--partition", "short", "--time", "10", "--sbatch=--comment=ours"];

        var first = Host.RunAsync(Folder, slurm.Environment, command);
        await OneNodeSlurm.Until(() => Task.FromResult(first.IsCompleted || File.Exists(Path.Combine(Folder, "running"))), "the slow run");
        // The task before it may still run beside it; %F is the array's own number.
        var running = await slurm.AskAsync("squeue", "--noheader", "--states=running", "--format=%F %K %P %k");
        var listed = Assert.Single(running.Split('\n', StringSplitOptions.TrimEntries), line => line.Split(' ') is [_, "3", ..]);
        Assert.Matches(@"^\d+ 3 short ours$", listed);
        File.WriteAllText(Path.Combine(Folder, "killed"), "");
        await slurm.AskAsync("scancel", "--signal=KILL", "--full", listed.Split(' ')[0] + "_3");
        var (status, output, error) = await first;
        Assert.True(status == 1, output + error);
        Assert.Contains("4 runs in 4 tasks", output);
        Assert.Contains("3 of 4 runs", output);

        (_, output, error) = await Host.RunAsync(Folder, slurm.Environment, [.. command, "--no-wait"]);
        Assert.Contains("1 runs in 1 tasks", output);
        var job = output.Split("job ")[1].Split(':')[0];
        await OneNodeSlurm.Until(async () => (await slurm.AskAsync("squeue", "--noheader", $"--jobs={job}"))
            .Trim() is "" or "slurm_load_jobs error: Invalid job id specified", "the end");
        (status, output, error) = await Host.RunAsync(Folder, slurm.Environment, [.. command, "--collect"]);
        Assert.Contains("4 of 4 runs", output + error);
        var merged = JsonNode.Parse(File.ReadAllText(Path.Combine(Folder, "out", "replication.json")))!["notebooks"]!.AsArray();
        Assert.All(merged, n => Assert.Equal("[[2],[3]]", n!["seeds"]!.ToJsonString()));
        Assert.Equal("1 of 2", $"{merged[1]!["claims"]![1]!["held"]} of {merged[1]!["claims"]![1]!["of"]}");
    }

    [Fact]
    public async Task WhereThereIsNoSlurmOrItRefusesThatIsSaid()
    {
        File.WriteAllText(Path.Combine(Folder, "n.ipynb"), Host.Notebook("var seeds = new[] { 1 };", ["1"]));
        var (status, _, error) = await Host.RunAsync(Folder, [("SLURM_CONF", "/nowhere"), ("PATH", Path.GetDirectoryName(DotNet.Command)!)],
            ["replicate", "n.ipynb", "--on", "slurm", "--output", "out"]);
        Assert.Equal(2, status);
        Assert.Contains("there is no sbatch on this machine; the job is written: ", error);
        Assert.Contains("#SBATCH --array=0-9", File.ReadAllText(Path.Combine(Folder, "out", "slurm", "job.sh")));
    }
}
