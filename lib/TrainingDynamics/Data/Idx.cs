using System.Buffers.Binary;
using System.IO.Compression;

namespace TrainingDynamics.Data;

/// <summary>Reads the IDX format of MNIST: two zero bytes, type 8 (unsigned byte), the number of axes, each axis' size as a big-endian
/// 32-bit number, the bytes.</summary>
/// <remarks>Y. LeCun, C. Cortes, C. J. C. Burges, The MNIST database of handwritten digits.</remarks>
internal static class Idx
{
    /// <summary>The shape and the bytes of an IDX file, gzip-compressed or not.</summary>
    /// <exception cref="DataFileException">It is no such file, or shorter or longer than its header says.</exception>
    public static (int[] Shape, byte[] Values) Parse(byte[] file, string path)
    {
        var content = file is [0x1f, 0x8b, ..] ? Unzip(file, path) : file;
        if (content is not [0, 0, 8, var axes and >= 1 and <= 4, ..] || content.Length < 4 + (4 * axes))
            throw new DataFileException($"{path} is no IDX file of bytes: expected the header 00 00 08 and the number of axes, found "
                + $"{Convert.ToHexString(content, 0, Math.Min(4, content.Length))}");
        var shape = Enumerable.Range(0, axes).Select(i => BinaryPrimitives.ReadInt32BigEndian(content.AsSpan(4 + (4 * i)))).ToArray();
        var expected = shape.Aggregate(1L, (product, size) => product * size);
        var values = content[(4 + (4 * axes))..];
        return values.Length == expected
            ? (shape, values)
            : throw new DataFileException(
                $"{path} is truncated or damaged: its header says {string.Join(" × ", shape)} = {expected} bytes, found {values.Length}");
    }

    private static byte[] Unzip(byte[] file, string path)
    {
        try
        {
            using var gzip = new GZipStream(new MemoryStream(file), CompressionMode.Decompress);
            using var content = new MemoryStream();
            gzip.CopyTo(content);
            return content.ToArray();
        }
        catch (InvalidDataException e)
        {
            throw new DataFileException($"{path} is truncated or damaged: expected gzip, but {e.Message}", e);
        }
    }

    /// <summary>Images and labels of one split, pixels as v/255.</summary>
    public static Images Images(string name, (int[] Shape, byte[] Values) images, (int[] Shape, byte[] Values) labels, string path)
    {
        if (images.Shape.Length != 3 || labels.Shape.Length != 1 || images.Shape[0] != labels.Shape[0])
            throw new DataFileException($"{path}: expected as many labels as images, found images {string.Join(" × ", images.Shape)} and "
                + $"labels {string.Join(" × ", labels.Shape)}");
        if (labels.Values.FirstOrDefault(label => label > 9) is > 0 and var foreign)
            throw new DataFileException($"{path}: expected labels 0 to 9, found {foreign}");
        int count = images.Shape[0], pixels = images.Shape[1] * images.Shape[2];
        var inputs = new double[count, pixels];
        for (var i = 0; i < count; i++)
        {
            for (var j = 0; j < pixels; j++)
                inputs[i, j] = images.Values[(i * pixels) + j] / 255.0;
        }
        return new Images(name, inputs, [.. labels.Values.Select(label => (long)label)], 10);
    }
}
