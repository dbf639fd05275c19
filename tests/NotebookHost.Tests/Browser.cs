namespace NotebookHost.Tests;

/// <summary>Headless Chromium, driven by Playwright under Node; what needs it is skipped, visibly, where it is absent.</summary>
internal static class Browser
{
    private static readonly string Modules = Path.Combine(Host.Root, "artifacts", "npm", "node_modules");

    /// <summary>Runs one of the scripts in this project's Browser folder.</summary>
    public static Task<(int Status, string Output)> RunAsync(string script, params IEnumerable<string> arguments)
        => Script.RunAsync("node", Path.Combine(Host.Root, "tests", "NotebookHost.Tests", "Browser"), [new("NODE_PATH", Modules)], [script, .. arguments]);

    /// <summary>Whether there is a Chromium or Chrome.</summary>
    public static bool Chromium { get; } = new[] { Environment.GetEnvironmentVariable("CHROME"), "/usr/bin/chromium", "/usr/bin/google-chrome" }.Any(File.Exists);

    /// <summary>Skips the test where something is missing.</summary>
    public static void Require()
    {
        var node = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator).Any(f => File.Exists(Path.Combine(f, "node")));
        Assert.SkipUnless(node && Chromium && Directory.Exists(Path.Combine(Modules, "playwright-core")) && Directory.Exists(Path.Combine(Modules, "axe-core")),
            "Node, Chromium, playwright-core or axe-core is not installed (npm install --prefix artifacts/npm --no-save --no-package-lock playwright-core axe-core; Debian: apt-get install nodejs npm chromium)");
    }
}
