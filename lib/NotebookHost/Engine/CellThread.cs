using System.Runtime;

namespace NotebookHost.Engine;

/// <summary>
/// Runs cells, each on a thread of its own, so that it can be interrupted in a busy loop, in a sleep and in an await, and the session
/// stays. What follows an await runs on the pool, as without us, but within reach of an interrupt; so a cell may block on its own tasks.
/// </summary>
internal sealed class CellThread
{
    private sealed record Running(Thread Thread, CancellationTokenSource Cancel, TaskCompletionSource Done);

    private volatile Running? _running;

    /// <summary>What to say of the cell that ran last if it was interrupted; null if it was not.</summary>
    public string? Interrupted { get; private set; }

    /// <summary>Runs a cell; returns when it is done, has thrown, or was interrupted.</summary>
    public async Task RunAsync(Func<Task> cell)
    {
        var (cancel, done) = (new CancellationTokenSource(), new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously));
        var thread = new Thread(() => Work(cell, cancel.Token, done)) { IsBackground = true, Name = "cell" };
        Interrupted = null;
        _running = new Running(thread, cancel, done);
        thread.Start();
        await done.Task.ContinueWith(_ => _running = null, TaskScheduler.Default);
        await done.Task;
    }

    /// <summary>Ends the running cell; one that does not end within two seconds is left behind.</summary>
    /// <returns>Whether there was one.</returns>
    public bool Interrupt()
    {
        if (_running is not { } running)
            return false;
        Interrupted = "the cell was interrupted; what earlier cells declared is still there";
        running.Thread.Interrupt();                                                    // out of a sleep or a wait
        _ = Task.Run(running.Cancel.Cancel);                                           // out of a loop; returns only when the cell is out
        _ = Task.Delay(2000).ContinueWith(_ =>
        {
            if (_running == running)
                Interrupted = "the cell does not stop; it goes on in the background until the kernel is restarted";
            running.Done.TrySetResult();
        }, TaskScheduler.Default);
        return true;
    }

    private static void Work(Func<Task> cell, CancellationToken cancel, TaskCompletionSource done)
    {
        try
        {
            Controlled(() => cell().GetAwaiter().GetResult(), new Continuations(cancel), cancel);
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

#pragma warning disable SYSLIB0046 // The one way to end a loop that does not ask to be ended.
    private static void Controlled(Action act, SynchronizationContext context, CancellationToken cancel) => ControlledExecution.Run(() =>
    {
        SynchronizationContext.SetSynchronizationContext(context);
        act();
    }, cancel);
#pragma warning restore SYSLIB0046

    /// <summary>What awaits of a cell come back with: on threads of the pool, within reach of the cell's interrupt.</summary>
    private sealed class Continuations(CancellationToken cancel) : SynchronizationContext
    {
        public override SynchronizationContext CreateCopy() => this;

        public override void Post(SendOrPostCallback d, object? state) => ThreadPool.QueueUserWorkItem(_ =>
        {
            try
            {
                Controlled(() => d(state), this, cancel);
            }
            catch (OperationCanceledException) when (cancel.IsCancellationRequested)
            {
                // The cell was interrupted: nothing of it goes on.
            }
        });
    }
}
