using System.Text.RegularExpressions;
using TrainingDynamics.Claims;
using TrainingDynamics.Figures;
using TrainingDynamics.Measurement;
using TrainingDynamics.Notebook;
using TrainingDynamics.Runtime;

namespace TrainingDynamics.Tests;

/// <summary>What lessons are made of: bets, exercises, tables of claims, sliders, streams of seeds.</summary>
public partial class LessonTests
{
    private static Bet Question() => new("How far?", "near", "far & away");

    private static string Html(object shown) => ((IHtml)shown).Show();

    [Fact]
    public void ABetAsksWithLetteredChoicesAndTheAnswerSaysWhichIsRight()
    {
        var bet = Question();
        Assert.Equal("Your bet. How far? a) near; b) far & away", bet.ToString());
        Assert.Contains("<li data-choice=\"b\">far &amp; away</li>", Html(bet));
        var answer = bet.Answer("3 m", false, true);
        Assert.Equal("The bet: How far? b) far & away. Measured: 3 m.", answer.ToString());
        Assert.Contains("data-answer=\"b\"", Html(answer));
        Assert.Equal(IdPattern().Match(Html(bet)).Value, IdPattern().Match(Html(answer)).Value);
        bet.Mine = "a";
        Assert.EndsWith("You bet a.", bet.Answer("3 m", false, true).ToString());
        Assert.EndsWith("You bet so, too.", bet.Answer("1 m", true, false).ToString());
        bet.Mine = " B)";                                                                             // as people write it
        Assert.EndsWith("You bet so, too.", bet.Answer("3 m", false, true).ToString());
        Assert.Contains("several choices hold: a, b", bet.Answer("3 m", true, true).ToString());
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(true, true)]
    public void WhereNotExactlyOneChoiceIsRightNoneIs(bool first, bool second)
        => Assert.Contains("none of the choices", Question().Answer("3 m", first, second).ToString());

    [Fact]
    public void BadBetsAreRefused()
    {
        Assert.Contains("1 choices", Assert.Throws<ArgumentException>(() => new Bet("Why?", "so")).Message);
        Assert.Contains("'z'", Assert.Throws<ArgumentException>(() => new Bet("Why?", "so", "or so") { Mine = "z" }).Message);
        Assert.Contains("3 conditions", Assert.Throws<ArgumentException>(() => Question().Answer("", true, false, false)).Message);
    }

    [Fact]
    public void AnExerciseIsNotYetRightOrNotRight()
    {
        Assert.Null(Exercise.Check("e", () => throw new NotImplementedException(), 1).IsRight);
        Assert.True(Exercise.Check("e", () => [1 + 1e-12, 2], [1, 2], 1e-9).IsRight);
        Assert.True(Exercise.Check("e", () => 1e6 + 1e-4, 1e6, 1e-9).IsRight);                       // relative where the number is large
        Assert.Equal("exercise not right: e: 3 at place 2 of 2, wanted is 2, off by 1 (allowed: 2E-09)",
            Exercise.Check("e", () => [1, 3], [1, 2]).ToString());
        Assert.Contains("off by 1E-11 (allowed: 1E-12)", Exercise.Check("e", () => 1 + 1e-11, 1, 1e-12).ToString());
        Assert.Equal("exercise not right: e: it gives null, wanted are 1", Exercise.Check("e", () => null!, [1]).ToString());
        Assert.Null(Exercise.Check("e", () => Task.FromException<double>(new NotImplementedException()).Result, 1).IsRight);
        Assert.Equal("exercise not right: e: it gives 1 numbers, wanted are 2", Exercise.Check("e", () => [1], [1, 2]).ToString());
        Assert.Equal("exercise not right: e: it throws DivideByZeroException: Attempted to divide by zero.",
            Exercise.Check("e", () => throw new DivideByZeroException(), 1).ToString());
        Assert.False(Exercise.Check("e", () => double.NaN, 1).IsRight);
        Assert.False(Exercise.Check("e", () => double.PositiveInfinity, 1).IsRight);
        Assert.Contains("right is empty", Assert.Throws<ArgumentException>(() => Exercise.Check("e", () => [], [])).Message);
        Assert.Contains("within is -1", Assert.Throws<ArgumentException>(() => Exercise.Check("e", () => 1, 1, -1)).Message);
        Assert.Contains("right[0] is NaN", Assert.Throws<ArgumentException>(() => Exercise.Check("e", () => 1, double.NaN)).Message);
    }

    [Fact]
    public void ACellsClaimsAreOneTableTheLaterOnesFoldedAndAFailingOneSeen()
    {
        var claims = new ClaimList();
        claims.AtMost("first", 1, [0.5], "s");
        claims.AtMost("second", 1, [0.5], "s");
        claims.AtMost("fails", 1, [2], "s");
        claims.AtMost("last", 1, [0.5], "s");
        var table = claims.Checked(1);
        Assert.Equal(["first", "second", "fails", "last"], table.Select(c => c.Name));
        var html = Shown(table);
        var (shown, folded) = (html[..html.IndexOf("<details", StringComparison.Ordinal)],
            html[html.IndexOf("<details", StringComparison.Ordinal)..]);
        Assert.Contains("first", shown);
        Assert.Contains("fails", shown);
        Assert.Contains("and 2 more: all hold", folded);
        Assert.Contains("last", folded);
        Assert.Throws<InvalidOperationException>(() => claims.Checked());
        Assert.StartsWith("<details class=\"more-claims\" open><summary>4 claims: 1 FAIL", Shown(claims));
        // A cell may be run twice: the claim is there once, and in the table again.
        claims.AtMost("fails", 1, [0.5], "s");
        Assert.Equal(["fails"], claims.Checked().Select(c => c.Name));
        Assert.Equal(4, claims.Count);
        Assert.StartsWith("<details class=\"more-claims\"><summary>4 claims: all hold", Shown(claims));
    }

    private static string Shown(object claims)
    {
        var writer = new StringWriter();
        var html = new ClaimFormatterSource().CreateTypeFormatters().First();
        Assert.True((bool)html.GetType().GetMethod("Format")!.Invoke(html, [claims, writer])!);
        return writer.ToString();
    }

    private static Figure Moved(int start = 1) => Figure.Slider("moves", "rate η", ["0.1", "1", "10"],
        i => Figure.Lines($"at {i}", "x", "y", logY: true).Points("p", [1, 2], [Math.Pow(10, i), 3]), start);

    [Fact]
    public void ASliderHasAllPositionsOneRangeAndStartsWhereItIsTold()
    {
        var html = Moved().ToElement();
        Assert.Contains("<output>1</output>", html);
        Assert.Contains("type=\"range\" min=\"0\" max=\"2\" step=\"1\" value=\"1\" aria-label=\"rate η\"", html);
        var ranges = RangePattern().Matches(html).Select(m => m.Value).Distinct();
        Assert.Equal(2, ranges.Count());                                                             // one of x, one of y, in all positions
        Assert.Contains("rate η = 0.1: at 0,p,1,1", Moved().ToCsv());
        Assert.Contains("rate η = 10: at 2,p,1,100", Moved().ToCsv());
        Assert.NotEqual(Moved(0).ToElement(), html);
        Assert.Equal(Moved().ToElement(), html);
    }

    [Fact]
    public void BadSlidersAreRefused()
    {
        Figure One(int _) => Figure.Lines("f", "x", "y");
        Assert.Contains("position 1 ('b') has other logarithmic axes", Assert.Throws<ArgumentException>(() =>
            Figure.Slider("t", "l", ["a", "b"], i => Figure.Lines("f", "x", "y", logX: i == 1))).Message);
        Assert.Contains("'moves' has a slider", Assert.Throws<InvalidOperationException>(() => Moved().Points("p", [1], [1])).Message);
        Assert.Throws<InvalidOperationException>(() => Figure.Panels("t", Moved()));
        Assert.Contains("got 1", Assert.Throws<ArgumentException>(() => Figure.Slider("t", "l", ["a"], One)).Message);
        Assert.Contains("start is 2", Assert.Throws<ArgumentException>(() => Figure.Slider("t", "l", ["a", "b"], One, 2)).Message);
        Assert.Contains("1 and 2 panels", Assert.Throws<ArgumentException>(() => Figure.Slider("t", "l", ["a", "b"],
            i => i == 0 ? One(0) : Figure.Panels("", One(0), One(1)))).Message);
    }

    [Fact]
    public void StreamsOfSeedsDoNotMeet()
    {
        int[] all = [.. Enumerable.Range(0, 1000)];
        Assert.Equal(2000, all.Stream("log").Concat(all.Stream("visitors")).Distinct().Count());
        Assert.Equal(all.Stream("log"), all.Stream("log"));
        Assert.All(all.Stream("log"), seed => Assert.InRange(seed, 0, int.MaxValue));
        Assert.Single(new[] { 7, 7 }.Stream("log").Distinct());                                      // paired replicas stay paired
        Assert.Equal([1, 2, 3], new[] { 1, 2, 3 }.Extended(3));
        Assert.Equal(1000, new[] { 1, 2, 3 }.Extended(1000).Distinct().Count());
        Assert.Equal(new[] { 1, 2, 3 }.Extended(5), new[] { 1, 2, 3 }.Extended(9)[..5]);
        Assert.Equal(12, new[] { 1, 2, 3 }.Extended(6).Extended(12).Distinct().Count());               // nor do those of an extended list
        Assert.Empty(new[] { 1, 2, 3 }.Extended(300)[3..].Intersect(new[] { 4, 5, 6 }.Extended(300)));
        Assert.Throws<ArgumentException>(() => Array.Empty<int>().Extended(1));
        Assert.Throws<ArgumentException>(() => new[] { 1 }.Extended(0));
    }

    [Fact]
    public void ATraceTellsItsValueAtAPlaceAndItsMeanOverAStretch()
    {
        var trace = new Trace("t", 2);
        for (var x = 0; x < 4; x++)
            trace.Add(x, [x, 10.0 * x]);
        Assert.Equal([2, 20], trace.At(2));
        Assert.Equal([2.5, 25], trace.Mean(after: 1));
        Assert.Equal([1.5, 15], trace.Mean(after: 0, until: 2));
        Assert.Contains("no point at x = 7", Assert.Throws<ArgumentException>(() => trace.At(7)).Message);
        Assert.Contains("it has 4, from 0 to 3", Assert.Throws<ArgumentException>(() => trace.Mean(after: 3)).Message);
        Assert.Contains("'t' got x = 3 after 3", Assert.Throws<ArgumentException>(() => trace.Add(3, [1, 2])).Message);
        Assert.Contains("it has none", Assert.Throws<ArgumentException>(() => new Trace("t", 1).At(0)).Message);
    }

    [Fact]
    public void NumbersOfReplicasAreComparedPairByPair()
    {
        double[] a = [4, 9], b = [2, 3];
        Assert.Equal([2, 6], a.Minus(b));
        Assert.Equal([2, 3], a.Over(b));
        Assert.Equal([2, 4.5], a.Over(2));
        Assert.Equal([2, 3], a.Each(Math.Sqrt));
        Assert.Contains("second has 1 numbers, first has 2", Assert.Throws<ArgumentException>(() => a.Minus([1])).Message);
    }

    [GeneratedRegex("data-bet=\"\\w+\"")]
    private static partial Regex IdPattern();

    [GeneratedRegex("\"range\":\\[[^\\]]*\\]")]
    private static partial Regex RangePattern();
}
