namespace NotebookHost.Tests;

/// <summary>Headless Chromium, driven by Playwright under Node; what needs it is skipped, visibly, where it is absent.</summary>
internal static class Browser
{
    private static readonly string Modules = System.IO.Path.Combine(Host.Root, "artifacts", "npm", "node_modules");

    /// <summary>Runs one of the scripts in this project's Browser folder.</summary>
    public static Task<(int Status, string Output)> RunAsync(string script, params IEnumerable<string> arguments)
        => Script.RunAsync("node", System.IO.Path.Combine(Host.Root, "tests", "NotebookHost.Tests", "Browser"),
            [new("NODE_PATH", Modules), new("CHROME", Path!)], [script, .. arguments]);

    /// <summary>Whether there is a Chromium or Chrome.</summary>
    public static bool Chromium => Path is not null;

    private static string? Path
    {
        get
        {
            try
            {
                return Pictures.Browser();
            }
            catch (NotebookFileException)
            {
                return null;
            }
        }
    }

    /// <summary>Skips the test where something is missing.</summary>
    public static void Require()
    {
        var node = (Environment.GetEnvironmentVariable("PATH") ?? "")
            .Split(System.IO.Path.PathSeparator).Any(f => File.Exists(System.IO.Path.Combine(f, "node")));
        Assert.SkipUnless(node && Chromium && Directory.Exists(System.IO.Path.Combine(Modules, "playwright-core"))
            && Directory.Exists(System.IO.Path.Combine(Modules, "axe-core")),
            "Node, Chromium, playwright-core or axe-core is not installed (npm install --prefix artifacts/npm --no-save "
                + "--no-package-lock playwright-core axe-core; Debian: apt-get install nodejs npm chromium)");
    }
}
