using TorchSharp;
using TrainingDynamics.Models;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;

namespace TrainingDynamics.Measurement;

/// <summary>
/// Where a squared norm's change comes from, summed over steps, [replica][block]. With d = ρw − w′ (the update ηu) and
/// ρ = 1 − ηλ, Pythagoras with a remainder is exact:
/// <code>N′ − N = ‖d‖² − 2ρ⟨w, d⟩ − (1 − ρ²)N</code>
/// the length of the update (always outward), its radial part, and decay.
/// </summary>
/// <param name="layout">The blocks.</param>
/// <param name="shrink">η·λ of each replica; 0 without decoupled decay.</param>
public sealed class NormBudget(Layout layout, IReadOnlyList<double> shrink)
{
    private double[][]? _start, _end;

    /// <summary>Σ‖d‖²: what steps at right angles to the weight add.</summary>
    public double[][] Tangential { get; } = Zeros(layout, shrink);

    /// <summary>Σ −2ρ⟨w, d⟩: what the update's part along the weight adds; momentum makes it positive.</summary>
    public double[][] Radial { get; } = Zeros(layout, shrink);

    /// <summary>Σ −(1 − ρ²)N: what decay takes.</summary>
    public double[][] Decay { get; } = Zeros(layout, shrink);

    /// <summary>The whole change N_T − N_0.</summary>
    public double[][] Change => Combine((end, start) => end - start, _end ?? Tangential, _start ?? Tangential);

    /// <summary>(Tangential + Radial + Decay)/Change: 1 up to rounding.</summary>
    public double[][] Closure => Combine((sum, change) => sum / change,
        Combine((a, b) => a + b, Combine((a, b) => a + b, Tangential, Radial), Decay), Change);

    /// <summary>The measured momentum amplification κ = 1 + Radial/Tangential: by how much the update's memory multiplies the norm's
    /// growth.</summary>
    public double[][] Amplification => Combine((radial, tangential) => 1 + (radial / tangential), Radial, Tangential);

    /// <summary>Adds a step.</summary>
    /// <param name="before">w, (replica, parameter).</param>
    /// <param name="after">w′.</param>
    public void Add(Tensor before, Tensor after)
    {
        using var scope = NewDisposeScope();
        using var quiet = no_grad();
        var rho = Aligned.Tensor(shrink.Select(s => 1 - s).ToArray()).reshape(-1, 1);
        var (w, next) = (before.to(ScalarType.Float64), after.to(ScalarType.Float64));
        var d = (rho * w) - next;
        var squares = Geometry.SquaredNorm(w, layout);
        _start ??= squares;
        _end = Geometry.SquaredNorm(next, layout);
        var (lengths, products) = (Geometry.SquaredNorm(d, layout),
            Geometry.PerBlock(layout, b => (Layout.Slice(w, b) * Layout.Slice(d, b)).sum(1)));
        for (var r = 0; r < shrink.Count; r++)
        {
            var keep = 1 - shrink[r];
            for (var b = 0; b < layout.Count; b++)
            {
                Tangential[r][b] += lengths[r][b];
                Radial[r][b] -= 2 * keep * products[r][b];
                Decay[r][b] -= (1 - (keep * keep)) * squares[r][b];
            }
        }
    }

    private static double[][] Zeros(Layout layout, IReadOnlyList<double> shrink) => [.. shrink.Select(_ => new double[layout.Count])];

    private static double[][] Combine(Func<double, double, double> f,
        double[][] a, double[][] b) => [.. a.Zip(b, (x, y) => x.Zip(y, f).ToArray())];
}
