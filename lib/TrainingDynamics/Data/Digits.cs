using System.Globalization;
using System.IO.Compression;

namespace TrainingDynamics.Data;

/// <summary>UCI's optical digits: 1,797 images of 8 × 8 pixels, the first 1,300 to train and 497 to test.</summary>
/// <remarks>Alpaydin and Kaynak (1998); see <c>data/digits/README.md</c>. The writers of the first lines are not those of the
/// last.</remarks>
public static class Digits
{
    /// <summary>Reads the shipped set; pixels as v/16 in [0, 1].</summary>
    /// <exception cref="DataFileException">The file is missing or damaged.</exception>
    public static Split Load() => Parse(Shipped.Read(Path.Combine(Shipped.Folder, "digits"), "digits.csv.gz"), "digits.csv.gz");

    internal static Split Parse(byte[] file, string path)
    {
        using var gzip = new GZipStream(new MemoryStream(file), CompressionMode.Decompress);
        using var text = new StreamReader(gzip);
        var lines = text.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries);
        var inputs = new double[lines.Length, 64];
        var labels = new long[lines.Length];
        for (var i = 0; i < lines.Length; i++)
        {
            var fields = lines[i].Split(',');
            if (fields.Length != 65)
                throw new DataFileException($"{path}, line {i + 1}: expected 64 pixels and a label, found {fields.Length} fields");
            for (var j = 0; j < 65; j++)
            {
                if (!int.TryParse(fields[j], CultureInfo.InvariantCulture, out var value) || value < 0 || value > (j < 64 ? 16 : 9))
                    throw new DataFileException($"{path}, line {i + 1}, field {j + 1}: expected "
                        + $"{(j < 64 ? "a pixel of 0 to 16" : "a label of 0 to 9")}, found '{fields[j]}'");
                if (j < 64)
                    inputs[i, j] = value / 16.0;
                else
                    labels[i] = value;
            }
        }
        var all = new Images("digits 8×8", inputs, labels, 10);
        return new Split(all.Slice(0, 1300), all.Slice(1300, all.Count - 1300));
    }
}
