using System.Collections;
using System.Globalization;
using System.IO.Compression;
using System.Text.RegularExpressions;
using Razorvine.Pickle;
using Razorvine.Pickle.Objects;
using TrainingDynamics.Data;

namespace TrainingDynamics.Checkpoints;

/// <summary>
/// What <c>torch.save</c> wrote of dictionaries and lists of tensors, numbers and texts: a zip of one pickle, which says what there is, and
/// a file for each storage. The pickle is read by a library that makes data of it and calls nothing. An object of a class that is not
/// among those below is left out, whatever it says it is made with.
/// </summary>
/// <remarks>PyTorch 1.6 and later; the format is described in PyTorch's notes on serialization
/// (pytorch.org/docs/stable/notes/serialization).</remarks>
internal static partial class TorchFile
{
    private const int MostPickle = 1 << 28;
    private static readonly Lock s_lock = new();

    private static readonly Dictionary<string, string> s_types = new()
    {
        ["DoubleStorage"] = "F64",
        ["FloatStorage"] = "F32",
        ["HalfStorage"] = "F16",
        ["BFloat16Storage"] = "BF16",
        ["LongStorage"] = "I64",
        ["IntStorage"] = "I32",
        ["ShortStorage"] = "I16",
        ["CharStorage"] = "I8",
        ["ByteStorage"] = "U8",
        ["BoolStorage"] = "BOOL",
    };

    static TorchFile()
    {
        foreach (var name in (string[])["_rebuild_tensor", "_rebuild_tensor_v2"])
            Unpickler.registerConstructor("torch._utils", name, new TensorOf());
        Unpickler.registerConstructor("torch._utils", "_rebuild_parameter", new FirstOf());
        Unpickler.registerConstructor("collections", "OrderedDict", new DictionaryOf());
        Unpickler.registerConstructor("collections", "defaultdict", new DictionaryOf());
        Unpickler.registerConstructor("torch", "Size", new FirstOf());
        Unpickler.registerConstructor("torch", "device", new FirstOf());
        Unpickler.registerConstructor("argparse", "Namespace", new DictionaryOf());
    }

    /// <summary>Whether a file is a zip, as torch.save's are.</summary>
    public static bool Is(string path)
    {
        using var file = File.OpenRead(path);
        Span<byte> first = stackalloc byte[4];
        return file.ReadAtLeast(first, 4, throwOnEndOfStream: false) == 4 && first.SequenceEqual("PK\u0003\u0004"u8);
    }

    /// <summary>The tensors of a file in the order in which it has them, and its numbers and texts.</summary>
    /// <exception cref="DataFileException">It is damaged, or holds more than tensors, numbers and texts.</exception>
    public static (List<StoredTensor> Tensors, Dictionary<string, object> Values, List<string> LeftOut) Read(string path)
    {
        try
        {
            using var zip = ZipFile.OpenRead(path);
            var pickle = zip.Entries.FirstOrDefault(e => e.Name == "data.pkl")
                ?? throw new DataFileException($"{path} is a zip without a data.pkl: not of torch.save");
            if (pickle.Length > MostPickle)
                throw new DataFileException($"{path}: its data.pkl has {pickle.Length} bytes; one of tensors, numbers and texts is small");
            using var stream = pickle.Open();
            var bytes = new byte[pickle.Length];
            stream.ReadExactly(bytes);
            var (tensors, values, leftOut) = (new List<StoredTensor>(), new Dictionary<string, object>(), new List<string>());
            Walk("", Unpickled(bytes), 0, new Found(path, zip, pickle.FullName[..^"data.pkl".Length], tensors, values, leftOut));
            // A plain dictionary of Python has lost its order here; storages are numbered as they were saved. Of tied weights, which share
            // one, the unembedding is the second.
            return ([.. tensors.OrderBy(Number).ThenBy(t => Roles.Of(t.Name, t.Shape.Length) == Role.Head)], values, leftOut);
        }
        catch (Exception e) when (e is InvalidDataException or EndOfStreamException or PickleException or InvalidOpcodeException
            or InvalidCastException or ArgumentException or IndexOutOfRangeException or NullReferenceException or OverflowException
            or KeyNotFoundException or FormatException)
        {
            throw new DataFileException($"{path} is damaged, or holds more than state_dicts, numbers and texts (nothing in it was run): "
                + $"{e.Message}", e);
        }
    }

    private static long Number(StoredTensor tensor) =>
        long.TryParse(Path.GetFileName(tensor.Entry), CultureInfo.InvariantCulture, out var number) ? number : long.MaxValue;

    private sealed record Found(string Path, ZipArchive Zip, string Folder, List<StoredTensor> Tensors, Dictionary<string, object> Values,
        List<string> LeftOut);

    private static object Unpickled(byte[] bytes)
    {
        lock (s_lock)
        {
            for (var tries = 0; ; tries++)
            {
                try
                {
                    using var unpickler = new Storages();
                    return unpickler.loads(bytes);
                }
                catch (PickleException e) when (tries < 100 && ForeignPattern().Match(e.Message) is { Success: true } foreign
                    && foreign.Groups[1].Value.LastIndexOf('.') is > 0 and var dot)
                {
                    // Made with arguments: it is not known how, so something that stands for it takes them.
                    Unpickler.registerConstructor(foreign.Groups[1].Value[..dot], foreign.Groups[1].Value[(dot + 1)..],
                        new ForeignOf(foreign.Groups[1].Value));
                }
            }
        }
    }

    [GeneratedRegex(@"construction of ClassDict \(for ([\w.]+)\)")]
    private static partial Regex ForeignPattern();

    private static void Walk(string name, object? value, int depth, Found found)
    {
        if (depth > 32)
            throw new DataFileException($"{found.Path}: '{name}' is nested too deeply");
        string Under(object key) => name == "" ? Invariant(key) : $"{name}.{Invariant(key)}";
        switch (value)
        {
            case Foreign { Class: var foreign }:
                found.LeftOut.Add($"{name} ({foreign})");
                break;
            case ClassDict { ClassName: var plain }:
                found.LeftOut.Add($"{name} ({plain})");
                break;
            case IDictionary dictionary:
                foreach (var entry in (dictionary as Dictionary)?.InOrder ?? dictionary.Cast<DictionaryEntry>())
                    Walk(Under(entry.Key), entry.Value, depth + 1, found);
                break;
            case Stored stored:
                found.Tensors.Add(Located(name, stored, found));
                break;
            case string text:
                found.Values[name] = text;
                break;
            case bool or sbyte or byte or short or ushort or int or uint or long or ulong or float or double or decimal:
                found.Values[name] = Convert.ToDouble(value, CultureInfo.InvariantCulture);
                break;
            case IEnumerable list:
                foreach (var (i, item) in list.Cast<object?>().Index())
                    Walk(Under(i), item, depth + 1, found);
                break;
        }
    }

    private static string Invariant(object value) => Convert.ToString(value, CultureInfo.InvariantCulture) ?? "";

    private static StoredTensor Located(string name, Stored stored, Found found)
    {
        var (storage, offset, shape, strides) = stored;
        var entry = found.Folder + "data/" + storage.Key;
        var size = StoredTensor.SizeOf(storage.Type);
        if (shape.Length != strides.Length || offset < 0 || shape.Any(n => n < 0) || strides.Any(n => n < 0))
            throw new DataFileException($"{found.Path}: tensor '{name}' has the shape {string.Join(" × ", shape)}, strides "
                + $"{string.Join(", ", strides)} and begins at {offset}");
        // From its first number to its last.
        var span = shape.Contains(0) ? 0
            : shape.Zip(strides, (n, stride) => (Int128)(n - 1) * stride).Aggregate(Int128.One, (sum, reach) => sum + reach);
        var there = found.Zip.GetEntry(entry) ?? throw new DataFileException($"{found.Path}: tensor '{name}' is in '{entry}', which is "
            + "not there");
        if ((offset + span) * size > there.Length)
            throw new DataFileException($"{found.Path}: tensor '{name}' ends at byte {(offset + span) * size} of '{entry}', which has "
                + $"{there.Length}: it is cut off");
        var rowByRow = true;
        for (var (i, expected) = (shape.Length - 1, 1L); i >= 0; expected *= shape[i], i--)
            rowByRow &= shape[i] == 1 || strides[i] == expected;
        return new StoredTensor(name, storage.Type, shape, found.Path, offset * size, (long)span * size)
        {
            Entry = entry,
            Strides = rowByRow || shape.Contains(0) ? null : strides,
        };
    }

    private sealed record Storage(string Type, string Key);

    private sealed record Stored(Storage Storage, long Offset, long[] Shape, long[] Strides);

    private sealed class Storages : Unpickler
    {
        /// <summary>A storage is ("storage", its class, its key, where it was, how many numbers it has).</summary>
        protected override object persistentLoad(object pid) => pid is object[] and ["storage", ClassDictConstructor type, string key, ..]
            && s_types.TryGetValue(type.name, out var known)
                ? new Storage(known, key)
                : throw new PickleException($"a storage of an unknown kind: "
                    + (pid is object[] and [_, ClassDictConstructor other, ..] ? other.name : pid));
    }

    /// <summary>torch._utils._rebuild_tensor_v2(storage, offset, shape, strides, …).</summary>
    private sealed class TensorOf : IObjectConstructor
    {
        public object construct(object[] args) => new Stored((Storage)args[0], Integer(args[1]), Integers(args[2]), Integers(args[3]));

        private static long[] Integers(object tuple) => [.. ((IEnumerable)tuple).Cast<object>().Select(Integer)];

        private static long Integer(object number) => Convert.ToInt64(number, CultureInfo.InvariantCulture);
    }

    /// <summary>Stands for an object of a class that is not known; takes whatever it is given.</summary>
    private sealed class Foreign(string name) : Hashtable
    {
        public string Class { get; } = name;

        public void __setstate__(object state)
        {
        }

        public override object? this[object key] { get => null; set { } }
    }

    private sealed class ForeignOf(string name) : IObjectConstructor
    {
        public object construct(object[] args) => new Foreign(name);
    }

    /// <summary>Something around its first argument.</summary>
    private sealed class FirstOf : IObjectConstructor
    {
        public object construct(object[] args) => args[0];
    }

    private sealed class DictionaryOf : IObjectConstructor
    {
        public object construct(object[] args)
        {
            var made = new Dictionary();
            // Python 2 gave an ordered dictionary's pairs as a list.
            foreach (var pair in args is [IEnumerable pairs] and not [IDictionary] ? pairs.OfType<IList>() : [])
                made.Add(pair[0]!, pair[1]);
            return made;
        }
    }

    /// <summary>A dictionary in the order of its keys; what else a state_dict carries (_metadata) is not the weights'.</summary>
    private sealed class Dictionary : Hashtable
    {
        private readonly List<object> _order = [];

        public IEnumerable<DictionaryEntry> InOrder => _order.Distinct().Select(key => new DictionaryEntry(key, this[key]));

        public override object? this[object key]
        {
            get => base[key];
            set
            {
                _order.Add(key);
                base[key] = value;
            }
        }

        public override void Add(object key, object? value) => this[key] = value;

        /// <summary>Called by the reader with an object's attributes.</summary>
        public void __setstate__(Hashtable attributes)
        {
            foreach (DictionaryEntry entry in attributes)
            {
                if (entry.Key is not "_metadata")
                    Add(entry.Key, entry.Value);
            }
        }
    }
}
