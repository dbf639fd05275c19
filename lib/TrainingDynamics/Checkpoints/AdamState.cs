using TrainingDynamics.Data;

namespace TrainingDynamics.Checkpoints;

/// <summary>What Adam keeps of a weight, and what its group is set to; where a file has it, nothing need be asked.</summary>
/// <param name="Mean">m, <c>exp_avg</c>.</param>
/// <param name="Square">v, <c>exp_avg_sq</c>.</param>
/// <param name="Step">t: bias correction is 1 − β^t.</param>
/// <param name="Rate">η at that step, schedule included; null where the file does not say.</param>
/// <param name="Decay">λ, decoupled and multiplied by the rate in PyTorch's AdamW; null where the file does not say.</param>
/// <param name="Betas">β1 and β2; null where the file does not say.</param>
/// <param name="Epsilon">ε; null where the file does not say.</param>
public sealed record AdamState(StoredTensor Mean, StoredTensor Square, int Step, double? Rate, double? Decay, (double, double)? Betas,
    double? Epsilon)
{
    private const string MeanKey = ".exp_avg", SquareKey = ".exp_avg_sq";

    /// <summary>
    /// The state of each weight in a checkpoint, by the weight's name; empty where there is none. PyTorch numbers the weights in the order
    /// of the optimizer's groups. They are told by the groups' <c>param_names</c>, else by their shapes: in the model's order, or with all
    /// weights of two and more axes first, as nanoGPT groups them; where neither fits nothing is returned.
    /// </summary>
    /// <param name="weights">The model's weights, in its order.</param>
    /// <param name="file">The checkpoint that has the optimizer's state: the same or another.</param>
    /// <exception cref="DataFileException">The state of a weight has another shape than the weight.</exception>
    public static IReadOnlyDictionary<string, AdamState> Of(IReadOnlyList<(string Name, StoredTensor Tensor)> weights, Checkpoint file)
    {
        var tensors = file.Tensors.ToDictionary(t => t.Name);
        var found = new Dictionary<string, AdamState>();
        // One optimizer a root: "optimizer", "optimizer_states.0", or none.
        foreach (var states in Stored(file).GroupBy(Root))
        {
            var names = Names(weights, file, states.Key, [.. states], tensors);
            foreach (var state in states)
            {
                if (names.GetValueOrDefault(state[(states.Key + "state.").Length..]) is not { } name)
                    continue;
                var (m, v) = (tensors[state + MeanKey], tensors[state + SquareKey]);
                var weight = weights.First(w => w.Name == name).Tensor;
                if (!m.Shape.SequenceEqual(weight.Shape) || !v.Shape.SequenceEqual(weight.Shape))
                    throw new DataFileException($"{m.File}: '{m.Name}' is {string.Join(" × ", m.Shape)}, the weight '{name}' is "
                        + string.Join(" × ", weight.Shape));
                var group = Group(file, states.Key, state[(states.Key + "state.").Length..]);
                double? Number(string key) => file.Values.GetValueOrDefault($"{group}.{key}") as double?;
                (double, double)? betas = Number("betas.0") is { } b1 && Number("betas.1") is { } b2 ? (b1, b2) : null;
                // Newer Adam says which decay it has; L2 in the gradient is none of ours.
                var decay = Number("decoupled_weight_decay") is 0 && Number("weight_decay") is > 0 ? null : Number("weight_decay");
                if ((StepOf(file, state, tensors) ?? (int?)Number("step")) is { } step)
                    found[name] = new AdamState(m, v, step, Number("lr"), decay, betas, Number("eps"));
            }
        }
        return found;
    }

    /// <summary>How many weights have a state of Adam's in a file, whosever they are.</summary>
    public static int Count(Checkpoint file) => Stored(file).Count();

    private static IEnumerable<string> Stored(Checkpoint file) => file.Tensors
        .Where(t => t.Name.EndsWith(MeanKey, StringComparison.Ordinal) && file.Has(t.Name[..^MeanKey.Length] + SquareKey)
            && (t.Name.StartsWith("state.", StringComparison.Ordinal) || t.Name.Contains(".state.", StringComparison.Ordinal)))
        .Select(t => t.Name[..^MeanKey.Length]);

    /// <summary>What stands before <c>state.</c>, with its dot.</summary>
    private static string Root(string state) => state.StartsWith("state.", StringComparison.Ordinal) ? ""
        : state[..(state.IndexOf(".state.", StringComparison.Ordinal) + 1)];

    /// <summary>The weight's name of each key of the optimizer's state.</summary>
    private static Dictionary<string, string> Names(IReadOnlyList<(string Name, StoredTensor Tensor)> all, Checkpoint file, string root,
        string[] states, Dictionary<string, StoredTensor> tensors)
    {
        var weights = all.ToDictionary(w => w.Name, w => w.Tensor);
        string Key(string state) => state[(root + "state.").Length..];
        if (states.All(state => weights.ContainsKey(Key(state))))
            return states.ToDictionary(Key, Key);
        string[] keys = [.. states.Select(Key).Where(k => int.TryParse(k, out _)).OrderBy(int.Parse)];
        string Shape(StoredTensor t) => string.Join('×', t.Shape);
        string Kept(string k) => Shape(tensors[$"{root}state.{k}{MeanKey}"]);
        // Where the groups have their weights' names.
        var named = keys.Select(k => (Key: k, Name: NameInGroup(file, root, k))).Where(p => p.Name is not null
            && weights.TryGetValue(p.Name, out var w) && Shape(w) == Kept(p.Key)).ToDictionary(p => p.Key, p => p.Name!);
        if (named.Count == keys.Length)
            return named;
        // Tied weights are one parameter under two names, the first of which counts.
        (string Name, StoredTensor Tensor)[] single = [.. all.DistinctBy(w => (w.Tensor.File, w.Tensor.Entry ?? w.Name, w.Tensor.Start))];
        foreach (var order in new[] { single, [.. single.OrderBy(w => w.Tensor.Shape.Length < 2)] })
        {
            if (order.Select(w => Shape(w.Tensor)).SequenceEqual(keys.Select(Kept)))
                return keys.Zip(order, (k, w) => (k, w.Name)).ToDictionary(p => p.k, p => p.Name);
        }
        return [];
    }

    private static IEnumerable<(string Group, int Place)> Places(Checkpoint checkpoint, string root, string key)
    {
        for (var g = 0; checkpoint.Values.ContainsKey($"{root}param_groups.{g}.lr"); g++)
        {
            for (var i = 0; checkpoint.Values.GetValueOrDefault($"{root}param_groups.{g}.params.{i}") is double number; i++)
            {
                if (number.ToString(System.Globalization.CultureInfo.InvariantCulture) == key)
                    yield return ($"{root}param_groups.{g}", i);
            }
        }
    }

    private static string? Group(Checkpoint checkpoint, string root, string key) => Places(checkpoint, root, key)
        .Select(p => p.Group).FirstOrDefault();

    private static string? NameInGroup(Checkpoint checkpoint, string root, string key) => Places(checkpoint, root, key)
        .Select(p => checkpoint.Values.GetValueOrDefault($"{p.Group}.param_names.{p.Place}") as string).FirstOrDefault();

    /// <summary>t: a number, or a tensor of one; null where the weight has none of its own.</summary>
    private static int? StepOf(Checkpoint file, string state, Dictionary<string, StoredTensor> tensors)
    {
        if (file.Values.GetValueOrDefault(state + ".step") is double number)
            return (int)number;
        if (!tensors.TryGetValue(state + ".step", out var stored) || stored.Type is not ("F64" or "F32"))
            return null;
        using var step = file.Read(stored.Name);
        return (int)Runtime.Tensors.ToDoubles(step)[0];
    }
}
