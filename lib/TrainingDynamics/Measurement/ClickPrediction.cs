using TorchSharp;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;

namespace TrainingDynamics.Measurement;

/// <summary>How good predicted click rates are, for clicks of 0 and 1.</summary>
public static class ClickPrediction
{
    /// <summary>−mean [y·ln p + (1 − y)·ln(1 − p)], in nats.</summary>
    /// <exception cref="ArgumentException">The lists are empty or differ in length, a prediction is outside (0, 1), or a click is neither 0
    /// nor 1.</exception>
    public static double LogLoss(IReadOnlyList<double> predicted, IReadOnlyList<double> clicks)
    {
        Require(predicted, clicks);
        return predicted.Zip(clicks, (p, y) => -((y * Math.Log(p)) + ((1 - y) * Math.Log(1 - p)))).Average();
    }

    /// <summary>AUC: the probability that a click was predicted higher than a non-click, ties counting half (Mann and Whitney's U over the
    /// pairs).</summary>
    /// <exception cref="ArgumentException">As for <see cref="LogLoss"/>, or all clicks are alike.</exception>
    public static double Auc(IReadOnlyList<double> predicted, IReadOnlyList<double> clicks)
    {
        Require(predicted, clicks);
        return AucOf(predicted, clicks);
    }

    /// <summary>The same of sequences: AUC over all impressions of a replica, whatever the sequence and the place in it. Scores of any
    /// scale; only their order counts.</summary>
    /// <param name="scores">(replica, …).</param>
    /// <param name="clicks">1 and 0, of the same shape.</param>
    /// <returns>One for each replica; NaN where its scores are not finite.</returns>
    /// <exception cref="ArgumentException">The shapes differ, a click is neither 0 nor 1, or all of a replica's are alike.</exception>
    public static double[] SequenceAuc(Tensor scores, Tensor clicks)
    {
        using var scope = NewDisposeScope();
        if (scores.dim() < 2 || scores.numel() == 0 || !scores.shape.SequenceEqual(clicks.shape)
            || !((clicks == 0) | (clicks == 1)).all().item<bool>())
            throw new ArgumentException($"{nameof(scores)} have the shape [{string.Join(", ", scores.shape)}], the clicks "
                + $"[{string.Join(", ", clicks.shape)}]; wanted is one shape, (replica, …), and clicks of 0 and 1", nameof(scores));
        var finite = Replicas.AreFinite(scores).to(ScalarType.Float64).ToDoubles();
        return [.. Enumerable.Range(0, (int)scores.shape[0]).Select(r =>
            finite[r] == 0 ? double.NaN : AucOf(scores[r].ToDoubles(), clicks[r].ToDoubles()))];
    }

    private static double AucOf(IReadOnlyList<double> predicted, IReadOnlyList<double> clicks)
    {
        var positives = clicks.Sum();
        if (positives == 0 || positives == clicks.Count)
            throw new ArgumentException($"of {clicks.Count} impressions {positives} were clicked; AUC needs both kinds", nameof(clicks));
        var order = Enumerable.Range(0, predicted.Count).OrderBy(i => predicted[i]).ToArray();
        var ranks = 0.0;
        for (var from = 0; from < order.Length;)
        {
            var to = from;
            while (to < order.Length && predicted[order[to]] == predicted[order[from]])
                to++;
            for (var i = from; i < to; i++)
                ranks += clicks[order[i]] * (from + 1 + to) / 2.0;                     // equal predictions share their mean rank
            from = to;
        }
        return (ranks - (positives * (positives + 1) / 2)) / (positives * (clicks.Count - positives));
    }

    /// <summary>
    /// Expected calibration error: predictions sorted into <paramref name="bins"/> groups of equal size, the mean of |mean prediction −
    /// click
    /// rate| over them. Impressions with one prediction share their clicks, so that their order does not matter.
    /// </summary>
    public static double CalibrationError(IReadOnlyList<double> predicted, IReadOnlyList<double> clicks, int bins = 10)
    {
        Require(predicted, clicks);
        if (bins < 1 || bins > predicted.Count)
            throw new ArgumentException($"{nameof(bins)} is {bins}, allowed are 1 to {predicted.Count}", nameof(bins));
        var sorted = predicted.Zip(clicks).GroupBy(i => i.First, i => i.Second).OrderBy(g => g.Key)
            .SelectMany(tied => Enumerable.Repeat(tied.Key - tied.Average(), tied.Count())).ToArray();     // prediction minus click rate
        return Enumerable.Range(0, bins).Sum(b =>
            Math.Abs(sorted[(int)((long)b * sorted.Length / bins)..(int)((long)(b + 1) * sorted.Length / bins)].Sum()) / sorted.Length);
    }

    private static void Require(IReadOnlyList<double> predicted, IReadOnlyList<double> clicks)
    {
        if (predicted.Count == 0 || predicted.Count != clicks.Count)
            throw new ArgumentException($"there are {predicted.Count} predictions and {clicks.Count} clicks; wanted is one of each for "
                + "every impression, and at least one", nameof(clicks));
        if (predicted.Where(p => !(p is > 0 and < 1)).Cast<double?>().FirstOrDefault() is { } bad)
            throw new ArgumentException($"a predicted click rate is {bad}, allowed is a number in (0, 1)", nameof(predicted));
        if (clicks.Any(y => y is not (0 or 1)))
            throw new ArgumentException("a click is neither 0 nor 1", nameof(clicks));
    }
}
