using TorchSharp;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;

namespace TrainingDynamics.Models;

/// <summary>The shape of a decoder that writes an item as a few codes.</summary>
public sealed record LazyDecoderShape
{
    /// <summary>Contexts there are; each has an embedding.</summary>
    public required int Contexts { get; init; }

    /// <summary>T: codes of an item.</summary>
    public required int Length { get; init; }

    /// <summary>V: values of a code.</summary>
    public required int Values { get; init; }

    /// <summary>L: layers.</summary>
    public int Layers { get; init; } = 3;

    /// <summary>K: so many first layers see no code of the item; the codes enter after them. 0 is ordinary autoregression, L
    /// none.</summary>
    public int LazyLayers { get; init; }

    /// <summary>How many of the codes before are seen, the last ones; all by default.</summary>
    public int Remembers { get; init; } = int.MaxValue;

    /// <summary>Width of the stream; a layer's hidden width is four times it.</summary>
    public int Width { get; init; } = 32;
}

/// <summary>
/// A decoder whose first K layers do not see the codes that are already written, so that they are computed once an item and not once a
/// beam:
/// <code>
/// s = E[x] + P[t];   s ← s + W₂·relu(W₁·norm(s)), L times;   after layer K  s ← W_f·[m ⊙ (W_g·s); s]
/// scores = U_t·norm(s),   m = Σ_s C_s[c_s] over the codes that are seen
/// </code>
/// with norm the RMSNorm without a gain. Float64.
/// </summary>
/// <remarks>LazyAR and its fusion: GR4AD, arXiv:2602.22732, after a summary; there the layers are attention and feed-forward, and L = 9,
/// K = 6. Here a context is an id, and what is measured is what the codes before are worth.</remarks>
public sealed class LazyDecoder : Model
{
    private readonly LazyDecoderShape _shape;

    /// <summary>One for each of <paramref name="random"/>'s replicas.</summary>
    /// <exception cref="ArgumentException">A number of the shape is out of its range.</exception>
    public LazyDecoder(LazyDecoderShape shape, ReplicaRandom random) : base(Blocks(shape), Start(shape, random)) => _shape = shape;

    private static Layout Blocks(LazyDecoderShape s)
    {
        foreach (var (name, value, least) in new[] { (nameof(s.Contexts), s.Contexts, 1), (nameof(s.Length), s.Length, 1),
            (nameof(s.Values), s.Values, 2), (nameof(s.Layers), s.Layers, 1), (nameof(s.Width), s.Width, 1),
            (nameof(s.LazyLayers), s.LazyLayers, 0), (nameof(s.Remembers), s.Remembers, 0) })
        {
            if (value < least)
                throw new ArgumentException($"{name} is {value}, at least {least} is needed", name);
        }
        if (s.LazyLayers > s.Layers)
            throw new ArgumentException($"{nameof(s.LazyLayers)} is {s.LazyLayers}, allowed are 0 to {s.Layers}, the layers",
                nameof(s.LazyLayers));
        var blocks = new List<Block> { new("E", [s.Contexts, s.Width]), new("P", [s.Length, s.Width]),
            new("C", [(long)s.Length * s.Values, s.Width]), new("g", [s.Width, s.Width]), new("f", [s.Width, 2 * s.Width]) };
        for (var l = 1; l <= s.Layers; l++)
            blocks.AddRange(new Block($"up{l}", [4 * s.Width, s.Width]), new Block($"down{l}", [s.Width, 4 * s.Width]));
        return new Layout([.. blocks, new Block("U", [(long)s.Length * s.Values, s.Width])]);
    }

    private static Tensor Start(LazyDecoderShape s, ReplicaRandom random)
    {
        using var scope = NewDisposeScope();
        return cat([.. Blocks(s).Select(block => random.Normal([block.Size], ScalarType.Float64)
            .mul_(block.Name is "E" or "P" or "C" ? 1 : 1 / Math.Sqrt(block.Shape[1])))], 1).MoveToOuterDisposeScope();
    }

    /// <summary>Scores (replica, row, value) of the code that comes next.</summary>
    /// <param name="weights">(replica, parameter).</param>
    /// <param name="inputs">Rows (1, row, 1 + T), whole numbers: the context, and the codes written so far, −1 for those to come.</param>
    /// <exception cref="ArgumentException">The rows have another width, or a code is out of its range.</exception>
    public override Tensor Forward(Tensor weights, Tensor inputs)
    {
        var (length, values) = (_shape.Length, _shape.Values);
        if (inputs.dim() != 3 || inputs.shape[0] != 1 || inputs.shape[2] != length + 1)
            throw new ArgumentException($"{nameof(inputs)} have the shape [{string.Join(", ", inputs.shape)}], wanted is (1, row, "
                + $"{length + 1}): a context and {length} codes, −1 for those to come", nameof(inputs));
        using var scope = NewDisposeScope();
        var (context, codes) = (inputs[0].select(1, 0), inputs[0].narrow(1, 1, length));                       // (row), (row, T)
        if (((codes < -1) | (codes >= values)).any().item<bool>() || ((context < 0) | (context >= _shape.Contexts)).any().item<bool>())
            throw new ArgumentException($"{nameof(inputs)} have contexts from {context.min().ToDouble()} to {context.max().ToDouble()} and "
                + $"codes from {codes.min().ToDouble()} to {codes.max().ToDouble()}; allowed are 0 to {_shape.Contexts - 1}, and −1 to "
                + $"{values - 1}", nameof(inputs));
        var written = (codes >= 0).sum(1);                                                                     // t, (row)
        if ((written >= length).any().item<bool>())
            throw new ArgumentException($"{nameof(inputs)}: a row has all {length} codes, none comes next", nameof(inputs));
        var parts = Layout.Zip(Layout.Split(weights)).ToDictionary(p => p.First.Name, p => p.Second);
        Tensor Times(Tensor h, string name) => h.bmm(parts[name].transpose(1, 2));
        static Tensor Norm(Tensor h) => h / (h.square().mean([-1], keepdim: true) + 1e-6).sqrt();
        var stream = parts["E"].index_select(1, context) + parts["P"].index_select(1, written);
        // Row s·V + c of C for code c in place s, where it is seen.
        var place = arange(length).unsqueeze(0);
        var seen = (codes >= 0) & (place >= written.unsqueeze(1) - Math.Min(_shape.Remembers, length));
        var looked = parts["C"].index_select(1, ((place * values) + codes.clamp_min(0)).reshape(-1))
            .reshape(weights.shape[0], -1, length, _shape.Width);
        var before = (looked * seen.to(ScalarType.Float64).unsqueeze(-1)).sum(2);
        for (var l = 0; l <= _shape.Layers; l++)
        {
            if (l == _shape.LazyLayers && l < _shape.Layers)
                stream = Times(cat([before * Times(stream, "g"), stream], -1), "f");
            if (l < _shape.Layers)
                stream = stream + Times(Times(Norm(stream), $"up{l + 1}").relu(), $"down{l + 1}");
        }
        // Every place has an unembedding of its own: take the row's.
        var scores = Times(Norm(stream), "U").reshape(weights.shape[0], -1, length, values);
        var at = written.reshape(1, -1, 1, 1).expand(weights.shape[0], -1, 1, values);
        return scores.gather(2, at).squeeze(2).MoveToOuterDisposeScope();
    }
}
