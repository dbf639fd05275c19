namespace TrainingDynamics.Figures;

/// <summary>How a series is drawn; the same everywhere, so that a reader learns it once.</summary>
internal enum Mark
{
    /// <summary>Measured: a solid line with markers and a band over the replicas.</summary>
    Measured,

    /// <summary>Predicted: a thin dashed dark line.</summary>
    Predicted,

    /// <summary>The reader's bet: dotted.</summary>
    Bet,

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
}

/// <summary>A whole figure as data: all that crosses over to Plotly.NET.</summary>
internal sealed record Drawing(string Title, string Alt, List<Panel> Panels);
