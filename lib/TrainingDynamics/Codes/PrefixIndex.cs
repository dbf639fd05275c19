namespace TrainingDynamics.Codes;

/// <summary>
/// The prefixes of a catalogue's codes as compressed sparse rows: what may come next, at every depth. The nodes of a depth are numbered in
/// the order of their prefixes, so a node's children are a run of the next depth: an offset a node and a code a child say all.
/// </summary>
/// <remarks>The index of STATIC, arXiv:2602.22647, without its dense first levels.</remarks>
public sealed class PrefixIndex
{
    // [depth]: where each node's children begin, and the children's codes; child i of a depth is node i of the next.
    private readonly int[][] _first, _codes;
    private readonly int[] _items;

    /// <summary>Builds the index.</summary>
    /// <param name="items">The codes of each item, all as many; no two items alike.</param>
    /// <param name="values">V: codes are 0 to V − 1.</param>
    /// <exception cref="ArgumentException">There is no item, one has another number of codes, a code is out of its range, or two items have
    /// the same codes.</exception>
    public PrefixIndex(IReadOnlyList<int[]> items, int values)
    {
        if (items.Count == 0 || items[0].Length == 0)
            throw new ArgumentException($"{nameof(items)} are {items.Count}, with {items.FirstOrDefault()?.Length ?? 0} codes each; wanted "
                + "is one at least, with one code at least", nameof(items));
        Require.AtLeastOne((nameof(values), values));
        (Values, Length) = (values, items[0].Length);
        foreach (var (i, item) in items.Index())
        {
            if (item.Length != Length)
                throw new ArgumentException($"item {i} has {item.Length} codes, item 0 has {Length}", nameof(items));
            if (item.FirstOrDefault(code => code < 0 || code >= values, -1) is var code && (code != -1 || item.Contains(-1)))
                throw new ArgumentException($"item {i} has the code {code}, allowed are 0 to {values - 1}", nameof(items));
        }
        _items = [.. Enumerable.Range(0, items.Count)];
        Array.Sort(_items, (a, b) => Compare(items[a], items[b]) is var order && order != 0 ? order : a.CompareTo(b));
        (_first, _codes) = (new int[Length][], new int[Length][]);
        var starts = new List<int> { 0, items.Count };                                 // of the nodes of a depth among the sorted items
        for (var depth = 0; depth < Length; depth++)
        {
            var (first, codes, next) = (new List<int>(), new List<int>(), new List<int>());
            for (var node = 0; node + 1 < starts.Count; node++)
            {
                first.Add(codes.Count);
                for (var i = starts[node]; i < starts[node + 1]; i++)
                {
                    if (i == starts[node] || items[_items[i]][depth] != items[_items[i - 1]][depth])
                    {
                        codes.Add(items[_items[i]][depth]);
                        next.Add(i);
                    }
                }
            }
            first.Add(codes.Count);
            next.Add(items.Count);
            (_first[depth], _codes[depth], starts) = ([.. first], [.. codes], next);
        }
        if (starts.Count - 1 < items.Count)
        {
            var twice = Enumerable.Range(1, items.Count - 1).First(i => Compare(items[_items[i]], items[_items[i - 1]]) == 0);
            throw new ArgumentException($"items {_items[twice - 1]} and {_items[twice]} have the same codes "
                + $"({string.Join(", ", items[_items[twice]])}); give one of them a suffix", nameof(items));
        }
    }

    /// <summary>Codes of an item.</summary>
    public int Length { get; }

    /// <summary>Values of a code.</summary>
    public int Values { get; }

    /// <summary>Items there are.</summary>
    public int Items => _items.Length;

    /// <summary>Different prefixes of so many codes: 1 of none.</summary>
    /// <exception cref="ArgumentException">No item has so many.</exception>
    public int Nodes(int depth) => depth >= 0 && depth <= Length ? depth == Length ? Items : _first[depth].Length - 1
        : throw new ArgumentException($"{nameof(depth)} is {depth}, allowed are 0 to {Length}, the codes of an item", nameof(depth));

    /// <summary>The codes that may come next, rising.</summary>
    /// <param name="depth">Codes written, 0 to T − 1.</param>
    /// <param name="node">The node of what is written; 0 at depth 0.</param>
    /// <exception cref="ArgumentException">There is no such depth or node.</exception>
    public ReadOnlySpan<int> Next(int depth, int node)
    {
        if ((uint)depth >= (uint)Length || (uint)node >= (uint)(_first[depth].Length - 1))
            throw new ArgumentException($"{nameof(node)} is {node} at {nameof(depth)} {depth}; depths are 0 to {Length - 1}, nodes of "
                + $"one 0 to {((uint)depth < (uint)Length ? _first[depth].Length - 2 : 0)}", nameof(node));
        return _codes[depth].AsSpan(_first[depth][node].._first[depth][node + 1]);
    }

    /// <summary>The node after one more code, −1 where no item has it.</summary>
    /// <param name="depth">Codes written before.</param>
    /// <param name="node">The node of what is written.</param>
    /// <param name="code">The code that comes.</param>
    public int Child(int depth, int node, int code) =>
        Next(depth, node).BinarySearch(code) is >= 0 and var at ? _first[depth][node] + at : -1;

    /// <summary>The item of a node at full depth.</summary>
    /// <exception cref="ArgumentException">There is no such node.</exception>
    public int Item(int leaf) => leaf >= 0 && leaf < Items ? _items[leaf]
        : throw new ArgumentException($"{nameof(leaf)} is {leaf}, allowed are 0 to {Items - 1}", nameof(leaf));

    private static int Compare(int[] a, int[] b)
    {
        for (var i = 0; i < a.Length; i++)
        {
            if (a[i] != b[i])
                return a[i].CompareTo(b[i]);
        }
        return 0;
    }
}
