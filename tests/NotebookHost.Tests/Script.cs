using System.Diagnostics;

namespace NotebookHost.Tests;

/// <summary>Runs a program of another language that tries what the host made.</summary>
internal static class Script
{
    /// <summary>Runs it to its end, within half an hour.</summary>
    public static async Task<(int Status, string Output)> RunAsync(string program,
        string folder, IEnumerable<KeyValuePair<string, string>> environment, params IEnumerable<string> arguments)
    {
        var start = new ProcessStartInfo(program, arguments)
        {
            WorkingDirectory = folder,
            RedirectStandardOutput = true,
            RedirectStandardError = true
        };
        foreach (var (name, value) in environment)
            start.Environment[name] = value;
        using var process = Process.Start(start)!;
        var (output, error) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        using var limit = new CancellationTokenSource(TimeSpan.FromMinutes(30));
        try
        {
            await process.WaitForExitAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
        }
        return (process.ExitCode, await output + await error);
    }

    /// <summary>Asserts that a script that prints "ok …" or "FAILED …" a check found all well.</summary>
    public static void AssertAllOk((int Status, string Output) run, int checks)
    {
        Assert.True(!run.Output.Contains("FAILED", StringComparison.Ordinal)
            && run.Status == 0 && ("\n" + run.Output).Split("\nok ").Length > checks, run.Output);
    }
}
