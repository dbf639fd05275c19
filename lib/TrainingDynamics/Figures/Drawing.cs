using System.Net;
using System.Text.Json;

namespace TrainingDynamics.Figures;

/// <summary>How a series is drawn; the same everywhere, so that a reader learns it once.</summary>
internal enum Mark
{
    /// <summary>Measured: a solid line with markers and a band over the replicas.</summary>
    Measured,

    /// <summary>Predicted: a thin dashed dark line.</summary>
    Predicted,

    /// <summary>A plain solid line without markers.</summary>
    Line,

    /// <summary>Points without a line.</summary>
    Points,

    /// <summary>Bars over categories.</summary>
    Bars,

    /// <summary>Coloured cells over two lists of categories.</summary>
    HeatMap,

    /// <summary>Lines of equal height over a plane.</summary>
    Contour,

    /// <summary>Arrows.</summary>
    Arrows,
}

/// <summary>One series of a panel. Which of the lists are used follows from <see cref="Mark"/>.</summary>
internal sealed record Series(Mark Mark, string Name)
{
    public double[] X { get; init; } = [];

    public double[] Y { get; init; } = [];

    /// <summary>The band, or the ends of error bars.</summary>
    public double[]? Low { get; init; }

    public double[]? High { get; init; }

    public string[]? Categories { get; init; }

    public string[]? Rows { get; init; }

    /// <summary>Heat map and contour: [row][column].</summary>
    public double[][]? Z { get; init; }

    /// <summary>What a heat map's cells say.</summary>
    public string[][]? Text { get; init; }

    /// <summary>Arrows: where they point, from (X, Y).</summary>
    public double[]? U { get; init; }

    public double[]? V { get; init; }

    /// <summary>Series of one number share a colour: a measurement and its prediction.</summary>
    public int Color { get; init; }
}

/// <summary>One pair of axes and what is drawn in it.</summary>
internal sealed record Panel(string Title, string XTitle, string YTitle, bool LogX, bool LogY)
{
    public List<Series> Series { get; init; } = [];

    public bool EqualAxes { get; init; }

    /// <summary>What the axes show; null leaves it to the data.</summary>
    public Range? XRange { get; init; }

    public Range? YRange { get; init; }
}

/// <summary>From where to where an axis goes.</summary>
internal sealed record Range(double From, double To)
{
    /// <summary>All the values and a twentieth more at both ends; bars start at 0. Null where there is nothing to show.</summary>
    public static Range? Of(IReadOnlyList<double> values, bool log, bool bars)
    {
        var shown = values.Where(v => double.IsFinite(v) && (!log || v > 0)).Select(v => log ? Math.Log10(v) : v).ToArray();
        if (shown.Length == 0)
            return null;
        double from = shown.Min(), to = shown.Max();
        var margin = to > from ? 0.05 * (to - from) : 0.5;
        return new Range(bars && !log && from >= 0 ? 0 : from - margin, bars && !log && to <= 0 ? 0 : to + margin);
    }
}

/// <summary>A figure of several positions: [position] its panels.</summary>
internal sealed record Slider(string Label, IReadOnlyList<string> Positions, List<Panel>[] Panels, int Start)
{
    /// <summary>The slider itself: a range input, which answers to the arrow keys by itself.</summary>
    public string Element() => $"""
        <label class="figure-slider" style="display:block;padding:0 1em 6px">{WebUtility.HtmlEncode(Label)} =
        <output>{WebUtility.HtmlEncode(Positions[Start])}</output>
        <input type="range" min="0" max="{Positions.Count - 1}" step="1" value="{Start}" aria-label="{WebUtility.HtmlEncode(Label)}"
         aria-valuetext="{WebUtility.HtmlEncode(Positions[Start])}" style="display:block;width:100%"></label>

        """;

    /// <summary>What a drawn box does when its slider moves.</summary>
    public string Script(IReadOnlyList<string> drawings) => $$"""
        (function () {
          var positions = [{{string.Join(",", drawings)}}], names = {{JsonSerializer.Serialize(Positions)}};
          var range = box.parentElement.querySelector('input[type=range]');
          range.addEventListener('input', function () {
            var at = Number(range.value);
            range.setAttribute('aria-valuetext', names[at]);
            range.parentElement.querySelector('output').textContent = names[at];
            var layout = Object.assign({}, positions[at].layout);
            ['height', 'width', 'margin', 'legend', 'font'].forEach(function (key) { if (box.layout[key]) layout[key] = box.layout[key]; });
            window.Plotly.react(box, positions[at].data, layout);
          });
        })();
        """;
}

/// <summary>A whole figure as data: all that crosses over to Plotly.NET.</summary>
internal sealed record Drawing(string Title, string Alt, List<Panel> Panels);
