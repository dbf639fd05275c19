using System.IO.Compression;
using TorchSharp;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;

namespace TrainingDynamics.Data;

/// <summary>A text as numbers: each character is the index of itself in <see cref="Alphabet"/>.</summary>
/// <param name="Name">What it is.</param>
/// <param name="Alphabet">Its different characters, sorted.</param>
/// <param name="Tokens">One number a character.</param>
public sealed record Text(string Name, string Alphabet, long[] Tokens)
{
    /// <summary>Jane Austen's Pride and Prejudice, character by character; see <c>data/austen/README.md</c>.</summary>
    /// <exception cref="DataFileException">The file is missing or damaged.</exception>
    public static Text PrideAndPrejudice()
    {
        using var gzip = new GZipStream(new MemoryStream(Shipped.Read(Path.Combine(Shipped.Folder, "austen"),
            "pride-and-prejudice.txt.gz")), CompressionMode.Decompress);
        using var reader = new StreamReader(gzip);
        return Of("Pride and Prejudice", reader.ReadToEnd());
    }

    /// <summary>The text without its last part, and that part, which is not to be trained on; both in the same alphabet.</summary>
    /// <param name="heldOut">The share that is held out, in (0, 1).</param>
    /// <exception cref="ArgumentException">The share is out of its range, or leaves one of the two without a character.</exception>
    public (Text Train, Text HeldOut) Split(double heldOut = 0.1)
    {
        var kept = Tokens.Length - (heldOut is > 0 and < 1 ? (int)Math.Round(heldOut * Tokens.Length) : 0);
        if (kept == Tokens.Length || kept == 0)
            throw new ArgumentException($"{nameof(heldOut)} is {heldOut} of {Tokens.Length} characters, allowed is a share that "
                + "leaves both parts some", nameof(heldOut));
        return (this with { Tokens = Tokens[..kept] }, this with { Name = $"{Name}, held out", Tokens = Tokens[kept..] });
    }

    /// <summary>Any text.</summary>
    /// <exception cref="ArgumentException">It is empty.</exception>
    public static Text Of(string name, string content)
    {
        if (content.Length == 0)
            throw new ArgumentException("the text is empty", nameof(content));
        var alphabet = string.Concat(content.Distinct().Order());
        var index = alphabet.Index().ToDictionary(c => c.Item, c => (long)c.Index);
        return new Text(name, alphabet, [.. content.Select(c => index[c])]);
    }
}

/// <summary>Windows of a text drawn at random, each replica by its own seed: inputs (replica, batch, position) and, as labels, the next
/// character at every position.</summary>
public sealed class TextWindows : IBatches
{
    private readonly ReplicaRandom _random;
    private readonly Tensor _tokens, _places;
    private readonly int _batch, _context;

    /// <summary>Draws <paramref name="batch"/> windows of <paramref name="context"/> characters a step and replica.</summary>
    /// <exception cref="ArgumentException">The text is not longer than a window.</exception>
    public TextWindows(Text text, int batch, int context, ReplicaRandom random)
    {
        if (text.Tokens.Length <= context || context < 1 || batch < 1)
            throw new ArgumentException(
                $"a text of {text.Tokens.Length} characters has no {batch} windows of {context} and their next characters",
                nameof(context));
        (_random, _batch, _context) = (random, batch, context);
        _tokens = Aligned.Tensor(text.Tokens).DetachFromDisposeScope();
        _places = arange(context).DetachFromDisposeScope();
    }

    /// <inheritdoc/>
    public Batch Next()
    {
        using var scope = NewDisposeScope();
        var starts = _random.Integers(_tokens.shape[0] - _context, _batch);                                         // (replica, batch)
        // (replica, batch, position)
        var rows = starts.unsqueeze(-1) + _places;
        Tensor At(Tensor where) => _tokens.index_select(0, where.reshape(-1)).reshape(where.shape).MoveToOuterDisposeScope();
        return new Batch(At(rows), At(rows + 1));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _tokens.Dispose();
        _places.Dispose();
    }
}
