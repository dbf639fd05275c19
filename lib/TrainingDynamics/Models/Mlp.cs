using TorchSharp;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;

namespace TrainingDynamics.Models;

/// <summary>The shape of a multi-layer perceptron.</summary>
public sealed record MlpShape
{
    /// <summary>Numbers an input has.</summary>
    public required int Inputs { get; init; }

    /// <summary>Units of each hidden layer.</summary>
    public IReadOnlyList<int> Hidden { get; init; } = [64, 64, 64];

    /// <summary>Classes.</summary>
    public int Classes { get; init; } = 10;

    /// <summary>The norm after each hidden layer, before its ReLU.</summary>
    public Normalization Normalization { get; init; } = Normalization.LayerNorm;

    /// <summary>The norm's ε; 0 makes the invariance exact.</summary>
    public double Epsilon { get; init; }

    /// <summary>The first weights are normal with deviation Scale/√(fan in).</summary>
    public double Scale { get; init; } = 1;

    /// <summary>The same of the fixed head of a <see cref="ScaleInvariantMlp"/>: how sure of itself it is at first.</summary>
    public double HeadScale { get; init; } = 3;

    /// <summary>float32 or float64.</summary>
    public ScalarType Dtype { get; init; } = ScalarType.Float32;

    internal MlpShape Validated()
    {
        Require.AtLeastOne([(nameof(Inputs), Inputs), (nameof(Classes), Classes),
            .. Hidden.Select(units => (nameof(Hidden), (long)units))]);
        if (Hidden.Count == 0)
            throw new ArgumentException($"{nameof(Hidden)} is empty, at least one hidden layer is needed", nameof(Hidden));
        Require.NotNegative(Epsilon, nameof(Epsilon));
        Require.Positive(Scale, nameof(Scale));
        Require.Positive(HeadScale, nameof(HeadScale));
        Require.Floating(Dtype, nameof(Dtype));
        if (!Enum.IsDefined(Normalization))
            throw new ArgumentException($"{nameof(Normalization)} is {Normalization}, allowed are {string.Join(", ",
                Enum.GetNames<Normalization>())}", nameof(Normalization));
        return this;
    }

    /// <summary>The widths from input to last hidden layer.</summary>
    internal IEnumerable<(int In, int Out)> Layers => new[] { Inputs }.Concat(Hidden).Zip(Hidden, (i, o) => (i, o));

    /// <summary>A matrix (replica, output, input) of normal numbers with deviation <paramref name="scale"/>/√input, flattened by
    /// replica.</summary>
    internal Tensor Draw(ReplicaRandom random, int output, int input, double scale)
        => random.Normal([output, input], Dtype).mul_(scale / Math.Sqrt(input)).reshape(random.Replicas, -1);
}

/// <summary>
/// The scale-invariant perceptron: h_l = ReLU(norm(W_l h_{l−1})), scores = H h_L with a fixed random head H.
/// No biases, gains or shifts, so with ε = 0 the function depends on the directions of the W_l only
/// (unless <see cref="MlpShape.Normalization"/> is none).
/// </summary>
public sealed class ScaleInvariantMlp : Model
{
    private readonly MlpShape _shape;
    private readonly Tensor _head;                                                     // (replica, class, unit)

    /// <summary>One network for each of <paramref name="random"/>'s replicas.</summary>
    /// <exception cref="ArgumentException">A number of <paramref name="shape"/> is out of range.</exception>
    public ScaleInvariantMlp(MlpShape shape, ReplicaRandom random)
        : base(new Layout([.. shape.Validated().Layers.Select((layer,
            i) => new Block($"W{i + 1}", [layer.Out, layer.In], shape.Normalization.InvarianceBefore()))]),
               Start(shape, random))
    {
        _shape = shape;
        _head = shape.Draw(random, shape.Classes, shape.Hidden[^1], shape.HeadScale).reshape(random.Replicas, shape.Classes, -1)
            .DetachFromDisposeScope();
    }

    private static Tensor Start(MlpShape shape, ReplicaRandom random)
    {
        using var scope = NewDisposeScope();
        return cat([.. shape.Layers.Select(layer => shape.Draw(random, layer.Out, layer.In, shape.Scale))], dim: 1)
            .MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override Tensor Forward(Tensor weights, Tensor inputs)
    {
        RequireInputs(weights, inputs, _shape.Inputs);
        using var scope = NewDisposeScope();
        var h = inputs.expand(weights.shape[0], -1, -1);                               // (replica, batch, input)
        foreach (var w in Layout.Split(weights))                                       // (replica, output, input)
            h = nn.functional.relu(_shape.Normalization.Apply(h.bmm(w.transpose(1, 2)), _shape.Epsilon));
        return h.bmm(_head.transpose(1, 2)).MoveToOuterDisposeScope();                 // (replica, batch, class)
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        _head.Dispose();
        base.Dispose();
    }
}

/// <summary>
/// The ordinary perceptron: h_l = ReLU(γ_l ⊙ norm(W_l h_{l−1} + b_l) + β_l), scores = W h_L + b, all of it trained.
/// Gains, shifts and the last layer are not scale-invariant; without a norm nothing is, and γ and β are left out.
/// </summary>
public sealed class AffineMlp : Model
{
    private readonly MlpShape _shape;

    /// <summary>One network for each of <paramref name="random"/>'s replicas; biases and shifts start at 0, gains at 1.</summary>
    /// <exception cref="ArgumentException">A number of <paramref name="shape"/> is out of range.</exception>
    public AffineMlp(MlpShape shape, ReplicaRandom random) : base(Blocks(shape.Validated()), Start(shape, random)) => _shape = shape;

    private static Layout Blocks(MlpShape shape)
    {
        var blocks = new List<Block>();
        foreach (var (i, (input, output)) in shape.Layers.Index())
        {
            blocks.Add(new Block($"W{i + 1}", [output, input]));
            blocks.Add(new Block($"b{i + 1}", [output]));
            if (shape.Normalization != Normalization.None)
                blocks.AddRange(new Block($"gain{i + 1}", [output]), new Block($"shift{i + 1}", [output]));
        }
        blocks.AddRange(new Block("W", [shape.Classes, shape.Hidden[^1]]), new Block("b", [shape.Classes]));
        return new Layout(blocks);
    }

    private static Tensor Start(MlpShape shape, ReplicaRandom random)
    {
        using var scope = NewDisposeScope();
        var parts = Blocks(shape).Select(block => block.Shape switch
        {
            [var output, var input] => shape.Draw(random, (int)output, (int)input, shape.Scale),
            _ when block.Name.StartsWith("gain") => ones(random.Replicas, block.Size, dtype: shape.Dtype),
            _ => zeros(random.Replicas, block.Size, dtype: shape.Dtype),
        });
        return cat([.. parts], dim: 1).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override Tensor Forward(Tensor weights, Tensor inputs)
    {
        RequireInputs(weights, inputs, _shape.Inputs);
        using var scope = NewDisposeScope();
        var h = inputs.expand(weights.shape[0], -1, -1);
        var parts = new Queue<Tensor>(Layout.Split(weights));
        foreach (var _ in _shape.Hidden)
        {
            h = Linear(h);
            if (_shape.Normalization != Normalization.None)
                h = (_shape.Normalization.Apply(h, _shape.Epsilon) * parts.Dequeue().unsqueeze(1)) + parts.Dequeue().unsqueeze(1);
            h = nn.functional.relu(h);
        }
        return Linear(h).MoveToOuterDisposeScope();

        Tensor Linear(Tensor x) => x.bmm(parts.Dequeue().transpose(1, 2)) + parts.Dequeue().unsqueeze(1);
    }
}
