using NotebookHost.Pages;

namespace NotebookHost;

/// <summary>What <c>run</c> is asked to do.</summary>
internal sealed record RunOptions(IReadOnlyList<string> Paths, int Jobs, string Output, TimeSpan CellTimeout, bool FailFast, string? Filter, bool InPlace = false);

/// <summary>Runs notebooks side by side and writes what came of them.</summary>
internal static class Runner
{
    /// <summary>All held.</summary>
    public const int Passed = 0;

    /// <summary>A cell or a claim failed.</summary>
    public const int Failed = 1;

    /// <summary>Bad usage, or a path that is no notebook.</summary>
    public const int BadUsage = 2;

    /// <summary>Stopped by Ctrl+C.</summary>
    public const int Interrupted = 130;

    /// <summary>Runs all and returns the exit status.</summary>
    public static async Task<int> RunAsync(RunOptions options, CancellationToken interrupted)
    {
        List<NotebookRun> runs;
        string browser;
        try
        {
            runs = Find(options);
            browser = options.InPlace ? Pictures.Browser() : "";
        }
        catch (NotebookFileException e)
        {
            Console.Error.WriteLine(e.Message);
            return BadUsage;
        }
        var jobs = Math.Min(options.Jobs, runs.Count);
        // What is written back is the same however many cores there are and notebooks are named.
        var threads = options.InPlace ? 1 : Math.Max(1, Environment.ProcessorCount / jobs);
        var report = new Report(options.Output);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(interrupted);
        await RunView.Show(runs, async view =>
        {
            try
            {
                await Parallel.ForEachAsync(runs, new ParallelOptions { MaxDegreeOfParallelism = jobs, CancellationToken = stop.Token }, async (run, cancel) =>
                {
                    view.Started(run);
                    try
                    {
                        await run.RunAsync(options.CellTimeout, threads, () => view.Changed(run), cancel);
                        if (options.InPlace && run.Status == "passed")
                            await SavedNotebook.WriteAsync(run, browser);
                    }
                    catch (Exception e) when (e is not OperationCanceledException)
                    {
                        run.Break(e);
                    }
                    report.Add(run);
                    view.Finished(run);
                    if (options.FailFast && run.Status != "passed")
                        await stop.CancelAsync();
                });
            }
            catch (OperationCanceledException)
            {
                // What is finished is written below.
            }
        });
        report.Write();
        if (interrupted.IsCancellationRequested)
        {
            Console.Error.WriteLine($"interrupted: {report.Finished} of {runs.Count} notebooks are finished and kept in {options.Output}");
            return Interrupted;
        }
        Console.WriteLine(report.Summary());
        return report.Finished == runs.Count && report.AllPassed ? Passed : Failed;
    }

    /// <summary>Runs all, unless there is a run already, and makes the site of it.</summary>
    public static async Task<int> GalleryAsync(RunOptions options, string? from, string site, CancellationToken interrupted)
    {
        var status = from is null ? await RunAsync(options, interrupted) : Passed;
        if (status is BadUsage or Interrupted)
            return status;
        try
        {
            var count = Gallery.Build(from ?? options.Output, site, Directory.GetCurrentDirectory());
            Console.WriteLine($"the gallery, {count} notebooks: {Path.GetFullPath(Path.Combine(site, "index.html"))}");
            return status;
        }
        catch (NotebookFileException e)
        {
            Console.Error.WriteLine(e.Message);
            return BadUsage;
        }
    }

    /// <summary>Takes the outputs out of notebooks.</summary>
    public static int Strip(RunOptions options) => ForEach(options, notebook =>
    {
        SavedNotebook.Strip(notebook);
        return null;
    });

    /// <summary>Tells which notebooks' saved outputs are not those of their source.</summary>
    public static int Saved(RunOptions options) => ForEach(options, SavedNotebook.Stale);

    private static int ForEach(RunOptions options, Func<NotebookFile, string?> act)
    {
        try
        {
            var problems = Find(options).Select(run => (run.Name, Problem: act(run.Notebook))).Where(p => p.Problem is not null).ToList();
            foreach (var (name, problem) in problems)
                Console.WriteLine($"{name}: {problem}");
            return problems.Count == 0 ? Passed : Failed;
        }
        catch (NotebookFileException e)
        {
            Console.Error.WriteLine(e.Message);
            return BadUsage;
        }
    }

    private static List<NotebookRun> Find(RunOptions options)
    {
        var files = new List<string>();
        foreach (var path in options.Paths)
        {
            if (Directory.Exists(path))
            {
                var inside = Directory.EnumerateFiles(path, "*.ipynb", SearchOption.AllDirectories)
                    .Where(f => !Path.GetRelativePath(path, f).Split(Path.DirectorySeparatorChar).Any(p => p is ".ipynb_checkpoints" or "artifacts" or "bin" or "obj"))
                    .Order(StringComparer.Ordinal).ToList();
                if (inside.Count == 0)
                    throw new NotebookFileException($"{Path.GetFullPath(path)} has no notebook (*.ipynb) in it");
                files.AddRange(inside);
            }
            else if (File.Exists(path))
            {
                files.Add(path);
            }
            else
            {
                throw new NotebookFileException($"{Path.GetFullPath(path)} is not there{(path == "notebooks" ? ": run from the collection's folder, or name a notebook" : "")}");
            }
        }
        var all = files.Select(Path.GetFullPath).Distinct().ToList();
        var root = CommonFolder(all, Directory.GetCurrentDirectory());
        var runs = all.Select(file => (File: file, Name: Path.GetRelativePath(root, file).Replace('\\', '/')))
            .Where(f => options.Filter is null || f.Name.Contains(options.Filter, StringComparison.OrdinalIgnoreCase))
            .Select(f => new NotebookRun(NotebookFile.Read(f.File), f.Name)).ToList();
        if (runs.Count == 0)
            throw new NotebookFileException($"no notebook's path contains '{options.Filter}'; there are {string.Join(", ", files)}");
        if (runs.FirstOrDefault(r => Path.GetFullPath(Path.Combine(options.Output, r.Name)) == r.Notebook.Path) is { } itself)
            throw new NotebookFileException($"--output {options.Output} would overwrite {itself.Notebook.Path} with its executed copy");
        return runs;
    }

    /// <summary>The current folder if all files are in it, else the deepest folder that all are in.</summary>
    private static string CommonFolder(IReadOnlyList<string> files, string current)
    {
        bool Holds(string folder) => files.All(f => f.StartsWith(folder.TrimEnd(Path.DirectorySeparatorChar) + Path.DirectorySeparatorChar, StringComparison.Ordinal));
        var folder = Holds(current) ? current : Path.GetDirectoryName(files[0])!;
        while (!Holds(folder) && Path.GetDirectoryName(folder) is { } parent)
            folder = parent;
        return folder;
    }
}
