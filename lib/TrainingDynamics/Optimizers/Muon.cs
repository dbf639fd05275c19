using TorchSharp;
using TrainingDynamics.Models;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;

namespace TrainingDynamics.Optimizers;

/// <summary>
/// Muon: the momentum of each matrix, with its singular values set to 1 (orthogonalized), is the update:
/// <code>
/// b ← μ·b + (1 − μ)·g,  M = b, or (1 − μ)·g + μ·b (Nesterov)
/// u = U·Vᵀ of M = U·S·Vᵀ        exactly, over the singular values that are not 0; or by five Newton-Schulz steps
/// w ← (1 − η·λ)·w − η·scale·u   decoupled decay, multiplied by the learning rate
/// </code>
/// Newton-Schulz: X ← M/‖M‖_F; five times A = XXᵀ, X ← a·X + (b·A + c·A²)·X with (a, b, c) = (3.4445, −4.7750, 2.0315). It
/// leaves singular values between about 0.7 and 1.2, not at 1. Blocks that are not matrices take the momentum itself.
/// </summary>
/// <remarks>
/// Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/. For a matrix of m × n, ‖u‖² ≈ min(m, n). Liu et al. 2025,
/// arXiv:2502.16982, use scale 0.2·√max(m, n), which gives every matrix an update rms of 0.2, AdamW's usual one, where the
/// orthogonalization
/// is exact; Newton-Schulz' singular values make it 0.17 or so.
/// </remarks>
public sealed class Muon : Optimizer
{
    private readonly Layout _layout;
    private readonly Tensor _buffer, _momentum;
    private readonly bool _nesterov, _exact, _matchRms;

    /// <summary>Muon on <paramref name="weights"/>.</summary>
    /// <param name="weights">(replica, parameter), changed in place.</param>
    /// <param name="layout">The blocks; matrices are orthogonalized.</param>
    /// <param name="rate">Learning rate η ≥ 0.</param>
    /// <param name="momentum">μ in [0, 1); 0.95 by default.</param>
    /// <param name="decoupledDecay">λ ≥ 0, decoupled and multiplied by the learning rate; η·λ &lt; 1.</param>
    /// <param name="nesterov">Whether to look ahead.</param>
    /// <param name="exact">By singular value decomposition instead of Newton-Schulz.</param>
    /// <param name="matchRms">Whether to scale u by 0.2·√max(m, n).</param>
    public Muon(Tensor weights, Layout layout, PerReplica rate,
        PerReplica? momentum = null, PerReplica decoupledDecay = default, bool nesterov = true, bool exact = false, bool matchRms = false)
        : base(weights, rate, decoupledDecay)
    {
        (_layout, _buffer, _momentum) = (layout, State(), Column(Beta(momentum ?? 0.95, nameof(momentum))));
        (_nesterov, _exact, _matchRms) = (nesterov, exact, matchRms);
    }

    /// <inheritdoc/>
    protected internal override Tensor Direction(Tensor gradient)
    {
        var g = (1 - _momentum) * gradient;
        var update = Sgd.Momentum(_buffer, g, _momentum, _nesterov);
        return ByBlock(_layout, block =>
        {
            var u = Layout.Slice(update, block);
            if (block.Shape.Length != 2)
                return u;
            var matrices = u.reshape([Replicas, .. block.Shape]);                      // (replica, row, column)
            var flat = (_exact ? Orthogonalized(matrices) : NewtonSchulz(matrices)).reshape(Replicas, -1);
            return _matchRms ? flat * (0.2 * Math.Sqrt(block.Shape.Max())) : flat;
        });
    }

    /// <summary>U·Vᵀ of each matrix' singular value decomposition, without the directions in which the matrix is 0 up to
    /// rounding.</summary>
    internal static Tensor Orthogonalized(Tensor matrices) => Runtime.Replicas.Finite(matrices, finite =>
    {
        var (u, s, vh) = linalg.svd(finite, fullMatrices: false);
        var rounding = (finite.dtype == ScalarType.Float64 ? 2.3e-16 : 1.2e-7) * finite.shape[1..].Max();
        var some = (s > rounding * s.amax([1], keepdim: true)).to(finite.dtype).unsqueeze(1);       // (replica, 1, direction)
        return (u * some).bmm(vh);
    });

    /// <summary>Five steps of the quintic Newton-Schulz iteration on each matrix, on the shorter side.</summary>
    internal static Tensor NewtonSchulz(Tensor matrices)
    {
        const double a = 3.4445, b = -4.7750, c = 2.0315;
        var tall = matrices.shape[1] > matrices.shape[2];
        var x = tall ? matrices.transpose(1, 2) : matrices;
        x = x / (x.square().sum([1, 2], keepdim: true).sqrt() + 1e-7);
        for (var step = 0; step < 5; step++)
        {
            var gram = x.bmm(x.transpose(1, 2));
            x = (a * x) + ((b * gram) + (c * gram.bmm(gram))).bmm(x);
        }
        return tall ? x.transpose(1, 2) : x;
    }
}
