using NotebookHost.Pages;

namespace NotebookHost.Tests;

public class PageTests
{
    [Theory]
    [InlineData("x^2", "<msup><mi>x</mi><mrow><mn>2</mn></mrow></msup>")]
    [InlineData("w_{l-1}", "<msub><mi>w</mi><mrow><mrow><mi>l</mi><mo>−</mo><mn>1</mn></mrow></mrow></msub>")]
    [InlineData("\\frac{1}{c}", "<mfrac><mrow><mn>1</mn></mrow><mrow><mi>c</mi></mrow></mfrac>")]
    [InlineData("\\tfrac1c", "<mfrac><mn>1</mn><mi>c</mi></mfrac>")]
    [InlineData("\\lVert w\\rVert", "<mo stretchy=\"false\">‖</mo><mi>w</mi><mo stretchy=\"false\">‖</mo>")]
    [InlineData("\\sqrt{2\\eta\\lambda}", "<msqrt><mrow><mn>2</mn><mi>η</mi><mi>λ</mi></mrow></msqrt>")]
    [InlineData("\\hat w", "<mover accent=\"true\"><mi>w</mi><mo stretchy=\"false\">^</mo></mover>")]
    [InlineData("\\sum_i x", "<munder><mo>∑</mo><mrow><mi>i</mi></mrow></munder><mi>x</mi>")]
    [InlineData("\\text{a < b}", "<mtext>a &lt; b</mtext>")]
    [InlineData("\\text{ for every }", "<mtext>\u00a0for every\u00a0</mtext>")]
    [InlineData("w'", "<msup><mi>w</mi><mrow><mo>′</mo></mrow></msup>")]
    [InlineData("\\nosuch", "<mtext style=\"color:#b00020\">\\nosuch</mtext>")]
    [InlineData("\\tanh x", "<mi>tanh</mi><mo>&#x2061;</mo><mi>x</mi>")]
    [InlineData("\\frac12x", "<mfrac><mn>1</mn><mn>2</mn></mfrac><mi>x</mi>")]
    [InlineData("x^23", "<msup><mi>x</mi><mrow><mn>2</mn></mrow></msup><mn>3</mn>")]
    public void FormulasAreMathMl(string tex, string expected) => Assert.Contains(expected, MathMl.From(tex, block: false));

    [Fact]
    public void FormulasInProseAreFoundInLineAndOnTheirOwn()
    {
        var html = Page.Prose("Let $a_1$ be.\n\n$$b = c .$$\n\nEnd.");
        Assert.Contains("<math display=\"inline\">", html);
        Assert.Contains("<math display=\"block\">", html);
        Assert.DoesNotContain("$", html);
    }

    [Theory]
    [InlineData("\\begin{aligned} a &= b \\\\ c &= d \\end{aligned}", 2, 4)]
    [InlineData("\\begin{cases} 1 & x > 0 \\\\ 0 \\end{cases}", 2, 3)]
    public void TablesOfFormulasHaveTheirRows(string tex, int rows, int cells)
    {
        var math = MathMl.From(tex, block: true);
        Assert.Equal(rows + 1, math.Split("<mtr>").Length);
        Assert.Equal(cells + 1, math.Split("<mtd").Length);
    }

    [Theory]
    [InlineData("")]
    [InlineData("x^")]
    [InlineData("{{{")]
    [InlineData("}")]
    [InlineData("\\frac")]
    [InlineData("\\left(")]
    [InlineData("\\begin{aligned}")]
    [InlineData("\\")]
    public void HalfAFormulaDoesNoHarm(string tex) => Assert.StartsWith("<math", MathMl.From(tex, block: true));
}
