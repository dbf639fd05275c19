using TorchSharp;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;

namespace TrainingDynamics.Models;

/// <summary>The shape of a stack of hierarchical sequential transduction units.</summary>
public sealed record HstuShape
{
    /// <summary>Different items.</summary>
    public required int Vocabulary { get; init; }

    /// <summary>Items of an input at most; the attention's sum is divided by it.</summary>
    public required int Context { get; init; }

    /// <summary>Units on top of each other.</summary>
    public int Layers { get; init; } = 2;

    /// <summary>Width of the stream.</summary>
    public int Width { get; init; } = 32;

    /// <summary>Attention heads; divides the width.</summary>
    public int Heads { get; init; } = 4;

    /// <summary>Whether the attention's output is normalized before it is gated, as published; without it the sum's size is kept.</summary>
    public bool NormalizesAttention { get; init; } = true;

    /// <summary>The norms' ε.</summary>
    public double Epsilon { get; init; } = 1e-6;

    /// <summary>float32 or float64.</summary>
    public ScalarType Dtype { get; init; } = ScalarType.Float32;
}

/// <summary>
/// A sequence model without softmax attention, n the context:
/// <code>
/// x = E[item] + P[position]
/// U, V, Q, K = silu(W₁·norm(x))   (four of the width)
/// A = silu(QKᵀ + b[query − key])/n, causal, by head
/// x ← x + W₂·(norm(A·V) ⊙ U);   scores = E·norm(x)
/// </code>
/// norm is LayerNorm without gain or shift, after the attention over all heads together. Attention counts: what is twice in a history adds
/// twice, until the norm takes the sum's size away again. W₁ and b start with deviation 0.02, all else with 1/√width.
/// </summary>
/// <remarks>HSTU: Zhai et al. 2024, arXiv:2402.17152, after its published code; there the bias is shared by the heads and has a part of
/// time, W₂ has a bias, embeddings are multiplied by √width, scores are cosines over a temperature, and there is dropout.</remarks>
public sealed class Hstu : Model
{
    private readonly HstuShape _shape;

    /// <summary>One for each of <paramref name="random"/>'s replicas.</summary>
    /// <exception cref="ArgumentException">A number of the shape is out of its range.</exception>
    public Hstu(HstuShape shape, ReplicaRandom random) : base(Blocks(shape), Start(shape, random)) => _shape = shape;

    private static Layout Blocks(HstuShape s)
    {
        Require.AtLeastOne((nameof(s.Vocabulary), s.Vocabulary), (nameof(s.Context), s.Context), (nameof(s.Layers), s.Layers),
            (nameof(s.Width), s.Width), (nameof(s.Heads), s.Heads));
        if (s.Width % s.Heads != 0)
            throw new ArgumentException($"{nameof(s.Heads)} is {s.Heads}; the width {s.Width} must divide into as many heads",
                nameof(s.Heads));
        Require.NotNegative(s.Epsilon, nameof(s.Epsilon));
        Require.Floating(s.Dtype, nameof(s.Dtype));
        var blocks = new List<Block> { new("E", [s.Vocabulary, s.Width]), new("P", [s.Context, s.Width]) };
        for (var l = 1; l <= s.Layers; l++)
            blocks.AddRange(new Block($"in{l}", [4 * s.Width, s.Width]), new Block($"b{l}", [s.Heads, s.Context]),
                new Block($"out{l}", [s.Width, s.Width]));
        return new Layout(blocks);
    }

    private static Tensor Start(HstuShape s, ReplicaRandom random)
    {
        using var scope = NewDisposeScope();
        return cat([.. Blocks(s).Select(block => random.Normal([block.Size], s.Dtype)
            .mul_(block.Name[0] is 'b' or 'i' ? 0.02 : 1 / Math.Sqrt(s.Width)))], 1).MoveToOuterDisposeScope();
    }

    /// <summary>Scores (replica, batch·position, item) of the next item.</summary>
    /// <param name="weights">(replica, parameter).</param>
    /// <param name="inputs">Items (replica or 1, batch, position), whole numbers.</param>
    /// <exception cref="ArgumentException">The sequence is longer than the context, the replicas do not fit, or an item is out of the
    /// vocabulary.</exception>
    public override Tensor Forward(Tensor weights, Tensor inputs)
    {
        using var scope = NewDisposeScope();
        RequireWeights(weights, _shape.Dtype);
        var replicas = weights.shape[0];
        inputs = RequireTokens(inputs, _shape.Vocabulary);
        if (inputs.dim() != 3 || (inputs.shape[0] != 1 && inputs.shape[0] != replicas) || inputs.shape[2] > _shape.Context
            || inputs.shape[2] < 1)
            throw new ArgumentException($"{nameof(inputs)} have the shape [{string.Join(", ", inputs.shape)}], wanted is ({replicas} or 1, "
                + $"batch, position), of 1 to {_shape.Context} positions", nameof(inputs));
        var parts = Layout.Zip(Layout.Split(weights)).ToDictionary(p => p.First.Name, p => p.Second);
        var (batch, length, width, size) = (inputs.shape[1], inputs.shape[2], _shape.Width, _shape.Width / _shape.Heads);
        var x = Runtime.Replicas.Rows(parts["E"], inputs.expand(replicas, -1, -1).flatten(1)).reshape(replicas, batch, length, width)
            + parts["P"].narrow(1, 0, length).unsqueeze(1);
        x = x.reshape(replicas, batch * length, width);
        var behind = (arange(length).unsqueeze(1) - arange(length).unsqueeze(0));                                  // query − key
        var causal = (behind >= 0).to(_shape.Dtype);
        for (var l = 1; l <= _shape.Layers; l++)
        {
            var four = nn.functional.silu(Norm(x).bmm(parts[$"in{l}"].transpose(1, 2))).chunk(4, -1);
            // (replica, batch, head, position, size)
            Tensor Heads(Tensor h) => h.reshape(replicas, batch, length, _shape.Heads, size).transpose(2, 3);
            var bias = parts[$"b{l}"].index_select(2, behind.clamp_min(0).reshape(-1)).reshape(replicas, 1, _shape.Heads, length, length);
            var attention = nn.functional.silu(Heads(four[2]).matmul(Heads(four[3]).transpose(-1, -2)) + bias) * causal / _shape.Context;
            var read = attention.matmul(Heads(four[1])).transpose(2, 3).reshape(replicas, batch * length, width);
            x = x + ((_shape.NormalizesAttention ? Norm(read) : read) * four[0]).bmm(parts[$"out{l}"].transpose(1, 2));
        }
        return Norm(x).bmm(parts["E"].transpose(1, 2)).MoveToOuterDisposeScope();

        Tensor Norm(Tensor h) => Normalization.LayerNorm.Apply(h, _shape.Epsilon);
    }
}
