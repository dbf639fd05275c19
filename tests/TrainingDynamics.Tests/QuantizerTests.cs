using MathNet.Numerics.Distributions;
using TorchSharp;
using TrainingDynamics.Codes;
using TrainingDynamics.Data;
using TrainingDynamics.Runtime;
using TrainingDynamics.Theory;
using static TorchSharp.torch;

namespace TrainingDynamics.Tests;

/// <summary>Vectors as codes: quantizers against brute force and Gaussian closed forms, occupancy against enumeration, rate and distortion
/// against its own definition.</summary>
public class QuantizerTests
{
    private static Tensor Items(int count, int width, params int[] seeds) => new ReplicaRandom(seeds).Normal([count, width],
        ScalarType.Float64);

    [Fact]
    public void ResidualCodesAreTheNearestCentersOfWhatIsLeft()
    {
        using var scope = NewDisposeScope();
        var items = Items(60, 5, 1, 2);
        using var code = ResidualKMeans.Fit(items, 3, 4, new ReplicaRandom(3, 4));
        var (codes, books) = (code.Encode(items), code.Codebooks);
        var read = code.Decode(codes);
        for (var r = 0; r < 2; r++)
        {
            for (var i = 0; i < 60; i++)
            {
                double[] left = items[r, i].ToDoubles();
                for (var t = 0; t < 3; t++)
                {
                    double[][] book = [.. books[r, t].ToDoubles().Chunk(5)];
                    var best = Enumerable.Range(0, 4).MinBy(k => book[k].Zip(left, (a, b) => (a - b) * (a - b)).Sum());
                    Assert.Equal(best, codes[r, i, t].item<long>());
                    left = [.. left.Zip(book[best], (a, b) => a - b)];
                }
                Assert.All(left.Zip((items[r, i] - read[r, i]).ToDoubles()), p => Assert.Equal(p.First, p.Second, 1e-12));
            }
        }
        Assert.Equal(code.Distortion(items), ResidualKMeans.Of(books).Distortion(items));
    }

    [Fact]
    public void LloydOnlyImprovesLeavesNoCenterEmptyAndAReplicaIsTheSameAlone()
    {
        using var scope = NewDisposeScope();
        var items = cat([Items(50, 3, 1, 2), Items(50, 3, 5, 6) + 9], 1);
        double[] Lost(Tensor centers) => (items - centers.gather(1, KMeans.Nearest(items, centers).unsqueeze(-1).expand(-1, -1, 3)))
            .square().sum([1, 2]).ToDoubles();
        double[]? before = null;
        foreach (var iterations in new[] { 1, 2, 4, 8, 16 })
        {
            var centers = KMeans.Fit(items, 8, new ReplicaRandom(7, 8), iterations);
            Assert.All(KMeans.Nearest(items, centers).unbind(0), own => Assert.Equal(8, own.ToDoubles().Distinct().Count()));
            var lost = Lost(centers);
            if (before is not null)
                Assert.All(lost.Zip(before), p => Assert.True(p.First <= p.Second + 1e-9));
            before = lost;
        }
        // As many centers as items lose nothing; centers that start at one place are spread.
        Assert.All(Lost(KMeans.Fit(items, 100, new ReplicaRandom(7, 8))), lost => Assert.Equal(0, lost, 1e-12));
        Assert.True(Lost(KMeans.Improve(items, zeros(2, 4, 3, dtype: ScalarType.Float64)))[0] < items.square().sum().ToDouble() / 4);
        var alone = KMeans.Fit(items.narrow(0, 1, 1), 8, new ReplicaRandom(8));
        Assert.Equal(KMeans.Fit(items, 8, new ReplicaRandom(7, 8))[1].ToDoubles(), alone[0].ToDoubles());
    }

    [Fact]
    public void ProductCodesCutATurnedVectorAndTurningPaysWhereDirectionsAreUneven()
    {
        using var scope = NewDisposeScope();
        var items = Items(400, 6, 1, 2) * tensor(new[] { 3.0, 3, 0.1, 0.1, 0.1, 0.1 });
        using var plain = ProductQuantizer.Fit(items, 3, 8, new ReplicaRandom(1, 2));
        using var turned = ProductQuantizer.Fit(items, 3, 8, new ReplicaRandom(1, 2), rotations: 20);
        var one = turned.Rotation.bmm(turned.Rotation.transpose(1, 2)) - eye(6, dtype: ScalarType.Float64);
        Assert.True(one.abs().max().ToDouble() < 1e-10);
        Assert.All(turned.Distortion(items).Zip(plain.Distortion(items)), p => Assert.True(p.First < 0.7 * p.Second));
        // PQ's codes of a part are those of k-means on the part, here by brute force.
        var codes = plain.Encode(items);
        var second = plain.Codebooks.select(1, 1);
        Assert.Equal(KMeans.Nearest(items.narrow(2, 2, 2), second).ToDoubles(), codes.select(2, 1).ToDoubles());
    }

    [Theory]
    [InlineData(5)]
    [InlineData(8)]
    public void FiniteScalarsOfNormalItemsHaveTheProbabilitiesBetweenTheEdges(int values)
    {
        using var scope = NewDisposeScope();
        var items = Items(40_000, 3, 1) * tensor(new[] { 2.0, 1, 0.5 });
        using var code = FiniteScalar.Fit(items, 2, values);
        double[] edges = [double.NegativeInfinity, .. FiniteScalar.Edges(values), double.PositiveInfinity];
        var codes = code.Encode(items);
        for (var t = 0; t < 2; t++)
        {
            double[] share = [.. codes[0].select(1, t).bincount(null, values).ToDoubles().Select(n => n / 40_000)];
            double[] p = [.. Enumerable.Range(0, values).Select(k => Normal.CDF(0, 1, edges[k + 1]) - Normal.CDF(0, 1, edges[k]))];
            // Even levels are lopsided, and an axis has no sign: either way round.
            double Apart(IEnumerable<double> q) => share.Zip(q, (a, b) => Math.Abs(a - b)).Max();
            Assert.True(Math.Min(Apart(p), Apart(p.Reverse())) < 0.01);
        }
        // What is lost is the third axis and the rounding of the others.
        Assert.InRange(code.Distortion(items)[0], 0.25 / 5.25, 0.25 / 5.25 + 0.1);
    }

    [Fact]
    public void OccupancyIsWhatEnumerationSays()
    {
        // Four items in three cells, all 81 ways.
        int[] used = [.. Enumerable.Range(0, 81).Select(w => new[] { w % 3, w / 3 % 3, w / 9 % 3, w / 27 }.Distinct().Count())];
        Assert.Equal(used.Average(), Occupancy.Used(3, 4), 1e-12);
        Assert.Equal(Math.Sqrt(used.Average(u => (double)u * u) - (used.Average() * used.Average())), Occupancy.Deviation(3, 4), 1e-12);
        Assert.Equal(Occupancy.Used(3, 4), Occupancy.Used([1.0 / 3, 1.0 / 3, 1.0 / 3], 4), 1e-12);
        Assert.Equal((1, 0), (Occupancy.Used(1, 5), Occupancy.Used(9, 0)));
        Assert.Equal(1, Occupancy.Used(9, 1), 1e-12);
        Assert.Equal((0, 0), (Occupancy.Deviation(1, 5), Occupancy.Deviation(9, 0)));
        Assert.Equal(0, Occupancy.Deviation(9, 1), 1e-4);                                 // rounding of the square root
        Assert.Equal(Math.Sqrt(5e11 / 1e12), Occupancy.Deviation(1e12, 1e6), 1e-5);
        Assert.Equal(1, Occupancy.Used([1.0], 3));
        // Two cells: items all in one, or not.
        Assert.Equal(Math.Sqrt(0.25 * 0.75), Occupancy.Deviation(2, 3), 1e-12);
        // A million items in 2⁴⁰ cells: nearly all are alone, and the digits stay.
        Assert.Equal(1e6 - (1e12 / 2 / Math.Pow(2, 40)), Occupancy.Used(Math.Pow(2, 40), 1e6), 1e-3);
        Assert.InRange(Occupancy.Deviation(Math.Pow(2, 40), 1e6), 0.6, 0.75);                  // Poisson: √(N²/2M) = 0.674
        double[] p = [0.5, 0.3, 0.2];
        Assert.Equal(-Math.Log2(0.38), Occupancy.Renyi(p), 1e-12);
        Assert.Equal(45 * 0.38, Occupancy.SharingPairs(10, Occupancy.Renyi(p)), 1e-12);
        Assert.Equal(0, Occupancy.SharingPairs(0.5, 1));
        var random = new Random(1);
        var alike = Enumerable.Range(0, 4_000).Average(_ =>
        {
            var counts = new long[3];
            for (var i = 0; i < 12; i++)
                counts[random.NextDouble() is < 0.5 ? 0 : random.NextDouble() < 0.6 ? 1 : 2]++;
            return Math.Pow(2, -Occupancy.RenyiOfCounts(counts));
        });
        Assert.Equal(0.38, alike, 0.006);
    }

    [Fact]
    public void RateAndDistortionFillAsWater()
    {
        Assert.Equal(4 * Math.Pow(2, -6), RateDistortion.Gaussian([4], 3), 1e-12);
        Assert.Equal(6, RateDistortion.Gaussian([4, 2, 0], 0), 1e-12);
        double[] variances = [.. Enumerable.Range(1, 24).Select(i => 1.0 / i)];
        foreach (var bits in new[] { 0.1, 2, 12, 80 })
        {
            var d = RateDistortion.Gaussian(variances, bits);
            // The level by bisection on the definition.
            var (low, high) = (0.0, 1.0);
            for (var i = 0; i < 200; i++)
            {
                var middle = (low + high) / 2;
                var rate = variances.Sum(v => Math.Max(0, 0.5 * Math.Log2(v / middle)));
                (low, high) = rate > bits ? (middle, high) : (low, middle);
            }
            Assert.Equal(variances.Sum(v => Math.Min(low, v)), d, 1e-9);
        }
    }

    [Fact]
    public void ItemsHaveTheirSpectrumOrTheirTree()
    {
        using var scope = NewDisposeScope();
        double[] variances = [4, 1, 0];
        var items = CodedItems.Gaussian(variances, 40_000, new ReplicaRandom(1));
        Assert.All(items[0].var(0).ToDoubles().Zip(variances), p => Assert.Equal(p.Second, p.First, 0.1));
        using var tree = CodedItems.Tree(3, 4, 5, new ReplicaRandom(1, 2), noise: 0);
        var drawn = tree.Draw(600, new ReplicaRandom(3, 4));
        Assert.Equal([2, 600, 5], drawn.shape);
        // Without noise there are as many embeddings as sorts, and of a sort all are alike.
        Assert.Equal(12, drawn[1].ToDoubles().Chunk(5).Select(x => string.Join(",", x)).Distinct().Count());
        using var apart = CodedItems.Tree(3, 4, 5, new ReplicaRandom(1, 2), sortDeviation: 0, noise: 0);
        Assert.Equal(3, apart.Draw(600, new ReplicaRandom(3, 4))[0].ToDoubles().Chunk(5).Select(x => string.Join(",", x)).Distinct()
            .Count());
    }

    [Fact]
    public void NoMatrixOfARankIsNearerThanTheFirstDirections()
    {
        using var scope = NewDisposeScope();
        var matrix = Items(9, 6, 1)[0];
        var (u, sigma, vh) = linalg.svd(matrix, fullMatrices: false);
        var best = (u.narrow(1, 0, 2) * sigma.narrow(0, 0, 2)).mm(vh.narrow(0, 0, 2));
        var loss = EckartYoung.Loss(sigma.ToDoubles(), 2);
        Assert.Equal(loss, (matrix - best).square().sum().ToDouble(), 1e-10);
        for (var seed = 2; seed < 40; seed++)
        {
            // The nearest matrix whose rows are in a random plane is a projection.
            var plane = linalg.qr(Items(6, 2, seed)[0]).Q;
            Assert.True((matrix - matrix.mm(plane).mm(plane.T)).square().sum().ToDouble() >= loss);
        }
        Assert.Equal(0, EckartYoung.Loss([1, 2], 5));
    }

    [Fact]
    public void BadInputIsNamed()
    {
        using var scope = NewDisposeScope();
        void Refused(string name, Action act) => Assert.Contains(name, Assert.ThrowsAny<ArgumentException>(act).Message);
        var items = Items(20, 4, 1, 2);
        var random = new ReplicaRandom(1, 2);
        using var code = ResidualKMeans.Fit(items, 2, 4, random);
        Refused("values is 21", () => KMeans.Fit(items, 21, random));
        Refused("values is 1", () => ResidualKMeans.Fit(items, 2, 1, random));
        Refused("length is 0", () => ResidualKMeans.Fit(items, 0, 4, random));
        Refused("random has 1 replicas", () => ResidualKMeans.Fit(items, 2, 4, new ReplicaRandom(1)));
        Refused("items have the shape [20, 4]", () => code.Encode(items[0]));
        Refused("items have 2 replicas of 3 numbers", () => code.Encode(items.narrow(2, 0, 3)));
        Refused("items have 1 replicas", () => code.Encode(items.narrow(0, 0, 1)));
        Refused("items have a number of size", () => code.Encode(items / 0));
        Refused("of Float32", () => code.Encode(items.to(ScalarType.Float32)));
        Refused("codes go from 0 to 4", () => code.Decode(full([2, 3, 2], 4L).mul_(arange(2))));
        Refused("codes have the shape [2, 3, 1]", () => code.Decode(zeros(2, 3, 1, dtype: ScalarType.Int64)));
        Refused("codes have the shape [1, 3, 2]", () => code.Decode(zeros(1, 3, 2, dtype: ScalarType.Int64)));
        Refused("length is 3, wanted is a divisor of 4", () => ProductQuantizer.Fit(items, 3, 4, random));
        Refused("rotations", () => ProductQuantizer.Fit(items, 2, 4, random, rotations: -1));
        Refused("length is 5", () => FiniteScalar.Fit(items, 5, 4));
        Refused("values is 2", () => FiniteScalar.Edges(2));
        Refused("fewer than 2 directions", () => FiniteScalar.Fit(cat([items.narrow(2, 0, 1), items.narrow(2, 0, 1) * 2], 2), 2, 4));
        Refused("codebooks have the shape", () => ResidualKMeans.Of(zeros(2, 4, 3, dtype: ScalarType.Float64)));
        Refused("numbers are not finite", () => KMeans.Improve(items, full([2, 3, 4], double.NaN, dtype: ScalarType.Float64)));
        Refused("centers are 21", () => KMeans.Improve(items, zeros(2, 21, 4, dtype: ScalarType.Float64)));
        Refused("centers have the shape", () => KMeans.Nearest(items, zeros(1, 3, 4, dtype: ScalarType.Float64)));
        Refused("cells is 0", () => Occupancy.Used(0, 5));
        Refused("items is -1", () => Occupancy.Used(5, -1));
        Refused("no distribution", () => Occupancy.Used([0.5, 0.6], 3));
        Refused("counts are 3 items", () => Occupancy.RenyiOfCounts([1, 1, 1]));
        Refused("variances are 2, one -1", () => CodedItems.Gaussian([1, -1], 3, new ReplicaRandom(1)));
        Refused("kinds is 0", () => CodedItems.Tree(0, 1, 1, new ReplicaRandom(1)));
        Refused("noise is NaN", () => CodedItems.Tree(1, 1, 1, new ReplicaRandom(1), noise: double.NaN));
        Refused("random has 2 replicas", () => CodedItems.Tree(1, 1, 1, new ReplicaRandom(1)).Draw(2, new ReplicaRandom(1, 2)));
        Refused("rank is -1", () => EckartYoung.Loss([1], -1));
        Refused("singularValues are 2, the least -1", () => EckartYoung.Loss([1, -1], 1));
        Refused("bits is -1", () => RateDistortion.Gaussian([1], -1));
        Refused("variances are 2, from 0 to 0", () => RateDistortion.Gaussian([0, 0], 1));
    }
}
