using TorchSharp;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;

namespace TrainingDynamics.Bandits;

/// <summary>
/// An embedding of the items that is discrete and known: every item belongs to one group (a category, a shelf, a cell of several
/// features). With it a catalogue of ten thousand items can be judged by what its groups earn.
/// </summary>
public sealed class ItemGroups
{
    private readonly Tensor _of;

    /// <summary>Groups by their members.</summary>
    /// <param name="of">The group of each item, whole numbers from 0.</param>
    /// <exception cref="ArgumentException">There is no item, or a group is negative or beyond the number of items.</exception>
    public ItemGroups(IReadOnlyList<int> of)
    {
        // One group more than items at most: items that no log has may be a group beside all others.
        if (of.Count == 0 || of.Min() < 0 || of.Max() > of.Count)
            throw new ArgumentException($"{nameof(of)} has {of.Count} items, their groups go from {of.DefaultIfEmpty(-1).Min()} to "
                + $"{of.DefaultIfEmpty(-1).Max()}; wanted is for every item a group from 0, numbered without gaps", nameof(of));
        Of = [.. of];
        _of = tensor(of.Select(group => (long)group).ToArray());
        _of.DetachFromDisposeScope();
        Count = of.Max() + 1;
    }

    /// <summary>Runs of neighbours: item a is in group ⌊a·groups/items⌋.</summary>
    /// <param name="items">Items there are.</param>
    /// <param name="groups">Groups, 1 to as many as items.</param>
    public static ItemGroups Even(int items, int groups) => groups >= 1 && groups <= items
        ? new([.. Enumerable.Range(0, items).Select(item => (int)((long)item * groups / items))])
        : throw new ArgumentException($"{nameof(groups)} is {groups}, allowed are 1 to {items}, the number of items", nameof(groups));

    /// <summary>The group of each item.</summary>
    public IReadOnlyList<int> Of { get; }

    /// <summary>How many groups there are.</summary>
    public int Count { get; }

    /// <summary>Sums over each group's items: of a policy π(e|x) = Σ_{a∈e} π(a|x); (…, item) to (…, group).</summary>
    /// <exception cref="ArgumentException">The table has another number of items.</exception>
    public Tensor Sum(Tensor table)
    {
        if (table.shape[^1] != Of.Count)
            throw new ArgumentException($"{nameof(table)} is of {table.shape[^1]} items, the groups are of {Of.Count}", nameof(table));
        using var scope = NewDisposeScope();
        long[] shape = [.. table.shape[..^1], Count];
        return zeros(shape, dtype: table.dtype).index_add(table.dim() - 1, _of, table, 1).MoveToOuterDisposeScope();
    }

    /// <summary>Each item gets its group's number: (…, group) to (…, item).</summary>
    /// <exception cref="ArgumentException">The table has another number of groups.</exception>
    public Tensor Spread(Tensor ofGroups) => ofGroups.shape[^1] == Count ? ofGroups.index_select(-1, _of)
        : throw new ArgumentException($"{nameof(ofGroups)} is of {ofGroups.shape[^1]} groups, there are {Count}", nameof(ofGroups));

    /// <summary>
    /// The policy that takes the group as π does and the item within it as the logger does,
    /// <code>
    /// π̃(a|x) = π(e|x)·π_log(a|x)/π_log(e|x),   e the group of a.
    /// </code>
    /// Its weight over the logger, π(e|x)/π_log(e|x), is the marginalized one of MIPS (Saito and Joachims 2022, arXiv:2202.06317): MIPS
    /// for π is IPS for π̃, so all that MIPS gets wrong is V(π̃) − V(π). It is nothing if items of a group earn alike (no direct effect),
    /// or if π chooses within groups as the logger does. That it is IPS of another policy is ours; the paper's theorem on the bias says the
    /// same by pairs of items.
    /// </summary>
    /// <param name="policy">π, (replica or 1, context, item).</param>
    /// <param name="logger">π_log, likewise. A group that it never shows gets nothing here; <see cref="UnseenBy"/> tells how much.</param>
    public Tensor Marginalized(Tensor policy, Tensor logger)
    {
        using var scope = NewDisposeScope();
        var log = logger.to(ScalarType.Float64);
        var (wanted, shown) = (Sum(policy.to(ScalarType.Float64)), Sum(log));
        return (log * Spread(where(shown > 0, wanted / shown.clamp_min(1e-300), 0))).MoveToOuterDisposeScope();
    }

    /// <summary>Σ_e π(e|x) over groups that the logger never shows in the context, (replica, context).</summary>
    internal Tensor UnseenBy(Tensor policy, Tensor logger)
    {
        using var scope = NewDisposeScope();
        return (Sum(policy.to(ScalarType.Float64)) * (Sum(logger.to(ScalarType.Float64)) == 0)).sum(-1).MoveToOuterDisposeScope();
    }
}
