using NotebookHost.Pages;

namespace NotebookHost;

/// <summary>What <c>run</c> is asked to do.</summary>
internal sealed record RunOptions(IReadOnlyList<string> Paths, int Jobs,
    string Output, TimeSpan CellTimeout, bool FailFast, string? Filter, bool InPlace = false)
{
    /// <summary>Other values for the notebooks' parameters, by name.</summary>
    public IReadOnlyDictionary<string, string[]> Values { get; init; } = new Dictionary<string, string[]>();

    /// <summary>Whether solutions are passed over: where no path was given.</summary>
    public bool WithoutSolutions { get; init; }
}

/// <summary>Runs notebooks side by side and writes what came of them.</summary>
internal static class Runner
{
    /// <summary>Exit statuses: all held; a cell or a claim failed; bad usage, or a path that is no notebook; stopped.</summary>
    public const int Passed = 0, Failed = 1, BadUsage = 2, Interrupted = 130;

    /// <summary>Runs all and returns the exit status.</summary>
    public static async Task<int> RunAsync(RunOptions options, CancellationToken interrupted)
    {
        var (runs, allRead) = Find(options);
        if (options.InPlace && options.Values.Count > 0)
            throw new NotebookFileException(
                "--in-place saves what the cells as they are give; with other parameters there is nothing to save");
        runs = [.. runs.Select(run => new NotebookRun(Parameters.Set(run.Notebook, run.Name, options.Values), run.Name))];
        var browser = options.InPlace ? Pictures.Browser() : "";
        var written = runs.Select(r => r.Name).Append("report.json")
            .Append("index.html").Select(name => Path.Combine(options.Output, name));
        foreach (var path in options.InPlace ? written.Concat(runs.Select(r => r.Notebook.Path)) : written)
        {
            if (Files.WhyNotWritable(path) is { } why)
                throw new NotebookFileException($"{path} cannot be written, so nothing was run: {why}");
        }
        if (!DotNet.Cultures)
            Console.Error.WriteLine(DotNet.NoCultures);
        var jobs = Math.Min(options.Jobs, runs.Count);
        // What is written back is the same however many cores there are and notebooks are named.
        var threads = options.InPlace ? 1 : Math.Max(1, Environment.ProcessorCount / jobs);
        var report = new Report(options.Output);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(interrupted);
        var view = new RunView(runs.Count);
        try
        {
            await Parallel.ForEachAsync(runs, new ParallelOptions { MaxDegreeOfParallelism = jobs, CancellationToken = stop.Token },
                async (run, cancel) =>
            {
                view.Started(run);
                try
                {
                    await run.RunAsync(options.CellTimeout, threads, () => view.Changed(run), cancel, plain: options.InPlace);
                    if (options.InPlace && run.Status == "passed")
                        await SavedNotebook.WriteAsync(run, browser);
                }
                catch (Exception e)
                {
                    run.Break(e);
                }
                report.Add(run);
                view.Finished(run);
                if (options.FailFast && run.Status != "passed")
                    await stop.CancelAsync();
            });
        }
        catch (OperationCanceledException) { } // What is finished is written below.
        report.Write();
        if (interrupted.IsCancellationRequested)
        {
            Console.Error.WriteLine($"interrupted: {report.Finished} of {runs.Count} notebooks are finished and kept in {options.Output}");
            return Interrupted;
        }
        Console.WriteLine(report.Summary());
        return report.Finished == runs.Count && report.AllPassed && allRead ? Passed : Failed;
    }

    /// <summary>Runs all, unless there is a run already, and makes the site of it.</summary>
    public static async Task<int> GalleryAsync(RunOptions options, string? from, string site, CancellationToken interrupted)
    {
        var status = from is null ? await RunAsync(options, interrupted) : Passed;
        if (status is BadUsage or Interrupted)
            return status;
        var count = Gallery.Build(from ?? options.Output, site, Directory.GetCurrentDirectory());
        Console.WriteLine($"the gallery, {count} notebooks: {Path.GetFullPath(Path.Combine(site, "index.html"))}");
        return status;
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
        var (runs, allRead) = Find(options);
        var well = allRead;
        foreach (var run in runs)
        {
            string? problem;
            try
            {
                problem = act(run.Notebook);
            }
            catch (Exception e) when (Files.IsAboutFiles(e))
            {
                problem = $"could not be written: {e.Message}";
            }
            if (problem is not null)
                Console.WriteLine($"{run.Name}: {problem}");
            well &= problem is null;
        }
        return well ? Passed : Failed;
    }

    /// <summary>The notebooks that are asked for. In a folder, those in other languages are passed over and those that cannot be read told
    /// of.</summary>
    internal static (List<NotebookRun> Runs, bool AllRead) Find(RunOptions options)
    {
        var files = new List<(string Path, bool Named)>();
        foreach (var path in options.Paths)
        {
            if (Directory.Exists(path))
            {
                var inside = NotebooksIn(Path.GetFullPath(path), Path.GetFullPath(options.Output)).Order(StringComparer.Ordinal).ToList();
                if (inside.Count == 0)
                    throw new NotebookFileException($"{Path.GetFullPath(path)} has no notebook (*.ipynb) in it");
                if (options.WithoutSolutions)
                {
                    var solutions = inside.RemoveAll(file => Path.GetFileName(Path.GetDirectoryName(file)) == "solutions");
                    if (solutions > 0)
                        Console.WriteLine($"{(solutions == 1 ? "1 solution is" : $"{solutions} solutions are")} left out; "
                            + $"'run {path}' runs all");
                }
                files.AddRange(inside.Select(file => (file, false)));
            }
            else if (File.Exists(path))
            {
                files.Add((Path.GetFullPath(path), true));
            }
            else
            {
                throw new NotebookFileException($"{Path.GetFullPath(path)} is not "
                    + $"there{(path == "notebooks" ? ": run from the collection's folder, or name a notebook" : "")}");
            }
        }
        files = [.. files.OrderByDescending(f => f.Named).DistinctBy(f => f.Path).OrderBy(f => files.FindIndex(g => g.Path == f.Path))];
        var root = CommonFolder([.. files.Select(f => f.Path)], Directory.GetCurrentDirectory());
        var wanted = files.Select(f => (f.Path, f.Named, Name: Path.GetRelativePath(root, f.Path).Replace('\\', '/')))
            .Where(f => options.Filter is null || f.Name.Contains(options.Filter, StringComparison.OrdinalIgnoreCase)).ToList();
        if (wanted.Count == 0)
            throw new NotebookFileException($"no notebook's path contains '{options.Filter}'; there are "
                + $"{string.Join(", ", files.Select(f => Path.GetRelativePath(root, f.Path)))}");
        var (runs, allRead) = (new List<NotebookRun>(), true);
        foreach (var (path, named, name) in wanted)
        {
            try
            {
                runs.Add(new NotebookRun(NotebookFile.Read(path), name));
            }
            catch (NotebookFileException e) when (!named && wanted.Count > 1)
            {
                Console.Error.WriteLine($"{(e is OtherLanguageException ? "passed over: " : "")}{e.Message}");
                allRead &= e is OtherLanguageException;
            }
        }
        if (runs.Count == 0)
            throw new NotebookFileException("none of these notebooks can be run");
        if (runs.FirstOrDefault(r => Path.GetFullPath(Path.Combine(options.Output, r.Name)) == r.Notebook.Path) is { } itself)
            throw new NotebookFileException($"--output {options.Output} would overwrite {itself.Notebook.Path} with its executed copy");
        return (runs, allRead);
    }

    /// <summary>
    /// All notebooks below a folder but those of a build and of our own output; no folder is entered by a link, which may lead back. A
    /// folder
    /// that cannot be entered stands for itself.
    /// </summary>
    internal static IEnumerable<string> NotebooksIn(string folder, string output = "")
    {
        if (!Enters(folder, out var files, out var folders))
            return [folder];
        var entered = folders.Where(f => f.LinkTarget is null && f.FullName != output
            && f.Name is not (".ipynb_checkpoints" or "artifacts" or "bin" or "obj"));
        return files.Concat(entered.SelectMany(f => NotebooksIn(f.FullName, output)));
    }

    private static bool Enters(string folder, out string[] files, out DirectoryInfo[] folders)
    {
        try
        {
            (files, folders) = (Directory.GetFiles(folder, "*.ipynb"), new DirectoryInfo(folder).GetDirectories());
            return true;
        }
        catch (UnauthorizedAccessException)
        {
            (files, folders) = ([], []);
            return false;
        }
    }

    /// <summary>The current folder if all files are in it, else the deepest folder that all are in.</summary>
    private static string CommonFolder(IReadOnlyList<string> files, string current)
    {
        bool Holds(string folder) => files.All(f => f.StartsWith(folder.TrimEnd(Path.DirectorySeparatorChar) + Path.DirectorySeparatorChar,
            StringComparison.Ordinal));
        var folder = Holds(current) ? current : Path.GetDirectoryName(files[0])!;
        while (!Holds(folder) && Path.GetDirectoryName(folder) is { } parent)
            folder = parent;
        return folder;
    }
}
