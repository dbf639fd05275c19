using System.Runtime;

namespace NotebookHost.Engine;

/// <summary>
/// Runs cells, each on a thread of its own, so that it can be interrupted in a busy loop, in a sleep and in an await, and the session
/// stays. What follows an await runs on the pool, as without us, but where an interrupt reaches it too; so a cell may block on its own tasks.
/// </summary>
internal sealed class CellThread
{
    private readonly Lock _gate = new();
    private Running? _running;

    private sealed record Running(Thread Thread, CancellationTokenSource Cancel, TaskCompletionSource Done);

    /// <summary>Whether the cell that ran last was interrupted: null if not, otherwise what to say of it.</summary>
    public string? Interrupted { get; private set; }

    /// <summary>Runs a cell; returns when it is done, has thrown, or was interrupted.</summary>
    public async Task RunAsync(Func<Task> cell)
    {
        var (cancel, done) = (new CancellationTokenSource(), new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously));
        var thread = new Thread(() => Work(cell, cancel.Token, done)) { IsBackground = true, Name = "cell" };
        lock (_gate)
            (_running, Interrupted) = (new Running(thread, cancel, done), null);
        thread.Start();
        try
        {
            await done.Task;
        }
        finally
        {
            lock (_gate)
                _running = null;
        }
    }

    /// <summary>Ends the running cell; one that cannot be ended is left behind.</summary>
    /// <returns>Whether there was one.</returns>
    public bool Interrupt()
    {
        Running running;
        lock (_gate)
        {
            if (_running is null)
                return false;
            running = _running;
            Interrupted = "the cell was interrupted; what earlier cells declared is still there";
        }
        running.Thread.Interrupt();                                                    // out of a sleep or a wait
        _ = Task.Run(running.Cancel.Cancel);                                           // out of a loop; returns only when the cell is out
        _ = Task.Delay(2000).ContinueWith(_ =>
        {
            lock (_gate)
            {
                if (ReferenceEquals(_running, running) && !running.Done.Task.IsCompleted)
                    Interrupted = "the cell does not stop; it goes on in the background until the kernel is restarted";
            }
            running.Done.TrySetResult();
        }, TaskScheduler.Default);
        return true;
    }

    private static void Work(Func<Task> cell, CancellationToken cancel, TaskCompletionSource done)
    {
        try
        {
            Controlled(() =>
            {
                SynchronizationContext.SetSynchronizationContext(new Continuations(cancel));
                cell().GetAwaiter().GetResult();
            }, cancel);
            done.TrySetResult();
        }
        catch (Exception e) when (e is OperationCanceledException or ThreadInterruptedException && cancel.IsCancellationRequested)
        {
            done.TrySetResult();
        }
        catch (Exception e)
        {
            done.TrySetException(e);
        }
    }

    private static void Controlled(Action act, CancellationToken cancel)
    {
#pragma warning disable SYSLIB0046 // The one way to end a loop that does not ask to be ended.
        ControlledExecution.Run(act, cancel);
#pragma warning restore SYSLIB0046
    }

    /// <summary>What awaits of a cell come back with: on threads of the pool, within reach of the cell's interrupt.</summary>
    private sealed class Continuations(CancellationToken cancel) : SynchronizationContext
    {
        public override SynchronizationContext CreateCopy() => this;

        public override void Post(SendOrPostCallback d, object? state) => ThreadPool.QueueUserWorkItem(_ =>
        {
            try
            {
                Controlled(() =>
                {
                    SetSynchronizationContext(this);
                    d(state);
                }, cancel);
            }
            catch (OperationCanceledException) when (cancel.IsCancellationRequested)
            {
                // The cell was interrupted: nothing of it goes on.
            }
        });
    }
}
