using MathNet.Numerics;

namespace TrainingDynamics.Measurement;

/// <summary>A curve fitted by least squares.</summary>
/// <param name="Predict">y as a function of x.</param>
/// <param name="Coefficients">Of a polynomial from the constant up; of a saturating exponential (a, b, c) of a + b·(1 − e^{−c·x}).</param>
/// <param name="R2">1 − Σ(y − ŷ)²/Σ(y − ȳ)², on the points it was fitted to.</param>
public sealed record FittedCurve(Func<double, double> Predict, double[] Coefficients, double R2);

/// <summary>How well one number predicts another: fits by MathNet.Numerics, and what they are worth outside their own points.</summary>
public static class Regression
{
    /// <summary>A polynomial of <paramref name="degree"/>.</summary>
    /// <exception cref="ArgumentException">Too few points, or one that is not finite.</exception>
    public static FittedCurve Polynomial(IReadOnlyList<double> x, IReadOnlyList<double> y, int degree = 2)
    {
        Require(x, y, degree + 1);
        var c = MathNet.Numerics.Fit.Polynomial([.. x], [.. y], degree);
        return Curve(v => MathNet.Numerics.Polynomial.Evaluate(v, c), c, x, y);
    }

    /// <summary>A saturating exponential a + b·(1 − e^{−c·x}): for each c the best a, b are linear, and ln c is searched.</summary>
    /// <exception cref="ArgumentException">Too few points, or one that is not finite.</exception>
    public static FittedCurve Exponential(IReadOnlyList<double> x, IReadOnlyList<double> y)
    {
        Require(x, y, 3);
        double[] px = [.. x], py = [.. y];
        (double A, double B) Line(double c) => MathNet.Numerics.Fit.Line([.. px.Select(v => 1 - Math.Exp(-c * v))], py);
        double Error(double[] logC)
        {
            var c = Math.Exp(logC[0]);
            var (a, b) = Line(c);
            return px.Zip(py, (u, v) => Math.Pow(v - a - (b * (1 - Math.Exp(-c * u))), 2)).Sum();
        }
        var scale = Math.Log(1 / Math.Max(1e-12, px.Max(Math.Abs)));
        // A coarse look first: the error may have more than one valley.
        var start = Enumerable.Range(-6, 13).Select(k => scale + k).MinBy(l => Error([l]));
        var best = MathNet.Numerics.Optimization.NelderMeadSimplex.Minimum(
            MathNet.Numerics.Optimization.ObjectiveFunction.Value(v => Error([v[0]])),
            MathNet.Numerics.LinearAlgebra.Vector<double>.Build.Dense([start]),
                convergenceTolerance: 1e-10, maximumIterations: 1000).MinimizingPoint[0];
        var rate = Math.Exp(best);
        var (offset, height) = Line(rate);
        return Curve(v => offset + (height * (1 - Math.Exp(-rate * v))), [offset, height, rate], x, y);
    }

    /// <summary>
    /// What a fit is worth on a method it has not seen: for each group, the root mean square error on it of a fit to all the others.
    /// </summary>
    /// <param name="x">The predictor.</param>
    /// <param name="y">What is predicted.</param>
    /// <param name="group">The group (method) of each point.</param>
    /// <param name="fit">How a curve is fitted; quadratic by default.</param>
    /// <exception cref="ArgumentException">Less than two groups.</exception>
    public static IReadOnlyList<(string Group, double Rmse)> LeaveOneGroupOut(IReadOnlyList<double> x,
        IReadOnlyList<double> y, IReadOnlyList<string> group, Func<double[], double[], FittedCurve>? fit = null)
    {
        Require(x, y, 2);
        var groups = group.Distinct().ToArray();
        if (groups.Length < 2 || group.Count != x.Count)
            throw new ArgumentException($"leaving a group out needs one group a point and at least two groups; got {group.Count} for "
                + $"{x.Count} points, in {groups.Length} groups", nameof(group));
        return [.. groups.Select(g =>
        {
            var (inside, outside) = (Enumerable.Range(0, x.Count).Where(i => group[i] != g).ToArray(),
                Enumerable.Range(0, x.Count).Where(i => group[i] == g).ToArray());
            var curve = (fit ?? ((a, b) => Polynomial(a, b)))([.. inside.Select(i => x[i])], [.. inside.Select(i => y[i])]);
            return (g, Math.Sqrt(outside.Average(i => Math.Pow(y[i] - curve.Predict(x[i]), 2))));
        })];
    }

    private static FittedCurve Curve(Func<double, double> f, double[] coefficients, IReadOnlyList<double> x, IReadOnlyList<double> y)
        => new(f, coefficients, GoodnessOfFit.CoefficientOfDetermination(x.Select(f), y));

    private static void Require(IReadOnlyList<double> x, IReadOnlyList<double> y, int least)
    {
        if (x.Count != y.Count || x.Count < least)
            throw new ArgumentException($"this fit needs at least {least} points, each with x and y; got {x.Count} and {y.Count}",
                nameof(y));
        if (x.Concat(y).Where(v => !double.IsFinite(v)).Cast<double?>().FirstOrDefault() is { } bad)
            throw new ArgumentException($"a fit needs finite values, got {bad}", nameof(y));
    }
}
