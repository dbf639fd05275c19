using System.Security.Cryptography;

namespace TrainingDynamics.Data;

/// <summary>
/// MNIST (LeCun et al. 1998) and Fashion-MNIST (Xiao et al. 2017, arXiv:1708.07747): 28 × 28 bytes, ten classes. A subset
/// of each is shipped; the complete sets are read from a folder that the user names, or fetched when the user asks.
/// </summary>
public sealed class Mnist
{
    private static readonly string[] Parts = ["train-images-idx3-ubyte",
        "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];

    private readonly string _name, _folder, _variable, _home;
    private readonly string[] _sums;

    private Mnist(string name, string folder, string variable, string home, string[] sums)
        => (_name, _folder, _variable, _home, _sums) = (name, folder, variable, home, sums);

    /// <summary>Handwritten digits. Shipped: 8,000 and 2,000 (a split of ours, see <c>data/mnist/README.md</c>).</summary>
    public static Mnist Digits { get; } = new("MNIST", "mnist", "MNIST_DIR", "https://ossci-datasets.s3.amazonaws.com/mnist/",
        ["440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
         "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
             "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"]);

    /// <summary>Pictures of clothes. Shipped: the first 1,000 of each class to train, the first 200 to test.</summary>
    public static Mnist Fashion { get; } = new("Fashion-MNIST",
        "fashion-mnist", "FASHION_MNIST_DIR", "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        ["3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
         "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
             "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"]);

    /// <summary>The shipped subset, checksums verified; pixels as v/255.</summary>
    /// <exception cref="DataFileException">A file is missing or damaged.</exception>
    public Split Load()
    {
        var folder = Path.Combine(Shipped.Folder, _folder);
        return Read(folder, part => (Shipped.Read(folder, part + ".gz"), Path.Combine(folder, part + ".gz")));
    }

    /// <summary>The complete set from a folder that holds its four files, gzip-compressed or not.</summary>
    /// <param name="folder">The folder; by default what the environment variable MNIST_DIR or FASHION_MNIST_DIR names.</param>
    /// <exception cref="DataFileException">No folder is named, or a file is missing, truncated or not of this format.</exception>
    public Split LoadComplete(string? folder = null)
    {
        folder ??= Environment.GetEnvironmentVariable(_variable);
        if (string.IsNullOrEmpty(folder))
            throw new DataFileException(
                $"no folder is named for the complete {_name}: set {_variable}, or pass a folder, or call FetchAsync once");
        return Read(folder, part =>
        {
            var path = new[] { part + ".gz", part }.Select(file => Path.Combine(folder, file)).FirstOrDefault(File.Exists)
                ?? throw new DataFileException(
                    $"{Path.Combine(folder, part)}(.gz) is missing: the complete {_name} has the files {string.Join(", ", Parts)}");
            return (File.ReadAllBytes(path), path);
        });
    }

    /// <summary>Fetches the complete set from its home into <paramref name="folder"/>, verifies it and loads it. Files that are there and
    /// whole are kept.</summary>
    /// <param name="folder">Where the four files go.</param>
    /// <param name="from">Another server that has them, if the home is out of reach.</param>
    /// <param name="cancellation">Stops the download; what is whole stays.</param>
    /// <exception cref="DataFileException">A file came with another checksum; nothing is kept of it.</exception>
    /// <exception cref="HttpRequestException">The server did not give it.</exception>
    public async Task<Split> FetchAsync(string folder, Uri? from = null, CancellationToken cancellation = default)
    {
        Directory.CreateDirectory(folder);
        using var client = new HttpClient();
        foreach (var (part, sum) in Parts.Zip(_sums))
        {
            var target = Path.Combine(folder, part + ".gz");
            if (File.Exists(target) && Convert.ToHexStringLower(SHA256.HashData(await File.ReadAllBytesAsync(target, cancellation))) == sum)
                continue;
            var draft = target + ".part";
            var bytes = await client.GetByteArrayAsync(new Uri(from ?? new Uri(_home), part + ".gz"), cancellation);
            await File.WriteAllBytesAsync(draft, bytes, cancellation);
            try
            {
                Shipped.Verified(draft, sum);
            }
            catch (DataFileException)
            {
                File.Delete(draft);
                throw;
            }
            File.Move(draft, target, overwrite: true);
        }
        return LoadComplete(folder);
    }

    private Split Read(string folder, Func<string, (byte[] File, string Path)> read)
    {
        var parts = Parts.Select(part => { var (file, path) = read(part); return Idx.Parse(file, path); }).ToArray();
        return new Split(Idx.Images(_name, parts[0], parts[1], folder), Idx.Images(_name, parts[2], parts[3], folder));
    }
}
