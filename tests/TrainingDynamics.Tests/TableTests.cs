using TrainingDynamics.Notebook;

namespace TrainingDynamics.Tests;

public class TableTests
{
    private static string Html(Table table) => ((IHtml)table).Show();

    private static string[] Cells(Table table) =>
        [.. System.Text.RegularExpressions.Regex.Matches(Html(table), "<t[hd] [^>]*>(.*?)</t[hd]>").Select(m => m.Groups[1].Value)];

    [Fact]
    public void RecordsAreRowsAndTheirPropertiesColumns()
    {
        var table = Table.Of(new[] { new { Method = "a<b", LostAt93 = 0.123456, KLAtEnd = 2 },
            new { Method = "c", LostAt93 = 1e-7, KLAtEnd = -3 } });
        Assert.Equal(["Method", "Lost at 93", "KL at end", "a&lt;b", "0.12346", "2", "c", "1E-07", "-3"], Cells(table));
        Assert.Equal(3, Html(table).Split("scope=\"col\"").Length - 1);
        Assert.Contains("text-align:right", Html(table));
        Assert.Equal("Method  Lost at 93  KL at end\na<b     0.12346     2\nc       1E-07       -3", table.ToString());
        Assert.Equal(["A"], Cells(Table.Of(Array.Empty<Named>())));
    }

    private sealed record Named(int A);

    [Fact]
    public void ARecordAloneIsARowForEachProperty()
    {
        var table = Table.Of(new { Seeds = new long[] { 1, 2, 3 }, Rate = 3e-4, Note = (string?)null, On = true });
        Assert.Equal(["Seeds", "1, 2, 3", "Rate", "0.0003", "Note", "—", "On", "True"], Cells(table));
        Assert.Equal("Seeds  1, 2, 3\nRate   0.0003\nNote   —\nOn     True", table.ToString());
        Assert.EndsWith("19, …", Cells(Table.Of(new { Long = Enumerable.Range(0, 100) }))[1]);
    }

    [Fact]
    public void NumbersAreWrittenAlikeEverywhere()
    {
        var before = Thread.CurrentThread.CurrentCulture;
        try
        {
            var comma = (System.Globalization.CultureInfo)System.Globalization.CultureInfo.InvariantCulture.Clone();
            comma.NumberFormat.NumberDecimalSeparator = ",";
            Thread.CurrentThread.CurrentCulture = comma;
            var here = Table.Of(new { Half = 0.5, Of = 1.5f, Many = 1000.25m }).ToString();
            Assert.Equal("Half  0.5\nOf    1.5\nMany  1000.25", here);
        }
        finally
        {
            Thread.CurrentThread.CurrentCulture = before;
        }
    }

    [Fact]
    public void WhatHasNothingToShowIsRefused()
    {
        Assert.Contains("records", Assert.Throws<ArgumentException>(() => Table.Of(Array.Empty<object>())).Message);
        Assert.Contains("record", Assert.Throws<ArgumentException>(() => Table.Of(new object())).Message);
        Assert.Throws<ArgumentNullException>(() => Table.Of((object)null!));
    }
}
