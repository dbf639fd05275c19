using TorchSharp;
using TrainingDynamics.Codes;
using TrainingDynamics.Runtime;
using TrainingDynamics.Theory;
using static TorchSharp.torch;

namespace TrainingDynamics.Tests;

/// <summary>Formats of eight bits, to the bit: against tables that are enumerated from sign, exponent and mantissa.</summary>
public class NumberFormatTests
{
    // The definition, from the 8-bit patterns: value of every finite code that is not negative, by the format's own reading of its bits.
    private static double[] Enumerated(int exponentBits, int mantissaBits, bool infinities)
    {
        var bias = (1 << (exponentBits - 1)) - 1;
        var values = new List<double>();
        for (var bits = 0; bits < 128; bits++)
        {
            var (exponent, mantissa) = (bits >> mantissaBits, bits & ((1 << mantissaBits) - 1));
            var special = exponent == (1 << exponentBits) - 1 && (infinities || mantissa == (1 << mantissaBits) - 1);
            if (!special)
                values.Add(exponent == 0 ? mantissa * Math.Pow(2, 1 - bias - mantissaBits)
                    : (1 + (mantissa / Math.Pow(2, mantissaBits))) * Math.Pow(2, exponent - bias));
        }
        return [.. values];
    }

    public static TheoryData<string> Formats => ["E4M3", "E5M2"];

    private static FloatFormat Of(string name) => name == "E4M3" ? NumberFormat.E4M3 : NumberFormat.E5M2;

    [Theory]
    [MemberData(nameof(Formats))]
    public void EveryNumberGoesToTheNearestCodeAndTiesToTheEvenOne(string name)
    {
        using var scope = NewDisposeScope();
        var format = Of(name);
        var codes = Enumerated(format.ExponentBits, format.MantissaBits, infinities: name == "E5M2");
        Assert.Equal(codes, format.Codes());
        Assert.Equal(name == "E4M3" ? 127 : 124, codes.Length);
        Assert.Equal((codes[^1], codes[1]), (format.Largest, format.Least));
        // Codes, midpoints and their neighbours, both signs, and random numbers over all octaves.
        double[] middles = [.. codes.Zip(codes.Skip(1), (a, b) => (a + b) / 2)];
        double[] random = [.. new ReplicaRandom(1).Uniform([4_000], ScalarType.Float64).ToDoubles()
            .Select(u => Math.Pow(2, (u * 40) - 22))];
        double[] tried = [.. codes, .. middles, .. middles.Select(Math.BitIncrement), .. middles.Select(Math.BitDecrement), .. random, 1e9];
        double Nearest(double x)
        {
            var above = Array.FindIndex(codes, c => c >= x);
            if (above < 0)
                return codes[^1];
            if (above == 0 || codes[above] == x)
                return codes[above];
            var (low, high) = (x - codes[above - 1], codes[above] - x);
            return low == high ? codes[above % 2 == 0 ? above : above - 1] : low < high ? codes[above - 1] : codes[above];
        }
        var found = format.Round(Aligned.Tensor(tried)).ToDoubles();
        Assert.All(tried.Zip(found), p => Assert.Equal(Nearest(p.First), p.Second));
        Assert.Equal(found.Select(x => -x), format.Round(Aligned.Tensor(tried).neg()).ToDoubles());
        // The greatest relative error of normal numbers is half a step above a power of two.
        var relative = random.Where(x => x >= format.LeastNormal && x <= format.Largest)
            .Max(x => Math.Abs(format.Round(Aligned.Tensor(new[] { x })).ToDouble() - x) / x);
        Assert.InRange(relative, 0.97 * Rounding.Greatest(format.MantissaBits), Rounding.Greatest(format.MantissaBits));
    }

    [Fact]
    public void AScaleIsTheGreatestOfItsPartAndPowersOfTwoPassThrough()
    {
        using var scope = NewDisposeScope();
        var x = new ReplicaRandom(1, 2).Normal([4, 6], ScalarType.Float64);
        foreach (NumberFormat format in new NumberFormat[] { NumberFormat.Int8, NumberFormat.E4M3, NumberFormat.E5M2 })
        {
            var blocks = Absmax.ByBlock(x, format, 2, 3);
            for (var (i, j) = (0, 0); i < 4; (i, j) = j == 5 ? (i + 1, 0) : (i, j + 1))
            {
                var part = x[0].narrow(0, i / 2 * 2, 2).narrow(1, j / 3 * 3, 3);
                var scale = part.abs().max().ToDouble() / format.Largest;
                Assert.Equal(format.Round(x[0, i, j] / scale).ToDouble() * scale, blocks[0, i, j].ToDouble(), 1e-15);
            }
            Assert.Equal(Absmax.ByRow(x, format).ToDoubles(), Absmax.ByBlock(x, format, 1, 6).ToDoubles());
            Assert.Equal(Absmax.ByTensor(x, format).ToDoubles(), Absmax.ByBlock(x, format, 4, 6).ToDoubles());
            // Q(cx) = cQ(x), exactly where c is a power of two, and what is quantized stays.
            Assert.Equal(Absmax.ByTensor(x * 1024, format).ToDoubles(), (Absmax.ByTensor(x, format) * 1024).ToDoubles());
            var once = Absmax.ByTensor(x, format);
            Assert.True((Absmax.ByTensor(once, format) - once).abs().max().ToDouble() < 1e-12);
        }
        // All zeros stay zeros, also in one block among others; the least numbers do not become NaN.
        var zero = Absmax.ByBlock(cat([zeros(1, 3), ones(1, 3)], 0), NumberFormat.E4M3, 1, 3);
        Assert.Equal([0, 0, 0, 1, 1, 1], zero.ToDoubles());
        Assert.True(Absmax.ByTensor(full([2, 2], 5e-324, dtype: ScalarType.Float64), NumberFormat.Int8).isfinite().all().item<bool>());
        Assert.Equal(ScalarType.Float32, Absmax.ByTensor(ones(2, 2), NumberFormat.Int8).dtype);
    }

    [Fact]
    public void ErrorsAreTheirClosedForms()
    {
        using var scope = NewDisposeScope();
        var x = new ReplicaRandom(1).Normal([400, 500], ScalarType.Float64);
        double Lost(Tensor from, Tensor to) => (to - from).norm().ToDouble() / from.norm().ToDouble();
        var crest = x.abs().max().ToDouble() / x.square().mean().sqrt().ToDouble();
        Assert.Equal(1, Lost(x, Absmax.ByTensor(x, NumberFormat.Int8)) / Rounding.OfIntegers(crest, 127), 0.02);
        // Of a law of any scale: normal numbers at sixteen places within an octave.
        foreach (var format in new[] { NumberFormat.E4M3, NumberFormat.E5M2 })
        {
            double[] lost = [.. Enumerable.Range(0, 16).Select(k => x * Math.Pow(2, 3 + (k / 16.0))).Select(y => Lost(y, format.Round(y)))];
            Assert.Equal(1, Math.Sqrt(lost.Average(e => e * e)) / Rounding.OfFloats(format.MantissaBits), 0.01);
        }
        Assert.Equal(0.02654, Rounding.OfFloats(3), 5e-6);
        Assert.Equal(1.0 / 17, Rounding.Greatest(3), 1e-15);
    }

    [Fact]
    public void BadInputIsNamed()
    {
        using var scope = NewDisposeScope();
        void Refused(string name, Action act) => Assert.Contains(name, Assert.ThrowsAny<ArgumentException>(act).Message);
        Refused("Levels is 0", () => new IntegerFormat("none", 0));
        Refused("ExponentBits is 0", () => new FloatFormat("none", 0, 3, 1));
        Refused("Largest is 441", () => new FloatFormat("off", 4, 3, 441));
        Refused("1 are not finite", () => NumberFormat.E4M3.Round(tensor(new[] { 1.0, double.NaN })));
        Refused("1 are not finite", () => Absmax.ByTensor(tensor(new[] { 1.0, double.PositiveInfinity }).unsqueeze(0), NumberFormat.Int8));
        Refused("floating-point", () => NumberFormat.Int8.Round(ones(2, ScalarType.Int64)));
        Refused("blocks of 3 by 2", () => Absmax.ByBlock(ones(2, 2), NumberFormat.Int8, 3, 2));
        Refused("[2]", () => Absmax.ByRow(ones(2), NumberFormat.Int8));
    }
}
