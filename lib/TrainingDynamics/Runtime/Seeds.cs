using System.Numerics;

namespace TrainingDynamics.Runtime;

/// <summary>Streams of random numbers from one list of seeds: whatever a run draws follows from the seeds that it was given.</summary>
/// <remarks>
/// A stream's seed is a hash of the seed and the stream's name (FNV-1a of the name, mixed by the finalizer of SplitMix64; Steele, Lea and
/// Flood 2014). So the streams of seeds 1, 2, 3 do not run into those of 4, 5, 6, as they do where a hundred is added for every purpose.
/// </remarks>
public static class Seeds
{
    /// <summary>The seeds of a stream, one for each of <paramref name="seeds"/>: equal seeds stay equal.</summary>
    /// <param name="seeds">The run's seeds, one a replica.</param>
    /// <param name="name">What the stream is for: "log", "visitors".</param>
    public static int[] Stream(this IReadOnlyList<int> seeds, string name) => [.. seeds.Select(seed => Split(seed, name))];

    /// <summary>As many seeds as are asked for: the given ones first, then further ones that follow from them in turn, all
    /// different.</summary>
    /// <param name="seeds">The run's seeds.</param>
    /// <param name="count">How many are wanted.</param>
    /// <exception cref="ArgumentException"><paramref name="seeds"/> is empty, or <paramref name="count"/> less than 1.</exception>
    public static int[] Extended(this IReadOnlyList<int> seeds, int count)
    {
        if (seeds.Count == 0)
            throw new ArgumentException("at least one seed is needed to make more of, got none", nameof(seeds));
        Require.AtLeastOne((nameof(count), count));
        var extended = seeds.Take(count).ToList();
        for (var i = seeds.Count; extended.Count < count; i++)
        {
            // One that is there already, as in a list that was extended before, is passed over: two replicas of one seed are one run.
            if (Split(seeds[i % seeds.Count], $"more {i / seeds.Count}") is var further && !extended.Contains(further))
                extended.Add(further);
        }
        return [.. extended];
    }

    private static int Split(int seed, string name)
    {
        var hash = 14695981039346656037UL;
        foreach (var letter in name)
            hash = (hash ^ letter) * 1099511628211UL;
        var z = BitOperations.RotateLeft(hash, 32) + ((ulong)(uint)seed * 0x9E3779B97F4A7C15UL);
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9UL;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBUL;
        return (int)((z ^ (z >> 31)) & int.MaxValue);
    }
}
