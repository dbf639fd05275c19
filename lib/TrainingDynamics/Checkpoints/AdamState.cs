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
    /// <summary>
    /// The state of each weight in a checkpoint, by the weight's name; empty where there is none. PyTorch numbers the weights in the order
    /// of the optimizer's groups. They are told by the groups' <c>param_names</c>, else by their shapes: in the model's order, or with all
    /// weights of two and more axes first, as nanoGPT groups them; where neither fits nothing is returned.
    /// </summary>
    /// <param name="checkpoint">A file of torch.save with an optimizer's state_dict, or safetensors named in the same way.</param>
    /// <exception cref="DataFileException">The state of a weight has another shape than the weight.</exception>
    public static IReadOnlyDictionary<string, AdamState> Of(Checkpoint checkpoint)
    {
        const string mean = ".exp_avg", square = ".exp_avg_sq";
        var tensors = checkpoint.Tensors.ToDictionary(t => t.Name);
        var states = checkpoint.Tensors.Where(t => t.Name.EndsWith(mean, StringComparison.Ordinal)
                && tensors.ContainsKey(t.Name[..^mean.Length] + square))
            .Select(t => t.Name[..^mean.Length]).ToArray();
        if (states.Length == 0)
            return new Dictionary<string, AdamState>();
        var first = states[0].Split(".state.")[0];                                     // where the optimizer is, such as "optimizer"
        string root = states[0].StartsWith("state.", StringComparison.Ordinal) ? "" : first + ".";
        string Key(string state) => state[(root + "state.").Length..];
        var names = Names(checkpoint, root, states, Key, tensors);
        var found = new Dictionary<string, AdamState>();
        foreach (var state in states)
        {
            if (names.GetValueOrDefault(Key(state)) is not { } name)
                continue;
            var (m, v) = (tensors[state + mean], tensors[state + square]);
            var weight = checkpoint.Weights.First(w => w.Name == name).Tensor;
            if (!m.Shape.SequenceEqual(weight.Shape) || !v.Shape.SequenceEqual(weight.Shape))
                throw new DataFileException($"{m.File}: '{m.Name}' is {string.Join(" × ", m.Shape)}, the weight '{name}' is "
                    + string.Join(" × ", weight.Shape));
            var group = Group(checkpoint, root, Key(state));
            double? Number(string key) => checkpoint.Values.GetValueOrDefault($"{group}.{key}") as double?;
            (double, double)? betas = Number("betas.0") is { } b1 && Number("betas.1") is { } b2 ? (b1, b2) : null;
            found[name] = new AdamState(m, v, StepOf(checkpoint, state, tensors), Number("lr"), Number("weight_decay"), betas,
                Number("eps"));
        }
        return found;
    }

    /// <summary>The weight's name of each key of the optimizer's state.</summary>
    private static Dictionary<string, string> Names(Checkpoint checkpoint, string root, string[] states, Func<string, string> key,
        Dictionary<string, StoredTensor> tensors)
    {
        var weights = checkpoint.Weights.ToDictionary(w => w.Name, w => w.Tensor);
        if (states.All(state => weights.ContainsKey(key(state))))
            return states.ToDictionary(key, key);
        string[] keys = [.. states.Select(key).Where(k => int.TryParse(k, out _)).OrderBy(int.Parse)];
        string Shape(StoredTensor t) => string.Join('×', t.Shape);
        string Stored(string k) => Shape(tensors[$"{root}state.{k}.exp_avg"]);
        // Where the groups have their weights' names.
        var named = keys.Select(k => (Key: k, Name: NameInGroup(checkpoint, root, k))).Where(p => p.Name is not null
            && weights.TryGetValue(p.Name, out var w) && Shape(w) == Stored(p.Key)).ToDictionary(p => p.Key, p => p.Name!);
        if (named.Count == keys.Length)
            return named;
        // Tied weights are one parameter under two names, the first of which counts.
        (string Name, StoredTensor Tensor)[] single = [.. checkpoint.Weights.DistinctBy(w =>
            (w.Tensor.File, w.Tensor.Entry ?? w.Name, w.Tensor.Start))];
        foreach (var order in new[] { single, [.. single.OrderBy(w => w.Tensor.Shape.Length < 2)] })
        {
            if (order.Select(w => Shape(w.Tensor)).SequenceEqual(keys.Select(Stored)))
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

    /// <summary>t: a number, or a tensor of one.</summary>
    private static int StepOf(Checkpoint checkpoint, string state, Dictionary<string, StoredTensor> tensors)
    {
        if (checkpoint.Values.GetValueOrDefault(state + ".step") is double number)
            return (int)number;
        if (!tensors.TryGetValue(state + ".step", out var stored))
            throw new DataFileException($"{checkpoint.Path}: '{state}' has no step");
        using var step = checkpoint.Read(stored.Name);
        return (int)Runtime.Tensors.ToDoubles(step)[0];
    }
}
