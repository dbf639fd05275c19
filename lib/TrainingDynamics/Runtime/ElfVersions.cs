using System.Buffers.Binary;
using System.Text;

namespace TrainingDynamics.Runtime;

/// <summary>Edits the table of required symbol versions (.gnu.version_r) of a 64-bit little-endian ELF file.</summary>
/// <remarks>Layout: Linux Standard Base, Symbol Versioning; Elf64_Verneed and Elf64_Vernaux.</remarks>
internal static class ElfVersions
{
    private const uint VersionNeeded = 0x6ffffffe;      // SHT_GNU_verneed
    private const ushort Weak = 0x2;                    // VER_FLG_WEAK

    /// <summary>Marks every requirement of <paramref name="version"/> in <paramref name="file"/> as weak; false if there is none.</summary>
    public static bool MakeWeak(Span<byte> file, string version)
    {
        if (file.Length < 64 || !file[..6].SequenceEqual<byte>([0x7f, (byte)'E', (byte)'L', (byte)'F', 2, 1]))
            return false;
        var sections = (int)U64(file, 0x28);
        int size = U16(file, 0x3a), count = U16(file, 0x3c);
        var changed = false;
        for (var i = 0; i < count; i++)
        {
            var section = sections + (i * size);
            if (U32(file, section + 4) != VersionNeeded)
                continue;
            var names = (int)U64(file, sections + ((int)U32(file, section + 0x28) * size) + 0x18);
            var need = (int)U64(file, section + 0x18);
            for (var entries = U32(file, section + 0x2c); entries > 0; entries--)
            {
                var item = need + (int)U32(file, need + 8);
                for (int items = U16(file, need + 2); items > 0; items--)
                {
                    if (Name(file, names + (int)U32(file, item + 8)) == version)
                    {
                        BinaryPrimitives.WriteUInt16LittleEndian(file[(item + 4)..], (ushort)(U16(file, item + 4) | Weak));
                        changed = true;
                    }
                    item += (int)U32(file, item + 12);
                }
                need += (int)U32(file, need + 12);
            }
        }
        return changed;
    }

    private static ushort U16(Span<byte> file, int at) => BinaryPrimitives.ReadUInt16LittleEndian(file[at..]);

    private static uint U32(Span<byte> file, int at) => BinaryPrimitives.ReadUInt32LittleEndian(file[at..]);

    private static ulong U64(Span<byte> file, int at) => BinaryPrimitives.ReadUInt64LittleEndian(file[at..]);

    private static string Name(Span<byte> file, int at) => Encoding.ASCII.GetString(file[at..(at + file[at..].IndexOf((byte)0))]);
}
