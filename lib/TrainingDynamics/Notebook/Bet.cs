using System.Net;
using System.Security.Cryptography;
using System.Text;

namespace TrainingDynamics.Notebook;

/// <summary>
/// A question with choices that is asked before an experiment, and answered by its measurement. On a projector the gallery's presenter
/// mode counts the hands for each choice, and shows them beside the answer.
/// </summary>
[TypeFormatterSource(typeof(HtmlFormatterSource<Bet>), PreferredMimeTypes = ["text/html", "text/plain"])]
public sealed class Bet : IHtml
{
    private readonly string _question;
    private readonly string[] _choices;

    /// <summary>Asks.</summary>
    /// <param name="question">What will happen?</param>
    /// <param name="choices">Two to six answers, of which one will be right; they are lettered a, b, c …</param>
    /// <exception cref="ArgumentException">There are fewer than two choices, or more than six.</exception>
    public Bet(string question, params string[] choices)
    {
        if (choices.Length is < 2 or > 6)
            throw new ArgumentException($"'{question}' has {choices.Length} choices, a bet has two to six", nameof(choices));
        (_question, _choices) = (question, choices);
    }

    /// <summary>Your letter; none until you take one.</summary>
    /// <exception cref="ArgumentException">It is no letter of a choice.</exception>
    public string Mine
    {
        get;
        set => field = value?.Trim().TrimEnd(')').ToLowerInvariant() is { } letter && (letter == "" || Letters.Contains(letter)) ? letter
            : throw new ArgumentException($"Mine is '{value}', the choices are {string.Join(", ", Letters)}", nameof(Mine));
    } = "";

    private IEnumerable<string> Letters => _choices.Select((_, i) => Letter(i));

    /// <summary>Compares the bet with what was measured.</summary>
    /// <param name="measured">The measurement in words: "875 steps".</param>
    /// <param name="isRight">For each choice whether the measurement says so.</param>
    /// <exception cref="ArgumentException">There is not one condition for each choice.</exception>
    public BetAnswer Answer(string measured, params bool[] isRight)
    {
        if (isRight.Length != _choices.Length)
            throw new ArgumentException($"'{_question}' has {_choices.Length} choices and {isRight.Length} conditions", nameof(isRight));
        // Two conditions that are both true are the question's fault, and said so: neither is the answer.
        var (right, several) = (Array.IndexOf(isRight, true), isRight.Count(r => r) > 1);
        if (several)
            measured += $" (several choices hold: {string.Join(", ", isRight.Index().Where(r => r.Item).Select(r => Letter(r.Index)))})";
        return right < 0 || several ? new BetAnswer(Id, _question, measured, "", "", Mine)
            : new BetAnswer(Id, _question, measured, Letter(right), _choices[right], Mine);
    }

    /// <inheritdoc/>
    string IHtml.Show()
    {
        var choices = _choices.Select((choice, i) => $"<li data-choice=\"{Letter(i)}\">{WebUtility.HtmlEncode(choice)}</li>");
        return $"<div class=\"bet\" data-bet=\"{Id}\" style=\"border-left:4px solid #d55e00;padding:.1em 1em\">"
            + $"<p><strong>Your bet.</strong> {WebUtility.HtmlEncode(_question)}</p><ol type=\"a\">{string.Concat(choices)}</ol></div>";
    }

    /// <inheritdoc/>
    public override string ToString() =>
        $"Your bet. {_question} {string.Join("; ", _choices.Select((choice, i) => $"{Letter(i)}) {choice}"))}";

    private string Id => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(_question)))[..8];

    private static string Letter(int choice) => ((char)('a' + choice)).ToString();
}

/// <summary>A bet beside what was measured.</summary>
[TypeFormatterSource(typeof(HtmlFormatterSource<BetAnswer>), PreferredMimeTypes = ["text/html", "text/plain"])]
public sealed class BetAnswer : IHtml
{
    private readonly string _id, _question, _measured, _letter, _choice, _mine;

    internal BetAnswer(string id, string question, string measured, string letter, string choice, string mine)
        => (_id, _question, _measured, _letter, _choice, _mine) = (id, question, measured, letter, choice, mine);

    private string Right => _letter == "" ? "none of the choices" : $"{_letter}) {_choice}";

    private string Yours => _mine == "" ? "" : _mine == _letter ? " You bet so, too." : $" You bet {_mine}.";

    /// <inheritdoc/>
    string IHtml.Show() => $"<div class=\"bet-answer\" data-bet=\"{_id}\" data-answer=\"{_letter}\" "
        + "style=\"border-left:4px solid #d55e00;padding:.1em 1em\">"
        + $"<p><strong>The bet:</strong> {WebUtility.HtmlEncode(_question)} <strong>{WebUtility.HtmlEncode(Right)}</strong>. "
        + $"Measured: {WebUtility.HtmlEncode(_measured)}.{WebUtility.HtmlEncode(Yours)}</p></div>";

    /// <inheritdoc/>
    public override string ToString() => $"The bet: {_question} {Right}. Measured: {_measured}.{Yours}";
}
