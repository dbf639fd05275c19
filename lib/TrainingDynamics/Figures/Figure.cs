using System.Globalization;
using System.Net;
using System.Security.Cryptography;
using System.Text;
using TrainingDynamics.Measurement;
using TrainingDynamics.Notebook;

namespace TrainingDynamics.Figures;

/// <summary>
/// A picture of numbers: built in one expression, shown as an interactive page element that needs no network, in every
/// notebook host. Measurements are solid lines with a band over their replicas, predictions thin dashed lines.
/// </summary>
[TypeFormatterSource(typeof(HtmlFormatterSource<Figure>), PreferredMimeTypes = ["text/html", "text/plain"])]
public sealed class Figure : IHtml
{
    private const int MostPoints = 2000, MostCells = 200;
    private static int s_scriptGiven;
    private readonly List<Panel> _panels;
    private readonly string _title;
    private readonly Slider? _slider;
    private string _alt = "";

    private Figure(string title, List<Panel> panels, Slider? slider = null) => (_title, _panels, _slider) = (title, panels, slider);

    private Panel Last => _panels[^1];

    /// <summary>A figure of curves and points.</summary>
    /// <param name="title">The finding, as a sentence.</param>
    /// <param name="x">The horizontal axis, with its unit.</param>
    /// <param name="y">The vertical axis, with its unit.</param>
    /// <param name="logX">Whether the horizontal axis is logarithmic.</param>
    /// <param name="logY">Whether the vertical axis is logarithmic.</param>
    public static Figure Lines(string title, string x, string y,
        bool logX = false, bool logY = false) => new(title, [new Panel("", x, y, logX, logY)]);

    /// <summary>A figure of bars over categories.</summary>
    public static Figure Bars(string title, string x, string y, bool logY = false) => new(title, [new Panel("", x, y, false, logY)]);

    /// <summary>A table of coloured cells: <paramref name="values"/>[row][column], each cell with its own text.</summary>
    /// <exception cref="ArgumentException">The table's size does not fit the names.</exception>
    public static Figure HeatMap(string title, IReadOnlyList<string> columns,
        IReadOnlyList<string> rows, double[][] values, string scale, Func<double, string>? text = null)
    {
        if (values.Length != rows.Count || values.Any(row => row.Length != columns.Count))
            throw new ArgumentException($"values are {values.Length} rows of "
                + $"{string.Join("/", values.Select(r => r.Length).Distinct())}, the names are {rows.Count} rows and {columns.Count} "
                + "columns", nameof(values));
        return new Figure(title, [new Panel("", "", "", false, false)]).Add(new Series(Mark.HeatMap, scale)
        {
            Categories = [.. columns],
            Rows = [.. rows],
            Z = values,
            Text = [.. values.Select(row => row.Select(text ?? Short).ToArray())],
        });
    }

    /// <summary>A plane with axes of one scale, for contours and arrows.</summary>
    public static Figure Plane(string title, string x, string y) => new(title, [new Panel("", x, y, false, false) { EqualAxes = true }]);

    /// <summary>Several figures as panels of one, in rows of up to three; each one's title stands over its panel.</summary>
    public static Figure Panels(string title, params IReadOnlyList<Figure> figures)
        => new(title, [.. figures.SelectMany(f => f.Still()._panels.Select(p => p with { Title = f._title }))]);

    private Figure Still() => _slider is null ? this
        : throw new InvalidOperationException($"'{_title}' has a slider: it is no part of another figure, and grows no further");

    /// <summary>
    /// One figure for each position of a slider, moved by hand or by the arrow keys: runs that were made, not curves in between. All
    /// positions share their axes' ranges, so that what moves is the result. <paramref name="start"/> is the still picture.
    /// </summary>
    /// <param name="title">The finding, as a sentence.</param>
    /// <param name="label">What the slider moves, with its unit: "decay λ".</param>
    /// <param name="positions">What is written at each position, two at least.</param>
    /// <param name="at">The figure of a position, by its number; all with the same panels.</param>
    /// <param name="start">The position that is shown first.</param>
    /// <exception cref="ArgumentException">There are less than two positions, the start is none of them, or their panels
    /// differ.</exception>
    public static Figure Slider(string title, string label, IReadOnlyList<string> positions, Func<int, Figure> at, int start = 0)
    {
        if (positions.Count < 2)
            throw new ArgumentException($"a slider needs two positions or more, got {positions.Count}", nameof(positions));
        if (start < 0 || start >= positions.Count)
            throw new ArgumentException($"start is {start}, the positions are 0 to {positions.Count - 1}", nameof(start));
        Figure[] figures = [.. positions.Select((_, i) => at(i).Still())];
        if (figures.FirstOrDefault(f => f._panels.Count != figures[0]._panels.Count) is { } other)
            throw new ArgumentException($"the figures of a slider have {figures[0]._panels.Count} and {other._panels.Count} panels",
                nameof(at));
        var axes = figures.Select(f => string.Join(", ", f._panels.Select(p => (p.LogX, p.LogY)))).ToList();
        if (axes.FindIndex(a => a != axes[0]) is >= 0 and var odd)
            throw new ArgumentException($"position {odd} ('{positions[odd]}') has other logarithmic axes than position 0", nameof(at));
        List<Panel>[] panels = [.. figures.Select(f => f._panels.Count == 1
            ? f._panels.Select(p => p with { Title = f._title }).ToList()
            : f._panels)];
        for (var i = 0; i < panels[0].Count; i++)
        {
            var x = Range.Of([.. panels.SelectMany(p => p[i].Series).SelectMany(s => s.X)], panels[0][i].LogX, bars: false);
            var bars = panels[0][i].Series.Any(s => s.Mark == Mark.Bars);
            var heights = panels.SelectMany(p => p[i].Series).SelectMany(s => s.Y.Concat(s.Low ?? []).Concat(s.High ?? []));
            var y = Range.Of([.. heights], panels[0][i].LogY, bars);
            foreach (var position in panels)
                position[i] = position[i] with { XRange = x, YRange = y };
        }
        return new Figure(title, panels[start], new Slider(label, positions, panels, start));
    }

    /// <summary>A measured curve: the mean over its replicas, and a band from the least to the greatest. Diverged replicas are left out,
    /// and the name says so.</summary>
    public Figure Measured(Trace trace)
    {
        var kept = Enumerable.Range(0, trace.Replicas).Where(r => trace.DivergedAt(r) is null).ToArray();
        var name = kept.Length == trace.Replicas ? trace.Name : $"{trace.Name} ({trace.Replicas - kept.Length} of {trace.Replicas} "
            + $"diverged at {string.Join(", ", Enumerable.Range(0, trace.Replicas).Select(trace.DivergedAt).Where(x => x is not null))}, "
            + "left out)";
        var rows = trace.X.Select((_, i) => kept.Select(r => trace[r][i]).ToArray()).ToArray();
        return Measured(name, trace.X, rows);
    }

    /// <summary>Several measured curves: the settings of a sweep.</summary>
    public Figure Measured(IEnumerable<Trace> traces) => traces.Aggregate(this, (figure, trace) => figure.Measured(trace));

    /// <summary>A measured curve from its points: <paramref name="y"/>[point][replica].</summary>
    public Figure Measured(string name, IReadOnlyList<double> x, double[][] y)
    {
        RequireSameLength(name, x.Count, y.Length);
        var band = y.Any(row => row.Length > 1);
        return Add(new Series(Mark.Measured, name)
        {
            X = [.. x],
            Y = [.. y.Select(row => row.Length == 0 ? double.NaN : row.Average())],
            Low = band ? [.. y.Select(row => row.DefaultIfEmpty(double.NaN).Min())] : null,
            High = band ? [.. y.Select(row => row.DefaultIfEmpty(double.NaN).Max())] : null,
        });
    }

    /// <summary>A prediction as a function, drawn over the range of what the panel has so far.</summary>
    public Figure Predicted(string name, Func<double, double> f) => Add(Curve(Mark.Predicted, name, f));

    /// <summary>A prediction by its points.</summary>
    public Figure Predicted(string name, IReadOnlyList<double> x, IReadOnlyList<double> y) => Add(Given(Mark.Predicted, name, x, y));

    /// <summary>A prediction that is one number, drawn across the panel's bars or over the range of its points.</summary>
    public Figure PredictedLevel(string name, double value)
    {
        var categories = Last.Series.FirstOrDefault(s => s.Categories is not null)?.Categories;
        return categories is null ? Predicted(name, _ => value)
            : Add(new Series(Mark.Predicted, name) { Categories = categories, Y = [.. categories.Select(_ => value)] });
    }

    /// <summary>A plain line by its points.</summary>
    public Figure Line(string name, IReadOnlyList<double> x, IReadOnlyList<double> y) => Add(Given(Mark.Line, name, x, y));

    /// <summary>Points without a line.</summary>
    public Figure Points(string name, IReadOnlyList<double> x, IReadOnlyList<double> y) => Add(Given(Mark.Points, name, x, y));

    /// <summary>Bars: <paramref name="values"/>[category][replica]; the bar is the mean, the whisker goes from least to greatest.</summary>
    public Figure Bar(string name, IReadOnlyList<string> categories, double[][] values)
    {
        RequireSameLength(name, categories.Count, values.Length);
        return Add(new Series(Mark.Bars, name)
        {
            Categories = [.. categories],
            Y = [.. values.Select(v => v.Average())],
            Low = values.Any(v => v.Length > 1) ? [.. values.Select(v => v.Min())] : null,
            High = values.Any(v => v.Length > 1) ? [.. values.Select(v => v.Max())] : null,
        });
    }

    /// <summary>Lines of equal height: <paramref name="z"/>[row of y][column of x].</summary>
    public Figure Contour(string name, IReadOnlyList<double> x, IReadOnlyList<double> y, double[][] z)
    {
        RequireSameLength(name, y.Count, z.Length);
        return Add(new Series(Mark.Contour, name) { X = [.. x], Y = [.. y], Z = z });
    }

    /// <summary>Arrows from (x, y) by (u, v).</summary>
    public Figure Arrows(string name, IReadOnlyList<(double X, double Y, double U, double V)> arrows) => Add(new Series(Mark.Arrows, name)
    {
        X = [.. arrows.Select(a => a.X)],
        Y = [.. arrows.Select(a => a.Y)],
        U = [.. arrows.Select(a => a.U)],
        V = [.. arrows.Select(a => a.V)],
    });

    /// <summary>What a reader who does not see the picture should know: what is drawn, and what it shows.</summary>
    public Figure Alt(string sentence)
    {
        _alt = sentence;
        return this;
    }

    /// <summary>The figure's numbers: panel, series, x, y, low, high, a line a point.</summary>
    public string ToCsv()
    {
        var csv = new StringBuilder("panel,series,x,y,low,high\n");
        string At(int i) => $"{_slider.Label} = {_slider.Positions[i]}: ";
        var all = _slider is null ? _panels
            : [.. _slider.Panels.SelectMany((p, i) => p.Select(panel => panel with { Title = At(i) + panel.Title }))];
        foreach (var panel in all)
        {
            foreach (var s in panel.Series)
            {
                void Row(object x, object y, double? low = null, double? high = null)
                    => csv.Append(CultureInfo.InvariantCulture,
                        $"{Quote(panel.Title)},{Quote(s.Name)},{Cell(x)},{Cell(y)},{Cell(low)},{Cell(high)}\n");
                if (s.U is not null)
                {
                    for (var i = 0; i < s.X.Length; i++)
                        Row($"{Short(s.X[i])};{Short(s.Y[i])}", $"{Short(s.U[i])};{Short(s.V![i])}");
                }
                else if (s.Z is not null)
                {
                    for (var i = 0; i < s.Z.Length; i++)
                    {
                        for (var j = 0; j < s.Z[i].Length; j++)
                            Row(s.Categories is null ? $"{Short(s.X[j])};{Short(s.Y[i])}" : $"{s.Categories[j]};{s.Rows![i]}", s.Z[i][j]);
                    }
                }
                else
                {
                    for (var i = 0; i < s.Y.Length; i++)
                        Row(s.Categories is null ? s.X[i] : s.Categories[i], s.Y[i], s.Low?[i], s.High?[i]);
                }
            }
        }
        return csv.ToString();

        static string Quote(string text) => text.AsSpan().IndexOfAny(",\"\n") < 0 ? text : $"\"{text.Replace("\"", "\"\"")}\"";
        static string Cell(object? value) => value switch
        {
            null => "",
            double v => v.ToString("G6", CultureInfo.InvariantCulture),
            _ => Quote(value.ToString()!)
        };
    }

    /// <summary>The figure as an HTML element without plotly.js: it draws itself when the page has it.</summary>
    public string ToElement()
    {
        var alt = _alt == "" ? _title : _alt;
        string Json(List<Panel> panels) => PlotlyContext.Render(new Drawing(_title, alt, panels))
            .Replace("</", "<\\/", StringComparison.Ordinal);
        var json = Json(_panels);
        var slide = _slider?.Script([.. _slider.Panels.Select(Json)]) ?? "";
        var id = "figure-" + Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(json + slide)))[..12];
        return $$"""
            <figure class="training-dynamics-figure" style="margin:1em 0;background:#fff;color:#111;padding:4px">
            <div class="{{id}}" role="img" aria-label="{{WebUtility.HtmlEncode(alt)}}" style="width:100%"></div>
            {{_slider?.Element()}}<figcaption style="font-size:90%;padding:0 1em">{{WebUtility.HtmlEncode(alt)}}</figcaption>
            <details style="font-size:85%;padding:0 1em"><summary>The numbers (CSV)</summary>
            <pre style="max-height:16em;overflow:auto;user-select:all">{{WebUtility.HtmlEncode(ToCsv())}}</pre></details>
            <script>(function () {
              var figure = {{json}};
              var wait = 0;
              // The legend stands right under what is under the axes, however many lines their names and titles take.
              function settle(box) {
                var legend = box.querySelector('.infolayer .legend'), size = box._fullLayout._size, under = size.t + size.h;
                // Twice at a width at most: a legend that breaks its lines anew after each step would never come to rest.
                if (box.clientWidth !== box.settled) { box.settled = box.clientWidth; box.steps = 0; }
                if (!legend || !box.offsetParent || box.steps++ >= 2) return Promise.resolve();
                var top = box.getBoundingClientRect().top;
                box.querySelectorAll('.xtick text, .infolayer [class^="g-x"] text').forEach(function (text) {
                  under = Math.max(under, text.getBoundingClientRect().bottom - top);
                });
                var foot = Math.ceil(under - size.t - size.h + legend.getBoundingClientRect().height + 18);
                var y = 1 - (under + 8 - size.t) / size.h, more = foot - box.layout.margin.b;
                if (Math.abs(more) < 3 && Math.abs(y - box.layout.legend.y) * size.h < 3) return Promise.resolve();
                // Given a height, Plotly keeps the width too, and would no longer follow the page.
                box.style.height = box._fullLayout.height + more + 'px';
                return window.Plotly.relayout(box, { 'margin.b': foot, 'legend.y': y, height: box._fullLayout.height + more })
                  .then(function () { delete box.layout.width; });
              }
              // After the text: a page of many figures can be read while they are drawn.
              setTimeout(function draw() {
                document.querySelectorAll('.{{id}}:not([data-draws])').forEach(function (box) {
                  if (window.Plotly) {
                    box.setAttribute('data-draws', '');
                    window.Plotly.newPlot(box, figure.data, figure.layout,
                      { responsive: true, displaylogo: false, modeBarButtonsToRemove: ['lasso2d', 'select2d'] })
                      .then(function () { return settle(box); }).then(function () {
                        box.setAttribute('data-drawn', '');
                        box.on('plotly_afterplot', function () { settle(box); });
                      });
                    {{slide}}
                  } else if (wait++ < 300) {
                    setTimeout(draw, 50);
                  } else {
                    box.textContent = 'plotly.js is not on this page: restart the kernel and run all cells.';
                  }
                });
              });
            })();</script>
            </figure>
            """;
    }

    /// <summary>The figure with plotly.js before it: an HTML fragment that needs nothing else.</summary>
    public string ToHtml() => ScriptElement() + ToElement();

    /// <summary>What a notebook shows: plotly.js comes with the first figure of a session, later ones use it.</summary>
    string IHtml.Show() => Interlocked.Exchange(ref s_scriptGiven, 1) == 0 ? ToHtml() : ToElement();

    /// <inheritdoc/>
    public override string ToString() => $"{_title}{(_alt == "" ? "" : " — " + _alt)}";

    // A page keeps one script of a data-once name. Hidden from AMD loaders, which would keep Plotly from becoming global.
    private static string ScriptElement() =>
        $"<script data-once=\"plotly\">(function () {{ var define, module, exports;\n{PlotlyContext.Script()}\n}})();</script>\n";

    private Figure Add(Series series)
    {
        Still();
        var count = Last.Series.Count(s => s.Mark == series.Mark);
        // What cannot be drawn is said where the reader looks for the curve.
        var finite = series.Z?.SelectMany(row => row).Select(double.IsFinite).ToArray()
            ?? [.. series.Y.Select((y, i) => double.IsFinite(y)
                && new[] { series.X, series.U, series.V }.All(v => v is null or [] || double.IsFinite(v[i])))];
        var notPositive = series.Z is null ? finite.Index().Count(f => f.Item
            && ((Last.LogY && series.Y[f.Index] <= 0) || (Last.LogX && series.X.Length > 0 && series.X[f.Index] <= 0))) : 0;
        if (finite.Count(f => !f) is > 0 and var missing)
            series = series with { Name = $"{series.Name} ({missing} of {finite.Length} not finite, left out)" };
        if (notPositive > 0)
            series = series with { Name = $"{series.Name} ({notPositive} of {finite.Length} not above 0 on a logarithmic axis, left out)" };
        Last.Series.Add(Thinned(series) with { Color = count });
        return this;
    }

    /// <summary>The series, or what of it a page can carry, evenly spaced, which its name then says.</summary>
    private static Series Thinned(Series s)
    {
        if (s.Z is [var first, ..])
        {
            var (rows, columns) = (Kept(s.Z.Length, MostCells), Kept(first.Length, MostCells));
            return rows.Length == s.Z.Length && columns.Length == first.Length ? s : s with
            {
                Name = $"{s.Name} ({rows.Length} of {s.Z.Length} rows, {columns.Length} of {first.Length} columns)",
                X = Pick(s.X, columns)!,
                Y = Pick(s.Y, rows)!,
                Categories = Pick(s.Categories, columns),
                Rows = Pick(s.Rows, rows),
                Z = [.. rows.Select(i => Pick(s.Z[i], columns)!)],
                Text = s.Text is null ? null : [.. rows.Select(i => Pick(s.Text[i], columns)!)],
            };
        }
        var kept = Kept(s.Y.Length, MostPoints);
        return kept.Length == s.Y.Length ? s : s with
        {
            Name = $"{s.Name} ({kept.Length} of {s.Y.Length} points)",
            X = Pick(s.X, kept)!,
            Y = Pick(s.Y, kept)!,
            Low = Pick(s.Low, kept),
            High = Pick(s.High, kept),
            Categories = Pick(s.Categories, kept),
            U = Pick(s.U, kept),
            V = Pick(s.V, kept),
        };
    }

    private static int[] Kept(int count, int most) => [.. Enumerable.Range(0, Math.Min(count, most))
        .Select(i => count <= most ? i : (int)((long)i * (count - 1) / (most - 1)))];

    private static T[]? Pick<T>(T[]? values, int[] kept) => values is null or [] ? values : [.. kept.Select(i => values[i])];

    private Series Curve(Mark mark, string name, Func<double, double> f)
    {
        var xs = Last.Series.SelectMany(s => s.X).Where(x => double.IsFinite(x) && (!Last.LogX || x > 0)).ToArray();
        if (xs.Length == 0)
            throw new InvalidOperationException(
                $"'{name}' is a function, and the panel has no points yet to take its range from: add it after them");
        double from = xs.Min(), to = xs.Max();
        var x = Enumerable.Range(0, 200).Select(i => Last.LogX ? from * Math.Pow(to / from, i / 199.0) : from + ((to - from) * i / 199))
            .ToArray();
        return new Series(mark, name) { X = x, Y = [.. x.Select(f)] };
    }

    private static Series Given(Mark mark, string name, IReadOnlyList<double> x, IReadOnlyList<double> y)
    {
        RequireSameLength(name, x.Count, y.Count);
        return new Series(mark, name) { X = [.. x], Y = [.. y] };
    }

    private static void RequireSameLength(string name, int x, int y)
    {
        if (x != y)
            throw new ArgumentException($"'{name}' has {x} places and {y} values", nameof(y));
    }

    private static string Short(double value) => value.ToString("G3", CultureInfo.InvariantCulture);
}
