using TorchSharp;
using TrainingDynamics.Optimizers;
using TrainingDynamics.Schedules;
using TrainingDynamics.Theory;
using static TorchSharp.torch;

namespace TrainingDynamics.Tests;

/// <summary>A run under decoupled decay is a weighted sum of its updates.</summary>
public class AveragingTests
{
    private const int Steps = 400;

    private static Func<int, double> WarmupStableDecay => t => t <= 40 ? t / 40.0 : t <= 320 ? 1 : Math.Max(0, (Steps - t) / 80.0);

    public static TheoryData<string> Schedules => ["constant", "cosine", "linear", "warmup, stable, decay"];

    private static Func<int, double> Of(string name) => name switch
    {
        "constant" => Schedule.Constant,
        "cosine" => Schedule.Cosine(Steps),
        "linear" => Schedule.Linear(Steps),
        _ => WarmupStableDecay,
    };

    [Theory, MemberData(nameof(Schedules))]
    public void TheUpdatesSumToTheWeights(string name)
    {
        using var scope = NewDisposeScope();
        manual_seed(1);
        var schedule = Of(name);
        var w = randn(2, 12, dtype: ScalarType.Float64);
        var window = Averaging.Of(0.02, 0.5, Steps, schedule);
        var sum = window.Kept * w;
        var (mean, square) = (zeros_like(w), zeros_like(w));
        using var adam = new AdamW(w, 0.02, 0.5);
        for (var t = 1; t <= Steps; t++)
        {
            var gradient = w.pow(3) - w.sin() + randn_like(w);
            adam.Step(gradient, schedule(t));
            // Adam's direction, written down once more.
            mean = (0.9 * mean) + (0.1 * gradient);
            square = (0.999 * square) + (0.001 * gradient.square());
            var direction = mean / (1 - Math.Pow(0.9, t)) / ((square / (1 - Math.Pow(0.999, t))).sqrt() + 1e-8);
            sum -= window.Updates[t - 1] * direction;
        }
        Assert.InRange((sum - w).abs().max().ToDouble(), 0, 1e-12);
        Assert.Equal(1, window.Kept + (0.5 * window.Updates.Sum()), 1e-12);
    }

    [Fact]
    public void TheLastTenthWeighsWhatTheScheduleLeavesIt()
    {
        // Constant: a geometric series.
        var constant = Averaging.Of(0.02, 0.5, Steps);
        Assert.Equal((1 - Math.Pow(0.99, 40)) / (1 - Math.Pow(0.99, Steps)), constant.Last(0.1), 1e-12);
        // No decay: all updates alike, times their rate.
        Assert.Equal(0.1, Averaging.Of(0.02, 0, Steps).Last(0.1), 1e-12);
        double[] last = [.. new[] { "constant", "warmup, stable, decay", "linear", "cosine" }
            .Select(name => Averaging.Of(0.02, 0.5, Steps, Of(name)).Last(0.1))];
        Assert.Equal(last.OrderDescending(), last);
        Assert.Equal((0, 1), (constant.Last(0), constant.Last(1)));
    }

    [Fact]
    public void WhatCannotBeARunIsSaid()
    {
        Assert.Contains("2 rates and 1 decays", Assert.Throws<ArgumentException>(() => Averaging.Of([1, 1], [0])).Message);
        Assert.Contains("at step 2 η is 1 and λ is 1", Assert.Throws<ArgumentException>(() => Averaging.Of([1, 1], [0, 1])).Message);
        Assert.Contains("part is 2", Assert.Throws<ArgumentException>(() => Averaging.Of(0.1, 0.1, 3).Last(2)).Message);
        Assert.Throws<ArgumentOutOfRangeException>(() => Averaging.Of(0.1, 0.1, 0));
    }
}
