using System.IO.Compression;
using TorchSharp;
using TrainingDynamics.Data;
using static TorchSharp.torch;

namespace TrainingDynamics.Checkpoints;

/// <summary>One tensor of a checkpoint, and where it is.</summary>
/// <param name="Name">Its name; in a PyTorch file the keys that lead to it, joined by dots.</param>
/// <param name="Type">F64, F32, F16, BF16, I64 and so on.</param>
/// <param name="Shape">Its shape; empty for a number.</param>
/// <param name="File">The file that holds it.</param>
/// <param name="Start">Its first byte, in the file or in the file's entry of a zip.</param>
/// <param name="Bytes">How many bytes from there on hold it.</param>
public sealed record StoredTensor(string Name, string Type, long[] Shape, string File, long Start, long Bytes)
{
    /// <summary>The entry of a zip that holds its numbers; null where the file itself does.</summary>
    internal string? Entry { get; init; }

    /// <summary>How many numbers lie between neighbours of each axis; null where they lie row by row.</summary>
    internal long[]? Strides { get; init; }

    /// <summary>How many numbers it has.</summary>
    public long Count => Shape.Aggregate(1L, (product, size) => product * size);

    /// <summary>How many bytes a number has; 0 for a type that is not known.</summary>
    internal static int SizeOf(string type) => type switch
    {
        "F64" or "I64" or "U64" => 8,
        "F32" or "I32" or "U32" => 4,
        "F16" or "BF16" or "I16" or "U16" => 2,
        "I8" or "U8" or "BOOL" => 1,
        _ => 0,
    };
}

/// <summary>
/// The weights of somebody's run: safetensors, in one file or several with an index, or a file that PyTorch's <c>torch.save</c> wrote of
/// state_dicts, numbers and texts, in dictionaries and lists. Opening reads the headers alone; numbers are read when they are asked for,
/// a tensor or a piece of one at a time. Nothing in such a file is run, and nothing is written.
/// </summary>
public sealed class Checkpoint
{
    private static readonly string[] s_prefixes = ["model", "state_dict", "model_state_dict", "module", "_orig_mod"];
    private static readonly string[] s_heads = ["lm_head", "embed_out", "output", "head"];
    private readonly Dictionary<string, StoredTensor> _tensors = [];

    private Checkpoint(string path, IEnumerable<StoredTensor> tensors, IReadOnlyDictionary<string, object>? values = null,
        IReadOnlyList<string>? leftOut = null)
    {
        (Path, Values, LeftOut) = (path, values ?? new Dictionary<string, object>(), leftOut ?? []);
        foreach (var tensor in tensors)
        {
            if (!_tensors.TryAdd(tensor.Name, tensor))
                throw new DataFileException($"tensor '{tensor.Name}' is in {_tensors[tensor.Name].File} and in {tensor.File}");
        }
        Tensors = [.. _tensors.Values];
        Weights = WeightsOf(Tensors);
    }

    /// <summary>What was opened.</summary>
    public string Path { get; }

    /// <summary>Its tensors, in the order in which the file has them.</summary>
    public IReadOnlyList<StoredTensor> Tensors { get; }

    /// <summary>The model's weights by their names, in the order in which the file has them: what is below a key such as <c>model</c> or
    /// <c>state_dict</c> if there is one, without what wrappers put in front (<c>module.</c>, <c>_orig_mod.</c>), without an optimizer's
    /// tensors, single numbers, and buffers that are computed (masks, rotary frequencies).</summary>
    public IReadOnlyList<(string Name, StoredTensor Tensor)> Weights { get; }

    /// <summary>Numbers (double) and texts (string) of a PyTorch file by the keys that lead to them, as in
    /// <c>optimizer.param_groups.0.lr</c>.</summary>
    public IReadOnlyDictionary<string, object> Values { get; }

    /// <summary>Classes of objects in a PyTorch file that are neither tensors, numbers, texts, dictionaries nor lists; they were left
    /// out, and nothing of them was run.</summary>
    public IReadOnlyList<string> LeftOut { get; }

    /// <summary>The step that the file says it is of (<c>step</c>, <c>iter_num</c>, <c>global_step</c>, …); null if it says none.</summary>
    public int? Step => new[] { "step", "iter_num", "iter", "global_step", "iteration", "steps" }
        .Select(key => Values.GetValueOrDefault(key)).FirstOrDefault(value => value is double) is double step ? (int)step : null;

    /// <summary>Opens a checkpoint.</summary>
    /// <param name="path">A <c>.safetensors</c> file, an index (<c>.safetensors.index.json</c>), a folder with one index or with
    /// such files, or a file of <c>torch.save</c> (since PyTorch 1.6).</param>
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
                [] => Named(plain) is { Length: > 0 } files ? new(path, files.SelectMany(Safetensors.Headers))
                    : throw new DataFileException($"{path} has no file that ends with {plain} or {indexed}; a file of torch.save is named "
                        + "itself"),
                var several => throw new DataFileException($"{path} has {several.Length} indices: name one of "
                    + string.Join(", ", several.Select(System.IO.Path.GetFileName))),
            };
        }
        if (!File.Exists(path))
            throw new DataFileException($"{path} is missing");
        if (path.EndsWith(indexed, StringComparison.Ordinal))
        {
            var map = Safetensors.Index(path);
            var joined = new Checkpoint(path, map.Values.Distinct().SelectMany(Safetensors.Headers));
            return map.Keys.FirstOrDefault(name => !joined.Has(name)) is { } lost
                ? throw new DataFileException($"tensor '{lost}' is not in {map[lost]}, where {path} says it is") : joined;
        }
        if (!TorchFile.Is(path))
            return new(path, Safetensors.Headers(path));
        var (tensors, values, leftOut) = TorchFile.Read(path);
        return new(path, tensors, values, leftOut);
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
        return Whole(tensor);
    }

    /// <summary>The numbers of a tensor one after the other, in pieces, so that gigabytes need no more memory than a piece. The order is
    /// the file's; a tensor that does not lie row by row is read at once. Each piece lives until the next is asked for.</summary>
    /// <param name="tensor">One of this checkpoint's.</param>
    /// <param name="most">How many numbers a piece has at most.</param>
    /// <exception cref="DataFileException">As for <see cref="Read"/>.</exception>
    public static IEnumerable<Tensor> Pieces(StoredTensor tensor, int most = 1 << 21)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(most, 1);
        var type = TypeOf(tensor);
        if (tensor.Strides is not null)
        {
            using var whole = Whole(tensor);
            using var flat = whole.reshape(-1);
            for (var done = 0L; done < tensor.Count; done += most)
            {
                using var part = flat.narrow(0, done, Math.Min(most, tensor.Count - done));
                yield return part;
            }
            yield break;
        }
        using var source = Source(tensor, out var zip);
        using var owner = zip;
        for (var done = 0L; done < tensor.Count; done += most)
        {
            using var piece = Numbers(source, tensor, [Math.Min(most, tensor.Count - done)], type);
            yield return piece;
        }
    }

    private static Tensor Whole(StoredTensor tensor)
    {
        var type = TypeOf(tensor);
        if (tensor.Bytes > Array.MaxLength)
            throw new DataFileException($"{tensor.File}: tensor '{tensor.Name}' has {tensor.Bytes} bytes, more than can be read at once");
        using var source = Source(tensor, out var zip);
        using var owner = zip;
        if (tensor.Strides is null)
            return Numbers(source, tensor, tensor.Shape, type);
        using var storage = Numbers(source, tensor, [tensor.Bytes / StoredTensor.SizeOf(tensor.Type)], type);
        using var view = storage.as_strided(tensor.Shape, tensor.Strides, 0);
        return view.contiguous();
    }

    private static ScalarType TypeOf(StoredTensor tensor) => tensor.Type switch
    {
        "F64" => ScalarType.Float64,
        "F32" => ScalarType.Float32,
        "F16" => ScalarType.Float16,
        "BF16" => ScalarType.BFloat16,
        var other => throw new DataFileException($"{tensor.File}: tensor '{tensor.Name}' is {other}; read are F64, F32, F16 and BF16"),
    };

    /// <summary>The file, or its entry, at a tensor's first byte.</summary>
    private static Stream Source(StoredTensor tensor, out ZipArchive? zip)
    {
        zip = null;
        if (tensor.Entry is null)
            return new FileStream(tensor.File, FileMode.Open, FileAccess.Read, FileShare.Read) { Position = tensor.Start };
        zip = ZipFile.OpenRead(tensor.File);
        var entry = (zip.GetEntry(tensor.Entry) ?? throw new DataFileException($"{tensor.File} has no '{tensor.Entry}' any more")).Open();
        var skipped = new byte[1 << 16];
        for (var left = tensor.Start; left > 0;)
        {
            var read = entry.Read(skipped, 0, (int)Math.Min(left, skipped.Length));
            if (read == 0)
                throw new DataFileException($"{tensor.File}: '{tensor.Entry}' ends before tensor '{tensor.Name}'");
            left -= read;
        }
        return entry;
    }

    /// <summary>The next numbers of a stream, straight into torch's memory.</summary>
    private static Tensor Numbers(Stream source, StoredTensor tensor, long[] shape, ScalarType type)
    {
        using var scope = NewDisposeScope();
        using var quiet = no_grad();
        var numbers = empty(shape, dtype: type);
        var wanted = checked((int)(numbers.numel() * StoredTensor.SizeOf(tensor.Type)));
        if (wanted > 0)
        {
            int read;
            try
            {
                read = source.ReadAtLeast(numbers.bytes, wanted, throwOnEndOfStream: false);
            }
            catch (InvalidDataException e)
            {
                throw new DataFileException($"{tensor.File}: '{tensor.Entry}' of tensor '{tensor.Name}' is damaged: {e.Message}", e);
            }
            if (read < wanted)
                throw new DataFileException($"{tensor.File}: tensor '{tensor.Name}' ends at byte {tensor.Start + tensor.Bytes}, what holds "
                    + $"it {wanted - read} bytes earlier: it is cut off, or has changed since it was opened");
        }
        return numbers.to(type == ScalarType.Float64 ? type : ScalarType.Float32).MoveToOuterDisposeScope();
    }

    /// <summary>Whether a tensor is one that an optimizer keeps, or a counter of it.</summary>
    internal static bool IsOfOptimizer(string name) => name.Split('.') is var keys && (keys[0].StartsWith("optim", StringComparison.Ordinal)
        || keys[^1] is "exp_avg" or "exp_avg_sq" or "max_exp_avg_sq" or "momentum_buffer" || (keys[0] == "state" && keys[^1] == "step"));

    private static bool IsBuffer(StoredTensor tensor) => tensor.Shape.Length == 0
        || (tensor.Name.EndsWith(".bias", StringComparison.Ordinal) && tensor.Shape.Length > 2)
        || tensor.Name.Split('.')[^1] is "masked_bias" or "inv_freq" or "rotary_emb" or "causal_mask" or "freqs_cis"
            or "running_mean" or "running_var" or "num_batches_tracked";

    private static (string, StoredTensor)[] WeightsOf(IReadOnlyList<StoredTensor> tensors)
    {
        StoredTensor[] weights = [.. tensors.Where(t => t.Type is "F64" or "F32" or "F16" or "BF16"
            && !IsOfOptimizer(t.Name) && !IsBuffer(t))];
        var prefix = "";
        // A training checkpoint has its model below one key, and other things beside it.
        while (s_prefixes.FirstOrDefault(p => Below(prefix + p)) is { } next)
        {
            prefix += next + ".";
            weights = [.. weights.Where(w => w.Name.StartsWith(prefix, StringComparison.Ordinal))];
        }
        return [.. weights.Select(w => (w.Name[prefix.Length..], w))];

        bool Below(string key) => weights.Any(w => w.Name.StartsWith(key + ".", StringComparison.Ordinal))
            // Of Llama and its kin the unembedding is beside "model" and not below it.
            && !weights.Any(w => s_heads.Contains(w.Name[prefix.Length..].Split('.')[0]));
    }
}
