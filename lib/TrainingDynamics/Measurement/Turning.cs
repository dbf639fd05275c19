using TrainingDynamics.Models;
using static TorchSharp.torch;

namespace TrainingDynamics.Measurement;

/// <summary>
/// How long the blocks of a run are and how fast they turn: root mean squares over the steps it is shown, [replica][block].
/// What an equilibrium predicts (<see cref="Theory.Equilibrium"/>) is these two.
/// </summary>
/// <param name="layout">The blocks.</param>
public sealed class Turning(Layout layout)
{
    private double[][]? _norms, _angles;

    /// <summary>Steps seen.</summary>
    public int Steps { get; private set; }

    /// <summary>√mean ‖w'‖².</summary>
    /// <exception cref="InvalidOperationException">No step was seen.</exception>
    public double[][] Norm => Root(_norms);

    /// <summary>√mean θ², θ = ∠(w, w') in radians.</summary>
    /// <exception cref="InvalidOperationException">No step was seen.</exception>
    public double[][] Angle => Root(_angles);

    /// <summary>The spread over blocks, [replica]: greatest rms angle over least. 1 where all turn alike.</summary>
    /// <exception cref="InvalidOperationException">No step was seen.</exception>
    public double[] Spread => [.. Angle.Select(blocks => blocks.Max() / blocks.Min())];

    /// <summary>Adds a step.</summary>
    /// <param name="before">w, (replica, parameter).</param>
    /// <param name="after">w'.</param>
    public void Add(Tensor before, Tensor after)
    {
        _norms = Sum(_norms, Geometry.SquaredNorm(after, layout));
        _angles = Sum(_angles, [.. Geometry.AngularUpdate(before, after, layout).Select(row => row.Select(a => a * a).ToArray())]);
        Steps++;
    }

    private static double[][] Sum(double[][]? sum, double[][] values)
        => sum is null ? values : [.. sum.Zip(values, (a, b) => a.Zip(b, (x, y) => x + y).ToArray())];

    private double[][] Root(double[][]? sum) => sum is null
        ? throw new InvalidOperationException("no step was added, so there is nothing to take a mean of")
        : [.. sum.Select(row => row.Select(v => Math.Sqrt(v / Steps)).ToArray())];
}
