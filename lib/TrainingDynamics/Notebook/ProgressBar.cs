using System.Globalization;
using System.Net;
using System.Reflection;
using System.Text.Json.Nodes;

namespace TrainingDynamics.Notebook;

/// <summary>How far a long run is.</summary>
/// <param name="Step">Steps done.</param>
/// <param name="Steps">Steps in all.</param>
/// <param name="StepsPerSecond">The rate so far.</param>
/// <param name="Left">The time left at that rate.</param>
public sealed record Progress(int Step, int Steps, double StepsPerSecond, TimeSpan Left);

/// <summary>
/// How far a run is, in one place that is updated while it goes. It shows itself where the process is a notebook's and the run takes
/// longer than two seconds, and is silent elsewhere. .NET Interactive is found by name, as it finds our formatters, so that it is not
/// referenced;
/// and not by its own <c>display</c>, whose handle updates a value that was never shown.
/// </summary>
[TypeFormatterSource(typeof(FormatterSource), PreferredMimeTypes = ["text/html", "text/plain", MimeType])]
public sealed class ProgressBar : IProgress<Progress>
{
    /// <summary>The structured output's type: {"fraction", "text"}; a host may show it where it shows progress.</summary>
    public const string MimeType = "application/vnd.notebook.progress+json";

    private static readonly TimeSpan Long = TimeSpan.FromSeconds(2), Between = TimeSpan.FromSeconds(0.25);
    private static readonly Type? Cell = Find("Microsoft.DotNet.Interactive.KernelInvocationContext");
    private static readonly MethodInfo? Display =
        Find("Microsoft.DotNet.Interactive.KernelInvocationContextExtensions")?.GetMethod("Display",
        [Cell!, typeof(object), typeof(string[])]);

    private Progress _last = new(0, 1, 0, TimeSpan.Zero);
    private TimeSpan _shownAt;
    private Action? _update;

    /// <inheritdoc/>
    public void Report(Progress value)
    {
        _last = value;
        var elapsed = Elapsed;
        var done = value.Step == value.Steps;
        if (_update is null && !done && elapsed + value.Left > Long && Cell?.GetProperty("Current")?.GetValue(null) is { } cell
            && Display?.Invoke(null, [cell, this, Array.Empty<string>()]) is { } shown)
        {
            var update = shown.GetType().GetMethod("Update", [typeof(object)]);
            _update = () => update?.Invoke(shown, [this]);
            _shownAt = elapsed;
        }
        else if (_update is not null && (done || elapsed - _shownAt > Between))
        {
            _update();
            _shownAt = elapsed;
        }
    }

    private static Type? Find(string name) => AppDomain.CurrentDomain.GetAssemblies()
        .Select(a => a.GetType(name)).FirstOrDefault(t => t is not null);

    private TimeSpan Elapsed => _last.StepsPerSecond > 0 ? TimeSpan.FromSeconds(_last.Step / _last.StepsPerSecond) : TimeSpan.Zero;

    /// <inheritdoc/>
    public override string ToString() => _last.Step == _last.Steps
        ? string.Create(CultureInfo.InvariantCulture, $"{_last.Steps:N0} steps in {Elapsed.TotalSeconds:0.0} s")
        : string.Create(CultureInfo.InvariantCulture, $"{_last.Step:N0} of {_last.Steps:N0} steps, {_last.StepsPerSecond:N0} a second, "
            + $"{Math.Ceiling(_last.Left.TotalSeconds):0} s left");

    private sealed class FormatterSource
    {
        public IEnumerable<object> CreateTypeFormatters() =>
        [
            new Formatter<ProgressBar>("text/html", bar => $"<div role=\"status\"><progress max=\"{bar._last.Steps}\" "
                + $"value=\"{bar._last.Step}\" aria-label=\"steps done\"></progress> {WebUtility.HtmlEncode(bar.ToString())}</div>"),
            new Formatter<ProgressBar>("text/plain", bar => bar.ToString()),
            new Formatter<ProgressBar>(MimeType, bar => new JsonObject { ["fraction"] = (double)bar._last.Step / bar._last.Steps,
                ["text"] = bar.ToString() }.ToJsonString()),
        ];
    }
}
