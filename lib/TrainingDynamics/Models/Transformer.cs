using TorchSharp;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;

namespace TrainingDynamics.Models;

/// <summary>Where a transformer's norms stand.</summary>
public enum NormPlacement
{
    /// <summary>x + f(norm(x)): before each sublayer, and once at the end.</summary>
    Pre,

    /// <summary>norm(x + f(x)): after each residual sum.</summary>
    Post,

    /// <summary>No norms at all.</summary>
    None,

    /// <summary>Everything on the unit sphere, in the manner of nGPT: stream, sublayers' outputs, queries and keys, and every row of every
    /// matrix.</summary>
    Sphere,
}

/// <summary>The shape of a small decoder-only transformer.</summary>
public sealed record TransformerShape
{
    /// <summary>Different tokens.</summary>
    public required int Vocabulary { get; init; }

    /// <summary>Positions there are: the tokens of an input, where each has its own.</summary>
    public required int Context { get; init; }

    /// <summary>Blocks of attention and feed-forward.</summary>
    public int Layers { get; init; } = 2;

    /// <summary>Width of the residual stream.</summary>
    public int Width { get; init; } = 32;

    /// <summary>Attention heads; divides the width.</summary>
    public int Heads { get; init; } = 4;

    /// <summary>Width of the feed-forward layer.</summary>
    public int Hidden { get; init; } = 64;

    /// <summary>Where the norms stand.</summary>
    public NormPlacement Placement { get; init; } = NormPlacement.Pre;

    /// <summary>LayerNorm or RMSNorm, both with a gain and without a shift.</summary>
    public Normalization Normalization { get; init; } = Normalization.RmsNorm;

    /// <summary>Whether queries and keys are normalized by head, without gains (Henry et al. 2020, arXiv:2010.04245).</summary>
    public bool QueryKeyNorm { get; init; }

    /// <summary>SwiGLU (Shazeer 2020, arXiv:2002.05202) instead of ReLU.</summary>
    public bool SwiGlu { get; init; } = true;

    /// <summary>Rotary positions (Su et al. 2021, arXiv:2104.09864) instead of learned ones.</summary>
    public bool Rotary { get; init; } = true;

    /// <summary>The norms' ε.</summary>
    public double Epsilon { get; init; }

    /// <summary>The unembedding's first weights are normal with deviation this over √width.</summary>
    public double HeadScale { get; init; } = 1;

    /// <summary>Whether the embedding is the unembedding, too (Press and Wolf 2017, arXiv:1608.05859): there is no block U, and E starts
    /// as U would. E reads the stream then, too, and the writers are not jointly invariant.</summary>
    public bool Tied { get; init; }

    /// <summary>float32 or float64.</summary>
    public ScalarType Dtype { get; init; } = ScalarType.Float32;
}

/// <summary>How a transformer reads a sequence that is no plain text: which tokens see which, where they stand, and which of them still
/// matter in the last layers.</summary>
public sealed record Reading
{
    /// <summary>(query, key), true where a token may look; every token sees at least one. By default those before it in the order of
    /// the sequence and itself, wherever they stand.</summary>
    public Tensor? Mask { get; init; }

    /// <summary>Where each token stands, from 0 to below the context; 0, 1, 2, … by default. Tokens may share a place.</summary>
    public IReadOnlyList<int>? Positions { get; init; }

    /// <summary>In the last <see cref="LastLayers"/> layers only so many last tokens are computed, and scores are given for them
    /// alone; they still look at the others' keys and values of the layer's own input. All by default.</summary>
    public int? LastTokens { get; init; }

    /// <summary>See <see cref="LastTokens"/>; 1 to the number of layers. With 1 nothing is lost (what the others would have become, nobody
    /// reads); with more the others stop where they were. Without <see cref="LastTokens"/> it says nothing.</summary>
    public int LastLayers { get; init; } = 1;

    /// <summary>Tokens (replica or 1, batch, position) whose embeddings are added, at each place and in every layer, to what values are
    /// made of, and to nothing else: v = W_v·(norm(x) + E[value]), while queries and keys are of the stream alone. So a reaction can be
    /// looked up by the item that it was given to. None by default.</summary>
    public Tensor? Values { get; init; }

    /// <summary>What becomes of everything that a matrix is multiplied with, of the shape (replica, batch·position, width): a rounding to
    /// few bits, say. Nothing by default.</summary>
    public Func<Tensor, Tensor>? Activations { get; init; }
}

/// <summary>
/// A small decoder-only transformer without biases:
/// <code>
/// x = E[token] (+ P[position])
/// Pre:  x ← x + Att(norm(x)),  x ← x + Ffn(norm(x)),  scores = U·norm(x)
/// Post: x ← norm(x + Att(x)),  x ← norm(x + Ffn(x)),  scores = U·x
/// Sphere: x ← unit(x + α ⊙ (unit(Att(x)) − x)), the same for Ffn; scores = s ⊙ (Û·x), all rows of E, U and the matrices scaled to length 1
/// Att = W_o·softmax(QKᵀ/√d, causal)·V;  Ffn(x) = W_down·(silu(W_gate x) ⊙ W_up x), or W_down·relu(W_up x)
/// </code>
/// Every matrix is (output, input), drawn with deviation 1/√input; embeddings with deviation 1; gains start at 1, on the sphere
/// the step sizes α at 1/(2·layers) and the scales s of the scores at √width.
/// </summary>
/// <remarks>Vaswani et al. 2017, arXiv:1706.03762; Pre-LN and Post-LN: Xiong et al. 2020, arXiv:2002.04745. nGPT: Loshchilov et al. 2025,
/// arXiv:2410.01131
/// (which scales α, queries and keys by further gains, and normalizes writers by column). A replica's tokens are (replica, batch,
/// position).</remarks>
public sealed class Transformer : Model
{
    private readonly TransformerShape _shape;
    private readonly Tensor _mask;
    private readonly (Tensor Cos, Tensor Sin)? _rotation;

    /// <summary>One transformer for each of <paramref name="random"/>'s replicas.</summary>
    /// <exception cref="ArgumentException">A number of <paramref name="shape"/> is out of range.</exception>
    public Transformer(TransformerShape shape, ReplicaRandom random) : base(Blocks(shape), Start(shape, random))
    {
        _shape = shape;
        using var scope = NewDisposeScope();
        _mask = full([shape.Context, shape.Context], double.NegativeInfinity, dtype: shape.Dtype).triu(1).DetachFromDisposeScope();
        if (shape.Rotary)
        {
            var half = shape.Width / shape.Heads / 2;
            var frequencies = Aligned.Tensor(Enumerable.Range(0, half).Select(i => Math.Pow(10_000, -(double)i / half)).ToArray(),
                dtype: shape.Dtype);
            var angles = arange(shape.Context, dtype: shape.Dtype).unsqueeze(1) * frequencies;                       // (position, half)
            _rotation = (angles.cos().DetachFromDisposeScope(), angles.sin().DetachFromDisposeScope());
        }
    }

    private static Layout Blocks(TransformerShape s)
    {
        Require.AtLeastOne((nameof(s.Vocabulary), s.Vocabulary), (nameof(s.Context), s.Context), (nameof(s.Layers), s.Layers),
            (nameof(s.Width), s.Width), (nameof(s.Heads), s.Heads), (nameof(s.Hidden), s.Hidden));
        if (!(s.HeadScale >= 0 && double.IsFinite(s.HeadScale)) || ((s.Tied || s.Placement == NormPlacement.Sphere) && s.HeadScale == 0))
            throw new ArgumentException($"{nameof(s.HeadScale)} is {s.HeadScale}, allowed is a number "
                + (s.Tied ? "above 0: it is the embedding's, too" : s.Placement == NormPlacement.Sphere
                    ? "above 0: a row of length 0 is on no sphere" : "of at least 0"), nameof(s.HeadScale));
        if (s.Width % s.Heads != 0 || (s.Rotary && s.Width / s.Heads % 2 != 0))
            throw new ArgumentException(
                $"{nameof(s.Heads)} is {s.Heads}; the width {s.Width} must divide into as many heads{(s.Rotary ? " of an even size" : "")}",
                nameof(s.Heads));
        Require.NotNegative(s.Epsilon, nameof(s.Epsilon));
        Require.Floating(s.Dtype, nameof(s.Dtype));
        if (!Enum.IsDefined(s.Placement))
            throw new ArgumentException($"{nameof(s.Placement)} is {s.Placement}, allowed are {string.Join(", ",
                Enum.GetNames<NormPlacement>())}", nameof(s.Placement));
        if (s.Normalization is not (Normalization.LayerNorm or Normalization.RmsNorm))
            throw new ArgumentException($"{nameof(s.Normalization)} is {s.Normalization}, allowed are LayerNorm and RmsNorm",
                nameof(s.Normalization));
        var blocks = new List<Block> { new("E", [s.Vocabulary, s.Width]) };
        if (!s.Rotary)
            blocks.Add(new Block("P", [s.Context, s.Width]));
        for (var l = 1; l <= s.Layers; l++)
        {
            // Under QK-norm a query or key matrix may be scaled by itself.
            var scaled = s.QueryKeyNorm ? Invariance.Whole : Invariance.None;
            if (s.Placement != NormPlacement.None)
                blocks.Add(new Block($"gain{l}a", [s.Width]));
            blocks.AddRange(new Block($"q{l}", [s.Width, s.Width], scaled), new Block($"k{l}", [s.Width, s.Width], scaled),
                new Block($"v{l}", [s.Width, s.Width]), new Block($"o{l}", [s.Width, s.Width]));
            if (s.Placement != NormPlacement.None)
                blocks.Add(new Block($"gain{l}f", [s.Width]));
            if (s.SwiGlu)
                blocks.Add(new Block($"gate{l}", [s.Hidden, s.Width]));
            blocks.AddRange(new Block($"up{l}", [s.Hidden, s.Width]), new Block($"down{l}", [s.Width, s.Hidden]));
        }
        if (s.Placement == NormPlacement.Pre)
            blocks.Add(new Block("gain", [s.Width]));
        if (!s.Tied)
            blocks.Add(new Block("U", [s.Vocabulary, s.Width]));
        if (s.Placement == NormPlacement.Sphere)
            blocks = [.. blocks.Select(b => b.Shape.Length == 2 && b.Name != "P" ? b with { Invariance = Invariance.Rows } : b),
                new Block("scale", [s.Vocabulary])];
        return new Layout(blocks);
    }

    private static Tensor Start(TransformerShape s, ReplicaRandom random)
    {
        using var scope = NewDisposeScope();
        return cat([.. Blocks(s).Select(block => block.Name switch
        {
            ['g', 'a', 'i', 'n', ..] => full([random.Replicas, block.Size],
                s.Placement == NormPlacement.Sphere ? 0.5 / s.Layers : 1, dtype: s.Dtype),
            "scale" => full([random.Replicas, block.Size], Math.Sqrt(s.Width), dtype: s.Dtype),
            "E" when s.Tied => random.Normal([block.Size], s.Dtype).mul_(s.HeadScale / Math.Sqrt(s.Width)),
            "E" or "P" => random.Normal([block.Size], s.Dtype),
            var name => random.Normal([block.Size], s.Dtype).mul_((name == "U" ? s.HeadScale : 1) / Math.Sqrt(block.Shape[1])),
        })], dim: 1).MoveToOuterDisposeScope();
    }

    /// <summary>Scores (replica, batch·position, token) of the next token; <paramref name="inputs"/> are tokens (replica, batch, position),
    /// whole numbers.</summary>
    public override Tensor Forward(Tensor weights, Tensor inputs) => Forward(weights, inputs, new Reading());

    /// <summary>The same of a sequence that is read in another way.</summary>
    /// <param name="weights">(replica, parameter).</param>
    /// <param name="inputs">Tokens (replica or 1, batch, position), whole numbers.</param>
    /// <param name="reading">Who sees whom, and where.</param>
    /// <returns>(replica, batch·position, token); of the last tokens alone where the reading says so.</returns>
    /// <exception cref="ArgumentException">The sequence is longer than the positions, a token is out of the vocabulary, or the reading does
    /// not fit: a mask of another shape or one that lets a token see nothing, positions out of range, a number of tokens or layers that
    /// there is not.</exception>
    public Tensor Forward(Tensor weights, Tensor inputs, Reading reading)
    {
        using var scope = NewDisposeScope();
        RequireWeights(weights, _shape.Dtype);
        var replicas = weights.shape[0];
        inputs = RequireTokens(inputs, _shape.Vocabulary);
        var (mask, places) = Required(inputs, replicas, reading);
        var sphere = _shape.Placement == NormPlacement.Sphere;
        var parts = Layout.Zip(Layout.Split(weights)).ToDictionary(p => p.First.Name,
            p => sphere && p.First.Invariance == Invariance.Rows ? p.Second / p.Second.norm(-1, keepdim: true) : p.Second);
        var (batch, length, width) = (inputs.shape[1], inputs.shape[2], _shape.Width);
        // (replica, batch·position, width)
        var x = Embedded(inputs);
        var added = reading.Values is { } valueTokens
            ? Embedded(RequireTokens(valueTokens, _shape.Vocabulary, nameof(reading.Values))) : null;
        if (!_shape.Rotary)
            x = (x.reshape(replicas, batch, length, width) + parts["P"].index_select(1, places).unsqueeze(1)).reshape(replicas, -1, width);
        if (sphere)
            x = Unit(x);
        // Who stops before the last layers is read there as it was then: keys and values of a stream that no longer changes.
        var (last, lastFrom) = (reading.LastTokens ?? length, _shape.Layers - reading.LastLayers);
        for (var l = 1; l <= _shape.Layers; l++)
        {
            if (l <= lastFrom || last == length)
            {
                x = Sublayer(x, $"gain{l}a", h => Attention(h, l, length));
                x = Sublayer(x, $"gain{l}f", h => FeedForward(h, l));
                continue;
            }
            var kept = Sublayer(x, $"gain{l}a", h => Attention(h, l, last), Last);
            kept = Sublayer(kept, $"gain{l}f", h => FeedForward(h, l));
            x = l == _shape.Layers ? kept : cat([x.reshape(replicas, batch, length, width).narrow(2, 0, length - last),
                kept.reshape(replicas, batch, last, width)], 2).reshape(replicas, -1, width);
        }
        if (_shape.Placement == NormPlacement.Pre)
            x = Norm(x) * parts["gain"].unsqueeze(1);
        var scores = Matrix(x, parts[_shape.Tied ? "E" : "U"]);
        return (sphere ? scores * parts["scale"].unsqueeze(1) : scores).MoveToOuterDisposeScope();

        Tensor Embedded(Tensor tokens) => Runtime.Replicas.Rows(parts["E"], tokens.expand(replicas, -1, -1).flatten(1));

        Tensor Unit(Tensor h) => h / h.norm(-1, keepdim: true);

        // f reads the whole stream; what it is added to may be a part of it.
        Tensor Sublayer(Tensor h, string gain, Func<Tensor, Tensor> f, Func<Tensor, Tensor>? part = null)
        {
            var to = part is null ? h : part(h);
            return _shape.Placement switch
            {
                NormPlacement.Pre => to + f(Norm(h) * parts[gain].unsqueeze(1)),
                NormPlacement.Sphere => Unit(to + (parts[gain].unsqueeze(1) * (Unit(f(h)) - to))),
                NormPlacement.Post => Norm(to + f(h)) * parts[gain].unsqueeze(1),
                _ => to + f(h),
            };
        }

        Tensor Last(Tensor h) => h.reshape(replicas, batch, length, width).narrow(2, length - last, last).reshape(replicas, -1, width);

        Tensor Norm(Tensor h) => _shape.Normalization.Apply(h, _shape.Epsilon);

        Tensor Linear(Tensor h, string name) => Matrix(h, parts[name]);

        Tensor Matrix(Tensor h, Tensor matrix)
        {
            if (reading.Activations is { } change)
            {
                var changed = change(h.clone());                // which it may change in place
                if (changed is null || changed.dtype != h.dtype || !changed.shape.SequenceEqual(h.shape))
                    throw new ArgumentException($"{nameof(reading.Activations)} gave [{string.Join(", ", changed?.shape ?? [])}] of "
                        + $"{changed?.dtype}, wanted is [{string.Join(", ", h.shape)}] of {h.dtype}", nameof(reading));
                h = changed;
            }
            return h.bmm(matrix.transpose(1, 2));
        }

        // On the sphere the entries of a unit vector are 1/√width; the nonlinearity is given them at size 1.
        Tensor FeedForward(Tensor h, int l) => sphere ? Hidden(h * Math.Sqrt(width), l) : Hidden(h, l);

        Tensor Hidden(Tensor h, int l) => Linear(_shape.SwiGlu
            ? nn.functional.silu(Linear(h, $"gate{l}")) * Linear(h, $"up{l}") : nn.functional.relu(Linear(h, $"up{l}")), $"down{l}");

        // Of so many last tokens.
        Tensor Attention(Tensor h, int l, long queries)
        {
            var size = width / _shape.Heads;
            // (replica·batch, head, position, size)
            Tensor Heads(Tensor of, string name) => Linear(of, name).reshape(replicas * batch, -1, _shape.Heads, size).transpose(1, 2);
            var (q, k, v) = (Heads(queries == length ? h : Last(h), $"q{l}"), Heads(h, $"k{l}"),
                Heads(added is null ? h : h + added, $"v{l}"));
            if (_shape.QueryKeyNorm || sphere)
                (q, k) = (Normalization.RmsNorm.Apply(q, _shape.Epsilon), Normalization.RmsNorm.Apply(k, _shape.Epsilon));
            if (_rotation is { } r)
            {
                var own = places.narrow(0, length - queries, queries);
                (q, k) = (Rotate(q, r.Cos.index_select(0, own), r.Sin.index_select(0, own)),
                    Rotate(k, r.Cos.index_select(0, places), r.Sin.index_select(0, places)));
            }
            var attention = ((q.matmul(k.transpose(2, 3)) / Math.Sqrt(size)) + mask.narrow(0, length - queries, queries)).softmax(-1);
            return Linear(attention.matmul(v).transpose(1, 2).reshape(replicas, batch * queries, width), $"o{l}");
        }
    }

    /// <summary>The mask as numbers that are added to the scores, (query, key), and the tokens' positions.</summary>
    private (Tensor Mask, Tensor Positions) Required(Tensor inputs, long replicas, Reading reading)
    {
        if (inputs.dim() != 3 || (inputs.shape[0] != 1 && inputs.shape[0] != replicas))
            throw new ArgumentException($"{nameof(inputs)} have the shape [{string.Join(", ", inputs.shape)}], wanted is "
                + $"({replicas} or 1, batch, position)", nameof(inputs));
        var length = inputs.shape[2];
        if (length < 1 || (reading.Positions is null && length > _shape.Context))
            throw new ArgumentException($"{nameof(inputs)} have {length} tokens, there are positions for 1 to {_shape.Context}",
                nameof(inputs));
        if (reading.Positions is { } given && (given.Count != length || given.Any(p => p < 0 || p >= _shape.Context)))
            throw new ArgumentException($"{nameof(reading.Positions)} are {given.Count} for {length} tokens, from "
                + $"{given.DefaultIfEmpty(-1).Min()} to {given.DefaultIfEmpty(-1).Max()}; allowed are 0 to {_shape.Context - 1}, one a "
                + "token", nameof(reading));
        if (reading.LastTokens is { } tokens && (tokens < 1 || tokens > length))
            throw new ArgumentException($"{nameof(reading.LastTokens)} is {tokens}, allowed are 1 to {length}, the tokens",
                nameof(reading));
        if (reading.LastLayers < 1 || reading.LastLayers > _shape.Layers)
            throw new ArgumentException($"{nameof(reading.LastLayers)} is {reading.LastLayers}, allowed are 1 to {_shape.Layers}",
                nameof(reading));
        if (reading.Values is { } values && (values.dim() != 3 || (values.shape[0] != 1 && values.shape[0] != replicas)
            || !values.shape[1..].SequenceEqual(inputs.shape[1..])))
            throw new ArgumentException($"{nameof(reading.Values)} have the shape [{string.Join(", ", values.shape)}], wanted is "
                + $"({replicas} or 1, {string.Join(", ", inputs.shape[1..])})", nameof(reading));
        var positions = reading.Positions is null ? arange(length)
            : Aligned.Tensor(reading.Positions.Select(p => (long)p).ToArray());
        if (reading.Mask is not { } may)
            return (length <= _shape.Context ? _mask.narrow(0, 0, length).narrow(1, 0, length)
                : full([length, length], double.NegativeInfinity, dtype: _shape.Dtype).triu(1), positions);
        if (may.dtype != ScalarType.Bool || !may.shape.SequenceEqual([length, length]))
            throw new ArgumentException($"{nameof(reading.Mask)} has the shape [{string.Join(", ", may.shape)}] of {may.dtype}, wanted is "
                + $"({length}, {length}) of Bool", nameof(reading));
        if (may.any(1).logical_not().nonzero() is var blind && blind.shape[0] > 0)
            throw new ArgumentException($"{nameof(reading.Mask)} lets token {blind[0, 0].item<long>()} see nothing", nameof(reading));
        return (zeros(length, length, dtype: _shape.Dtype).masked_fill(may.logical_not(), double.NegativeInfinity), positions);
    }

    /// <summary>Turns each pair (x_i, x_{i+half}) by its position's angle.</summary>
    private static Tensor Rotate(Tensor x, Tensor cos, Tensor sin)
    {
        var parts = x.chunk(2, -1);
        return cat([(parts[0] * cos) - (parts[1] * sin), (parts[0] * sin) + (parts[1] * cos)], -1);
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        _mask.Dispose();
        _rotation?.Cos.Dispose();
        _rotation?.Sin.Dispose();
        base.Dispose();
    }
}
