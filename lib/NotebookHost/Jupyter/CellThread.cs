using System.Collections.Concurrent;
using System.Runtime;
using NotebookHost.Engine;

namespace NotebookHost.Jupyter;

/// <summary>
/// Runs cells, each on a thread of its own, so that it can be interrupted in a busy loop, in a sleep and in an await, and the session
/// stays: what follows an await runs on that thread too, so nothing of a cell is out of reach.
/// </summary>
internal sealed class CellThread
{
    private readonly Lock _gate = new();
    private Running? _running;

    private sealed record Running(Thread Thread, CancellationTokenSource Cancel, TaskCompletionSource<CellError?> Done);

    /// <summary>Runs a cell and waits for it.</summary>
    public CellError? Run(Func<Task<CellError?>> cell)
    {
        var (cancel, done) = (new CancellationTokenSource(), new TaskCompletionSource<CellError?>(TaskCreationOptions.RunContinuationsAsynchronously));
        var thread = new Thread(() => done.TrySetResult(Work(cell, cancel))) { IsBackground = true, Name = "cell" };
        lock (_gate)
            _running = new Running(thread, cancel, done);
        thread.Start();
        var error = done.Task.GetAwaiter().GetResult();
        lock (_gate)
            _running = null;
        return error;
    }

    /// <summary>Ends the running cell, if there is one; one that cannot be ended is left behind.</summary>
    public void Interrupt()
    {
        Running running;
        lock (_gate)
        {
            if (_running is null)
                return;
            running = _running;
        }
        running.Thread.Interrupt();                                                    // out of a sleep or a lock
        _ = Task.Run(running.Cancel.Cancel);                                           // out of a loop; returns only when the cell is out
        _ = Task.Delay(2000).ContinueWith(_ => running.Done.TrySetResult(new CellError("Interrupted", "the cell does not stop; it goes on in the background until the kernel is restarted", ["Interrupted"])), TaskScheduler.Default);
    }

    private static CellError? Work(Func<Task<CellError?>> cell, CancellationTokenSource cancel)
    {
        CellError? error = null;
        try
        {
#pragma warning disable SYSLIB0046 // The one way to end a loop that does not ask to be ended.
            ControlledExecution.Run(() => error = Pump(cell, cancel.Token), cancel.Token);
#pragma warning restore SYSLIB0046
        }
        catch (Exception e) when (e is OperationCanceledException or ThreadInterruptedException)
        {
            error = Interrupted();
        }
        catch (Exception e)
        {
            error = new CellError(e.GetType().Name, e.Message, [e.ToString()]);
        }
        return cancel.IsCancellationRequested || error?.Type == nameof(ThreadInterruptedException) ? Interrupted() : error;
    }

    private static CellError Interrupted() => new("Interrupted", "the cell was interrupted; what earlier cells declared is still there", ["Interrupted"]);

    /// <summary>Starts the cell and runs what its awaits come back with, on this thread, until it is done.</summary>
    private static CellError? Pump(Func<Task<CellError?>> cell, CancellationToken cancel)
    {
        var context = new Continuations();
        SynchronizationContext.SetSynchronizationContext(context);
        var task = cell();
        _ = task.ContinueWith(_ => context.Complete(), CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        context.RunUntilComplete(cancel);
        return task.GetAwaiter().GetResult();
    }

    private sealed class Continuations : SynchronizationContext
    {
        private readonly BlockingCollection<(SendOrPostCallback Callback, object? State)> _queue = [];

        public override void Post(SendOrPostCallback d, object? state)
        {
            try
            {
                _queue.Add((d, state));
            }
            catch (InvalidOperationException)
            {
                // The cell is over; what it left behind goes on elsewhere.
                ThreadPool.QueueUserWorkItem(_ => d(state));
            }
        }

        public void Complete() => _queue.CompleteAdding();

        public void RunUntilComplete(CancellationToken cancel)
        {
            while (!_queue.IsCompleted)
            {
                (SendOrPostCallback Callback, object? State) next;
                try
                {
                    next = _queue.Take(cancel);
                }
                catch (InvalidOperationException)
                {
                    return;                                                            // completed while waiting
                }
                next.Callback(next.State);
            }
        }
    }
}
