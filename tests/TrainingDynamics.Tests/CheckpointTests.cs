using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;
using TorchSharp;
using TrainingDynamics.Checkpoints;
using TrainingDynamics.Data;
using static TorchSharp.torch;

namespace TrainingDynamics.Tests;

public sealed class CheckpointTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("checkpoint").FullName;

    private string At(string name) => Path.Combine(_folder, name);

    /// <summary>A file as the format says: the header's length, the header, the numbers.</summary>
    private string Write(string name, string header, byte[] data)
    {
        var json = Encoding.UTF8.GetBytes(header);
        var bytes = new byte[8 + json.Length + data.Length];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, (ulong)json.Length);
        json.CopyTo(bytes, 8);
        data.CopyTo(bytes, 8 + json.Length);
        File.WriteAllBytes(At(name), bytes);
        return At(name);
    }

    private static byte[] Bytes<T>(params T[] values) where T : struct => MemoryMarshal.AsBytes<T>(values).ToArray();

    private string Say(Action action) => Assert.Throws<DataFileException>(action).Message;

    [Fact]
    public void EveryKindOfNumberIsReadInItsShape()
    {
        byte[] data = [.. Bytes(1.5, -2.0), .. Bytes(0.1f, 3f, -1f, 7f, 8f, 9f), .. Bytes((Half)0.5, (Half)(-2)),
            .. Bytes((ushort)0x3FC0, (ushort)0xC040), .. Bytes(5L)];
        var path = Write("a.safetensors", """
            {"__metadata__": {"format": "pt"},
             "b.double": {"dtype": "F64", "shape": [2], "data_offsets": [0, 16]},
             "a.weight": {"dtype": "F32", "shape": [3, 2], "data_offsets": [16, 40]},
             "half": {"dtype": "F16", "shape": [1, 2], "data_offsets": [40, 44]},
             "brain": {"dtype": "BF16", "shape": [2, 1], "data_offsets": [44, 48]},
             "step": {"dtype": "I64", "shape": [], "data_offsets": [48, 56]},
             "none": {"dtype": "F32", "shape": [0, 4], "data_offsets": [56, 56]}}
            """, data);
        var checkpoint = Checkpoint.Open(path);
        Assert.Equal(["b.double", "a.weight", "half", "brain", "step", "none"], checkpoint.Tensors.Select(t => t.Name));
        using var scope = NewDisposeScope();
        Assert.Equal([0.1f, 3, -1, 7, 8, 9], checkpoint.Read("a.weight").data<float>().ToArray());
        Assert.Equal([3, 2], checkpoint.Read("a.weight").shape);
        Assert.Equal([1.5, -2], checkpoint.Read("b.double").data<double>().ToArray());
        Assert.Equal([0.5f, -2], checkpoint.Read("half").data<float>().ToArray());
        Assert.Equal([1.5f, -3], checkpoint.Read("brain").data<float>().ToArray());
        Assert.Equal([0, 4], checkpoint.Read("none").shape);
        Assert.Contains("tensor 'step' is I64", Say(() => checkpoint.Read("step")));
        Assert.Contains("has no tensor 'c'; it has b.double, a.weight",
            Assert.Throws<ArgumentException>(() => checkpoint.Read("c")).Message);
    }

    [Fact]
    public void PartsAreOneCheckpointByTheirIndexOrByTheirFolder()
    {
        Write("m-1.safetensors", """{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}""", Bytes(1f));
        Write("m-2.safetensors", """{"b": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}""", Bytes(2f));
        double Both(string path)
        {
            using var scope = NewDisposeScope();
            var checkpoint = Checkpoint.Open(path);
            return checkpoint.Read("a").ToSingle() + (10 * checkpoint.Read("b").ToSingle());
        }
        Assert.Equal(21, Both(_folder));
        var index = At("m.safetensors.index.json");
        File.WriteAllText(index, """{"weight_map": {"a": "m-1.safetensors", "b": "m-2.safetensors"}}""");
        Assert.Equal(21, Both(index));
        Assert.Equal(21, Both(_folder));
        File.WriteAllText(index, """{"weight_map": {"a": "m-2.safetensors"}}""");
        Assert.Contains("m-2.safetensors, where", Say(() => Both(index)));
        File.WriteAllText(index, """{"weight_map": {"a": "m-3.safetensors"}}""");
        Assert.Contains("m-3.safetensors is missing, which", Say(() => Both(index)));
        File.WriteAllText(index, """{"weight_map": {"a": "../m-1.safetensors"}}""");
        Assert.Contains("names '../m-1.safetensors', which is no file beside it", Say(() => Both(index)));
        foreach (var text in (string[])["{", "[]", "{}", """{"weight_map": 3}""", """{"weight_map": {"a": 3}}"""])
        {
            File.WriteAllText(index, text);
            Assert.StartsWith(index, Say(() => Both(index)));
        }
        File.Copy(At("m-1.safetensors"), At("m-9.safetensors"));
        File.Delete(index);
        Assert.Contains("tensor 'a' is in", Say(() => Both(_folder)));
    }

    [Fact]
    public void ADamagedOrForeignFileIsNamedWithItsTensorAndByte()
    {
        Assert.Contains("is missing", Say(() => Checkpoint.Open(At("no.safetensors"))));
        Assert.Contains("has no file that ends with", Say(() => Checkpoint.Open(_folder)));
        File.WriteAllBytes(At("short"), [1, 2, 3]);
        Assert.Contains("no safetensors file is shorter than 8", Say(() => Checkpoint.Open(At("short"))));
        File.WriteAllText(At("zip"), "PK\u0003\u0004 this is a zip, or its beginning");
        Assert.Contains("is damaged", Say(() => Checkpoint.Open(At("zip"))));
        File.WriteAllText(At("text"), "\u0080\u0002 a pickle in no zip, or anything else");
        Assert.Contains("cut off, or neither a safetensors file nor", Say(() => Checkpoint.Open(At("text"))));
        string Header(string tensor) => Say(() => Checkpoint.Open(Write("h", $$"""{"w": {{tensor}}}""", new byte[8])));
        Assert.Contains("tensor 'w' ends 16 bytes after the header, the file 8: it is cut off",
            Header("""{"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}"""));
        Assert.Contains("it is cut off", Header("""{"dtype": "F32", "shape": [4], "data_offsets": [0, 9223372036854775807]}"""));
        Assert.Contains("tensor 'w' of 3 F32 has 8 bytes", Header("""{"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}"""));
        Assert.Contains("at bytes 8 to 4", Header("""{"dtype": "F32", "shape": [1], "data_offsets": [8, 4]}"""));
        Assert.Contains("the shape -2", Header("""{"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}"""));
        Assert.Contains("of 4294967296 × 4294967296 F32",
            Header("""{"dtype": "F32", "shape": [4294967296, 4294967296], "data_offsets": [0, 8]}"""));
        foreach (var foreign in (string[])["3", "{}", """{"dtype": "F32", "shape": 3, "data_offsets": [0, 8]}""",
            """{"dtype": "F32", "shape": ["a"], "data_offsets": [0, 8]}""",
            """{"dtype": "F32", "shape": [2], "data_offsets": []}""", "null"])
            Assert.Contains("is no safetensors header", Header(foreign));
        // A file that shrinks after it was opened.
        var path = Write("w", """{"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}""", new byte[8]);
        var opened = Checkpoint.Open(path);
        File.WriteAllBytes(path, File.ReadAllBytes(path)[..^3]);
        Assert.Contains("has changed since it was opened", Say(() => opened.Read("w")));
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);
}
