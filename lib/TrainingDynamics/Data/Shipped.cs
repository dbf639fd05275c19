using System.Security.Cryptography;

namespace TrainingDynamics.Data;

/// <summary>A data file that is missing, damaged or of another kind; says which file, what was expected and what was found.</summary>
public sealed class DataFileException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>The files that come with the collection, under <c>data/</c>.</summary>
public static class Shipped
{
    /// <summary>The folder <c>data/</c> of the collection that this library was built in; of a program or notebook that uses the package,
    /// the package's.</summary>
    public static string Folder => Runtime.Places.Data;

    /// <summary>The bytes of a shipped file, after its SHA-256 was held against the folder's <c>SHA256SUMS</c>.</summary>
    /// <exception cref="DataFileException">The file or the list is missing, or the sums differ.</exception>
    internal static byte[] Read(string folder, string file)
    {
        var list = Path.Combine(folder, "SHA256SUMS");
        var line = (File.Exists(list) ? File.ReadLines(list)
            : throw new DataFileException($"{list} is missing: it lists the checksums of the data files"))
            .FirstOrDefault(l => l.EndsWith("  " + file, StringComparison.Ordinal))
            ?? throw new DataFileException($"{list} has no line for {file}");
        return Verified(Path.Combine(folder, file), line[..64]);
    }

    /// <summary>The bytes of <paramref name="path"/>, after their SHA-256 was compared.</summary>
    /// <exception cref="DataFileException">The file is missing or the sums differ.</exception>
    internal static byte[] Verified(string path, string sha256)
    {
        if (!File.Exists(path))
            throw new DataFileException($"{path} is missing");
        var bytes = File.ReadAllBytes(path);
        var found = Convert.ToHexStringLower(SHA256.HashData(bytes));
        return found == sha256
            ? bytes
            : throw new DataFileException(
                $"{path} is damaged: its SHA-256 should be {sha256}, but the {bytes.Length} bytes there have {found}");
    }
}
