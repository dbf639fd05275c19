namespace NotebookHost;

/// <summary>Shows a run while it goes: a line for each notebook's end; below them, in a terminal, what is running, and elsewhere a line a
/// cell.</summary>
internal sealed class RunView(int count)
{
    private static readonly TimeSpan Now = TimeSpan.FromSeconds(2);

    private readonly System.Diagnostics.Stopwatch _clock = System.Diagnostics.Stopwatch.StartNew();
    private readonly Lock _gate = new();
    private readonly Dictionary<NotebookRun, (int Cell, TimeSpan At)> _said = [];
    private readonly int _width = Console.IsOutputRedirected ? 0 : Math.Max(1, Console.WindowWidth);
    private int _finished;

    public void Started(NotebookRun run)
    {
        if (_width == 0)
            Say($"{run.Name}: started, {run.Cells.Count} cells");
    }

    public void Changed(NotebookRun run)
    {
        if (run.CellsStarted <= run.CellsDone || run.Status != "running")
            return;
        // A line a cell, and now and then one of a long cell; in place as often as there is news.
        lock (_gate)
        {
            var known = _said.TryGetValue(run, out var said) && said.Cell == run.CellsStarted;
            if (_width == 0 && known && (run.Progress is null || _clock.Elapsed - said.At < Now))
                return;
            _said[run] = (run.CellsStarted, _clock.Elapsed);
        }
        var left = run.CellsDone == 0 ? "" : $", about {run.Seconds / run.CellsDone * (run.Cells.Count - run.CellsDone):0} s left";
        if (_width == 0)
            Say($"{run.Name}: cell {run.CellsStarted}/{run.Cells.Count}{(run.Progress is { } progress ? ": " + progress.Text : left)}");
        else
            Say(null);
    }

    public void Finished(NotebookRun run)
    {
        lock (_gate)
            _said.Remove(run);
        var done = Interlocked.Increment(ref _finished);
        var seconds = _clock.Elapsed.TotalSeconds / done * (count - done);
        var left = done == count ? "" : $", about {(seconds < 90 ? $"{seconds:0} s" : $"{seconds / 60:0} min")} left";
        var outcome = run.Status == "passed" ? $"passed, {run.CellsDone} cells, {run.Claims.Count()} claims hold, {run.Seconds:0.0} s"
            : $"{run.Status.ToUpperInvariant()} after {run.Seconds:0.0} s: {run.Problem}";
        Say($"{run.Name}: {outcome} ({done}/{count}{left})");
    }

    /// <summary>A line, if there is one, and in a terminal the state of what runs, over the last state.</summary>
    private void Say(string? line)
    {
        lock (_gate)
        {
            var running = _said.Keys.Select(r =>
                $"{Path.GetFileNameWithoutExtension(r.Name)} {r.CellsStarted}/{r.Cells.Count}{(r.Progress is { } p ? ": " + p.Text : "")}");
            var state = $"{_finished}/{count} done, {_clock.Elapsed.TotalSeconds:0} s; {string.Join("; ", running)}";
            var stamped = line is null ? "" : $"[{_clock.Elapsed.TotalSeconds,6:0.0} s] {line}\n";
            var below = _width == 0 || _finished == count ? "" : state[..Math.Min(state.Length, _width - 1)];
            Console.Write(_width == 0 ? stamped : $"\r{new string(' ', _width - 1)}\r{stamped}{below}");
        }
    }
}
