using System.Collections;
using TorchSharp;
using static TorchSharp.torch;

namespace TrainingDynamics.Models;

/// <summary>Under which scaling of a block the network's function stays the same.</summary>
public enum Invariance
{
    /// <summary>None is known: the block's size matters.</summary>
    None,

    /// <summary>f(cW) = f(W) for the whole block and every c &gt; 0.</summary>
    Whole,

    /// <summary>Each row (output unit) may be scaled by a factor of its own.</summary>
    Rows,
}

/// <summary>One parameter of a model: a stretch of the flat buffer.</summary>
/// <param name="Name">Its name, unique in the model.</param>
/// <param name="Shape">Its shape in one replica; matrices are (output, input).</param>
/// <param name="Invariance">Which scaling leaves the function unchanged, with the norm's ε at 0.</param>
public sealed record Block(string Name, long[] Shape, Invariance Invariance = Invariance.None)
{
    /// <summary>How many numbers it has.</summary>
    public long Size => Shape.Aggregate(1L, (product, size) => product * size);

    /// <summary>Where it starts in the flat buffer.</summary>
    public long Start { get; internal init; }
}

/// <summary>
/// How a flat buffer of parameters (replica, parameter) divides into blocks. Optimizers work on the buffer as it is,
/// models on its blocks, measurements block by block.
/// </summary>
public sealed class Layout : IReadOnlyList<Block>
{
    private readonly Block[] _blocks;
    private readonly long[] _sizes;

    /// <summary>The blocks in their order in the buffer.</summary>
    /// <exception cref="ArgumentException">Two blocks have one name.</exception>
    public Layout(params IReadOnlyList<Block> blocks)
    {
        if (blocks.CountBy(b => b.Name).FirstOrDefault(n => n.Value > 1) is { Key: { } twice })
            throw new ArgumentException($"two blocks are named '{twice}'", nameof(blocks));
        _blocks = new Block[blocks.Count];
        foreach (var (i, block) in blocks.Index())
        {
            _blocks[i] = block with { Start = Size };
            Size += block.Size;
        }
        _sizes = [.. _blocks.Select(b => b.Size)];
    }

    private Layout(Layout whole, Block[] some)
    {
        (_blocks, Size) = (some, whole.Size);
        _sizes = [.. some.Select(b => b.Size)];
    }

    /// <summary>How many numbers a replica has in the buffer.</summary>
    public long Size { get; }

    /// <inheritdoc/>
    public int Count => _blocks.Length;

    /// <inheritdoc/>
    public Block this[int index] => _blocks[index];

    /// <summary>The block of that name.</summary>
    /// <exception cref="ArgumentException">There is none.</exception>
    public Block this[string name] => _blocks.FirstOrDefault(b => b.Name == name)
        ?? throw new ArgumentException($"no block is named '{name}'; there are {string.Join(", ", _blocks.Select(b => b.Name))}",
            nameof(name));

    /// <summary>Where the block of that name is in the list.</summary>
    /// <exception cref="ArgumentException">There is none.</exception>
    public int IndexOf(string name) => Array.IndexOf(_blocks, this[name]);

    /// <summary>The same buffer seen as other blocks: the rows of every matrix, each a block of its own.</summary>
    public Layout ByRow() => new([.. _blocks.SelectMany(b => b.Shape.Length < 2
        ? [b]
        : Enumerable.Range(0, (int)b.Shape[0]).Select(row => new Block($"{b.Name}[{row}]",
            b.Shape[1..], b.Invariance == Invariance.Rows ? Invariance.Whole : Invariance.None)))]);

    /// <summary>Some of the blocks, at their places in the same buffer.</summary>
    public Layout Where(Func<Block, bool> wanted) => new(this, [.. _blocks.Where(wanted)]);

    /// <summary>Views of the blocks, (replica, block's shape) each, on <paramref name="flat"/> (replica, parameter).</summary>
    public Tensor[] Split(Tensor flat) =>
        [.. flat.split(_sizes, dim: 1).Zip(_blocks, (part, block) => part.view([flat.shape[0], .. block.Shape]))];

    /// <summary>A view of one block, (replica, number), on <paramref name="flat"/> (replica, parameter).</summary>
    public static Tensor Slice(Tensor flat, Block block) => flat.narrow(1, block.Start, block.Size);

    /// <inheritdoc/>
    public IEnumerator<Block> GetEnumerator() => ((IEnumerable<Block>)_blocks).GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}
