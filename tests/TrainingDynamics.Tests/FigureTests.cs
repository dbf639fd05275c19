using System.Text.Json;
using System.Text.RegularExpressions;
using TrainingDynamics.Claims;
using TrainingDynamics.Figures;
using TrainingDynamics.Measurement;

namespace TrainingDynamics.Tests;

public partial class FigureTests
{
    private static JsonElement Json(Figure figure) => JsonDocument.Parse(FigurePattern()
        .Match(figure.ToElement()).Groups[1].Value).RootElement;

    private static Trace Curve()
    {
        var trace = new Trace("measured", 3);
        for (var i = 1; i <= 5; i++)
            trace.Add(i, new[] { i, i + 1.0, i + 2.0 });
        return trace;
    }

    [Fact]
    public void MeasurementsAreSolidWithABandAndTheoryIsThinAndDashed()
    {
        var data = Json(Figure.Lines("t", "x", "y").Measured(Curve()).Predicted("theory", x => x))
            .GetProperty("data").EnumerateArray().ToArray();
        Assert.Equal(4, data.Length);
        Assert.Equal("tonexty", data[1].GetProperty("fill").GetString());
        Assert.Equal("solid", data[2].GetProperty("line").GetProperty("dash").GetString());
        Assert.Equal("dash", data[3].GetProperty("line").GetProperty("dash").GetString());
        Assert.True(data[3].GetProperty("line").GetProperty("width")
            .GetDouble() < data[2].GetProperty("line").GetProperty("width").GetDouble());
        Assert.Equal([2, 3, 4, 5, 6], data[2].GetProperty("y").EnumerateArray().Select(v => v.GetDouble()));
        Assert.Equal(200, data[3].GetProperty("x").GetArrayLength());
    }

    [Fact]
    public void EveryKindOfFigureIsDrawn()
    {
        var all = Figure.Panels("all",
            Figure.Lines("lines", "x", "y", logX: true, logY: true)
                .Measured(Curve()).Line("l", [1, 2], [1, 2]).Points("p", [1], [1]),
            Figure.Bars("bars", "x", "y").Bar("b", ["one", "two"], [[1, 2], [3]]),
            Figure.HeatMap("map", ["c"], ["r1", "r2"], [[1], [double.NaN]], "scale"),
            Figure.Plane("plane", "x", "y").Contour("z", [0, 1], [0, 1], [[1, 2], [3, 4]]).Arrows("a", [(0, 0, 1, 1)]));
        var root = Json(all);
        Assert.Equal(["bar", "contour", "heatmap", "scatter"],
            root.GetProperty("data").EnumerateArray().Select(t => t.GetProperty("type").GetString()).Distinct().Order());
        var layout = root.GetProperty("layout");
        Assert.Equal("log", layout.GetProperty("xaxis").GetProperty("type").GetString());
        Assert.Equal("y", layout.GetProperty("yaxis").GetProperty("title").GetProperty("text").GetString());
        Assert.Equal("x4", layout.GetProperty("yaxis4").GetProperty("scaleanchor").GetString());
        Assert.Equal(4, layout.GetProperty("annotations").GetArrayLength());
        Assert.Equal(JsonValueKind.Null, root.GetProperty("data")
            .EnumerateArray().Single(t => t.GetProperty("type").GetString() == "heatmap").GetProperty("z")[1][0].ValueKind);
    }

    [Fact]
    public void ALongTitleIsBrokenBetweenWords()
    {
        var words = string.Join(' ', Enumerable.Repeat("seven77", 20));
        var title = Json(Figure.Lines(words, "x", "y").Line("l", [1, 2], [1, 2]))
            .GetProperty("layout").GetProperty("title").GetProperty("text").GetString()!;
        Assert.Equal(words, title.Replace("<br>", " "));
        Assert.All(title.Split("<br>"), line => Assert.InRange(line.Length, 1, 68));
        var panel = Figure.Lines(words, words, "y").Line("l", [1, 2], [1, 2]);
        var layout = Json(Figure.Panels("three", panel, panel, panel)).GetProperty("layout");
        foreach (var text in new[] { layout.GetProperty("annotations")[0], layout.GetProperty("xaxis2").GetProperty("title") }
            .Select(t => t.GetProperty("text").GetString()!))
            Assert.All(text.Split("<br>"), line => Assert.InRange(line.Length, 1, 24));
    }

    [Fact]
    public void TheElementSaysWhatItShowsAndNeedsNoNetwork()
    {
        var html = Figure.Lines("a < b", "x", "y").Line("</script>", [1], [2]).Alt("An \"alt\" sentence.").ToHtml();
        Assert.Contains("aria-label=\"An &quot;alt&quot; sentence.\"", html);
        Assert.Contains("data-once=\"plotly\"", html);
        Assert.DoesNotContain("src=\"http", html);
        Assert.DoesNotContain("<link", html);
        var element = Figure.Lines("a < b", "x", "y").Line("</script>", [1], [2]).ToElement();
        Assert.Equal(1, Regex.Count(element, "</script>"));
        Assert.Equal(element, Figure.Lines("a < b", "x", "y").Line("</script>", [1], [2]).ToElement());
    }

    [Fact]
    public void TheNumbersComeAlongAsCsv()
    {
        var csv = Figure.Lines("t", "x", "y").Measured(Curve()).Line("a, b", [1], [0.5]).ToCsv().Split('\n');
        Assert.Equal("panel,series,x,y,low,high", csv[0]);
        Assert.Equal(",measured,1,2,1,3", csv[1]);
        Assert.Equal(",\"a, b\",1,0.5,,", csv[6]);
    }

    [Fact]
    public void TooManyPointsAreThinnedAndTheNameSaysSo()
    {
        var x = Enumerable.Range(0, 1_000_000).Select(i => (double)i).ToArray();
        var trace = Json(Figure.Lines("t", "x", "y").Line("long", x, x)).GetProperty("data")[0];
        Assert.Equal(2000, trace.GetProperty("x").GetArrayLength());
        Assert.Equal("long (2000 of 1000000 points)", trace.GetProperty("name").GetString());
        Assert.Equal(999_999, trace.GetProperty("x")[1999].GetDouble());
        var bars = Json(Figure.Bars("t", "x", "y").Bar("many", [.. x[..3000].Select(v => $"{v}")], [.. x[..3000].Select(v => new[] { v })]))
            .GetProperty("data")[0];
        Assert.Equal("many (2000 of 3000 points)", bars.GetProperty("name").GetString());
        Assert.Equal("2999", bars.GetProperty("x")[1999].GetString());
        var arrows = Json(Figure.Plane("t", "x", "y").Arrows("field", [.. x[..3000].Select(v => (v, v, 1.0, 1.0))])).GetProperty("data")[0];
        Assert.Equal("field (2000 of 3000 points)", arrows.GetProperty("name").GetString());
        string[] names = [.. x[..1000].Select(v => $"{v}")];
        var map = Json(Figure.HeatMap("t", names, ["one"], [x[..1000]], "scale")).GetProperty("data")[0];
        Assert.Equal("scale (1 of 1 rows, 200 of 1000 columns)", map.GetProperty("name").GetString());
        Assert.Equal(999, map.GetProperty("z")[0][199].GetDouble());
    }

    [Fact]
    public void WhatIsNotFiniteIsLeftOutAndTheNameSaysSo()
    {
        var data = Json(Figure.Lines("t", "x", "y").Line("gaps", [1, 2, 3, double.NaN], [1, double.NaN, double.PositiveInfinity, 2]))
            .GetProperty("data");
        Assert.Equal("gaps (3 of 4 not finite, left out)", data[data.GetArrayLength() - 1].GetProperty("name").GetString());
        Assert.Equal(JsonValueKind.Null, data[data.GetArrayLength() - 1].GetProperty("x")[3].ValueKind);
        var map = Figure.HeatMap("map", ["c"], ["r1", "r2"], [[1], [double.NaN]], "scale");
        Assert.Contains("scale (1 of 2 not finite, left out)", map.ToElement());
        var arrows = Json(Figure.Plane("t", "x", "y").Arrows("field", [(0, 0, 1, 1), (0, 0, double.NaN, 1)])).GetProperty("data")[0];
        Assert.Equal("field (1 of 2 not finite, left out)", arrows.GetProperty("name").GetString());
        Assert.Equal(7, arrows.GetProperty("x").GetArrayLength());
        Assert.DoesNotContain("not finite", Figure.Lines("t", "x", "y").Measured(Curve()).ToElement());
    }

    [Fact]
    public void WhatALogarithmicAxisCannotShowIsLeftOutAndTheNameSaysSo()
    {
        static string Name(Figure figure) => Json(figure).GetProperty("data").EnumerateArray().Last().GetProperty("name").GetString()!;
        Assert.Equal("l (2 of 4 not above 0 on a logarithmic axis, left out)",
            Name(Figure.Lines("t", "x", "y", logY: true).Line("l", [1, 2, 3, 4], [1, 0, -1, 2])));
        Assert.Equal("l (1 of 2 not above 0 on a logarithmic axis, left out)",
            Name(Figure.Lines("t", "x", "y", logX: true).Points("l", [0, 2], [-1, 2])));
        Assert.Equal("l (1 of 3 not finite, left out) (1 of 3 not above 0 on a logarithmic axis, left out)",
            Name(Figure.Lines("t", "x", "y", logY: true).Line("l", [1, 2, 3], [1, 0, double.NaN])));
        Assert.Equal("b (1 of 2 not above 0 on a logarithmic axis, left out)",
            Name(Figure.Bars("t", "x", "y", logY: true).Bar("b", ["one", "two"], [[0], [1]])));
        Assert.Equal("l", Name(Figure.Lines("t", "x", "y").Line("l", [1, 2, 3, 4], [1, 0, -1, 2])));
    }

    [Fact]
    public void WhatDoesNotFitIsRefused()
    {
        Assert.Throws<ArgumentException>(() => Figure.Lines("t", "x", "y").Line("l", [1, 2], [1]));
        Assert.Throws<ArgumentException>(() => Figure.HeatMap("m", ["c"], ["r"], [[1, 2]], "s"));
        Assert.Throws<InvalidOperationException>(() => Figure.Lines("t", "x", "y").Predicted("f", x => x));
    }

    [Fact]
    public void ClaimsHoldOrNot()
    {
        var claims = new ClaimList();
        foreach (var empty in (Func<Claim>[])[() => claims.AtMost("e", 1, [], "s"), () => claims.AtLeast("e", 1, [], "s"),
            () => claims.MeanAtMost("e", 1, [], "s"), () => claims.Check("e", 1, [], 1, "s"), () => claims.CheckRatio("e", 1, [], 1, "s")])
            Assert.Contains("'e' has no measured value", Assert.Throws<ArgumentException>("measured", empty).Message);
        Assert.Empty(claims);
        Assert.True(claims.Check("a", 2, [1.9, 2.1], within: 0.05, "s").Holds);
        Assert.False(claims.Check("b", 2, 2.1, within: 0.05, "s").Holds);
        Assert.True(claims.CheckRatio("c", 200, [210.0], within: 0.06, "s").Holds);
        Assert.False(claims.AtMost("d", 1, [0.5, 1.5], "s").Holds);
        Assert.Equal(1.5, claims[3].Measured);
        Assert.True(claims.AtLeast("e", 1, [1.5, 1.1], "s").Holds);
        Assert.False(claims.MeanAtMost("l", 1, [0.5, 2.0], "s").Holds);
        var mean = claims.MeanAtLeast("m", 1, [0.5, 2.0], "s");
        Assert.Equal((true, 1.25, 2), (mean.Holds, mean.Measured, mean.Seeds));
        Assert.False(claims.AtLeast("f", 1, [1.5, double.NaN], "s").Holds);
        Assert.False(claims.Check("g", 1, double.NaN, 1, "s").Holds);
        Assert.False(claims.CheckRatio("h", 0, [0.0], 1, "s").Holds);
        claims.Check("a", 2, 5, within: 0.05, "s");
        Assert.Equal(10, claims.Count);
        Assert.Equal(Math.Sqrt(0.5), claims.AtMost("i", 1, [0, 1.0], "s").Spread, 1e-12);
        // Two arms: the signed mean, by twice its standard error.
        var (high, low) = (new[] { 1.0, 3, 2 }, new[] { 0.5, 2.0, 1.2 });
        var greater = claims.Greater("n", high, low, "s");
        Assert.Equal((true, Kind.Comparison, 3), (greater.Holds, greater.Kind, greater.Seeds));
        Assert.Equal((0.5 + 1 + 0.8) / 3, greater.Measured, 1e-12);
        Assert.False(claims.Greater("o", low, high, "s").Holds);
        Assert.False(claims.Greater("p", [1, 2, 1], [1, 1, 1.5], "s").Holds);
        Assert.False(claims.Alike("q", high, low, 0.5, "s").Holds);
        Assert.True(claims.Alike("r", high, low, 1, "s").Holds);
        Assert.Throws<ArgumentException>("second", () => claims.Greater("t", high, [1.0], "s"));
        Assert.Equal((true, Kind.Identity), (claims.Identity("u", 1e-9, [-1e-10], "s").Holds, claims.First(c => c.Name == "u").Kind));
        Assert.False(claims.Identity("v", 1e-9, [-1e-8], "s").Holds);
        Assert.Equal((true, Kind.Published), (claims.Published("w", 0.9, [0.1, 0.2], "s").Holds, claims.First(c => c.Name == "w").Kind));
        Assert.Throws<ArgumentException>(() => claims.Check("j", 1, 1, within: -1, "s"));
        Assert.Throws<ArgumentException>(() => claims.Check("k", 1, Array.Empty<double>(), within: 1, "s"));
    }

    [Fact]
    public void ClaimsAreShownAndCollected()
    {
        var claims = new ClaimList();
        claims.Check("slope <α>", -1, [-1.01, -0.99], within: 0.05, source: "theory", unit: "1/step");
        claims.AtMost("broken", 1, [2.0], "theory");
        var formatters = ((IEnumerable<object>)new ClaimFormatterSource().CreateTypeFormatters())
            .Select(f => (Mime: (string)f.GetType().GetProperty("MimeType")!.GetValue(f)!, Format: f))
            .ToDictionary(f => f.Mime, f => f.Format);
        string Show(string mime)
        {
            using var writer = new StringWriter();
            Assert.True((bool)formatters[mime].GetType().GetMethod("Format")!.Invoke(formatters[mime], [claims, writer])!);
            return writer.ToString();
        }
        Assert.Contains("slope &lt;α&gt;", Show("text/html"));
        Assert.Contains("✗ FAILS", Show("text/html"));
        Assert.Contains("FAILS: broken", Show("text/plain"));
        var json = JsonDocument.Parse(Show("application/vnd.notebook.claims+json")).RootElement;
        Assert.Equal(["name", "predicted", "measured", "kind", "relation", "tolerance", "unit", "holds", "source", "seeds", "spread",
            "replicated"],
            json[0].EnumerateObject().Select(p => p.Name));
        Assert.Equal("at-most", json[1].GetProperty("relation").GetString());
    }

    [GeneratedRegex("var figure = (.*);\n")]
    private static partial Regex FigurePattern();
}
