using System.IO.Compression;
using System.Net;
using System.Net.Sockets;
using TrainingDynamics.Data;
using TrainingDynamics.Measurement;
using TrainingDynamics.Runtime;

namespace TrainingDynamics.Tests;

public sealed class DataTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("data-tests").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void DigitsAreWhatTheirReadmeSays()
    {
        var (train, test) = Digits.Load();
        Assert.Equal((1300, 497, 64, 10), (train.Count, test.Count, train.Pixels, train.Classes));
        Assert.InRange(train.Inputs.Cast<double>().Max(), 1, 1);
        Assert.InRange(train.Inputs.Cast<double>().Min(), 0, 0);
        Assert.Equal([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], train.Labels.Take(10));
    }

    [Theory]
    [InlineData(false, 8000, 2000)]
    [InlineData(true, 10000, 2000)]
    public void ImagesAreWhatTheirReadmesSay(bool fashion, int train, int test)
    {
        var split = (fashion ? Mnist.Fashion : Mnist.Digits).Load();
        Assert.Equal((train, test, 784), (split.Train.Count, split.Test.Count, split.Train.Pixels));
        if (fashion)
            Assert.All(split.Train.Labels.CountBy(l => l), c => Assert.Equal(1000, c.Value));
        Assert.All(split.Train.Labels, label => Assert.InRange(label, 0, 9));
        // The mean pixel of the complete sets is 0.1307 and 0.2860.
        Assert.Equal(fashion ? 0.286 : 0.131, split.Train.Inputs.Cast<double>().Average(), 0.003);
    }

    [Fact]
    public void StandardizedPixelsHaveMeanZeroAndVarianceOne()
    {
        var values = Digits.Load().Train.Standardized().Inputs.Cast<double>().ToArray();
        Assert.Equal(0, values.Average(), 1e-10);
        Assert.Equal(1, values.Average(v => v * v), 1e-10);
    }

    [Fact]
    public void ADamagedShippedFileIsNamedWithBothSums()
    {
        Copy("digits");
        var file = Path.Combine(_folder, "digits.csv.gz");
        var bytes = File.ReadAllBytes(file);
        bytes[1000] ^= 1;
        File.WriteAllBytes(file, bytes);
        var e = Assert.Throws<DataFileException>(() => Shipped.Read(_folder, "digits.csv.gz"));
        Assert.Contains(file, e.Message);
        Assert.Contains("46abec6b", e.Message);
        File.Delete(file);
        Assert.Contains("missing", Assert.Throws<DataFileException>(() => Shipped.Read(_folder, "digits.csv.gz")).Message);
        File.Delete(Path.Combine(_folder, "SHA256SUMS"));
        Assert.Contains("SHA256SUMS", Assert.Throws<DataFileException>(() => Shipped.Read(_folder, "digits.csv.gz")).Message);
    }

    [Fact]
    public void ACompleteSetIsReadFromAFolderCompressedOrNot()
    {
        Copy("mnist");
        var packed = Path.Combine(_folder, "t10k-labels-idx1-ubyte.gz");
        using (var gzip = new GZipStream(File.OpenRead(packed), CompressionMode.Decompress))
        using (var plain = File.Create(packed[..^3]))
            gzip.CopyTo(plain);
        File.Delete(packed);
        Assert.Equal(2000, Mnist.Digits.LoadComplete(_folder).Test.Count);
        Environment.SetEnvironmentVariable("MNIST_DIR", _folder);
        Assert.Equal(8000, Mnist.Digits.LoadComplete().Train.Count);
        Environment.SetEnvironmentVariable("MNIST_DIR", null);
        Assert.Contains("MNIST_DIR", Assert.Throws<DataFileException>(() => Mnist.Digits.LoadComplete()).Message);
    }

    [Theory]
    [InlineData("truncated")]
    [InlineData("short gzip")]
    [InlineData("other format")]
    [InlineData("other count")]
    [InlineData("foreign label")]
    [InlineData("missing")]
    public void ADamagedCompleteFileIsNamedWithWhatWasExpectedAndFound(string damage)
    {
        Copy("mnist");
        var labels = Path.Combine(_folder, "t10k-labels-idx1-ubyte.gz");
        byte[] header = [0, 0, 8, 1, 0, 0, 0x07, 0xd0];
        switch (damage)
        {
            case "truncated": File.WriteAllBytes(labels, [.. header, 1, 2, 3]); break;
            case "short gzip": File.WriteAllBytes(labels, File.ReadAllBytes(labels)[..200]); break;
            case "other format": File.WriteAllText(labels, "<html>not found</html>"); break;
            case "other count": File.WriteAllBytes(labels, [0, 0, 8, 1, 0, 0, 0, 2, 1, 2]); break;
            case "foreign label": File.WriteAllBytes(labels, [.. header, .. Enumerable.Repeat((byte)200, 2000)]); break;
            default: File.Delete(labels); break;
        }
        var e = Assert.Throws<DataFileException>(() => Mnist.Digits.LoadComplete(_folder));
        Assert.Contains(_folder, e.Message);
        Assert.Contains(damage switch
        {
            "truncated" => "2000 bytes, found 3",
            "short gzip" => "truncated",
            "other format" => "expected the header",
            "other count" => "found images 2000",
            "foreign label" => "found 200",
            _ => "missing"
        },
            e.Message);
    }

    [Fact]
    public async Task AFetchedFileWithAnotherChecksumIsRefusedAndNotKept()
    {
        using var server = new TcpListener(IPAddress.Loopback, 0);
        var (address, answer) = ServeOtherBytes(server);
        var target = Path.Combine(_folder, "new");
        var e = await Assert.ThrowsAsync<DataFileException>(() => Mnist.Digits.FetchAsync(target, address));
        await answer;
        Assert.Contains("440fcabf73cc546f", e.Message);
        Assert.Empty(Directory.GetFiles(target));
    }

    [Fact]
    public async Task MovieLensWithAnotherChecksumIsRefusedAndNotKept()
    {
        using var server = new TcpListener(IPAddress.Loopback, 0);
        var (address, answer) = ServeOtherBytes(server);
        var target = Path.Combine(_folder, "movielens");
        var e = await Assert.ThrowsAsync<DataFileException>(() => MovieLens.FetchAsync(target, address));
        await answer;
        Assert.Contains("696d65a3dfceac7c", e.Message);
        Assert.Empty(Directory.GetFiles(target));
    }

    [Fact]
    public void RatingsAreReadAndWhatIsWrongInThemIsNamedByItsLine()
    {
        const string ratings = "userId,movieId,rating,timestamp\n5,10,4.0,100\n2,30,0.5,90\n5,30,3,110\n";
        var (file, movies) = (Path.Combine(_folder, "ratings.csv"), Path.Combine(_folder, "movies.csv"));
        File.WriteAllText(movies, "movieId,title,genres\n10,\"One, the (2001)\",Drama\n20,Two,Comedy\n30,Three,Drama\n");
        File.WriteAllText(file, ratings);
        var read = MovieLens.Load(_folder);
        Assert.Equal([2, 5], read.UserIds);
        Assert.Equal([10, 30], read.ItemIds);
        Assert.Equal(["One, the (2001)", "Three"], read.Titles);
        Assert.Equal((1, 0, 4.0, 100L), read.Rows[0]);
        Assert.Equal(1, read.ItemOf(30));
        Assert.Contains("no item with the id 20", Assert.Throws<ArgumentException>(() => read.ItemOf(20)).Message);
        var dense = read.Densest(1, 2);
        Assert.Equal([5], dense.UserIds);
        Assert.Equal(30, dense.ItemIds[0]);                                            // rated most
        Assert.Equal([3, 4], dense.Table(r => r.Stars).ToDoubles());
        Assert.Throws<ArgumentException>(() => read.Densest(3, 1));

        void Refused(string why, string content)
        {
            File.WriteAllText(file, content);
            Assert.Contains(why, Assert.Throws<DataFileException>(() => MovieLens.Load(_folder)).Message);
        }
        Refused("line 1: expected the columns userId,movieId,rating,timestamp, found 'user,item'", "user,item\n1,2\n");
        Refused("line 3: expected 4 columns (userId,movieId,rating,timestamp), found 2: '2,30'",
            "userId,movieId,rating,timestamp\n5,10,4.0,100\n2,30");
        Refused("line 2: expected rating to be a number from 0.5 to 5, found 'x'", "userId,movieId,rating,timestamp\n5,10,x,100\n");
        Refused("line 2: expected rating to be a number from 0.5 to 5, found '7'", "userId,movieId,rating,timestamp\n5,10,7,100\n");
        Refused("line 2: the movieId 99 is unknown", "userId,movieId,rating,timestamp\n5,99,4,100\n");
        Refused("has no rating in it", "userId,movieId,rating,timestamp\n");
        File.Delete(file);
        Assert.Contains("ratings.csv is missing", Assert.Throws<DataFileException>(() => MovieLens.Load(_folder)).Message);
    }

    [Fact]
    public void TheRealRatingsAreRead()
    {
        Assert.SkipUnless(MovieLens.IsHere, "MOVIELENS_DIR names no folder with MovieLens in it (data/MovieLens.cs says where to get it)");
        var ratings = MovieLens.Load();
        Assert.InRange(ratings.Rows.Count, 100_000, 101_000);                          // latest-small, in either of its two versions
        Assert.All(ratings.Rows, r => Assert.Equal(0, r.Stars % 0.5));
        Assert.Equal("Toy Story", ratings.Titles[ratings.ItemOf(1)].Split(" (")[0]);
    }

    [Fact]
    public void ALineOfDigitsThatIsNoneIsNamed()
    {
        byte[] Pack(string text)
        {
            using var memory = new MemoryStream();
            using (var gzip = new GZipStream(memory, CompressionMode.Compress))
                gzip.Write(System.Text.Encoding.ASCII.GetBytes(text));
            return memory.ToArray();
        }
        Assert.Contains("line 1: expected 64 pixels", Assert.Throws<DataFileException>(() => Digits.Parse(Pack("1,2,3\n"), "x")).Message);
        Assert.Contains("found '17'", Assert.Throws<DataFileException>(() =>
            Digits.Parse(Pack("17," + string.Join(',', Enumerable.Repeat(0, 64)) + "\n"), "x")).Message);
    }

    [Fact]
    public void SlicesThatAreNotThereAreRefused() => Assert.Throws<ArgumentOutOfRangeException>(() => Digits.Load().Test.Slice(490, 10));

    /// <summary>A server on this machine that answers once, with three bytes that nobody asked for.</summary>
    private static (Uri Address, Task Answer) ServeOtherBytes(TcpListener server)
    {
        server.Start();
        return (new Uri($"http://{server.LocalEndpoint}/"), Task.Run(async () =>
        {
            using var client = await server.AcceptTcpClientAsync();
            using var stream = client.GetStream();
            using var reader = new StreamReader(stream, leaveOpen: true);
            while (await reader.ReadLineAsync() is { Length: > 0 })
            {
            }
            await stream.WriteAsync(System.Text.Encoding.ASCII.GetBytes(
                "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc"));
        }));
    }

    private void Copy(string set)
    {
        foreach (var file in Directory.GetFiles(Path.Combine(Shipped.Folder, set)))
            File.Copy(file, Path.Combine(_folder, Path.GetFileName(file)));
    }
}
