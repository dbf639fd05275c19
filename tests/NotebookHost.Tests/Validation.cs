using System.Diagnostics;

namespace NotebookHost.Tests;

/// <summary>Debian's python3-nbformat as the judge of what a valid notebook is; a test that needs it is skipped, visibly, where it is
/// absent.</summary>
internal static class Validation
{
    public static async Task AssertValid(params string[] paths)
    {
        const string python = "/usr/bin/python3";
        Assert.SkipUnless(File.Exists(python) && (await Python(python, "import nbformat")).Status == 0,
            "python3-nbformat is not installed (Debian: apt-get install python3-nbformat)");
        foreach (var path in paths)
        {
            var (status, said) = await Python(python, "import sys, nbformat; n = nbformat.read(sys.argv[1], "
                + "as_version=nbformat.NO_CONVERT); nbformat.validate(n); assert (n.nbformat, n.nbformat_minor) == (4, 5)", path);
            Assert.True(status == 0, $"{path}: {said}");
        }
    }

    private static async Task<(int Status, string Said)> Python(string python, string code, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(python,
            ["-W", "error", "-c", code, .. arguments])
        { RedirectStandardError = true, RedirectStandardOutput = true })!;
        var (error, output) = (process.StandardError.ReadToEndAsync(), process.StandardOutput.ReadToEndAsync());
        await process.WaitForExitAsync();
        return (process.ExitCode, await error + await output);
    }
}
