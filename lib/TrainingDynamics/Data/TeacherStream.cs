using TorchSharp;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;

namespace TrainingDynamics.Data;

/// <summary>
/// Fresh normal inputs every step, labelled by a fixed random network of 64 ReLU units, a share of the labels replaced by
/// random ones: data without an end, so nothing is ever seen twice. Each seed has a teacher of its own.
/// </summary>
public sealed class TeacherStream : IBatches
{
    private const int Units = 64, Classes = 10;
    private readonly ReplicaRandom _random;
    private readonly Tensor _hidden, _output;
    private readonly int _batch, _inputs;
    private readonly double _noise;

    /// <summary>A stream for each replica.</summary>
    /// <param name="inputs">Numbers an input has.</param>
    /// <param name="batch">Inputs a step.</param>
    /// <param name="random">The replicas' seeds.</param>
    /// <param name="labelNoise">The share of random labels, in [0, 1]; at 1 there is nothing to learn.</param>
    /// <param name="dtype">float32 or float64.</param>
    public TeacherStream(int inputs, int batch, ReplicaRandom random, double labelNoise = 0.2, ScalarType dtype = ScalarType.Float32)
    {
        if (!(labelNoise is >= 0 and <= 1))
            throw new ArgumentException($"{nameof(labelNoise)} is {labelNoise}, allowed is a number in [0, 1]", nameof(labelNoise));
        using var scope = NewDisposeScope();
        using var teacher = new ReplicaRandom(random.Seeds.Stream("teacher"));
        (_random, _batch, _inputs, _noise) = (random, batch, inputs, labelNoise);
        _hidden = (teacher.Normal([inputs, Units], dtype) / Math.Sqrt(inputs)).DetachFromDisposeScope();
        _output = (teacher.Normal([Units, Classes], dtype) / Math.Sqrt(Units)).DetachFromDisposeScope();
    }

    /// <inheritdoc/>
    public Batch Next()
    {
        using var scope = NewDisposeScope();
        var x = _random.Normal([_batch, _inputs], _hidden.dtype);                        // (replica, batch, input)
        var labels = nn.functional.relu(x.bmm(_hidden)).bmm(_output).argmax(-1);
        if (_noise > 0)
        {
            var random = _random.Integers(Classes, _batch);
            labels = where(_random.Uniform([_batch], ScalarType.Float32) < _noise, random, labels);
        }
        return new Batch(x.MoveToOuterDisposeScope(), labels.MoveToOuterDisposeScope());
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _hidden.Dispose();
        _output.Dispose();
    }
}
