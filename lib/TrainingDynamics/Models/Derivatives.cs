using System.Runtime.InteropServices;
using MathNet.Numerics.LinearAlgebra;
using TorchSharp;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;

namespace TrainingDynamics.Models;

/// <summary>First and second derivatives of a batch of losses, replica by replica. All by automatic differentiation, none by
/// differences.</summary>
public static class Derivatives
{
    /// <summary>The losses (replica) and their gradients (replica, parameter) at <paramref name="weights"/>.</summary>
    /// <param name="loss">The loss as a function of the weights; a replica's loss depends on its own row only.</param>
    /// <param name="weights">(replica, parameter).</param>
    /// <exception cref="ArgumentException">The loss is not a number a replica, or does not depend on the weights it is given.</exception>
    public static (Tensor Loss, Tensor Gradient) LossAndGradient(LossFunction loss, Tensor weights)
    {
        using var scope = NewDisposeScope();
        using var recorded = enable_grad();
        var leaf = Leaf(weights);
        var losses = Evaluated(loss, leaf);
        // The replicas do not meet, so the gradient of the sum is the gradient of each.
        var gradient = Gradient(losses.sum(), leaf);
        return (losses.detach().MoveToOuterDisposeScope(), gradient.MoveToOuterDisposeScope());
    }

    /// <summary>The weights, to be differentiated by.</summary>
    private static Tensor Leaf(Tensor weights) => weights.dim() == 2 && weights.is_floating_point()
        ? weights.detach().requires_grad_(true)
        : throw new ArgumentException($"the weights have the shape [{string.Join(", ", weights.shape)}] of {weights.dtype}, wanted are "
            + "floating-point numbers, (replica, parameter)", nameof(weights));

    /// <summary>The losses at the leaf; what native code says against it in one line, and what would end the process there is refused
    /// here.</summary>
    private static Tensor Evaluated(LossFunction loss, Tensor leaf)
    {
        try
        {
            var losses = loss(leaf) ?? throw new ArgumentException("the loss is null", nameof(loss));
            if (losses.dim() != 1 || losses.shape[0] != leaf.shape[0] || !losses.is_floating_point())
                throw new ArgumentException($"the loss has the shape [{string.Join(", ", losses.shape)}] of {losses.dtype}, wanted is a "
                    + $"number for each of {leaf.shape[0]} replicas", nameof(loss));
            return losses.requires_grad ? losses : throw Independent();
        }
        catch (ExternalException e)
        {
            throw new ArgumentException($"the loss cannot be computed: {e.Message.Split('\n')[0]}", nameof(loss), e);
        }
    }

    /// <summary>The derivative of one number by the leaf.</summary>
    /// <exception cref="ArgumentException">The number does not depend on the leaf.</exception>
    internal static Tensor Gradient(Tensor sum, Tensor leaf, bool again = false, bool retain = false)
        => Asked(sum, leaf, again, retain) ?? throw Independent();

    /// <summary>The same, null where the number is of other weights: torch would end the process.</summary>
    private static Tensor? Asked(Tensor sum, Tensor leaf, bool again = false, bool retain = false)
    {
        var gradient = sum.requires_grad
            ? autograd.grad([sum], [leaf], retain_graph: again || retain, create_graph: again, allow_unused: true)[0] : null;
        return gradient is null || gradient.IsInvalid ? null : gradient;
    }

    private static ArgumentException Independent()
        => new("the loss does not depend on the weights it is given; a loss function must use its argument", "loss");

    /// <summary>The gradient alone, (replica, parameter).</summary>
    public static Tensor Gradient(LossFunction loss, Tensor weights)
    {
        var (value, gradient) = LossAndGradient(loss, weights);
        value.Dispose();
        return gradient;
    }

    /// <summary>Hessian times vector, H v = ∇⟨∇L, v⟩ (Pearlmutter 1994), (replica, parameter); exact, by differentiating twice.</summary>
    /// <param name="loss">The loss as a function of the weights.</param>
    /// <param name="weights">(replica, parameter).</param>
    /// <param name="vector">v, (replica, parameter).</param>
    public static Tensor HessianVectorProduct(LossFunction loss, Tensor weights, Tensor vector)
    {
        using var scope = NewDisposeScope();
        using var recorded = enable_grad();
        var leaf = Leaf(weights);
        var gradient = Gradient(Evaluated(loss, leaf).sum(), leaf, again: true);
        // Of a loss that is linear in the weights the gradient does not depend on them.
        var product = gradient.requires_grad ? Asked((gradient * vector.detach()).sum(), leaf) : null;
        return (product ?? zeros_like(weights)).MoveToOuterDisposeScope();
    }

    /// <summary>Outputs and their directional derivative: f(w) and Jδ = d/ds f(w + sδ) at s = 0, both in f's shape; exact, by
    /// differentiating Jᵀv, which is linear in v, by v.</summary>
    /// <param name="outputs">f of the weights, (replica, …); a replica's outputs depend on its own row only.</param>
    /// <param name="weights">w, (replica, parameter).</param>
    /// <param name="direction">δ, (replica, parameter).</param>
    public static (Tensor Outputs, Tensor Derivative) Directional(Func<Tensor, Tensor> outputs, Tensor weights, Tensor direction)
    {
        using var scope = NewDisposeScope();
        using var recorded = enable_grad();
        var leaf = Leaf(weights);
        var values = outputs(leaf);
        var probe = zeros_like(values).requires_grad_(true);
        var back = Gradient((values * probe).sum(), leaf, again: true);
        var derivative = autograd.grad([(back * direction.detach()).sum()], [probe])[0];
        return (values.detach().MoveToOuterDisposeScope(), derivative.MoveToOuterDisposeScope());
    }

    /// <summary>
    /// The largest eigenvalue of each replica's Hessian, by Lanczos with full reorthogonalization on Hessian-vector products.
    /// </summary>
    /// <param name="loss">The loss as a function of the weights.</param>
    /// <param name="weights">(replica, parameter), float64.</param>
    /// <param name="steps">The size of the Krylov space; 20 gives ten digits of a separated eigenvalue.</param>
    /// <param name="seed">Seed of the first vector, the same for every replica.</param>
    /// <exception cref="ArgumentException">The weights are not float64: the orthogonality would be lost.</exception>
    public static double[] TopHessianEigenvalue(LossFunction loss, Tensor weights, int steps = 20, int seed = 1)
    {
        if (weights.dtype != ScalarType.Float64)
            throw new ArgumentException($"the weights are {weights.dtype}; a Hessian's eigenvalue needs Float64", nameof(weights));
        ArgumentOutOfRangeException.ThrowIfLessThan(steps, 1);
        using var scope = NewDisposeScope();
        using var random = new ReplicaRandom(seed);
        var replicas = (int)weights.shape[0];
        steps = (int)Math.Min(steps, weights.shape[1]);
        var start = random.Normal([weights.shape[1]], ScalarType.Float64).expand_as(weights);
        var basis = new List<Tensor> { start / start.norm(1, keepdim: true) };         // (replica, parameter) each
        var diagonal = new double[steps][];
        var beside = new double[steps][];
        for (var k = 0; k < steps; k++)
        {
            using var inner = NewDisposeScope();
            var next = HessianVectorProduct(loss, weights, basis[k]);
            diagonal[k] = (next * basis[k]).sum(1).ToDoubles();
            for (var twice = 0; twice < 2; twice++)
            {
                foreach (var v in basis)
                    next.sub_((next * v).sum(1, keepdim: true) * v);
            }
            var length = next.norm(1, keepdim: true);
            beside[k] = length.ToDoubles();
            basis.Add((next / length.clamp_min(1e-300)).MoveToOuterDisposeScope());
        }
        return [.. Enumerable.Range(0, replicas).Select(r =>
        {
            if (diagonal.Concat(beside).Any(row => !double.IsFinite(row[r])))
                return double.NaN;                                                     // a diverged replica
            var size = 1;
            while (size < steps && beside[size - 1][r] > 1e-12 * Math.Abs(diagonal[0][r]))
                size++;                                                                // an exhausted Krylov space ends here
            var tridiagonal = Matrix<double>.Build.Dense(size, size,
                (i, j) => i == j ? diagonal[i][r] : Math.Abs(i - j) == 1 ? beside[Math.Min(i, j)][r] : 0);
            return tridiagonal.Evd(Symmetricity.Symmetric).EigenValues.Max(v => v.Real);
        })];
    }
}
