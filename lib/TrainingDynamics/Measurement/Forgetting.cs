namespace TrainingDynamics.Measurement;

/// <summary>
/// Accuracies along a stream of tasks: R[i][j] is the score on task j after i tasks were learned; row 0 is before any.
/// </summary>
public sealed class ForgettingMatrix
{
    private readonly double[][] _r;

    /// <summary>A stream of T tasks has T + 1 rows of T scores.</summary>
    /// <exception cref="ArgumentException">The rows do not fit, or a score is not finite.</exception>
    public ForgettingMatrix(double[][] scores)
    {
        if (scores.Length < 2 || scores.Any(row => row.Length != scores.Length - 1))
            throw new ArgumentException("a stream of T tasks has T + 1 rows of T scores (the first row before any learning); got "
                + $"{scores.Length} rows of {string.Join("/", scores.Select(r => r.Length).Distinct())}", nameof(scores));
        foreach (var (i, row) in scores.Index())
        {
            foreach (var (j, score) in row.Index())
            {
                if (!double.IsFinite(score))
                    throw new ArgumentException($"the score of task {j + 1} after {i} tasks is {score}; every score must be a number",
                        nameof(scores));
            }
        }
        _r = scores;
    }

    /// <summary>T.</summary>
    public int Tasks => _r.Length - 1;

    /// <summary>R[i][j].</summary>
    public double this[int after, int task] => _r[after][task];

    /// <summary>Mean over the tasks <paramref name="old"/> of R[s][j] − R[T][j]: how much a model lost of what it could do after the first
    /// <paramref name="since"/> tasks, s.</summary>
    /// <exception cref="ArgumentException">No task counts, or so many tasks were not learned.</exception>
    public double AverageDrop(int since, params IReadOnlyList<int> old) => since < 0 || since > Tasks
        ? throw new ArgumentException($"{nameof(since)} is {since}, allowed are 0 to {Tasks} tasks", nameof(since))
        : old.Count > 0
        ? old.Average(j => _r[since][j] - _r[^1][j])
        : throw new ArgumentException("a drop needs at least one old task; name those that the model could do before the stream",
            nameof(old));

    /// <summary>Backward transfer: mean over j &lt; T of R[T][j] − R[j][j]; negative is forgetting (Lopez-Paz and Ranzato 2017,
    /// arXiv:1706.08840).</summary>
    /// <exception cref="InvalidOperationException">The stream has one task.</exception>
    public double BackwardTransfer => Several("backward transfer")
        ? Enumerable.Range(0, Tasks - 1).Average(j => _r[^1][j] - _r[j + 1][j]) : 0;

    /// <summary>Forward transfer: mean over j &gt; 1 of R[j−1][j] − b_j, what earlier tasks did for one not yet learned, over chance b_j
    /// (arXiv:1706.08840).</summary>
    /// <param name="chance">b_j of every task: the score of an untrained model.</param>
    /// <exception cref="ArgumentException">There is not one for each task.</exception>
    /// <exception cref="InvalidOperationException">The stream has one task.</exception>
    public double ForwardTransfer(IReadOnlyList<double> chance) => chance.Count != Tasks
        ? throw new ArgumentException($"{Tasks} tasks need as many chance scores, got {chance.Count}", nameof(chance))
        : Several("forward transfer") ? Enumerable.Range(1, Tasks - 1).Average(j => _r[j][j] - chance[j]) : 0;

    /// <summary>F_j = max over i &lt; T of R[i][j] − R[T][j]: the fall from the best there ever was (Chaudhry et al. 2018,
    /// arXiv:1801.10112).</summary>
    public double Forgetting(int task) => Enumerable.Range(0, Tasks).Max(i => _r[i][task]) - _r[^1][task];

    private bool Several(string what) => Tasks > 1 ? true
        : throw new InvalidOperationException(
        $"{what} is not defined for a stream of one task: it compares tasks learned at different times");
}

/// <summary>A run as a trade: what it learned and what it kept.</summary>
/// <param name="Gain">Score on the new task.</param>
/// <param name="Kept">Score on the old tasks.</param>
public readonly record struct Trade(double Gain, double Kept);

/// <summary>Fronts of trades: which runs nobody beats in both.</summary>
public static class Pareto
{
    /// <summary>The trades that no other one beats in one score without losing in the other, by rising gain.</summary>
    /// <exception cref="ArgumentException">None, or a score is not finite.</exception>
    public static Trade[] Front(IEnumerable<Trade> trades)
    {
        var sorted = Checked(trades).OrderByDescending(t => t.Gain).ThenByDescending(t => t.Kept).ToArray();
        var front = new List<Trade>();
        foreach (var trade in sorted)
        {
            if (front.Count == 0 || trade.Kept > front[^1].Kept)
                front.Add(trade);
        }
        front.Reverse();
        return [.. front];
    }

    /// <summary>The area between a reference (worst) point and the front: larger is better (Zitzler and Thiele 1999).</summary>
    /// <param name="trades">Runs.</param>
    /// <param name="worst">The corner that counts as nothing; trades below it count nothing.</param>
    public static double Hypervolume(IEnumerable<Trade> trades, Trade worst)
    {
        var area = 0.0;
        var left = worst.Gain;
        foreach (var trade in Front(trades).Where(t => t.Gain > worst.Gain && t.Kept > worst.Kept))
        {
            area += (trade.Gain - left) * (trade.Kept - worst.Kept);
            left = trade.Gain;
        }
        return area;
    }

    /// <summary>Matched-gain forgetting: the least old score lost, <paramref name="before"/> − Kept, among the runs that reach a
    /// gain.</summary>
    /// <param name="trades">Runs.</param>
    /// <param name="gain">The new task's score to reach.</param>
    /// <param name="before">The old score before fine-tuning.</param>
    /// <exception cref="ArgumentException">No run reaches it; says how far they came.</exception>
    public static double MatchedGainForgetting(IEnumerable<Trade> trades, double gain, double before)
    {
        var runs = Checked(trades);
        var reached = runs.Where(t => t.Gain >= gain).ToArray();
        return reached.Length > 0
            ? before - reached.Max(t => t.Kept)
            : throw new ArgumentException($"no run reaches a gain of {gain}; the best of {runs.Length} has {runs.Max(t => t.Gain)}",
                nameof(gain));
    }

    /// <summary>A 95 % interval of a statistic by the bootstrap over bases: bases are drawn with replacement, their runs together. Of three
    /// bases it is no narrower than their range.</summary>
    /// <param name="byBase">The runs of every base.</param>
    /// <param name="statistic">Of a set of runs.</param>
    /// <param name="draws">Bootstrap samples.</param>
    /// <param name="seed">Seed of the draws.</param>
    /// <exception cref="ArgumentException">Less than two bases.</exception>
    public static (double Low, double High) Bootstrap(IReadOnlyList<Trade[]> byBase,
        Func<IEnumerable<Trade>, double> statistic, int draws = 1000, int seed = 1)
    {
        if (byBase.Count < 2)
            throw new ArgumentException($"a bootstrap over bases needs at least two, got {byBase.Count}", nameof(byBase));
        var random = new Random(seed);
        var values = Enumerable.Range(0, draws)
            .Select(_ => Enumerable.Range(0, byBase.Count).Average(_ => statistic(byBase[random.Next(byBase.Count)]))).Order().ToArray();
        return (values[(int)(0.025 * draws)], values[(int)(0.975 * draws)]);
    }

    private static Trade[] Checked(IEnumerable<Trade> trades)
    {
        var all = trades.ToArray();
        if (all.Length == 0)
            throw new ArgumentException("a front needs at least one run, got none", nameof(trades));
        return all.Where(t => !double.IsFinite(t.Gain) || !double.IsFinite(t.Kept)).Cast<Trade?>().FirstOrDefault() is { } bad
            ? throw new ArgumentException($"a run has the scores {bad.Gain} and {bad.Kept}; both must be numbers", nameof(trades))
            : all;
    }
}
