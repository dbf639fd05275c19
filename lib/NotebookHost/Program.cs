using System.CommandLine;
using System.Globalization;
using System.Runtime.InteropServices;
using NotebookHost;
using NotebookHost.Jupyter;

Console.SetOut(new PatientWriter(Console.Out));
Console.SetError(new PatientWriter(Console.Error));
var defaultNotebooks = "notebooks";

var paths = new Argument<string[]>("path")
{
    Description = "Notebooks, or folders of them; run without any leaves out what is in folders named solutions.",
    DefaultValueFactory = _ => [defaultNotebooks]
};
var jobs = new Option<int>("--jobs")
{
    Description = "How many notebooks run at once; torch's threads are divided among them.",
    DefaultValueFactory = _ => Environment.ProcessorCount
};
var output = new Option<string>("--output")
{
    Description = "Where the executed notebooks, report.json and index.html go.",
    DefaultValueFactory = _ => Path.Combine("artifacts", "run")
};
var timeout = new Option<double>("--timeout") { Description = "Seconds a cell may take.", DefaultValueFactory = _ => 300 };
var failFast = new Option<bool>("--fail-fast") { Description = "Stop at the first notebook that does not pass." };
var filter = new Option<string?>("--filter") { Description = "Only notebooks whose path contains this." };
var inPlace = new Option<bool>("--in-place")
{
    Description = "Save the outputs of notebooks that pass in their own files: text, tables, "
    + "and still pictures of figures, drawn by an installed Chromium."
};
jobs.Validators.Add(r =>
{
    if (r.Tokens is [var t]
    && !(int.TryParse(t.Value, out var n) && n >= 1)) r.AddError($"--jobs is {t.Value}, at least 1 is needed");
});
paths.Validators.Add(r =>
{
    foreach (var token in r.Tokens.Where(t => t.Value.StartsWith('-') && !Path.Exists(t.Value)))
        r.AddError($"there is no option {token.Value}");
    if (r.Tokens.Any(t => t.Value == ""))
        r.AddError("a path is empty");
});
timeout.Validators.Add(r =>
{
    if (r.Tokens is [var t] && !(double.TryParse(t.Value, NumberStyles.Float, CultureInfo.InvariantCulture, out var n)
        && n is > 0 and <= 1e6))
        r.AddError($"--timeout is {t.Value}, allowed are more than 0 and at most 1,000,000 seconds");
});

var set = new Option<string[]>("--set")
{
    Description = "NAME=VALUE: another value for a variable of the notebooks' parameters cell; commas between the elements of a list "
    + "(--set seeds=21,22,23). May be given several times."
};
var parameters = new Option<string?>("--parameters") { Description = "A JSON or YAML file of such names and values." };

var run = new Command("run", "Run notebooks, each in a process of its own, and write what came of them (the default).") { paths,
    jobs, output, timeout, failFast, filter, inPlace, set, parameters };
var from = new Option<string?>("--from")
{
    Description =
    "Make the site of the folder that an earlier run left, instead of running the notebooks."
};
var site = new Option<string>("--site")
{
    Description = "Where the site goes; what is there is replaced.",
    DefaultValueFactory = _ => Path.Combine("artifacts", "gallery")
};
var gallery = new Command("gallery",
    "Run notebooks and make a site of them that needs no network: an index, a scoreboard of all claims, a page for each notebook.") { paths,
    jobs, output, timeout, failFast, filter, from, site };
var strip = new Command("strip", "Take the saved outputs out of notebooks.") { paths };
var saved = new Command("saved", "Say whose saved outputs are not those of its cells and its library (exit status 1 if any).") { paths };
var replicated = new Option<string>("--output")
{
    Description = "Where the runs, replication.json and index.html go.",
    DefaultValueFactory = _ => Path.Combine("artifacts", "replication")
};
var count = new Option<int>("--runs") { Description = "Runs of each notebook, on seeds of their own.", DefaultValueFactory = _ => 10 };
var first = new Option<int>("--seeds")
{
    Description = "The first run's first seed; the others follow. Take seeds that no earlier run used.",
    DefaultValueFactory = _ => 1001
};
var collect = new Option<bool>("--collect") { Description = "Run nothing; merge what is done." };
var on = new Option<string>("--on")
{
    Description = "Where the runs go: local, or slurm, as one array job of the site's own sbatch.",
    DefaultValueFactory = _ => "local"
};
on.AcceptOnlyFromAmong("local", "slurm");
var partition = new Option<string?>("--partition") { Description = "Slurm: the partition." };
var time = new Option<string?>("--time") { Description = "Slurm: what a task may take (hours:minutes:seconds)." };
var cpus = new Option<int>("--cpus") { Description = "Slurm: processors of a run.", DefaultValueFactory = _ => 1 };
var more = new Option<string[]>("--sbatch") { Description = "Slurm: a further option, passed on as it is (--sbatch=--mem=4G)." };
var noWait = new Option<bool>("--no-wait") { Description = "Slurm: submit, tell the job's number, and return." };
foreach (var (number, least) in new[] { (count, 1), (first, 0), (cpus, 1) })
{
    number.Validators.Add(r =>
    {
        if (r.Tokens is [var t] && !(int.TryParse(t.Value, out var n) && n >= least))
            r.AddError($"{number.Name} is {t.Value}, at least {least} is needed");
    });
}
var replicate = new Command("replicate", "Run notebooks on seeds that nobody looked at, and tell in how many runs each claim held. What is "
    + "done stays: the same command goes on after an interruption. Exit status 0: every claim held in at least nine of ten runs.")
{
    paths, count, first, jobs, replicated, timeout, filter, collect, on, partition, time, cpus, more, noWait,
};
var task = new Command("task")
{
    new Argument<string>("tasks"), new Argument<int>("index"), new Argument<int>("step"), replicated, jobs, timeout,
};
task.Hidden = true;
var doctor = new Command("doctor", "Try all that a run needs and say what is missing.");
var worker = new Command("worker") { new Argument<string>("notebook"), new Argument<string>("mark") };
worker.Hidden = true;
var start = new Command("start",
    "Run as a kernel; Jupyter does this.") { new Argument<string>("connection-file") { Description =
    "What Jupyter wrote of its ports and its key." } };
var install = new Command("install",
    "Register the kernel with Jupyter: as .net-csharp, or as notebook-host-csharp where .NET Interactive's own has that name.");
var uninstall = new Command("uninstall", "Take the registration back.");
var kernel = new Command("kernel", "A Jupyter kernel for the same notebooks.") { install, uninstall, start };

var root = new RootCommand("Runs C# notebooks on .NET Interactive's kernel. In the collection: dotnet run --project lib/NotebookHost -- "
    + "[command]. Exit status: 0 all cells and claims held; 1 one did not; 2 bad usage, or a path that is no notebook; 130 interrupted.")
{
    paths, jobs, output, timeout, failFast, filter, inPlace, set, parameters,
    run, gallery, replicate, strip, saved, doctor, kernel, worker, task,
};

RunOptions Asked(ParseResult parsed, bool save)
    => new(parsed.GetValue(paths)!, parsed.GetValue(jobs), parsed.GetValue(output)!,
        TimeSpan.FromSeconds(parsed.GetValue(timeout)), parsed.GetValue(failFast), parsed.GetValue(filter), save)
    {
        Values = Parameters.Read(parsed.GetValue(set) ?? [], parsed.GetValue(parameters)),
    };
foreach (var command in new Command[] { root, run })
    command.SetAction((parsed, cancellation) => Runner.RunAsync(Asked(parsed, parsed.GetValue(inPlace)) with
    {
        WithoutSolutions = parsed.GetResult(paths) is null or { Implicit: true },
    }, cancellation));
gallery.SetAction((parsed, cancellation) => Runner.GalleryAsync(Asked(parsed, save: false),
    parsed.GetValue(from), parsed.GetValue(site)!, cancellation));
RunOptions Replicating(ParseResult parsed) => new(parsed.CommandResult.Command == replicate ? parsed.GetValue(paths)! : [],
    parsed.GetValue(jobs), parsed.GetValue(replicated)!, TimeSpan.FromSeconds(parsed.GetValue(timeout)), false, parsed.GetValue(filter));
replicate.SetAction(async (parsed, cancellation) =>
{
    var (options, runs, seed) = (Replicating(parsed), parsed.GetValue(count), parsed.GetValue(first));
    if (parsed.GetValue(collect))
        return Replication.Collect(options, Replication.Asked(options, runs, seed));
    return parsed.GetValue(on) == "local" ? await Replication.RunAsync(options, runs, seed, cancellation)
        : await Slurm.RunAsync(options, runs, seed, new SlurmOptions(parsed.GetValue(partition), parsed.GetValue(time),
            parsed.GetValue(cpus), parsed.GetValue(more) ?? [], !parsed.GetValue(noWait)), cancellation);
});
task.SetAction((parsed, cancellation) => Slurm.TaskAsync(parsed.GetValue<string>("tasks")!, parsed.GetValue<int>("index"),
    parsed.GetValue<int>("step"), Replicating(parsed), cancellation));
doctor.SetAction((_, _) => Doctor.Examine(defaultNotebooks));
foreach (var (command, act) in new[] { (strip, (Func<RunOptions, int>)Runner.Strip), (saved, Runner.Saved) })
    command.SetAction(parsed => act(new RunOptions(parsed.GetValue(paths)!,
        1, Path.Combine("artifacts", "run"), TimeSpan.Zero, false, null)));
install.SetAction(_ => KernelSpec.Install());
uninstall.SetAction(_ => KernelSpec.Uninstall());
start.SetAction(parsed => JupyterKernel.Start(parsed.GetValue<string>("connection-file")!));
worker.SetAction((parsed, _) => Worker.Run(parsed.GetValue<string>("notebook")!, parsed.GetValue<string>("mark")!));

var commandLine = root.Parse(args);
if (commandLine.Errors.Count > 0)
{
    foreach (var error in commandLine.Errors)
        Console.Error.WriteLine(error.Message);
    Console.Error.WriteLine("--help shows the usage");
    return Runner.BadUsage;
}
// Ctrl+C, SIGTERM and a terminal that is closed cancel; the children are ended and what is finished is written within the timeout.
using var closed = new CancellationTokenSource();
using var hangup = PosixSignalRegistration.Create(PosixSignal.SIGHUP, signal =>
{
    signal.Cancel = true;
    closed.Cancel();
});
try
{
    var configuration = new InvocationConfiguration
    {
        ProcessTerminationTimeout = TimeSpan.FromSeconds(20),
        EnableDefaultExceptionHandler = false
    };
    return await commandLine.InvokeAsync(configuration, closed.Token);
}
catch (Exception e) when (e is NotebookFileException || Files.IsAboutFiles(e))
{
    Console.Error.WriteLine(e.Message);
    return Runner.BadUsage;
}
