using TorchSharp;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;

namespace TrainingDynamics.Codes;

/// <summary>Numbers that a few bits can write. What is greater than the greatest is written as the greatest (saturating), as quantizers
/// do.</summary>
/// <param name="Name">Its name, for legends.</param>
/// <param name="Largest">The greatest number.</param>
public abstract record NumberFormat(string Name, double Largest)
{
    /// <summary>The greatest number.</summary>
    public double Largest { get; } = Largest;

    /// <summary>E4M3: a sign, four bits of exponent with bias 7, three of mantissa; no infinities, and one code for NaN, so its greatest
    /// number is 448. Micikevicius et al. 2022, arXiv:2209.05433.</summary>
    public static FloatFormat E4M3 { get; } = new("E4M3", 4, 3, 448);

    /// <summary>E5M2: five bits of exponent with bias 15, two of mantissa; IEEE's infinities, so its greatest number is 57,344. The
    /// same.</summary>
    public static FloatFormat E5M2 { get; } = new("E5M2", 5, 2, 57_344);

    /// <summary>INT8, symmetric: −127 to 127.</summary>
    public static IntegerFormat Int8 { get; } = new("INT8", 127);

    /// <summary>The numbers that are written for these, of their shape and type; ties go to the even code.</summary>
    /// <param name="values">Finite.</param>
    /// <exception cref="ArgumentException">A number is not finite.</exception>
    public Tensor Round(Tensor values)
    {
        using var scope = NewDisposeScope();
        if (!values.is_floating_point() || !values.isfinite().all().item<bool>())
            throw new ArgumentException($"{Name}: of {values.numel()} numbers of {values.dtype} "
                + $"{(~values.isfinite()).sum().item<long>()} are not finite; wanted are finite floating-point numbers", nameof(values));
        return Nearest(values.to(ScalarType.Float64).clamp(-Largest, Largest)).to(values.dtype).reshape(values.shape)
            .MoveToOuterDisposeScope();
    }

    /// <summary>The nearest codes of float64 numbers within the range.</summary>
    private protected abstract Tensor Nearest(Tensor values);
}

/// <summary>Floating point with few bits: codes m·2^{e}, evenly spaced within each octave, and evenly around 0 (subnormals).</summary>
/// <param name="Name">Its name.</param>
/// <param name="ExponentBits">Bits of the exponent; its bias is 2^{bits−1} − 1.</param>
/// <param name="MantissaBits">Bits of the mantissa behind the leading one.</param>
/// <param name="Largest">The greatest number.</param>
/// <exception cref="ArgumentException">There are not 2 to 8 bits of exponent and 1 to 10 of mantissa, or the greatest number is no
/// code.</exception>
public sealed record FloatFormat(string Name, int ExponentBits, int MantissaBits, double Largest)
    : NumberFormat(Name, Required(ExponentBits, MantissaBits, Largest))
{
    /// <summary>Bits of the exponent.</summary>
    public int ExponentBits { get; } = ExponentBits;

    /// <summary>Bits of the mantissa behind the leading one.</summary>
    public int MantissaBits { get; } = MantissaBits;

    private static double Required(int exponentBits, int mantissaBits, double largest)
    {
        if (exponentBits is < 2 or > 8 || mantissaBits is < 1 or > 10)
            throw new ArgumentException($"{nameof(ExponentBits)} is {exponentBits}, {nameof(MantissaBits)} {mantissaBits}; allowed are 2 "
                + "to 8 and 1 to 10", nameof(exponentBits));
        var octave = Math.Max(2 - (1 << (exponentBits - 1)), double.IsFinite(largest) && largest > 0 ? Math.ILogB(largest) : 0);
        return largest > 0 && largest < Math.ScaleB(1, 1 << (exponentBits - 1)) * 2
            && Math.ScaleB(largest, mantissaBits - octave) is var steps && steps == Math.Round(steps) ? largest
            : throw new ArgumentException($"{nameof(Largest)} is {largest}, which is no number of the format", nameof(largest));
    }

    private int LeastExponent => 2 - (1 << (ExponentBits - 1));

    /// <summary>The least positive number: 2^{2 − 2^{bits−1} − m}, a subnormal.</summary>
    public double Least => Math.ScaleB(1, LeastExponent - MantissaBits);

    /// <summary>The least number with a leading one: 2^{2 − 2^{bits−1}}. Below it relative errors grow.</summary>
    public double LeastNormal => Math.ScaleB(1, LeastExponent);

    /// <summary>All numbers that are not negative, in order, by their bits.</summary>
    public double[] Codes()
    {
        var steps = 1 << MantissaBits;
        double Of(int code) => code < steps ? Math.ScaleB(code, LeastExponent - MantissaBits)
            : Math.ScaleB(steps + (code % steps), LeastExponent - MantissaBits + (code / steps) - 1);
        return [.. Enumerable.Range(0, steps << ExponentBits).Select(Of).TakeWhile(value => value <= Largest)];
    }

    private protected override Tensor Nearest(Tensor values)
    {
        // values = mantissa·2^e with the mantissa in [½, 1): the octave is e − 1.
        var (_, exponent) = values.frexp();
        var octave = (exponent - 1).clamp_min(LeastExponent).to(ScalarType.Float64);
        var step = Aligned.Tensor(new[] { 2.0 }).pow(octave - MantissaBits);
        return (values / step).round() * step;                                                  // to even, and exact: powers of two
    }
}

/// <summary>Whole numbers from −Largest to Largest.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Levels">The greatest of them.</param>
/// <exception cref="ArgumentException">There is no level.</exception>
public sealed record IntegerFormat(string Name, int Levels) : NumberFormat(Name, Levels)
{
    /// <summary>The greatest of them.</summary>
    public int Levels { get; } = Levels >= 1 ? Levels
        : throw new ArgumentException($"{nameof(Levels)} is {Levels}, at least 1 is needed", nameof(Levels));

    private protected override Tensor Nearest(Tensor values) => values.round();
}

/// <summary>
/// Quantization with one scale for each of some parts of a matrix, s = max|x|/Largest over the part: Q(x) = s·round(x/s). For c &gt; 0
/// Q(c·x) = c·Q(x) but for rounding of the scale: a part's size costs nothing, only its crest max|x|/rms(x) does.
/// </summary>
public static class Absmax
{
    /// <summary>One scale for the last two axes.</summary>
    /// <param name="x">(…, row, column), finite.</param>
    /// <param name="format">How x/s is written.</param>
    /// <returns>Of x's shape and type. Where all of a part is 0 it stays 0.</returns>
    /// <exception cref="ArgumentException">A number is not finite, or there is no matrix.</exception>
    public static Tensor ByTensor(Tensor x, NumberFormat format)
        => ByBlock(x, format, x.dim() < 2 ? 1 : (int)x.shape[^2], x.dim() < 2 ? 1 : (int)x.shape[^1]);

    /// <summary>One scale for each row: for weights (output, input) by channel, for activations (token, input) by token.</summary>
    /// <param name="x">(…, row, column), finite.</param>
    /// <param name="format">How x/s is written.</param>
    /// <exception cref="ArgumentException">A number is not finite, or there is no matrix.</exception>
    public static Tensor ByRow(Tensor x, NumberFormat format) => ByBlock(x, format, 1, x.dim() < 2 ? 1 : (int)x.shape[^1]);

    /// <summary>One scale for each block of rows and columns; 1×128 for activations, 128×128 for weights are usual.</summary>
    /// <param name="x">(…, row, column), finite.</param>
    /// <param name="format">How x/s is written.</param>
    /// <param name="rows">Rows of a block; divides the matrix's.</param>
    /// <param name="columns">Columns of a block; divides the matrix's.</param>
    /// <exception cref="ArgumentException">A number is not finite, there is no matrix, or the blocks do not fill it.</exception>
    public static Tensor ByBlock(Tensor x, NumberFormat format, int rows, int columns)
    {
        using var scope = NewDisposeScope();
        if (x.dim() < 2 || x.numel() == 0 || rows < 1 || columns < 1 || x.shape[^2] % rows != 0 || x.shape[^1] % columns != 0)
            throw new ArgumentException($"{nameof(x)} has the shape [{string.Join(", ", x.shape)}], which blocks of {rows} by {columns} do "
                + "not fill; wanted is (…, row, column)", nameof(x));
        if (!x.is_floating_point() || !x.isfinite().all().item<bool>())
            throw new ArgumentException($"{nameof(x)}: of {x.numel()} numbers of {x.dtype} {(~x.isfinite()).sum().item<long>()} are not "
                + "finite; wanted are finite floating-point numbers", nameof(x));
        // (…, block, row, block, column)
        var blocks = x.to(ScalarType.Float64).reshape([.. x.shape[..^2], x.shape[^2] / rows, rows, x.shape[^1] / columns, columns]);
        var greatest = blocks.abs().amax([-3, -1], keepdim: true);
        // So small that its scale would be 0: then it is written as 0.
        var scale = greatest / format.Largest;
        var quantized = where(scale > 0, format.Round(where(scale > 0, blocks / scale, 0)) * scale, 0);
        return quantized.reshape(x.shape).to(x.dtype).MoveToOuterDisposeScope();
    }
}
