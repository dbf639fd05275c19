using System.Collections.Concurrent;
using System.Runtime;

namespace NotebookHost.Engine;

/// <summary>
/// Runs cells on one thread, so that what belongs to a thread (torch's grad mode, say) lasts from cell to cell, and can interrupt them in a
/// busy loop, in a sleep and in an await, while the session stays. What follows an await runs on the pool, as without us, but within reach
/// of an interrupt; so a cell may block on its own tasks. A thread that was interrupted is replaced.
/// </summary>
internal sealed class CellThread
{
    private sealed record Running(CancellationTokenSource Cancel, TaskCompletionSource Done, Continuations Context);

    private Worker _worker = new();
    private volatile Running? _running;

    /// <summary>What to say of the cell if it was interrupted; null if it was not, and to be set so before another.</summary>
    public string? Interrupted { get; set; }

    /// <summary>Runs a cell; returns when it is done, has thrown, or was interrupted. One that a running cell sends runs as a part of
    /// it.</summary>
    public async Task RunAsync(Func<Task> cell)
    {
        if (_running is not null)
        {
            await cell();
            return;
        }
        var (cancel, done) = (new CancellationTokenSource(), new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously));
        var running = _running = new Running(cancel, done, new Continuations(cancel.Token));
        _worker.Do(() => Work(cell, running));
        try
        {
            await done.Task;
        }
        finally
        {
            _running = null;
        }
    }

    /// <summary>Ends the running cell; one that does not end within two seconds is left behind.</summary>
    /// <returns>Whether there was one.</returns>
    public bool Interrupt()
    {
        if (_running is not { } running)
            return false;
        Interrupted = "the cell was interrupted; what earlier cells declared is still there, and what it started in the background goes on";
        var worker = _worker;
        _worker = new Worker();
        running.Context.Asked = true;
        _ = Task.Run(async () =>
        {
            await Task.Delay(30);                                                      // one that prints may end by itself
            worker.End();                                                              // out of a sleep or a wait
            running.Cancel.Cancel();                                                   // out of a loop; returns only when the cell is out
        });
        _ = Task.Delay(2000).ContinueWith(_ =>
        {
            if (!running.Done.Task.IsCompleted)
                Interrupted = "the cell does not stop; it goes on in the background until the kernel is restarted";
            running.Done.TrySetResult();
        }, TaskScheduler.Default);
        return true;
    }

    /// <summary>Called where a cell prints: ends it if it was interrupted. An abort there is a danger: see LOG.md, "The engine".</summary>
    public static void EndIfInterrupted()
    {
        if (SynchronizationContext.Current is Continuations { Asked: true })
            throw new OperationCanceledException();
    }

    private static void Work(Func<Task> cell, Running running)
    {
        var (cancel, done) = (running.Cancel.Token, running.Done);
        try
        {
            Controlled(() => cell().GetAwaiter().GetResult(), running.Context, cancel);
            done.TrySetResult();
        }
        catch (Exception e) when (e is OperationCanceledException or ThreadInterruptedException && running.Context.Asked)
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

    /// <summary>A thread that does one thing after the other.</summary>
    private sealed class Worker
    {
        private readonly BlockingCollection<(Action Act, ExecutionContext? Context)> _work = [];
        private readonly Thread _thread;

        public Worker()
        {
            _thread = new Thread(() =>
            {
                try
                {
                    foreach (var (act, context) in _work.GetConsumingEnumerable())
                        ExecutionContext.Run(context!, _ => act(), null);
                }
                catch (ThreadInterruptedException) { } // It was replaced.
            })
            { IsBackground = true, Name = "cells" };
            _thread.UnsafeStart();
        }

        public void Do(Action act) => _work.Add((act, ExecutionContext.Capture()));

        public void End()
        {
            _work.CompleteAdding();
            if (_thread.ThreadState.HasFlag(ThreadState.WaitSleepJoin))
                _thread.Interrupt();
        }
    }

    /// <summary>What awaits of a cell come back with: on threads of the pool, within reach of the cell's interrupt.</summary>
    private sealed class Continuations(CancellationToken cancel) : SynchronizationContext
    {
        public volatile bool Asked;

        public override SynchronizationContext CreateCopy() => this;

        public override void Post(SendOrPostCallback d, object? state) => ThreadPool.QueueUserWorkItem(_ =>
        {
            try
            {
                Controlled(() => d(state), this, cancel);
            }
            catch (OperationCanceledException) when (Asked) { } // Nothing of it goes on.
        });
    }
}
