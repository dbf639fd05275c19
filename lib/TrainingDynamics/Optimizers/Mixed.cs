using TorchSharp;
using TrainingDynamics.Models;
using static TorchSharp.torch;

namespace TrainingDynamics.Optimizers;

/// <summary>
/// Different optimizers for different blocks, each with its own rate and decay, as Muon is used: hidden matrices by Muon, embedding,
/// unembedding and gains by AdamW.
/// <code>
/// new Mixed(layout, new AdamW(w, 3e-3, 0.1), (b => b.Shape.Length == 2 &amp;&amp; b.Name is not ("E" or "U"), new Muon(w, layout, .02)))
/// </code>
/// Every inner optimizer is shown the whole gradient; of its direction its own blocks are taken. Rates and Decays are those of the first
/// optimizer.
/// </summary>
public sealed class Mixed : Optimizer
{
    private readonly Optimizer[] _inner;
    private readonly Layout _layout;
    private readonly int[] _owner;

    /// <summary>A mixture of optimizers of the same weights, which it owns.</summary>
    /// <param name="layout">The blocks of the weights.</param>
    /// <param name="otherwise">For the blocks that no other one has.</param>
    /// <param name="some">Which blocks another optimizer has.</param>
    /// <exception cref="ArgumentException">A block is picked twice, one of <paramref name="some"/> gets none, changes other weights, is
    /// given twice or makes its steps by itself, or the layout is not that of the weights.</exception>
    public Mixed(Layout layout, Optimizer otherwise, params (Func<Block, bool> Which, Optimizer Optimizer)[] some)
        : base(otherwise.Weights, otherwise.Rates.ToArray(), otherwise.Decays.ToArray())
    {
        (_layout, _inner) = (layout, [otherwise, .. some.Select(s => s.Optimizer)]);
        if (some.Any(s => !ReferenceEquals(s.Optimizer.Weights, Weights)))
            throw new ArgumentException("the optimizers change different weights", nameof(some));
        if (_inner.Distinct().Count() < _inner.Length)
            throw new ArgumentException("an optimizer is given twice, and would take two steps at a time; give it all its blocks at once",
                nameof(some));
        if (layout.Size != Weights.shape[1] || layout.Sum(b => b.Size) != layout.Size)
            throw new ArgumentException($"the layout's blocks have {layout.Sum(b => b.Size)} parameters, the weights {Weights.shape[1]}",
                nameof(layout));
        foreach (var inner in _inner)
            Taken(inner);
        _owner = new int[layout.Count];
        foreach (var (i, (which, _)) in some.Index())
        {
            var picked = layout.Index().Where(b => which(b.Item)).ToList();
            if (picked.Count == 0)
                throw new ArgumentException($"optimizer {i + 1} has no block; there are {string.Join(", ", layout.Select(b => b.Name))}",
                    nameof(some));
            foreach (var (b, block) in picked)
            {
                if (_owner[b] != 0)
                    throw new ArgumentException($"block '{block.Name}' is picked by optimizers {_owner[b]} and {i + 1}", nameof(some));
                _owner[b] = i + 1;
            }
        }
        TakeBlocks(layout, block => _inner[_owner[layout.IndexOf(block.Name)]]);
    }

    /// <inheritdoc/>
    protected internal override Tensor Direction(Tensor gradient)
    {
        Tensor[] directions = [.. _inner.Select(inner => Follow(inner, gradient))];
        return ByBlock(_layout, block => Layout.Slice(directions[_owner[_layout.IndexOf(block.Name)]], block));
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        foreach (var inner in _inner)
            inner.Dispose();
        base.Dispose();
    }
}
