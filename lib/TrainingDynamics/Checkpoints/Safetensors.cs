using System.Buffers.Binary;
using System.Text.Json;
using System.Text.Json.Nodes;
using TrainingDynamics.Data;

namespace TrainingDynamics.Checkpoints;

/// <summary>Headers of safetensors files.</summary>
/// <remarks>The format: eight bytes, the length N of the header, little-endian; N bytes of JSON, for each tensor dtype, shape and
/// data_offsets [begin, end) from the header's end on; then the numbers, row by row. Documented at huggingface.co/docs/safetensors; an
/// index (weight_map: tensor → file) is what Transformers writes beside files in parts.</remarks>
internal static class Safetensors
{
    private const long MostHeader = 100_000_000;                                       // as the format's own reader

    /// <summary>The file of each tensor that an index names.</summary>
    public static Dictionary<string, string> Index(string index)
    {
        var folder = Path.GetDirectoryName(Path.GetFullPath(index))!;
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
        if (map.Values.FirstOrDefault(file => file != Path.GetFileName(file)) is { } outside)
            throw new DataFileException($"{index} names '{outside}', which is no file beside it");
        var paths = map.ToDictionary(e => e.Key, e => Path.Combine(folder, e.Value));
        return paths.Values.FirstOrDefault(part => !File.Exists(part)) is { } missing
            ? throw new DataFileException($"{missing} is missing, which {index} names") : paths;
    }

    /// <summary>The tensors that a file's header lists, each checked against the file's length.</summary>
    public static List<StoredTensor> Headers(string path)
    {
        using var file = File.OpenRead(path);
        Span<byte> first = stackalloc byte[8];
        if (file.ReadAtLeast(first, 8, throwOnEndOfStream: false) < 8)
            throw new DataFileException($"{path} has {file.Length} bytes: no safetensors file is shorter than 8");
        var length = BinaryPrimitives.ReadUInt64LittleEndian(first);
        if (length > MostHeader || (long)length > file.Length - 8)
            throw new DataFileException($"{path}: the header should have {length} bytes, the file has {file.Length}: it is cut off, or "
                + "neither a safetensors file nor one of torch.save since PyTorch 1.6");
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
        if (offsets is not [>= 0, var end] || end < offsets[0] || tensor.Shape.Any(n => n < 0))
            throw new DataFileException($"{tensor.File}: tensor '{tensor.Name}' has the shape {string.Join(" × ", tensor.Shape)} at bytes "
                + $"{string.Join(" to ", offsets)}");
        if (end > fileLength - (tensor.Start - offsets[0]))
            throw new DataFileException($"{tensor.File}: tensor '{tensor.Name}' ends {end} bytes after the header, the file "
                + $"{fileLength - (tensor.Start - offsets[0])}: it is cut off");
        // A type that is not known here may be of any size.
        if (StoredTensor.SizeOf(tensor.Type) is > 0 and var size
            && (Int128)size * tensor.Shape.Aggregate(Int128.One, (product, n) => product * n) != tensor.Bytes)
            throw new DataFileException($"{tensor.File}: tensor '{tensor.Name}' of {string.Join(" × ", tensor.Shape)} {tensor.Type} has "
                + $"{tensor.Bytes} bytes");
    }
}
