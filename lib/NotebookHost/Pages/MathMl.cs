using System.Net;
using System.Text;

namespace NotebookHost.Pages;

/// <summary>
/// The TeX of the notebooks' formulas as MathML, which browsers draw without a script: letters, numbers, operators, ^ and _,
/// \frac, \sqrt, \left \right, accents, Greek, functions, \text, \begin{aligned} and \begin{cases}. A command it does not
/// know is shown by its name, in red, rather than dropped.
/// </summary>
internal sealed class MathMl
{
    /// <summary>What a command that it does not know begins with.</summary>
    internal const string Unknown = "<mtext style=\"color:#b00020\">";

    private static readonly Dictionary<string, string> Letters = Pairs("""
        alpha α   beta β   gamma γ   delta δ   epsilon ϵ   varepsilon ε   eta η   theta θ   kappa κ   lambda λ   mu μ   nu ν
        pi π   rho ρ   sigma σ   tau τ   phi φ   varphi φ   chi χ   psi ψ   omega ω   xi ξ   zeta ζ   Gamma Γ   Delta Δ
        Theta Θ   Lambda Λ   Sigma Σ   Phi Φ   Psi Ψ   Omega Ω   Pi Π   ell ℓ   infty ∞   partial ∂   nabla ∇   emptyset ∅
        hbar ℏ
        """);

    private static readonly Dictionary<string, string> Operators = Pairs("""
        cdot ·   times ×   pm ±   mp ∓   le ≤   leq ≤   ge ≥   geq ≥   ne ≠   neq ≠   approx ≈   sim ∼   propto ∝   equiv ≡
        to →   rightarrow →   Rightarrow ⇒   Leftrightarrow ⇔   iff ⇔   Longleftrightarrow ⟺   Longrightarrow ⟹   leftarrow ←
        mapsto ↦   in ∈   notin ∉   subset ⊂   cup ∪   cap ∩   sum ∑   prod ∏   int ∫   langle ⟨   rangle ⟩   lVert ‖   rVert ‖
        Vert ‖   | ‖   vert |   lvert |   rvert |   mid |   odot ⊙   oplus ⊕   ll ≪   gg ≫   dots …   ldots …   cdots ⋯   perp ⊥
        parallel ∥   { {   } }   angle ∠   top ⊤   ast ∗   star ⋆   circ ∘   prime ′   forall ∀   exists ∃   lfloor ⌊
        rfloor ⌋   lceil ⌈   rceil ⌉   colon :
        """);

    private static readonly HashSet<string> Functions = ["ln", "log", "exp", "sin", "cos", "tan", "sinh", "cosh", "tanh", "atan",
        "arctan", "arccos", "arcsin", "asin", "max", "min", "argmax", "argmin", "det", "lim", "sup", "inf", "sgn", "Pr"];
    private static readonly Dictionary<string, string> Accents = new()
    {
        ["hat"] = "^",
        ["widehat"] = "^",
        ["tilde"] = "~",
        ["widetilde"] = "~",
        ["bar"] = "¯",
        ["overline"] = "¯",
        ["vec"] = "→",
        ["dot"] = "˙"
    };
    private static readonly Dictionary<string, string> Spaces = new()
    {
        [","] = "0.17em",
        [":"] = "0.22em",
        [";"] = "0.28em",
        ["!"] = "-0.17em",
        [" "] = "0.33em",
        ["quad"] = "1em",
        ["qquad"] = "2em"
    };

    private readonly string _tex;
    private int _at;

    private static Dictionary<string, string> Pairs(string words) => words.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)
        .Chunk(2).ToDictionary(pair => pair[0], pair => pair[1]);

    private MathMl(string tex) => _tex = tex;

    /// <summary>A formula.</summary>
    /// <param name="tex">Its TeX, without dollar signs.</param>
    /// <param name="block">On a line of its own.</param>
    public static string From(string tex, bool block)
    {
        var parser = new MathMl(tex.Trim());
        var body = parser.Row("");
        return $"<math display=\"{(block ? "block" : "inline")}\"><semantics><mrow>{body}</mrow><annotation "
            + $"encoding=\"application/x-tex\">{WebUtility.HtmlEncode(tex.Trim())}</annotation></semantics></math>";
    }

    /// <summary>Everything up to <paramref name="end"/>: a brace, \right, \end, &amp; or \\ ; or the end of the text.</summary>
    private string Row(string end)
    {
        var row = new StringBuilder();
        while (true)
        {
            SkipSpace();
            if (_at >= _tex.Length || (end == "}" && _tex[_at] == '}') || (end == "]" && _tex[_at] == ']')
                || (end == "right" && At("\\right")) || (end == "cell" && (_tex[_at] == '&' || At("\\\\") || At("\\end"))))
                return row.ToString();
            row.Append(WithScripts(Atom()));
        }
    }

    private string WithScripts(string atom)
    {
        string? below = null, above = null;
        while (true)
        {
            SkipSpace();
            if (Take("_"))
                below = Argument();
            else if (Take("^"))
                above += Argument();
            else if (Take("'"))
                above += "<mo>′</mo>";
            else
                break;
        }
        var large = atom is "<mo>∑</mo>" or "<mo>∏</mo>" || atom.EndsWith("<mo>⏟</mo></munder>", StringComparison.Ordinal);
        var (under, over, both) = large ? ("munder", "mover", "munderover") : ("msub", "msup", "msubsup");
        return (below, above) switch
        {
            (null, null) => atom,
            (not null, null) => $"<{under}>{atom}<mrow>{below}</mrow></{under}>",
            (null, not null) => $"<{over}>{atom}<mrow>{above}</mrow></{over}>",
            _ => $"<{both}>{atom}<mrow>{below}</mrow><mrow>{above}</mrow></{both}>",
        };
    }

    /// <summary>As in TeX, an argument without braces is one token: \frac12 is a half.</summary>
    private string Argument()
    {
        SkipSpace();
        return _at >= _tex.Length ? "" : char.IsDigit(_tex[_at]) ? $"<mn>{_tex[_at++]}</mn>" : Atom();
    }

    private string Atom()
    {
        System.Runtime.CompilerServices.RuntimeHelpers.EnsureSufficientExecutionStack();
        if (Take("{"))
        {
            var inside = Row("}");
            Take("}");
            return $"<mrow>{inside}</mrow>";
        }
        var c = _tex[_at];
        if (c == '\\')
            return Command();
        var from = _at++;
        if (char.IsDigit(c))
        {
            while (_at < _tex.Length && (char.IsDigit(_tex[_at])
                || (_tex[_at] == '.' && _at + 1 < _tex.Length && char.IsDigit(_tex[_at + 1]))))
                _at++;
            return $"<mn>{_tex[from.._at]}</mn>";
        }
        return c switch
        {
            '-' => "<mo>−</mo>",
            '~' => "<mspace width=\"0.33em\"/>",
            '(' or ')' or '[' or ']' or '|' or '‖' => $"<mo stretchy=\"false\">{c}</mo>",
            _ => char.IsLetter(c) ? $"<mi>{c}</mi>" : $"<mo>{WebUtility.HtmlEncode(c.ToString())}</mo>",
        };
    }

    private string Command()
    {
        _at++;
        var from = _at;
        while (_at < _tex.Length && char.IsAsciiLetter(_tex[_at]))
            _at++;
        if (_at == from)
            _at = Math.Min(_at + 1, _tex.Length);
        var name = _tex[from.._at];
        if (Letters.TryGetValue(name, out var letter))
            return $"<mi>{letter}</mi>";
        if (Operators.TryGetValue(name, out var sign))
            return sign is "⟨" or "⟩" or "‖" or "|" or "{" or "}" ? $"<mo stretchy=\"false\">{sign}</mo>" : $"<mo>{sign}</mo>";
        if (Functions.Contains(name))
            return $"<mi>{name}</mi><mo>&#x2061;</mo>";
        if (Accents.TryGetValue(name, out var accent))
            return $"<mover accent=\"true\">{Argument()}<mo stretchy=\"false\">{accent}</mo></mover>";
        if (Spaces.TryGetValue(name, out var width))
            return $"<mspace width=\"{width}\"/>";
        switch (name)
        {
            case "frac" or "tfrac" or "dfrac":
                return $"<mfrac>{Argument()}{Argument()}</mfrac>";
            case "sqrt":
                SkipSpace();
                if (Take("["))
                {
                    var degree = Row("]");
                    Take("]");
                    return $"<mroot>{Argument()}<mrow>{degree}</mrow></mroot>";
                }
                return $"<msqrt>{Argument()}</msqrt>";
            case "text" or "mathrm" or "operatorname" or "textbf" or "texttt":
                // Browsers drop spaces at the ends of mtext, which TeX keeps.
                var text = Verbatim();
                var (before, after) = (text.StartsWith(' ') ? "\u00a0" : "", text.EndsWith(' ') ? "\u00a0" : "");
                return $"<mtext>{before}{WebUtility.HtmlEncode(text.Trim(' '))}{after}</mtext>";
            case "mathbf" or "boldsymbol":
                return $"<mi style=\"font-weight:bold\">{WebUtility.HtmlEncode(Verbatim())}</mi>";
            case "mathbb" or "mathcal":
                var script = (name, Verbatim()) switch
                {
                    ("mathbb", "R") => "ℝ",
                    ("mathbb", "E") => "𝔼",
                    (_, "R") => "ℛ",
                    (_, "E") => "ℰ",
                    (_, "L") => "ℒ",
                    (_, "N") => "𝒩",
                    (_, var other) => WebUtility.HtmlEncode(other),
                };
                return $"<mi>{script}</mi>";
            case "left":
                var open = Delimiter();
                var inside = Row("right");
                Take("\\right");
                return $"<mrow>{open}{inside}{Delimiter()}</mrow>";
            case "big" or "Big" or "bigl" or "bigr" or "Bigl" or "Bigr":
                return Delimiter();
            case "overset" or "stackrel":
                var over = Argument();
                return $"<mover>{Argument()}{over}</mover>";
            case "underset":
                var under = Argument();
                return $"<munder>{Argument()}{under}</munder>";
            case "underbrace":
                return $"<munder>{Argument()}<mo>⏟</mo></munder>";
            case "begin":
                return Environment(Verbatim());
            default:
                return $"{Unknown}\\{WebUtility.HtmlEncode(name)}</mtext>";
        }
    }

    private string Environment(string name)
    {
        var table = new StringBuilder();
        do
        {
            table.Append("<mtr>");
            var align = name == "aligned" ? "right" : "left";
            do
            {
                table.Append($"<mtd style=\"text-align:{align}\">{Row("cell")}</mtd>");
                align = "left";
            }
            while (Take("&"));
            table.Append("</mtr>");
        }
        while (Take("\\\\"));
        if (Take("\\end"))
            Verbatim();
        return name == "cases" ? $"<mrow><mo>{{</mo><mtable>{table}</mtable></mrow>" : $"<mtable>{table}</mtable>";
    }

    private string Delimiter()
    {
        SkipSpace();
        if (_at >= _tex.Length)
            return "";
        var inside = Atom();
        return inside.Contains(">.<", StringComparison.Ordinal) ? "" : inside.Replace(" stretchy=\"false\"", "", StringComparison.Ordinal);
    }

    private string Verbatim()
    {
        SkipSpace();
        if (_at >= _tex.Length || _tex[_at] != '{')
            return _at < _tex.Length ? _tex[_at++].ToString() : "";
        var end = _tex.IndexOf('}', _at);
        end = end < 0 ? _tex.Length : end;
        var text = _tex[(_at + 1)..end];
        _at = Math.Min(end + 1, _tex.Length);
        return text;
    }

    private bool Take(string text)
    {
        var there = At(text);
        _at += there ? text.Length : 0;
        return there;
    }

    private bool At(string text) => string.CompareOrdinal(_tex, _at, text, 0, text.Length) == 0;

    private void SkipSpace()
    {
        while (_at < _tex.Length && char.IsWhiteSpace(_tex[_at]))
            _at++;
    }
}
