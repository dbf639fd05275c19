using System.Text.Json;
using Microsoft.FSharp.Collections;
using Plotly.NET;

namespace TrainingDynamics.Figures;

/// <summary>From <see cref="Drawing"/> to Plotly.NET's chart objects. Runs inside <see cref="PlotlyContext"/>; the only code that names a
/// Plotly type.</summary>
internal static class PlotlyRenderer
{
    /// <summary>How drawings cross over; NaN and infinity travel as names.</summary>
    public static readonly JsonSerializerOptions Json =
        new() { NumberHandling = System.Text.Json.Serialization.JsonNumberHandling.AllowNamedFloatingPointLiterals };

    // Okabe and Ito's colours, told apart by every kind of colour vision; each with a marker of its own.
    private static readonly string[] Colors = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#444444"];
    private static readonly string[] Markers = ["circle", "square", "diamond", "triangle-up", "x", "cross", "star"];
    // Between two panels side by side, as a share of the drawing: wide enough for an axis' numbers and title.
    private const double Gap = 0.14;

    public static string Figure(string drawingJson)
    {
        var drawing = JsonSerializer.Deserialize<Drawing>(drawingJson, Json)!;
        var columns = drawing.Panels.Count == 4 ? 2 : Math.Min(drawing.Panels.Count, 3);
        var rows = (drawing.Panels.Count + columns - 1) / columns;
        var named = new HashSet<string>();
        var traces = new List<Trace>();
        var layout = new Layout();
        // What a panel's width has room for, in letters: plotly.js breaks no line by itself, and a narrow page cuts what is longer.
        var letters = columns switch { 1 => 70, 2 => 36, _ => 24 };
        int LinesOver(Func<Panel, string> text) => drawing.Panels.Max(p => Lines(text(p), letters).Count) - 1;
        var title = Lines(drawing.Title, 68);
        var titles = 18 * LinesOver(p => p.Title);
        var over = (22 * (title.Count - 1)) + titles;
        // Names under bars that do not fit side by side are slanted: room for them, and the legend below it.
        var slanted = drawing.Panels.SelectMany(p => p.Series)
            .Where(s => s.Mark == Mark.Bars && s.Categories!.Sum(c => c.Length + 2) * columns > 80)
            .SelectMany(s => s.Categories!).Select(c => Math.Min(c.Length, 24) * 6).DefaultIfEmpty(0).Max();
        // Powers of ten are taller than other numbers.
        var under = slanted + (18 * LinesOver(p => p.XTitle)) + (drawing.Panels.Any(p => p.LogX) ? 12 : 0);
        // Between two rows: an axis' numbers and title, the panels' own titles, and what of these takes more than a line.
        var more = under + titles;
        var height = 80 + (rows * 370) + ((rows - 1) * more) + over;
        var rowGap = (119 + more) / ((rows * 370.0) + ((rows - 1) * more) - 40);
        // The first line's foot is 32 pixels under the top edge; left to itself, plotly.js puts it in the middle of the margin.
        layout.SetProperty("title", Map(("text", string.Join("<br>", title)), ("x", 0.02),
            ("xanchor", "left"), ("yref", "container"), ("y", 1 - (32.0 / height)), ("yanchor", "bottom"), ("font", Map(("size", 17)))));
        layout.SetProperty("height", height);
        layout.SetProperty("margin", Map(("l", 70), ("r", 20), ("t", 62 + over), ("b", 60)));
        layout.SetProperty("legend", Map(("orientation", "h"), ("y", -0.2 / rows), ("yanchor", "top")));
        layout.SetProperty("font", Map(("family", "system-ui, sans-serif"), ("size", 13)));
        layout.SetProperty("plot_bgcolor", "#ffffff");
        layout.SetProperty("paper_bgcolor", "#ffffff");
        layout.SetProperty("hovermode", "closest");
        layout.SetProperty("barmode", "group");
        var annotations = new List<object>();
        foreach (var (i, panel) in drawing.Panels.Index())
        {
            var suffix = i == 0 ? "" : $"{i + 1}";
            double width = (1 - (Gap * (columns - 1))) / columns, tall = (1 - (rowGap * (rows - 1))) / rows;
            double left = i % columns * (width + Gap), top = 1 - (i / columns * (tall + rowGap));
            var x = Axis(Broken(panel.XTitle, letters), panel.LogX,
                panel.Series.Any(s => s.Categories is not null), "y" + suffix, left, left + width);
            var y = Axis(Broken(panel.YTitle, 42), panel.LogY, panel.Series.Any(s => s.Rows is not null), "x" + suffix, top - tall, top);
            if (panel.EqualAxes)
                (y["scaleanchor"], y["constrain"], x["constrain"]) = ("x" + suffix, "domain", "domain");
            if (panel.Series.Any(s => s.Mark == Mark.HeatMap))
                y["autorange"] = "reversed";
            foreach (var (axis, range) in new[] { (x, panel.XRange), (y, panel.YRange) })
            {
                if (range is not null)
                    axis["range"] = new[] { range.From, range.To };
            }
            layout.SetProperty("xaxis" + suffix, x);
            layout.SetProperty("yaxis" + suffix, y);
            if (panel.Title != "")
                annotations.Add(Map(("text", Broken(panel.Title, letters)), ("showarrow", false), ("xref", "paper"), ("yref", "paper"),
                    ("x", left + (width / 2)), ("y", top), ("xanchor", "center"), ("yanchor", "bottom"), ("font", Map(("size", 14)))));
            foreach (var series in panel.Series)
            {
                foreach (var trace in Traces(series))
                {
                    trace.SetProperty("xaxis", "x" + suffix);
                    trace.SetProperty("yaxis", "y" + suffix);
                    if (trace.TryGetPropertyValue("showlegend") is null && !named.Add(series.Name))
                        trace.SetProperty("showlegend", false);                    // one legend entry for all panels
                    traces.Add(trace);
                }
            }
        }
        if (annotations.Count > 0)
            layout.SetProperty("annotations", annotations);
        var chart = GenericChart.setLayout(layout, GenericChart.ofTraceObjects(false, ListModule.OfSeq(traces)));
        return GenericChart.toFigureJson(chart);
    }

    private static string Broken(string text, int longest) => string.Join("<br>", Lines(text, longest));

    /// <summary>A title as lines of at most so many letters, parted between words.</summary>
    private static List<string> Lines(string text, int longest)
    {
        var lines = new List<string> { "" };
        foreach (var word in text.Split(' '))
        {
            if (lines[^1].Length + word.Length + 1 > longest && lines[^1] != "")
                lines.Add("");
            lines[^1] = lines[^1] == "" ? word : $"{lines[^1]} {word}";
        }
        return lines;
    }

    public static string Script()
    {
        var assembly = typeof(GenericChart).Assembly;
        var name = assembly.GetManifestResourceNames().Single(n => n.EndsWith(".min.js", StringComparison.Ordinal));
        using var reader = new StreamReader(assembly.GetManifestResourceStream(name)!);
        return reader.ReadToEnd();
    }

    private static IEnumerable<Trace> Traces(Series s)
    {
        var color = Colors[s.Color % Colors.Length];
        switch (s.Mark)
        {
            case Mark.HeatMap:
                yield return Make("heatmap", s, ("x", s.Categories),
                    ("y", s.Rows), ("z", s.Z!.Select(Numbers)), ("text", s.Text), ("texttemplate", "%{text}"),
                    ("colorscale", "Cividis"), ("xgap", 2), ("ygap", 2),
                        ("colorbar", Map(("title", Map(("text", s.Name), ("side", "right"))))), ("showlegend", false));
                break;
            case Mark.Contour:
                yield return Make("contour", s, ("x", Numbers(s.X)),
                    ("y", Numbers(s.Y)), ("z", s.Z!.Select(Numbers)), ("colorscale", "Cividis"), ("opacity", 0.75),
                    ("line", Map(("width", 0.5))), ("colorbar", Map(("title", Map(("text", s.Name), ("side", "right"))))),
                        ("showlegend", false));
                break;
            case Mark.Arrows:
                var (xs, ys) = ArrowLines(s);
                yield return Make("scatter", s, ("x", xs), ("y", ys),
                    ("mode", "lines"), ("hoverinfo", "skip"), ("line", Map(("color", "#111111"), ("width", 1.4))));
                break;
            case Mark.Bars:
                yield return Make("bar", s, ("x", s.Categories), ("y", Numbers(s.Y)),
                    ("marker", Map(("color", color), ("pattern", Map(("shape", new[] { "", "/", "x", ".", "-" }[s.Color % 5]))))),
                    ("error_y", s.Low is null ? null : Map(("type", "data"), ("symmetric", false),
                        ("array", s.High!.Zip(s.Y, (h, y) => h - y).ToArray()),
                        ("arrayminus", s.Y.Zip(s.Low, (y, l) => y - l).ToArray()))));
                break;
            default:
                if (s.Low is not null)
                {
                    yield return Make("scatter", s, ("x", Numbers(s.X)), ("y", Numbers(s.Low)), ("mode", "lines"),
                        ("line", Map(("width", 0), ("color", color))),
                        ("legendgroup", s.Name), ("showlegend", false), ("hoverinfo", "skip"));
                    yield return Make("scatter", s, ("x", Numbers(s.X)),
                        ("y", Numbers(s.High!)), ("mode", "lines"), ("line", Map(("width", 0), ("color", color))), ("fill", "tonexty"),
                        ("fillcolor", color + "38"), ("legendgroup", s.Name), ("showlegend", false), ("hoverinfo", "skip"));
                }
                var (mode, dash, width, size) = s.Mark switch
                {
                    Mark.Predicted => ("lines", "dash", 1.5, 0),
                    Mark.Line => ("lines", "solid", 1.5, 0),
                    Mark.Points => ("markers", "solid", 0.0, 9),
                    _ => ("lines+markers", "solid", 2.5, 8),
                };
                yield return Make("scatter", s, ("x", s.Categories ?? (object)Numbers(s.X)),
                    ("y", Numbers(s.Y)), ("mode", mode), ("legendgroup", s.Name),
                    ("line", Map(("dash", dash), ("width", width),
                        ("color", s.Mark == Mark.Predicted ? "#111111" : color))),
                    ("marker", Map(("symbol", Markers[s.Color % Markers.Length] + (s.Color >= Markers.Length ? "-open" : "")),
                        ("size", size), ("color", color), ("maxdisplayed", s.Mark == Mark.Measured ? 12 : 0))));
                break;
        }
    }

    /// <summary>A shaft and two strokes for the head of each arrow, parted by gaps.</summary>
    private static (double?[] X, double?[] Y) ArrowLines(Series s)
    {
        List<double?> x = [], y = [];
        for (var i = 0; i < s.X.Length; i++)
        {
            if (!new[] { s.X[i], s.Y[i], s.U![i], s.V![i] }.All(double.IsFinite))
                continue;
            double x1 = s.X[i] + s.U[i], y1 = s.Y[i] + s.V[i], u = s.U[i], v = s.V[i];
            x.AddRange([s.X[i], x1, x1 - (0.28 * u) - (0.16 * v), null, x1, x1 - (0.28 * u) + (0.16 * v), null]);
            y.AddRange([s.Y[i], y1, y1 - (0.28 * v) + (0.16 * u), null, y1, y1 - (0.28 * v) - (0.16 * u), null]);
        }
        return ([.. x], [.. y]);
    }

    private static Trace Make(string type, Series series, params (string Key, object? Value)[] properties)
    {
        var trace = new Trace(type);
        trace.SetProperty("name", series.Name);
        foreach (var (key, value) in properties)
        {
            if (value is not null)
                trace.SetProperty(key, value);
        }
        return trace;
    }

    private static Dictionary<string, object> Axis(string title, bool log, bool categories, string anchor, double from, double to)
    {
        var axis = Map(("title", Map(("text", title), ("standoff", 8))),
            ("anchor", anchor), ("domain", new[] { from, to }), ("type", categories ? "category" : log ? "log" : "linear"),
            ("gridcolor", "#e6e6e6"), ("linecolor", "#444444"),
                ("showline", true), ("zeroline", false), ("ticks", "outside"), ("automargin", true));
        if (log)
            axis["exponentformat"] = "power";
        return axis;
    }

    private static double?[] Numbers(double[] values) => [.. values.Select(v => double.IsFinite(v) ? v : (double?)null)];

    private static Dictionary<string, object> Map(params (string Key, object Value)[] pairs) => pairs.ToDictionary(p => p.Key,
        p => p.Value);
}
