using TorchSharp;
using static TorchSharp.torch;

namespace TrainingDynamics.Runtime;

/// <summary>
/// The rule of the house for runs that diverge: a replica that is not finite is reported as NaN, and changes no other replica by a bit.
/// </summary>
internal static class Replicas
{
    /// <summary>Which replicas are finite throughout, (replica) of true and false.</summary>
    public static Tensor AreFinite(Tensor values) => values.flatten(1).isfinite().all(1);

    /// <summary>
    /// <paramref name="f"/> of the finite replicas, NaN for the others: for decompositions, which refuse the whole batch for one NaN.
    /// </summary>
    /// <param name="values">(replica, …).</param>
    /// <param name="f">To (replica, …), each replica of itself alone.</param>
    public static Tensor Finite(Tensor values, Func<Tensor, Tensor> f)
    {
        var finite = AreFinite(values);
        Tensor Like(Tensor other) => finite.reshape([finite.shape[0], .. Enumerable.Repeat(1L, (int)other.dim() - 1)]);
        var result = f(where(Like(values), values, 0));
        return where(Like(result), result, double.NaN);
    }

    /// <summary>The rows of a table at some places, each replica's of its own table: (replica, n, width).</summary>
    /// <param name="table">(replica, row, width).</param>
    /// <param name="at">(replica, n), whole numbers from 0.</param>
    public static Tensor Rows(Tensor table, Tensor at)
    {
        // The tables one below the other, each replica's places shifted into its own.
        var flat = at + (arange(table.shape[0]).unsqueeze(1) * table.shape[1]);
        return table.reshape(-1, table.shape[2]).index_select(0, flat.reshape(-1)).reshape(table.shape[0], at.shape[1], table.shape[2]);
    }
}
