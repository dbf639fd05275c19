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

    /// <summary>Tokens of an input.</summary>
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
        foreach (var (name, value) in new[] { (nameof(s.Vocabulary), s.Vocabulary), (nameof(s.Context), s.Context),
            (nameof(s.Layers), s.Layers), (nameof(s.Width), s.Width), (nameof(s.Heads), s.Heads), (nameof(s.Hidden), s.Hidden) })
        {
            if (value < 1)
                throw new ArgumentException($"{name} is {value}, at least 1 is needed", name);
        }
        if (!(s.HeadScale >= 0 && double.IsFinite(s.HeadScale)) || (s.Tied && s.HeadScale == 0))
            throw new ArgumentException($"{nameof(s.HeadScale)} is {s.HeadScale}, allowed is a number "
                + (s.Tied ? "above 0: it is the embedding's, too" : "of at least 0"), nameof(s.HeadScale));
        if (s.Width % s.Heads != 0 || (s.Rotary && s.Width / s.Heads % 2 != 0))
            throw new ArgumentException(
                $"{nameof(s.Heads)} is {s.Heads}; the width {s.Width} must divide into as many heads{(s.Rotary ? " of an even size" : "")}",
                nameof(s.Heads));
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
    public override Tensor Forward(Tensor weights, Tensor inputs)
    {
        using var scope = NewDisposeScope();
        var replicas = weights.shape[0];
        var sphere = _shape.Placement == NormPlacement.Sphere;
        var parts = Layout.Zip(Layout.Split(weights)).ToDictionary(p => p.First.Name,
            p => sphere && p.First.Invariance == Invariance.Rows ? p.Second / p.Second.norm(-1, keepdim: true) : p.Second);
        var (batch, length, width) = (inputs.shape[1], inputs.shape[2], _shape.Width);
        // Each replica looks up its own rows: shift its tokens into one long table.
        var rows = (inputs.expand(replicas, -1, -1) + (arange(replicas).reshape(-1, 1, 1) * _shape.Vocabulary)).reshape(-1);
        // (replica, batch·position, width)
        var x = parts["E"].reshape(-1, width).index_select(0, rows).reshape(replicas, batch * length, width);
        if (!_shape.Rotary)
            x = (x.reshape(replicas, batch, length, width) + parts["P"].narrow(1, 0, length).unsqueeze(1)).reshape(replicas, -1, width);
        if (sphere)
            x = Unit(x);
        for (var l = 1; l <= _shape.Layers; l++)
        {
            x = Sublayer(x, $"gain{l}a", h => Attention(h, l));
            x = Sublayer(x, $"gain{l}f", h => FeedForward(h, l));
        }
        if (_shape.Placement == NormPlacement.Pre)
            x = Norm(x) * parts["gain"].unsqueeze(1);
        var scores = x.bmm(parts[_shape.Tied ? "E" : "U"].transpose(1, 2));
        return (sphere ? scores * parts["scale"].unsqueeze(1) : scores).MoveToOuterDisposeScope();

        Tensor Unit(Tensor h) => h / h.norm(-1, keepdim: true);

        Tensor Sublayer(Tensor h, string gain, Func<Tensor, Tensor> f) => _shape.Placement switch
        {
            NormPlacement.Pre => h + f(Norm(h) * parts[gain].unsqueeze(1)),
            NormPlacement.Sphere => Unit(h + (parts[gain].unsqueeze(1) * (Unit(f(h)) - h))),
            NormPlacement.Post => Norm(h + f(h)) * parts[gain].unsqueeze(1),
            _ => h + f(h),
        };

        Tensor Norm(Tensor h) => _shape.Normalization.Apply(h, _shape.Epsilon);

        Tensor Linear(Tensor h, string name) => h.bmm(parts[name].transpose(1, 2));

        // On the sphere the entries of a unit vector are 1/√width; the nonlinearity is given them at size 1.
        Tensor FeedForward(Tensor h, int l) => sphere ? Hidden(h * Math.Sqrt(width), l) : Hidden(h, l);

        Tensor Hidden(Tensor h, int l) => Linear(_shape.SwiGlu
            ? nn.functional.silu(Linear(h, $"gate{l}")) * Linear(h, $"up{l}") : nn.functional.relu(Linear(h, $"up{l}")), $"down{l}");

        Tensor Attention(Tensor h, int l)
        {
            var size = width / _shape.Heads;
            // (replica·batch, head, position, size)
            Tensor Heads(string name) => Linear(h, name).reshape(replicas * batch, length, _shape.Heads, size).transpose(1, 2);
            var (q, k, v) = (Heads($"q{l}"), Heads($"k{l}"), Heads($"v{l}"));
            if (_shape.QueryKeyNorm || sphere)
                (q, k) = (Normalization.RmsNorm.Apply(q, _shape.Epsilon), Normalization.RmsNorm.Apply(k, _shape.Epsilon));
            if (_rotation is { } r)
                (q, k) = (Rotate(q, r.Cos.narrow(0, 0, length), r.Sin.narrow(0, 0, length)),
                    Rotate(k, r.Cos.narrow(0, 0, length), r.Sin.narrow(0, 0, length)));
            var attention = ((q.matmul(k.transpose(2, 3)) / Math.Sqrt(size)) + _mask.narrow(0, 0, length).narrow(1, 0, length)).softmax(-1);
            return Linear(attention.matmul(v).transpose(1, 2).reshape(replicas, batch * length, width), $"o{l}");
        }
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
