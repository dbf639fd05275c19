using System.Diagnostics;

namespace NotebookHost.Tests;

/// <summary>Debian's Jupyter, driven by its own Python; what needs it is skipped, visibly, where it is absent.</summary>
internal static class Jupyter
{
    public const string Python = "/usr/bin/python3";

    /// <summary>Runs one of the scripts in this project's Jupyter folder against the kernel, registered in a folder of its own.</summary>
    public static Task<(int Status, string Output)> RunAsync(string script, string data, params IEnumerable<string> arguments)
        => Script.RunAsync(Python, data, [new("JUPYTER_DATA_DIR", data), new("OMP_NUM_THREADS", "1"), new("MKL_NUM_THREADS", "1")],
            [Path.Combine(Host.Root, "tests", "NotebookHost.Tests", "Jupyter", script), .. arguments]);

    /// <summary>Registers the kernel under <paramref name="data"/>.</summary>
    public static async Task<string> InstallAsync(string data, string command = "install", string shared = "")
    {
        var (status, output, _) = await Host.RunAsync(data, [("JUPYTER_DATA_DIR", data), ("JUPYTER_PATH", shared)], ["kernel", command]);
        Assert.Equal(0, status);
        return output;
    }

    /// <summary>Skips the test where a Python module is not installed.</summary>
    public static async Task RequireAsync(params string[] modules)
    {
        var there = File.Exists(Python);
        if (there)
        {
            using var process = Process.Start(new ProcessStartInfo(Python,
                ["-c", "import " + string.Join(", ", modules)])
            { RedirectStandardError = true })!;
            await process.WaitForExitAsync();
            there = process.ExitCode == 0;
        }
        Assert.SkipUnless(there, $"Python's {string.Join(", ", modules)} are not installed (Debian: apt-get install "
            + "python3-jupyter-client python3-nbclient python3-jupyter-kernel-test)");
    }
}
