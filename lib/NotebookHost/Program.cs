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
    Description = "Notebooks, or folders of them.",
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

var run = new Command("run", "Run notebooks, each in a process of its own, and write what came of them (the default).") { paths,
    jobs, output, timeout, failFast, filter, inPlace };
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
    paths, jobs, output, timeout, failFast, filter, inPlace, run, gallery, strip, saved, doctor, kernel, worker,
};

RunOptions Asked(ParseResult parsed, bool save)
    => new(parsed.GetValue(paths)!, parsed.GetValue(jobs), parsed.GetValue(output)!,
        TimeSpan.FromSeconds(parsed.GetValue(timeout)), parsed.GetValue(failFast), parsed.GetValue(filter), save);
foreach (var command in new Command[] { root, run })
    command.SetAction((parsed, cancellation) => Runner.RunAsync(Asked(parsed, parsed.GetValue(inPlace)), cancellation));
gallery.SetAction((parsed, cancellation) => Runner.GalleryAsync(Asked(parsed, save: false),
    parsed.GetValue(from), parsed.GetValue(site)!, cancellation));
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
