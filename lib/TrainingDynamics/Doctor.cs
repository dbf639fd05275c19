using System.Diagnostics;
using TorchSharp;
using TrainingDynamics.Data;
using TrainingDynamics.Figures;
using TrainingDynamics.Runtime;

namespace TrainingDynamics;

/// <summary>What the library needs, tried: the notebook host's <c>doctor</c> finds this class by its name and prints what it
/// says.</summary>
public static class Doctor
{
    /// <summary>One line a check: what was tried, whether it worked, and what was seen or what to do.</summary>
    public static IEnumerable<(string Name, bool Ok, string Message)> Checks()
    {
        yield return Try("libtorch", () => $"libtorch {torch.__version__}, "
            + $"{Directory.GetFiles(Natives.Report.TorchFolder).Sum(f => new FileInfo(f).Length) / 1e6:0} MB, loaded from "
            + $"{Natives.Report.TorchFolder}");
        yield return Try("TorchSharp", () => Natives.Report.Healed
            ? $"this system's libstdc++ is older than TorchSharp's; a healed copy is loaded: {Natives.Report.Library}"
            : $"loaded as shipped: {Natives.Report.Library}");
        yield return Try("torch multiplies", () =>
        {
            using var scope = torch.NewDisposeScope();
            var clock = Stopwatch.StartNew();
            var a = torch.ones(512, 512);
            var sum = a.mm(a).sum().item<float>();
            return sum == 512f * 512f * 512f
                ? $"512×512 times 512×512 on {Threads.Count} thread(s) in {clock.Elapsed.TotalMilliseconds:0} ms"
                : throw new InvalidOperationException($"512×512 ones times ones summed to {sum}, not {512f * 512f * 512f}");
        });
        yield return Try("Plotly.NET draws", () =>
        {
            var html = Figure.Lines("A line", "x", "y").Line("y = x", [0, 1], [0, 1]).ToHtml();
            return html.Contains("\"scatter\"") ? "a figure became a page of its own, in an assembly context of its own"
                : throw new InvalidOperationException("the figure has no trace");
        });
        yield return Try("data",
            () => $"{Digits.Load().Train.Count + Digits.Load().Test.Count} digits read and their checksum verified, in {Shipped.Folder}");
    }

    private static (string, bool, string) Try(string name, Func<string> check)
    {
        try
        {
            return (name, true, check());
        }
        catch (Exception e)
        {
            return (name, false, (e is TypeInitializationException { InnerException: { } inner } ? inner : e).Message);
        }
    }
}
