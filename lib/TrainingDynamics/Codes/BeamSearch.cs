namespace TrainingDynamics.Codes;

/// <summary>A prefix that is being written for a query.</summary>
/// <param name="Query">Whose.</param>
/// <param name="Codes">What is written.</param>
/// <param name="LogProbability">ln p of it.</param>
/// <param name="Node">Its node in the index.</param>
public sealed record Beam(int Query, int[] Codes, double LogProbability, int Node);

/// <summary>Writes items code by code, keeping the likeliest prefixes of items that exist.</summary>
public static class BeamSearch
{
    /// <summary>
    /// The likeliest items of each query. Codes that no item has are left out after the softmax, so that ln p of an item is the model's own
    /// (with a beam as wide as the catalogue the search is exact).
    /// </summary>
    /// <param name="index">The catalogue.</param>
    /// <param name="queries">How many queries are answered at once.</param>
    /// <param name="width">Prefixes kept a query, 1 to the number of items.</param>
    /// <param name="next">ln p of every code to come, for every beam, [beam][value].</param>
    /// <returns>For each query its items and their ln p, the likeliest first: as many as the width, or fewer where few exist.</returns>
    /// <exception cref="ArgumentException">A number is out of its range, or <paramref name="next"/> does not answer every beam.</exception>
    public static (int Item, double LogProbability)[][] Run(PrefixIndex index, int queries, int width,
        Func<IReadOnlyList<Beam>, double[][]> next)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(queries, 1);
        if (width < 1 || width > index.Items)
            throw new ArgumentException($"{nameof(width)} is {width}, allowed are 1 to {index.Items}, the items", nameof(width));
        Beam[] beams = [.. Enumerable.Range(0, queries).Select(q => new Beam(q, [], 0, 0))];
        for (var depth = 0; depth < index.Length; depth++)
        {
            var scores = next(beams) ?? throw new ArgumentException($"{nameof(next)} gave null", nameof(next));
            if (scores.Length != beams.Length || scores.Any(s => s?.Length != index.Values))
                throw new ArgumentException($"{nameof(next)} gave {scores.Length} rows of "
                    + $"{string.Join(", ", scores.Select(s => s?.Length ?? 0).Distinct())} numbers for {beams.Length} beams and "
                    + $"{index.Values} values", nameof(next));
            foreach (var row in scores)
            {
                // −∞ is a code that cannot come.
                if (row.FirstOrDefault(v => !(v <= 1e-6)) is var bad && (bad > 1e-6 || double.IsNaN(bad)))
                    throw new ArgumentException($"{nameof(next)} gave {bad} for ln p, allowed are numbers in [−∞, 0]", nameof(next));
            }
            var grown = new List<Beam>();
            foreach (var (i, beam) in beams.Index())
            {
                foreach (var code in index.Next(depth, beam.Node))
                    grown.Add(new Beam(beam.Query, [.. beam.Codes, code], beam.LogProbability + scores[i][code],
                        index.Child(depth, beam.Node, code)));
            }
            beams = [.. grown.GroupBy(beam => beam.Query).SelectMany(of => of.OrderByDescending(beam => beam.LogProbability).Take(width))];
        }
        return [.. Enumerable.Range(0, queries).Select(q => beams.Where(beam => beam.Query == q)
            .Select(beam => (index.Item(beam.Node), beam.LogProbability)).ToArray())];
    }
}
