using System.Diagnostics;
using System.Globalization;

namespace NotebookHost;

/// <summary>What a cluster is asked for.</summary>
/// <param name="Partition">Where to run; null for the site's default.</param>
/// <param name="Time">How long a run may take, as sbatch has it; null for the site's default.</param>
/// <param name="Cpus">Processors of a run.</param>
/// <param name="More">Further options, passed to sbatch as they are.</param>
/// <param name="Wait">Whether to wait for the job, and merge.</param>
internal sealed record SlurmOptions(string? Partition, string? Time, int Cpus, IReadOnlyList<string> More, bool Wait);

/// <summary>Replicates on a cluster: one array job for the site's own sbatch, a task a run; all else is the files that they
/// leave.</summary>
internal static class Slurm
{
    // What a site allows by default is 1,001 tasks in an array; a task of more runs takes every thousandth.
    private const int MostTasks = 1000;
    private static readonly TimeSpan Look = TimeSpan.FromSeconds(2);

    /// <summary>Submits what is missing; waits and merges, or tells the job's number.</summary>
    /// <exception cref="NotebookFileException">There is no sbatch here, or it refuses.</exception>
    public static async Task<int> RunAsync(RunOptions options, int count, int from, SlurmOptions slurm, CancellationToken cancellation)
    {
        var all = Replication.Asked(options, count, from);
        var missing = Replication.Missing(options, all);
        if (missing.Count == 0)
            return Replication.Collect(options, all);
        var folder = Path.GetFullPath(Path.Combine(options.Output, "slurm"));
        var (tasks, script) = (Path.Combine(folder, "tasks.tsv"), Path.Combine(folder, "job.sh"));
        for (var i = 2; File.Exists(tasks); i++)                                       // an earlier job may still read its own
            (tasks, script) = (Path.Combine(folder, $"tasks-{i}.tsv"), Path.Combine(folder, $"job-{i}.sh"));
        Files.Replace(tasks, string.Concat(missing.Select(one => $"{one.Notebook.Path}\t{one.Name}\t{string.Join(',', one.Seeds)}\n")));
        Files.Replace(script, Script(tasks, options, slurm, Math.Min(missing.Count, MostTasks)));
        Process sbatch;
        try
        {
            sbatch = Process.Start(new ProcessStartInfo("sbatch",
                ["--parsable", $"--output={folder.Replace("%", "%%", StringComparison.Ordinal)}/%A_%a.out",
                .. slurm.Wait ? ["--wait"] : (string[])[], .. slurm.More, script])
            {
                RedirectStandardOutput = true,
                RedirectStandardError = true,
            })!;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            throw new NotebookFileException($"there is no sbatch on this machine; the job is written: {script}");
        }
        using (sbatch)
        {
            var refusal = sbatch.StandardError.ReadToEndAsync(CancellationToken.None);
            if ((await sbatch.StandardOutput.ReadLineAsync(CancellationToken.None))?.Split(';')[0] is not { Length: > 0 } job)
                throw new NotebookFileException($"sbatch did not take {script}: {(await refusal).Trim()}");
            Console.WriteLine($"job {job}: {missing.Count} runs in {Math.Min(missing.Count, MostTasks)} tasks, {script}");
            if (!slurm.Wait)
            {
                Console.WriteLine("the same command with --collect merges what is done");
                return Runner.Passed;
            }
            try
            {
                for (var left = missing.ToList(); !sbatch.HasExited;)
                {
                    await Task.WhenAny(sbatch.WaitForExitAsync(cancellation), Task.Delay(Look, cancellation));
                    cancellation.ThrowIfCancellationRequested();
                    if (left.RemoveAll(one => Replication.IsDone(options.Output, one)) > 0)
                        Console.WriteLine($"job {job}: {missing.Count - left.Count} of {missing.Count} runs are done");
                }
            }
            catch (OperationCanceledException)
            {
                sbatch.Kill();
                Console.Error.WriteLine($"job {job} goes on; the same command with --collect merges what is done, scancel {job} ends it");
                return Runner.Interrupted;
            }
        }
        return Replication.Collect(options, all);
    }

    /// <summary>A task of the job: its runs, one after the other.</summary>
    /// <param name="tasks">The list that was written.</param>
    /// <param name="index">The task's number; it takes this line and every <paramref name="step"/>-th after it.</param>
    /// <param name="step">How many tasks there are.</param>
    /// <param name="options">Where results go, and what a cell may take.</param>
    /// <param name="cancellation">The site takes the processor back: what runs is left undone.</param>
    public static async Task<int> TaskAsync(string tasks, int index, int step, RunOptions options, CancellationToken cancellation)
    {
        var lines = await File.ReadAllLinesAsync(tasks, cancellation);
        for (var i = index; i < lines.Length; i += step)
        {
            var (path, name, seeds) = lines[i].Split('\t') is [var p, var n, var s] ? (p, n, s)
                : throw new NotebookFileException($"{tasks}: line {i + 1} is no run");
            var notebook = NotebookFile.Read(path);
            var one = new Replicate(notebook, name, SavedNotebook.Stamp(notebook),
                [.. seeds.Split(',', StringSplitOptions.RemoveEmptyEntries).Select(seed => int.Parse(seed, CultureInfo.InvariantCulture))]);
            if (Replication.IsDone(options.Output, one))
                continue;
            var run = one.Run();
            await Replication.RunOneAsync(one, run, options, options.Jobs, cancellation, () => { });
            Console.WriteLine($"{run.Name}: {run.Status}{(run.Problem is null ? "" : ": " + run.Problem)}");
            if (cancellation.IsCancellationRequested)
                return Runner.Interrupted;
        }
        return Runner.Passed;
    }

    private static string Script(string tasks, RunOptions options, SlurmOptions slurm, int count)
    {
        var lines = new List<string>
        {
            "#!/bin/bash",
            "#SBATCH --job-name=replicate",
            $"#SBATCH --array=0-{count - 1}",
            $"#SBATCH --cpus-per-task={slurm.Cpus}",
        };
        if (slurm.Partition is not null)
            lines.Add($"#SBATCH --partition={slurm.Partition}");
        if (slurm.Time is not null)
            lines.Add($"#SBATCH --time={slurm.Time}");
        string[] command = [DotNet.Command, .. DotNet.Arguments(forCells: false, "task", tasks, "$SLURM_ARRAY_TASK_ID",
            count.ToString(CultureInfo.InvariantCulture), "--output", Path.GetFullPath(options.Output), "--jobs",
            slurm.Cpus.ToString(CultureInfo.InvariantCulture), "--timeout",
                options.CellTimeout.TotalSeconds.ToString(CultureInfo.InvariantCulture))];
        lines.Add($"cd {Quoted(Directory.GetCurrentDirectory())}");
        lines.Add("exec " + string.Join(' ', command.Select(Quoted)));
        return string.Join('\n', lines) + "\n";

        static string Quoted(string text) => text.StartsWith('$') ? text : $"'{text.Replace("'", "'\\''", StringComparison.Ordinal)}'";
    }
}
