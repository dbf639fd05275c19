using Spectre.Console;

namespace NotebookHost;

/// <summary>Shows a run while it goes: bars in a terminal, lines elsewhere.</summary>
internal abstract class RunView
{
    /// <summary>In fewer columns a bar has no room, and drawing one may never end.</summary>
    private const int Narrowest = 50;

    public abstract void Started(NotebookRun run);

    public abstract void Changed(NotebookRun run);

    public abstract void Finished(NotebookRun run);

    /// <summary>Does <paramref name="work"/> under the view that fits where the output goes.</summary>
    public static async Task Show(IReadOnlyList<NotebookRun> runs, Func<RunView, Task> work)
    {
        if (Console.IsOutputRedirected || !AnsiConsole.Profile.Capabilities.Interactive || AnsiConsole.Profile.Width < Narrowest)
        {
            await work(new Lines(runs.Count));
            return;
        }
        await AnsiConsole.Progress().AutoClear(false).HideCompleted(false)
            .Columns(new TaskDescriptionColumn { Alignment = Justify.Left }, new ProgressBarColumn { Width = 16 }, new ElapsedTimeColumn(), new RemainingTimeColumn())
            .StartAsync(async context =>
            {
                var all = context.AddTask($"[bold]{runs.Count} notebooks[/]", maxValue: runs.Sum(r => r.Cells.Count));
                await work(new Bars(context, all));
            });
    }

    private static string Outcome(NotebookRun run) => run.Status == "passed"
        ? $"passed, {run.CellsDone} cells, {run.Claims.Count()} claims hold, {run.Seconds:0.0} s"
        : $"{run.Status.ToUpperInvariant()} after {run.Seconds:0.0} s: {run.Problem}";

    private sealed class Bars(ProgressContext context, ProgressTask all) : RunView
    {
        private const int Widest = 44;
        private readonly Dictionary<NotebookRun, ProgressTask> _tasks = [];

        public override void Started(NotebookRun run)
        {
            lock (_tasks)
                _tasks[run] = context.AddTask(Label(run, ""), maxValue: run.Cells.Count);
        }

        public override void Changed(NotebookRun run)
        {
            lock (_tasks)
            {
                _tasks[run].Value = run.CellsDone + (run.Progress?.Fraction ?? 0);
                _tasks[run].Description = Label(run, $" [grey]{run.CellsStarted}/{run.Cells.Count}{(run.Progress is { } p ? " " + p.Text.EscapeMarkup() : "")}[/]");
                all.Value = _tasks.Keys.Sum(r => r.CellsDone);
            }
        }

        public override void Finished(NotebookRun run)
        {
            lock (_tasks)
            {
                _tasks[run].Description = Label(run, run.Status == "passed" ? " [green]passed[/]" : $" [red]{run.Status}[/]");
                _tasks[run].StopTask();
            }
        }

        /// <summary>The end of the path, where the name is: a row must fit a narrow terminal.</summary>
        private static string Label(NotebookRun run, string state)
            => (run.Name.Length <= Widest ? run.Name : "…" + run.Name[^(Widest - 1)..]).Replace(".ipynb", "", StringComparison.Ordinal).EscapeMarkup() + state;
    }

    private sealed class Lines(int count) : RunView
    {
        private static readonly TimeSpan Now = TimeSpan.FromSeconds(2);
        private readonly System.Diagnostics.Stopwatch _clock = System.Diagnostics.Stopwatch.StartNew();
        private readonly Lock _gate = new();
        private readonly Dictionary<NotebookRun, (int Cell, TimeSpan At)> _said = [];
        private int _finished;

        public override void Started(NotebookRun run) => Say($"{run.Name}: started, {run.Cells.Count} cells");

        public override void Changed(NotebookRun run)
        {
            if (run.CellsStarted <= run.CellsDone || run.Status != "running")
                return;
            // A line a cell, and now and then one of a long cell.
            lock (_gate)
            {
                if (_said.TryGetValue(run, out var said) && said.Cell == run.CellsStarted && (run.Progress is null || _clock.Elapsed - said.At < Now))
                    return;
                _said[run] = (run.CellsStarted, _clock.Elapsed);
            }
            var left = run.CellsDone == 0 ? "" : $", about {run.Seconds / run.CellsDone * (run.Cells.Count - run.CellsDone):0} s left";
            Say($"{run.Name}: cell {run.CellsStarted}/{run.Cells.Count}{(run.Progress is { } progress ? ": " + progress.Text : left)}");
        }

        public override void Finished(NotebookRun run) => Say($"{run.Name}: {Outcome(run)} ({Interlocked.Increment(ref _finished)}/{count})");

        private void Say(string line)
        {
            lock (_gate)
                Console.WriteLine($"[{_clock.Elapsed.TotalSeconds,6:0.0} s] {line}");
        }
    }
}
