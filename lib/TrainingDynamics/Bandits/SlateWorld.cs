namespace TrainingDynamics.Bandits;

/// <summary>How a visitor goes through a slate.</summary>
public enum ClickModel
{
    /// <summary>Place k is looked at with probability e_k, whatever stands there; what is looked at is clicked with its attraction: slot by
    /// slot, independently.</summary>
    PositionBased,

    /// <summary>From the top, each place clicked with its attraction; a click ends the visit, and without one the next place is looked at
    /// with probability e_{k+1}/e_k (Craswell et al. 2008).</summary>
    Cascade,

    /// <summary>As <see cref="PositionBased"/>, but an item beside one of its own kind, above or below, is half as attractive: what
    /// happens in a place depends on the whole slate. Items of even and of odd number are the two kinds.</summary>
    Similar,
}

/// <summary>
/// Slates small enough to enumerate: every ordered choice of different items for the slots, with the exact probability of every pattern of
/// clicks. What is counted is clicks.
/// </summary>
public sealed class SlateWorld
{
    private readonly double[] _attraction, _examination;
    private readonly ClickModel _model;

    /// <summary>A world of slates.</summary>
    /// <param name="attraction">a_i in [0, 1]: the chance that item i is clicked when it is looked at.</param>
    /// <param name="examination">e_k in (0, 1] of each slot from the top, not rising; as many slots.</param>
    /// <param name="model">How a visitor goes through a slate.</param>
    /// <exception cref="ArgumentException">A number is out of its range, or there are fewer items than slots.</exception>
    public SlateWorld(IReadOnlyList<double> attraction, IReadOnlyList<double> examination, ClickModel model)
    {
        foreach (var (i, a) in attraction.Index())
        {
            if (!(a is >= 0 and <= 1))
                throw new ArgumentException($"{nameof(attraction)} of item {i} is {a}, allowed is a number in [0, 1]", nameof(attraction));
        }
        foreach (var (k, e) in examination.Index())
        {
            if (!(e is > 0 and <= 1) || (k > 0 && e > examination[k - 1]))
                throw new ArgumentException($"{nameof(examination)} of slot {k} is {e}, allowed is a number in (0, 1] that does not rise",
                    nameof(examination));
        }
        if (examination.Count is < 1 or > 4 || attraction.Count < examination.Count)
            throw new ArgumentException($"there are {examination.Count} slots and {attraction.Count} items; allowed are one to four slots, "
                + "and as many items at least", nameof(examination));
        (_attraction, _examination, _model) = ([.. attraction], [.. examination], model);
        Slates = [.. Ordered([])];
    }

    /// <summary>Items there are.</summary>
    public int Items => _attraction.Length;

    /// <summary>Slots of a slate.</summary>
    public int Slots => _examination.Length;

    /// <summary>Every ordered slate of different items, the same order everywhere.</summary>
    public IReadOnlyList<int[]> Slates { get; }

    /// <summary>The probability of every pattern of clicks on a slate, [pattern]: bit k of the pattern is a click in slot k; they sum to
    /// 1.</summary>
    /// <param name="slate">Items from the top.</param>
    public double[] Patterns(IReadOnlyList<int> slate)
    {
        var patterns = new double[1 << Slots];
        if (_model == ClickModel.Cascade)
        {
            var looks = _examination[0];
            patterns[0] = 1 - looks;
            for (var k = 0; k < Slots; k++)
            {
                var a = _attraction[slate[k]];
                patterns[1 << k] += looks * a;
                var goesOn = k + 1 < Slots ? _examination[k + 1] / _examination[k] : 0;
                patterns[0] += looks * (1 - a) * (1 - goesOn);
                looks *= (1 - a) * goesOn;
            }
            return patterns;
        }
        for (var pattern = 0; pattern < patterns.Length; pattern++)
        {
            patterns[pattern] = 1;
            for (var k = 0; k < Slots; k++)
            {
                var beside = _model == ClickModel.Similar
                    && ((k > 0 && (slate[k - 1] - slate[k]) % 2 == 0) || (k + 1 < Slots && (slate[k + 1] - slate[k]) % 2 == 0));
                var click = _examination[k] * _attraction[slate[k]] * (beside ? 0.5 : 1);
                patterns[pattern] *= (pattern >> k & 1) == 1 ? click : 1 - click;
            }
        }
        return patterns;
    }

    /// <summary>The expected clicks of each slot of a slate, [slot].</summary>
    public double[] Clicks(IReadOnlyList<int> slate)
    {
        var patterns = Patterns(slate);
        return [.. Enumerable.Range(0, Slots).Select(k => patterns.Index().Where(p => (p.Index >> k & 1) == 1).Sum(p => p.Item))];
    }

    /// <summary>The expected clicks of a visit under a policy over <see cref="Slates"/>.</summary>
    /// <exception cref="ArgumentException">The policy is no distribution over the slates.</exception>
    public double Value(IReadOnlyList<double> policy) => Required(policy, nameof(policy))
        .Zip(Slates, (p, slate) => p == 0 ? 0 : p * Clicks(slate).Sum()).Sum();

    /// <summary>Fills the slots from the top, each by a softmax of the scores over what is left (Plackett 1975, Luce 1959); a distribution
    /// over <see cref="Slates"/>.</summary>
    /// <param name="scores">One for each item, finite.</param>
    /// <exception cref="ArgumentException">There is not one for each item, or one is not finite.</exception>
    public double[] PlackettLuce(IReadOnlyList<double> scores)
    {
        if (scores.Count != Items || scores.Any(s => !double.IsFinite(s)))
            throw new ArgumentException($"{nameof(scores)} are {scores.Count} numbers ({string.Join(", ", scores.Take(3))}, …), wanted is "
                + $"a finite one for each of {Items} items", nameof(scores));
        var top = scores.Max();
        double[] weights = [.. scores.Select(s => Math.Exp(s - top))];
        return [.. Slates.Select(slate =>
        {
            var (chance, left) = (1.0, weights.Sum());
            foreach (var item in slate)
            {
                chance *= weights[item] / left;
                left -= weights[item];
            }
            return chance;
        })];
    }

    /// <summary>A log: slates drawn from a policy, with the clicks of their visits.</summary>
    /// <param name="policy">Over <see cref="Slates"/>.</param>
    /// <param name="impressions">How many slates are shown.</param>
    /// <param name="seed">Seed of the draws.</param>
    /// <returns>The number of the slate and the pattern of clicks of every impression.</returns>
    public IReadOnlyList<(int Slate, int Pattern)> Draw(IReadOnlyList<double> policy, int impressions, int seed)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(impressions, 1);
        var random = new Random(seed);
        var slates = Cumulative(Required(policy, nameof(policy)));
        var patterns = Slates.Select(slate => Cumulative(Patterns(slate))).ToArray();
        return [.. Enumerable.Range(0, impressions).Select(_ =>
        {
            var slate = At(slates, random.NextDouble());
            return (slate, At(patterns[slate], random.NextDouble()));
        })];
    }

    /// <summary>The policy, if it is one over the slates.</summary>
    internal double[] Required(IReadOnlyList<double> policy, string name)
    {
        if (policy.Count != Slates.Count || policy.Any(p => !(p >= 0)) || Math.Abs(policy.Sum() - 1) > 1e-9)
            throw new ArgumentException($"{name} has {policy.Count} probabilities that sum to {policy.Sum()}, the least "
                + $"{policy.DefaultIfEmpty(double.NaN).Min()}; wanted is a distribution over {Slates.Count} slates", name);
        return [.. policy];
    }

    private static double[] Cumulative(IReadOnlyList<double> chances)
    {
        var sum = 0.0;
        return [.. chances.Select(p => sum += p)];
    }

    private static int At(double[] cumulative, double u)
    {
        var at = Array.BinarySearch(cumulative, u * cumulative[^1]);
        return Math.Min(at < 0 ? ~at : at + 1, cumulative.Length - 1);
    }

    private IEnumerable<int[]> Ordered(int[] begun) => begun.Length == Slots ? [begun]
        : Enumerable.Range(0, Items).Where(item => !begun.Contains(item)).SelectMany(item => Ordered([.. begun, item]));
}
