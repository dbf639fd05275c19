using MathNet.Numerics.LinearAlgebra;

namespace TrainingDynamics.Bandits;

/// <summary>
/// An estimator of a policy's value from logged slates: the mean over impressions of a term that is linear in the clicks,
/// <code>
/// V̂ = (1/n)·Σ [ α(slate) + Σ_k β_k(slate)·click_k ]
/// </code>
/// so that its mean and the deviation of a term can be had by enumeration, and its error at n impressions is known before a log is drawn.
/// </summary>
/// <param name="Name">Its name.</param>
/// <param name="Constant">α of each slate.</param>
/// <param name="Weight">β, [slate][slot].</param>
public sealed record SlateEstimator(string Name, double[] Constant, double[][] Weight)
{
    /// <summary>Inverse propensity scoring of whole slates: β_k = π(s)/π₀(s). Unbiased whatever the clicks do.</summary>
    /// <param name="world">The slates.</param>
    /// <param name="logger">π₀ over <see cref="SlateWorld.Slates"/>.</param>
    /// <param name="policy">π.</param>
    /// <exception cref="ArgumentException">π shows a slate that π₀ never shows.</exception>
    public static SlateEstimator Ips(SlateWorld world, IReadOnlyList<double> logger, IReadOnlyList<double> policy)
        => SlotBySlot("IPS", world, logger, policy, (slate, k) => string.Join(',', slate), "slate");

    /// <summary>Item and position: β_k = π(item in slot k)/π₀(item in slot k). Unbiased where a slot's clicks depend on its own item
    /// only (Li et al. 2018, arXiv:1804.10488).</summary>
    /// <inheritdoc cref="Ips"/>
    public static SlateEstimator ItemPosition(SlateWorld world, IReadOnlyList<double> logger, IReadOnlyList<double> policy)
        => SlotBySlot("item and position", world, logger, policy, (slate, k) => $"{slate[k]}", "item in a slot");

    /// <summary>Reward interaction IPS: β_k = π(the first k items)/π₀(the first k items). Unbiased where a slot's clicks depend on what
    /// stands above it only: the cascade's assumption (McInerney et al. 2020, arXiv:2007.12986).</summary>
    /// <inheritdoc cref="Ips"/>
    public static SlateEstimator Rips(SlateWorld world, IReadOnlyList<double> logger, IReadOnlyList<double> policy)
        => SlotBySlot("RIPS", world, logger, policy, (slate, k) => string.Join(',', slate[..(k + 1)]), "beginning of a slate");

    /// <summary>
    /// The pseudo-inverse estimator: every β_k of a slate is q_πᵀ·Γ⁺·1_s, with 1_s the indicator of (slot, item) pairs,
    /// Γ = E_{π₀}[1_s 1_sᵀ], q_π = E_π[1_s]. Unbiased where the expected reward of a slate is a sum over its slots (Swaminathan et al.
    /// 2017, arXiv:1605.04812).
    /// </summary>
    /// <inheritdoc cref="Ips"/>
    public static SlateEstimator PseudoInverse(SlateWorld world, IReadOnlyList<double> logger, IReadOnlyList<double> policy)
    {
        var (p0, p) = (world.Required(logger, nameof(logger)), world.Required(policy, nameof(policy)));
        _ = ItemPosition(world, logger, policy);                                       // refuses what the logger never shows
        var size = world.Slots * world.Items;
        int[] Pairs(int[] slate) => [.. slate.Select((item, k) => (k * world.Items) + item)];
        var gamma = Matrix<double>.Build.Dense(size, size);
        var target = Vector<double>.Build.Dense(size);
        foreach (var (s, slate) in world.Slates.Index())
        {
            var pairs = Pairs(slate);
            foreach (var i in pairs)
            {
                target[i] += p[s];
                foreach (var j in pairs)
                    gamma[i, j] += p0[s];
            }
        }
        var solved = gamma.PseudoInverse() * target;
        return new("PI", new double[world.Slates.Count], [.. world.Slates.Select(slate =>
            Enumerable.Repeat(Pairs(slate).Sum(i => solved[i]), world.Slots).ToArray())]);
    }

    /// <summary>
    /// Cascade-DR: RIPS with a model of the clicks as control variate,
    /// <code>
    /// Σ_k w_{1:k}·(click_k − q̂_k) + w_{1:k−1}·E_{a∼π(·|s_{1:k−1})}[q̂_k(s_{1:k−1}, a)]
    /// </code>
    /// with w as RIPS'. Unbiased where RIPS is, whatever q̂ (Kiyohara et al. 2022, arXiv:2202.01562). There q̂ has the clicks to come as
    /// well, so that what later slots add is foretold from the first on; a model of each slot's own click leaves that noise in.
    /// </summary>
    /// <param name="world">The slates.</param>
    /// <param name="logger">π₀.</param>
    /// <param name="policy">π.</param>
    /// <param name="model">q̂ of the clicks in slot k and below, or in slot k alone, from the items from the top down to it.</param>
    public static SlateEstimator CascadeDr(SlateWorld world, IReadOnlyList<double> logger, IReadOnlyList<double> policy,
        Func<int[], double> model)
    {
        var (p0, p) = (world.Required(logger, nameof(logger)), world.Required(policy, nameof(policy)));
        var weights = Rips(world, logger, policy).Weight;
        double Foretell(int[] begun) => model(begun) is var click && double.IsFinite(click) ? click
            : throw new ArgumentException($"{nameof(model)} of the beginning ({string.Join(", ", begun)}) is {click}, wanted is a number",
                nameof(model));
        // Of every beginning of a slate: the policy's mass on it, and that mass times q̂ of its last item, summed over last items.
        var (mass, foretold) = (new Dictionary<string, double> { [""] = 1 }, new Dictionary<string, double>());
        foreach (var (s, slate) in world.Slates.Index())
        {
            for (var k = 0; k < world.Slots; k++)
            {
                var (above, here) = (string.Join(',', slate[..k]), string.Join(',', slate[..(k + 1)]));
                mass[here] = mass.GetValueOrDefault(here) + p[s];
                foretold[above] = foretold.GetValueOrDefault(above) + (p[s] * Foretell(slate[..(k + 1)]));
            }
        }
        var constants = world.Slates.Select((slate, s) => p0[s] == 0 ? 0 : Enumerable.Range(0, world.Slots).Sum(k =>
        {
            var above = string.Join(',', slate[..k]);
            var before = k == 0 ? 1 : weights[s][k - 1];
            var expected = mass[above] > 0 ? foretold[above] / mass[above] : 0;
            return (before * expected) - (weights[s][k] * Foretell(slate[..(k + 1)]));
        }));
        return new("cascade-DR", [.. constants], weights);
    }

    /// <summary>The mean over endless logs and the standard deviation of one impression's term, by enumeration of slates and
    /// clicks.</summary>
    /// <param name="world">The world that clicks.</param>
    /// <param name="logger">π₀.</param>
    public (double Mean, double Deviation) Exact(SlateWorld world, IReadOnlyList<double> logger)
    {
        var (mean, square) = (0.0, 0.0);
        foreach (var (s, chance) in world.Required(logger, nameof(logger)).Index().Where(p => p.Item > 0))
        {
            foreach (var (pattern, probability) in world.Patterns(world.Slates[s]).Index())
            {
                var term = Term(s, pattern);
                mean += chance * probability * term;
                square += chance * probability * term * term;
            }
        }
        return (mean, Math.Sqrt(Math.Max(0, square - (mean * mean))));
    }

    /// <summary>V̂ of a log.</summary>
    /// <exception cref="ArgumentException">The log is empty.</exception>
    public double Of(IReadOnlyList<(int Slate, int Pattern)> log) => log.Count > 0 ? log.Average(shown => Term(shown.Slate, shown.Pattern))
        : throw new ArgumentException("a log needs at least one impression, got none", nameof(log));

    private double Term(int slate, int pattern) => Constant[slate]
        + Weight[slate].Index().Where(slot => (pattern >> slot.Index & 1) == 1).Sum(slot => slot.Item);

    /// <summary>β_k = the policy's mass on what <paramref name="part"/> names, over the logger's.</summary>
    private static SlateEstimator SlotBySlot(string name, SlateWorld world, IReadOnlyList<double> logger, IReadOnlyList<double> policy,
        Func<int[], int, string> part, string what)
    {
        var (p0, p) = (world.Required(logger, nameof(logger)), world.Required(policy, nameof(policy)));
        var (shown, wanted) = (new Dictionary<(int, string), double>(), new Dictionary<(int, string), double>());
        foreach (var (s, slate) in world.Slates.Index())
        {
            for (var k = 0; k < world.Slots; k++)
            {
                var key = (k, part(slate, k));
                shown[key] = shown.GetValueOrDefault(key) + p0[s];
                wanted[key] = wanted.GetValueOrDefault(key) + p[s];
            }
        }
        if (wanted.FirstOrDefault(w => w.Value > 0 && shown[w.Key] == 0) is { Value: > 0 } blind)
            throw new ArgumentException($"{name}: the policy shows the {what} ({blind.Key.Item2}), slot {blind.Key.Item1}, with "
                + $"probability {blind.Value:g3}, and the logger never: no log says anything of it", nameof(policy));
        return new(name, new double[world.Slates.Count], [.. world.Slates.Select(slate => Enumerable.Range(0, world.Slots)
            .Select(k => shown[(k, part(slate, k))] is > 0 and var mass ? wanted[(k, part(slate, k))] / mass : 0).ToArray())]);
    }
}
