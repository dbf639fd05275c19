using System.Collections;
using TrainingDynamics.Notebook;

namespace TrainingDynamics.Claims;

/// <summary>The claims of one cell as a table: the first ones shown, the rest folded under them.</summary>
[TypeFormatterSource(typeof(ClaimFormatterSource), PreferredMimeTypes = ["text/html", "text/plain", ClaimFormatterSource.MimeType])]
public sealed class CheckedClaims : IReadOnlyList<Claim>
{
    private readonly IReadOnlyList<Claim> _claims;

    internal CheckedClaims(IReadOnlyList<Claim> claims, int show) => (_claims, Show) = (claims, show);

    /// <summary>How many rows are shown.</summary>
    internal int Show { get; }

    /// <inheritdoc/>
    public int Count => _claims.Count;

    /// <inheritdoc/>
    public Claim this[int index] => _claims[index];

    /// <inheritdoc/>
    public IEnumerator<Claim> GetEnumerator() => _claims.GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}
