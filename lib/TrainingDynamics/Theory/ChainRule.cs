namespace TrainingDynamics.Theory;

/// <summary>
/// The entropies of a few discrete variables with a joint law, in nats. H(c_1 … c_T) = Σ_t H(c_t|c_1 … c_{t−1}): who writes the variables
/// one after another, seeing all before, loses nothing; who sees less pays an information, exactly (Cover and Thomas, Elements of
/// Information Theory).
/// </summary>
public sealed class ChainRule
{
    private readonly double[] _joint;
    private readonly int[] _sizes;

    /// <summary>A joint law.</summary>
    /// <param name="joint">Probabilities, the last variable running fastest; none negative, with sum 1.</param>
    /// <param name="sizes">How many values each variable has.</param>
    /// <exception cref="ArgumentException">They do not fit, or it is no distribution.</exception>
    public ChainRule(IReadOnlyList<double> joint, params IReadOnlyList<int> sizes)
    {
        if (sizes.Count == 0 || sizes.Any(s => s < 1) || sizes.Aggregate(1L, (a, b) => a * b) != joint.Count)
            throw new ArgumentException($"{nameof(joint)} has {joint.Count} probabilities for {string.Join(" × ", sizes)} values",
                nameof(sizes));
        if (joint.Any(p => !(p >= 0)) || Math.Abs(joint.Sum() - 1) > 1e-9)
            throw new ArgumentException($"{nameof(joint)} is no distribution: its least entry is {joint.Min()}, its sum {joint.Sum()}",
                nameof(joint));
        (_joint, _sizes) = ([.. joint], [.. sizes]);
    }

    /// <summary>H of some of the variables together; 0 of none.</summary>
    /// <param name="of">Their numbers, from 0, each once.</param>
    /// <exception cref="ArgumentException">There is no such variable, or one is named twice.</exception>
    public double Entropy(params IReadOnlyList<int> of)
    {
        if (of.Any(v => v < 0 || v >= _sizes.Length) || of.Distinct().Count() != of.Count)
            throw new ArgumentException($"{nameof(of)} is {string.Join(", ", of)}, allowed are 0 to {_sizes.Length - 1}, each once",
                nameof(of));
        var marginal = new Dictionary<long, double>();
        foreach (var (cell, p) in _joint.Index())
        {
            long key = 0;
            var rest = cell;
            for (var v = _sizes.Length - 1; v >= 0; v--)
            {
                if (of.Contains(v))
                    key = (key * _sizes[v]) + (rest % _sizes[v]);
                rest /= _sizes[v];
            }
            marginal[key] = marginal.GetValueOrDefault(key) + p;
        }
        return -marginal.Values.Sum(p => p > 0 ? p * Math.Log(p) : 0);
    }

    /// <summary>H(of|given) = H(of, given) − H(given).</summary>
    public double Conditional(IReadOnlyList<int> of, IReadOnlyList<int> given) => Entropy([.. of, .. given]) - Entropy(given);

    /// <summary>I(a; b|given) = H(a|given) − H(a|b, given): what b tells of a to who knows the given.</summary>
    public double Information(int a, int b, params IReadOnlyList<int> given) =>
        Conditional([a], given) - Conditional([a], [b, .. given]);

    /// <summary>Σ_t H(c_t) − H(c_1 … c_T): what is lost by who writes all of them at once, each by itself.</summary>
    public double TotalCorrelation => Enumerable.Range(0, _sizes.Length).Sum(v => Entropy(v))
        - Entropy([.. Enumerable.Range(0, _sizes.Length)]);
}
