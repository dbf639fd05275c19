using System.Diagnostics;
using System.Text;
using BenchmarkDotNet.Attributes;
using TrainingDynamics.Checkpoints;
using TrainingDynamics.Runtime;

namespace Benchmarks;

/// <summary>
/// A gigabyte of bfloat16 weights, eight matrices of 8,192 × 8,192 in one safetensors file, analysed by itself, and against another of
/// its kind. At the end the process's peak of memory is printed: some 0.3 GB with all libraries.
/// </summary>
public class CheckpointRead
{
    private const long Size = 8192L * 8192 * 2, Matrices = 8;
    private readonly string _folder = Directory.CreateTempSubdirectory("checkpoint").FullName;
    private Checkpoint _now = null!, _before = null!;

    [GlobalSetup]
    public void Setup()
    {
        Threads.Count = 1;
        (_now, _before) = (Make("now"), Make("before"));
    }

    private Checkpoint Make(string name)
    {
        var path = Path.Combine(_folder, name + ".safetensors");
        string Entry(int i) => $"\"layers.{i}.self_attn.q_proj.weight\": {{\"dtype\": \"BF16\", \"shape\": [8192, 8192], "
            + $"\"data_offsets\": [{i * Size}, {(i + 1) * Size}]}}";
        var header = Encoding.UTF8.GetBytes("{" + string.Join(", ", Enumerable.Range(0, (int)Matrices).Select(Entry)) + "}");
        using (var file = File.Create(path))
        {
            file.Write([.. BitConverter.GetBytes((long)header.Length), .. header]);
            var part = new byte[1 << 20];
            new Random(name.Length).NextBytes(part);
            for (var i = 1; i < part.Length; i += 2)
                part[i] = (byte)(0x3c | (part[i] & 0x80));                                 // of size about a hundredth, of either sign
            for (var written = 0L; written < Matrices * Size; written += part.Length)
                file.Write(part);
        }
        return Checkpoint.Open(path);
    }

    [Benchmark(Baseline = true, Description = "norms of 1 GB")]
    public RunReport One() => RunReport.Of(_now);

    [Benchmark(Description = "norms and angles of 2 GB")]
    public RunReport Two() => RunReport.Of(_now, _before);

    [GlobalCleanup]
    public void Clean()
    {
        Console.WriteLine($"// peak of memory: {Process.GetCurrentProcess().PeakWorkingSet64 / 1e6:0} MB");
        Directory.Delete(_folder, recursive: true);
    }
}
