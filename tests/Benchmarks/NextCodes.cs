using BenchmarkDotNet.Attributes;
using TrainingDynamics.Codes;

namespace Benchmarks;

/// <summary>
/// What may come next along an item, four codes of 256 values: the index of prefixes against a trie of dictionaries whose node is kept, and
/// against sorted items whose range is kept, each written as well as it can be. 64 items a call, drawn from up to a million.
/// </summary>
public class NextCodes
{
    private const int Values = 256, Length = 4;
    private PrefixIndex _index = null!;
    private Node _trie = null!;
    private uint[] _sorted = null!;
    private int[][] _beams = null!;

    /// <summary>Items of the catalogue.</summary>
    [Params(10_000, 100_000, 1_000_000)]
    public int Items { get; set; }

    private sealed class Node
    {
        public readonly Dictionary<int, Node> Next = [];
    }

    [GlobalSetup]
    public void Setup()
    {
        var random = new Random(1);
        var names = new HashSet<uint>();
        while (names.Count < Items)
            names.Add((uint)random.NextInt64(1L << 32));
        int[][] items = [.. names.Select(name => new[] { (int)(name >> 24), (int)(name >> 16) & 255, (int)(name >> 8) & 255,
            (int)name & 255 })];
        (_index, _sorted, _beams, _trie) = (new PrefixIndex(items, Values), [.. names.Order()], items[..64], new Node());
        foreach (var item in items)
        {
            var node = _trie;
            foreach (var code in item)
            {
                if (!node.Next.TryGetValue(code, out var next))
                    node.Next[code] = next = new Node();
                node = next;
            }
        }
        if (Csr() != Dictionaries() || Csr() != Sorted())
            throw new InvalidOperationException("the three ways list different codes");
    }

    [Benchmark(Baseline = true, Description = "compressed sparse rows")]
    public long Csr()
    {
        var sum = 0L;
        foreach (var item in _beams)
        {
            var node = 0;
            for (var depth = 0; depth < Length; depth++)
            {
                foreach (var code in _index.Next(depth, node))
                    sum += code;
                node = _index.Child(depth, node, item[depth]);
            }
        }
        return sum;
    }

    [Benchmark(Description = "dictionaries, node kept")]
    public long Dictionaries()
    {
        var sum = 0L;
        foreach (var item in _beams)
        {
            var node = _trie;
            foreach (var code in item)
            {
                foreach (var next in node.Next.Keys)
                    sum += next;
                node = node.Next[code];
            }
        }
        return sum;
    }

    [Benchmark(Description = "sorted items, range kept")]
    public long Sorted()
    {
        var sum = 0L;
        foreach (var item in _beams)
        {
            var (low, high, begun) = (0, _sorted.Length, 0ul);
            for (var shift = 24; shift >= 0; shift -= 8)
            {
                for (var at = low; at < high;)
                {
                    var code = (_sorted[at] >> shift) & 255;
                    sum += code;
                    at = After(at, high, begun + ((code + 1ul) << shift));
                }
                begun += (ulong)item[3 - (shift / 8)] << shift;
                low = After(low, high, begun);
                high = After(low, high, begun + (1ul << shift));
            }
        }
        return sum;
    }

    // The first place from low on whose item is at least the key, by steps that double and then halve: near places are found soon.
    private int After(int low, int high, ulong key)
    {
        var step = 1;
        while (low + step <= high && _sorted[low + step - 1] < key)
        {
            low += step;
            step *= 2;
        }
        high = Math.Min(high, low + step - 1);
        while (low < high)
        {
            var middle = (low + high) >>> 1;
            (low, high) = _sorted[middle] < key ? (middle + 1, high) : (low, middle);
        }
        return low;
    }
}
