using System.Buffers.Binary;
using System.Text.Json;
using System.Text.Json.Nodes;
using TorchSharp;
using static TorchSharp.torch;

namespace TrainingDynamics.Data;

/// <summary>One tensor of a checkpoint, and where it is.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Type">F64, F32, F16, BF16, I64 and so on, as the file says.</param>
/// <param name="Shape">Its shape; empty for a number.</param>
/// <param name="File">The file that holds it.</param>
/// <param name="Start">Its first byte in the file.</param>
/// <param name="Bytes">How many bytes it has.</param>
public sealed record StoredTensor(string Name, string Type, long[] Shape, string File, long Start, long Bytes)
{
    /// <summary>How many numbers it has.</summary>
    public long Count => Shape.Aggregate(1L, (product, size) => product * size);
}

/// <summary>
/// The weights of somebody's run in safetensors files: one file, or several with an index. Opening reads the headers alone; a tensor is
/// read when it is asked for, one at a time, so a checkpoint of gigabytes needs the memory of its largest matrix. Nothing in such a file
/// is code, and nothing is written.
/// </summary>
/// <remarks>The format: eight bytes, the length N of the header, little-endian; N bytes of JSON, for each tensor dtype, shape and
/// data_offsets [begin, end) from the header's end on; then the numbers, row by row. Documented at huggingface.co/docs/safetensors; an
/// index (weight_map: tensor → file) is what Transformers writes beside files in parts.</remarks>
public sealed class Checkpoint
{
    private const long MostHeader = 100_000_000;                                       // as the format's own reader
    private readonly Dictionary<string, StoredTensor> _tensors;

    private Checkpoint(string path, Dictionary<string, StoredTensor> tensors) => (Path, _tensors) = (path, tensors);

    /// <summary>What was opened.</summary>
    public string Path { get; }

    /// <summary>Its tensors, in the order of their names.</summary>
    public IReadOnlyList<StoredTensor> Tensors => [.. _tensors.Values.OrderBy(t => t.Name, StringComparer.Ordinal)];

    /// <summary>Opens a checkpoint.</summary>
    /// <param name="path">A <c>.safetensors</c> file, an index (<c>.safetensors.index.json</c>), or a folder with one index or with
    /// such files.</param>
    /// <exception cref="DataFileException">There is none, or a file is damaged or of another kind: says which file, which tensor, which
    /// byte.</exception>
    public static Checkpoint Open(string path)
    {
        const string indexed = ".safetensors.index.json", plain = ".safetensors";
        if (Directory.Exists(path))
        {
            string[] Named(string end) => [.. Directory.GetFiles(path).Where(f => f.EndsWith(end, StringComparison.Ordinal)).Order()];
            return Named(indexed) switch
            {
                [var one] => Open(one),
                [] => Named(plain) is { Length: > 0 } files ? Join(path, files.SelectMany(Headers))
                    : throw new DataFileException($"{path} has no file that ends with {plain} or {indexed}"),
                var several => throw new DataFileException($"{path} has {several.Length} indices: name one of "
                    + string.Join(", ", several.Select(System.IO.Path.GetFileName))),
            };
        }
        if (!File.Exists(path))
            throw new DataFileException($"{path} is missing");
        return path.EndsWith(indexed, StringComparison.Ordinal) ? Indexed(path) : Join(path, Headers(path));
    }

    /// <summary>Whether there is a tensor of that name.</summary>
    public bool Has(string name) => _tensors.ContainsKey(name);

    /// <summary>The numbers of a tensor, in its shape: float64 where they are stored so, else float32 (which holds F16 and BF16
    /// exactly).</summary>
    /// <exception cref="ArgumentException">There is no tensor of that name; says what there is.</exception>
    /// <exception cref="DataFileException">Its numbers are no floating-point ones, are too many to read at once, or are gone from the
    /// file.</exception>
    public Tensor Read(string name)
    {
        var tensor = _tensors.GetValueOrDefault(name) ?? throw new ArgumentException($"{Path} has no tensor '{name}'; it has "
            + string.Join(", ", Tensors.Take(12).Select(t => t.Name)) + (_tensors.Count > 12 ? $" and {_tensors.Count - 12} more" : ""),
            nameof(name));
        ScalarType type = tensor.Type switch
        {
            "F64" => ScalarType.Float64,
            "F32" => ScalarType.Float32,
            "F16" => ScalarType.Float16,
            "BF16" => ScalarType.BFloat16,
            var other => throw new DataFileException($"{tensor.File}: tensor '{name}' is {other}; read are F64, F32, F16 and BF16"),
        };
        if (tensor.Bytes > Array.MaxLength)
            throw new DataFileException($"{tensor.File}: tensor '{name}' has {tensor.Bytes} bytes, more than can be read at once");
        using var scope = NewDisposeScope();
        var numbers = empty(tensor.Shape, dtype: type);
        if (tensor.Bytes > 0)
        {
            // Straight into torch's memory: the largest matrix is there once, twice where it is widened.
            using var file = File.OpenRead(tensor.File);
            file.Position = tensor.Start;
            var read = file.ReadAtLeast(numbers.bytes, (int)tensor.Bytes, throwOnEndOfStream: false);
            if (read < tensor.Bytes)
                throw new DataFileException($"{tensor.File}: tensor '{name}' ends at byte {tensor.Start + tensor.Bytes}, the file at "
                    + $"{tensor.Start + read}: it has changed since it was opened");
        }
        return numbers.to(type == ScalarType.Float64 ? type : ScalarType.Float32).MoveToOuterDisposeScope();
    }

    private static Checkpoint Join(string path, IEnumerable<StoredTensor> tensors)
    {
        var joined = new Dictionary<string, StoredTensor>();
        foreach (var tensor in tensors)
        {
            if (!joined.TryAdd(tensor.Name, tensor))
                throw new DataFileException($"tensor '{tensor.Name}' is in {joined[tensor.Name].File} and in {tensor.File}");
        }
        return new Checkpoint(path, joined);
    }

    private static Checkpoint Indexed(string index)
    {
        var folder = System.IO.Path.GetDirectoryName(System.IO.Path.GetFullPath(index))!;
        Dictionary<string, string> map;
        try
        {
            map = JsonNode.Parse(File.ReadAllText(index))?["weight_map"]?.AsObject().ToDictionary(e => e.Key, e => (string)e.Value!)
                ?? throw new DataFileException($"{index} has no weight_map");
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or ArgumentException)
        {
            throw new DataFileException($"{index} is no index: {e.Message}", e);
        }
        // A part is named by a file beside the index, and never by a way out of its folder.
        if (map.Values.FirstOrDefault(file => file != System.IO.Path.GetFileName(file)) is { } outside)
            throw new DataFileException($"{index} names '{outside}', which is no file beside it");
        var parts = map.Values.Distinct().Select(file => System.IO.Path.Combine(folder, file)).ToArray();
        if (parts.FirstOrDefault(part => !File.Exists(part)) is { } missing)
            throw new DataFileException($"{missing} is missing, which {index} names");
        var joined = Join(index, parts.SelectMany(Headers));
        return map.Keys.FirstOrDefault(name => !joined.Has(name)) is { } lost
            ? throw new DataFileException($"tensor '{lost}' is not in {map[lost]}, where {index} says it is")
            : joined;
    }

    /// <summary>The tensors that a file's header lists, each checked against the file's length.</summary>
    private static List<StoredTensor> Headers(string path)
    {
        using var file = File.OpenRead(path);
        Span<byte> first = stackalloc byte[8];
        if (file.ReadAtLeast(first, 8, throwOnEndOfStream: false) < 8)
            throw new DataFileException($"{path} has {file.Length} bytes: no safetensors file is shorter than 8");
        var length = BinaryPrimitives.ReadUInt64LittleEndian(first);
        if (length > MostHeader || (long)length > file.Length - 8)
            throw new DataFileException($"{path}: the header should have {length} bytes, the file has {file.Length}: it is cut off, or no "
                + "safetensors file");
        var header = new byte[length];
        file.ReadExactly(header);
        var data = 8 + (long)length;
        try
        {
            var tensors = new List<StoredTensor>();
            foreach (var (name, value) in JsonNode.Parse(header)!.AsObject())
            {
                if (name == "__metadata__")
                    continue;
                long[] Numbers(string key) => [.. value![key]!.AsArray().Select(n => (long)n!)];
                var (type, shape, offsets) = ((string)value!["dtype"]!, Numbers("shape"), Numbers("data_offsets"));
                var tensor = new StoredTensor(name, type, shape, path, data + offsets[0], offsets[1] - offsets[0]);
                Check(tensor, offsets, file.Length);
                tensors.Add(tensor);
            }
            return tensors;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or NullReferenceException or FormatException
            or ArgumentException or IndexOutOfRangeException)
        {
            throw new DataFileException($"{path}: its header (bytes 8 to {data}) is no safetensors header: {e.Message}", e);
        }
    }

    private static void Check(StoredTensor tensor, long[] offsets, long fileLength)
    {
        var size = tensor.Type switch
        {
            "F64" or "I64" or "U64" => 8,
            "F32" or "I32" or "U32" => 4,
            "F16" or "BF16" or "I16" or "U16" => 2,
            _ => 1,
        };
        if (offsets is not [>= 0, var end] || end < offsets[0] || tensor.Shape.Any(n => n < 0))
            throw new DataFileException($"{tensor.File}: tensor '{tensor.Name}' has the shape {string.Join(" × ", tensor.Shape)} at bytes "
                + $"{string.Join(" to ", offsets)}");
        if (end > fileLength - (tensor.Start - offsets[0]))
            throw new DataFileException($"{tensor.File}: tensor '{tensor.Name}' ends {end} bytes after the header, the file "
                + $"{fileLength - (tensor.Start - offsets[0])}: it is cut off");
        if (size > 1 && (Int128)size * tensor.Shape.Aggregate(Int128.One, (product, n) => product * n) != tensor.Bytes)
            throw new DataFileException($"{tensor.File}: tensor '{tensor.Name}' of {string.Join(" × ", tensor.Shape)} {tensor.Type} has "
                + $"{tensor.Bytes} bytes");
    }
}
