// Takes the MovieLens ratings out of the R package dslabs, as Debian's r-cran-dslabs ships it, into the form in which GroupLens gives
// them: ratings.csv and movies.csv. The ratings may not be shipped here (see Data/MovieLens.cs in the library); whoever has the package
// makes the files with
//   apt-get download r-cran-dslabs && dpkg-deb -x r-cran-dslabs_*.deb dslabs
//   dotnet run data/MovieLens.cs -- dslabs/usr/lib/R/site-library/dslabs/data FOLDER
#:property PublishAot=false
using System.Buffers.Binary;
using System.Globalization;
using System.IO.Compression;
using System.Text;

if (args.Length != 2 || !File.Exists(Path.Combine(args[0], "Rdata.rdx")))
{
    Console.Error.WriteLine("usage: dotnet run data/MovieLens.cs -- FOLDER_WITH_Rdata.rdx OUTPUT_FOLDER");
    return 2;
}
// R's lazy-load format: an index of (offset, length), and zlib streams of serialized objects after their length.
using var gzip = new GZipStream(File.OpenRead(Path.Combine(args[0], "Rdata.rdx")), CompressionMode.Decompress);
var index = (RList)new RReader(gzip).Read()!;
var place = (int[])((RList)index["variables"]!)["movielens"]!;
var stream = File.ReadAllBytes(Path.Combine(args[0], "Rdata.rdb")).AsMemory(place[0] + 4, place[1] - 4);
using var zlib = new ZLibStream(new MemoryStream(stream.ToArray()), CompressionMode.Decompress);
var frame = (RList)new RReader(zlib).Read()!;

string Number(object column, int row) => column switch { int[] i => i[row].ToString(CultureInfo.InvariantCulture),
    double[] d => d[row].ToString(CultureInfo.InvariantCulture), _ => throw new InvalidDataException(column.GetType().Name) };
string Words(object column, int row) => column switch { string[] s => s[row],
    RFactor f => f.Levels[f.Codes[row] - 1], _ => Number(column, row) };
string Quoted(string text) => text.AsSpan().IndexOfAny(",\"") < 0 ? text : $"\"{text.Replace("\"", "\"\"")}\"";
Directory.CreateDirectory(args[1]);
var (users, movies, ratings, times) = (frame["userId"]!, frame["movieId"]!, frame["rating"]!, frame["timestamp"]!);
var rows = Enumerable.Range(0, ((Array)ratings).Length).OrderBy(r => int.Parse(Number(users, r)))
    .ThenBy(r => int.Parse(Number(movies, r))).ToList();
void Write(string name, IEnumerable<string> lines)
{
    var draft = Path.Combine(args[1], name + ".part");
    File.WriteAllText(draft, string.Join('\n', lines) + "\n");
    File.Move(draft, Path.Combine(args[1], name), overwrite: true);
}
Write("ratings.csv", rows.Select(r => $"{Number(users, r)},{Number(movies, r)},{Number(ratings, r)},{Number(times, r)}")
    .Prepend("userId,movieId,rating,timestamp"));
Write("movies.csv", rows.DistinctBy(r => Number(movies, r)).OrderBy(r => int.Parse(Number(movies, r)))
    .Select(r => $"{Number(movies, r)},{Quoted(Words(frame["title"]!, r))},{Quoted(Words(frame["genres"]!, r))}")
    .Prepend("movieId,title,genres"));
Console.WriteLine($"{rows.Count} ratings of {rows.Select(r => Number(users, r)).Distinct().Count()} users and "
    + $"{rows.Select(r => Number(movies, r)).Distinct().Count()} movies in {args[1]}");
return 0;

internal sealed record RFactor(int[] Codes, string[] Levels);

internal sealed record RList(object?[] Values, string[] Names)
{
    public object? this[string name] => Array.IndexOf(Names, name) is >= 0 and var i
        ? Values[i] : throw new InvalidDataException($"no '{name}' in {string.Join(", ", Names)}");
}

/// <summary>As much of R's serialization format (R Internals, section 1.8; XDR) as data frames need.</summary>
internal sealed class RReader
{
    private readonly MemoryStream _data = new();
    private readonly List<object?> _references = [];

    public RReader(Stream stream)
    {
        stream.CopyTo(_data);
        _data.Position = 2;                                                            // "X\n"
        var version = Int();
        _data.Position += 8;
        if (version == 3)
            Bytes(Int());                                                              // the name of the encoding
    }

    public object? Read()
    {
        var flags = Int();
        var (type, hasAttributes, hasTag) = (flags & 0xff, (flags & 0x200) != 0, (flags & 0x400) != 0);
        switch (type)
        {
            case 254 or 253 or 242 or 241 or 251:
                return null;
            case 255:
                return _references[(flags >> 8) - 1];
            case 1:
                var symbol = Read();
                _references.Add(symbol);
                return symbol;
            case 2:
                var pairs = new List<(string, object?)>();
                if (hasAttributes)
                    Read();
                while (true)
                {
                    var tag = hasTag ? (string)Read()! : "";
                    pairs.Add((tag, Read()));
                    var next = Int();
                    if ((next & 0xff) == 254)
                        break;
                    hasTag = (next & 0x400) != 0;
                }
                return new RList([.. pairs.Select(p => p.Item2)], [.. pairs.Select(p => p.Item1)]);
            case 9:
                var length = Int();
                return length < 0 ? "" : Encoding.UTF8.GetString(Bytes(length));
            // a compact sequence: its class, its state, its attributes
            case 238:
                Read();
                var state = Read();
                Read();
                return state;
        }
        object? value = type switch
        {
            10 or 13 => Many(Int),
            14 => Many(() => BinaryPrimitives.ReadDoubleBigEndian(Bytes(8))),
            16 => Many(() => (string)Read()!),
            19 => Many(Read),
            _ => throw new InvalidDataException($"an object of R's type {type} is not expected here"),
        };
        if (!hasAttributes)
            return value;
        var attributes = (RList)Read()!;
        if (attributes.Names.Contains("levels"))
            return new RFactor((int[])value!, (string[])attributes["levels"]!);
        return value is object?[] list && type == 19 && attributes.Names.Contains("names")
            ? new RList(list, (string[])attributes["names"]!) : value;
    }

    private T[] Many<T>(Func<T> read)
    {
        var all = new T[Int()];
        for (var i = 0; i < all.Length; i++)
            all[i] = read();
        return all;
    }

    private int Int() => BinaryPrimitives.ReadInt32BigEndian(Bytes(4));

    private byte[] Bytes(int count)
    {
        var bytes = new byte[count];
        _data.ReadExactly(bytes);
        return bytes;
    }
}
