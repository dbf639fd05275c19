using TorchSharp;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;

namespace TrainingDynamics.Data;

/// <summary>
/// Random tokens every step; the label at each position is the token one position earlier (at the first, the first itself).
/// Nothing to memorize: a model must learn to look back, and can then reach a loss of 0.
/// </summary>
public sealed class CopyStream(int vocabulary, int batch, int context, ReplicaRandom random) : IBatches
{
    /// <inheritdoc/>
    public Batch Next()
    {
        using var scope = NewDisposeScope();
        var tokens = random.Integers(vocabulary, batch, context);                        // (replica, batch, position)
        var labels = cat([tokens.narrow(2, 0, 1), tokens.narrow(2, 0, context - 1)], 2);
        return new Batch(tokens.MoveToOuterDisposeScope(), labels.MoveToOuterDisposeScope());
    }

    /// <inheritdoc/>
    public void Dispose()
    {
    }
}
