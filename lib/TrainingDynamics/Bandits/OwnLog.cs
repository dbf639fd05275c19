using System.Globalization;
using CsvHelper;
using CsvHelper.Configuration;
using TorchSharp;
using TrainingDynamics.Data;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;

namespace TrainingDynamics.Bandits;

/// <summary>A log of one's own and the policy that it is asked about, both read from files.</summary>
public sealed class OwnLog : IDisposable
{
    /// <summary>More (context, item) pairs than this are refused: a policy is a whole table, eight bytes a pair.</summary>
    private const long MostPairs = 100_000_000;

    private OwnLog(IReadOnlyList<string> contexts, IReadOnlyList<string> items, LoggedBandit log, Tensor policy, bool estimated,
        ItemGroups? groups) => (Contexts, Items, Log, Policy, PropensitiesAreEstimated, Groups) =
        (contexts, items, log, policy, estimated, groups);

    /// <summary>The contexts' names, as the log first has them; a single empty one where the log has no contexts.</summary>
    public IReadOnlyList<string> Contexts { get; }

    /// <summary>The items' names, as the log first has them; after them those that only the policy has.</summary>
    public IReadOnlyList<string> Items { get; }

    /// <summary>The impressions, one replica. The whole logger is known only where it was estimated.</summary>
    public LoggedBandit Log { get; }

    /// <summary>π, (1, context, item).</summary>
    public Tensor Policy { get; }

    /// <summary>The file had no propensities; they are n(x, a)/n(x) (<see cref="LoggedBandit.WithEstimatedPropensities"/>).</summary>
    public bool PropensitiesAreEstimated { get; }

    /// <summary>The items' groups, where the log has a column of them; items that only the policy has are a group of their own, which no log
    /// shows.</summary>
    public ItemGroups? Groups { get; }

    /// <summary>
    /// Reads both. The log is a CSV file with a head: <c>item</c>, <c>reward</c>, and if there are <c>context</c>, <c>propensity</c>,
    /// <c>group</c>; one impression a line. The policy is one with <c>item</c>, <c>probability</c>, and <c>context</c> if the log has it; pairs
    /// that are not in it have probability 0. Contexts, items and groups are names, whatever they are. Columns besides are left alone, lines
    /// that begin with # too.
    /// </summary>
    /// <param name="logFile">Path of the log.</param>
    /// <param name="policyFile">Path of the policy.</param>
    /// <exception cref="DataFileException">A file is missing or has no such columns, a number cannot be read or is out of its range, an
    /// item has two groups, a pair stands twice, the policy lacks a context of the log or does not sum to one in it, or there are too many
    /// pairs: says which file, line and value.</exception>
    public static OwnLog Read(string logFile, string policyFile)
    {
        var contexts = new Names();
        var items = new Names();
        var groups = new Names();
        var groupOf = new Dictionary<int, int>();
        var rows = new List<(int Context, int Item, double Reward, double Propensity)>();
        bool hasContexts, hasPropensities, hasGroups;
        using (var log = new File(logFile, ["item", "reward"]))
        {
            (hasContexts, hasPropensities, hasGroups) = (log.Has("context"), log.Has("propensity"), log.Has("group"));
            while (log.Read())
            {
                var item = items.Of(log.Name("item"));
                if (hasGroups && groups.Of(log.Name("group")) is var group && !groupOf.TryAdd(item, group) && groupOf[item] != group)
                    throw log.Error($"item '{items[item]}' is in group '{groups[group]}', and was in '{groups[groupOf[item]]}' before");
                rows.Add((contexts.Of(hasContexts ? log.Name("context") : ""), item, log.Number("reward", _ => true, "a finite number"),
                    hasPropensities ? log.Number("propensity", p => p is > 0 and <= 1, "a number in (0, 1]") : 1));
            }
        }
        if (rows.Count < 2)
            throw new DataFileException($"{logFile} has {rows.Count} impressions, wanted are two at least");
        var seen = items.Count;
        var wanted = new Dictionary<(int Context, int Item), double>();
        using (var policy = new File(policyFile, hasContexts ? ["context", "item", "probability"] : ["item", "probability"]))
        {
            while (policy.Read())
            {
                var name = hasContexts ? policy.Name("context") : "";
                var probability = policy.Number("probability", p => p is >= 0 and <= 1, "a number in [0, 1]");
                // Nobody came in a context that the log has not; what is shown there counts for nothing.
                if (contexts.Has(name) && !wanted.TryAdd((contexts.Of(name), items.Of(policy.Name("item"))), probability))
                    throw policy.Error($"item '{policy.Name("item")}'{(hasContexts ? $" in context '{name}'" : "")} stands twice");
            }
        }
        var mass = new double[contexts.Count];
        foreach (var ((context, _), probability) in wanted)
            mass[context] += probability;
        if (mass.Index().FirstOrDefault(sum => Math.Abs(sum.Item - 1) > 1e-4, (-1, 0)) is { Index: >= 0 } wrong)
            throw new DataFileException($"{policyFile}: the probabilities{(hasContexts ? $" of context '{contexts[wrong.Index]}'" : "")} sum "
                + $"to {wrong.Item}, wanted is 1");
        if ((long)contexts.Count * items.Count > MostPairs)
            throw new DataFileException($"{logFile}: {contexts.Count} contexts and {items.Count} items are more than {MostPairs} pairs; take "
                + "segments of contexts instead of each visitor");
        return Of(contexts, items, rows, wanted, hasPropensities, hasGroups
            ? new ItemGroups([.. Enumerable.Range(0, items.Count).Select(i => i < seen ? groupOf[i] : groups.Count)]) : null);
    }

    private static OwnLog Of(Names contexts, Names items, List<(int Context, int Item, double Reward, double Propensity)> rows,
        Dictionary<(int Context, int Item), double> wanted, bool hasPropensities, ItemGroups? groups)
    {
        using var scope = NewDisposeScope();
        var policy = new double[(long)contexts.Count * items.Count];
        foreach (var ((context, item), probability) in wanted)
            policy[((long)context * items.Count) + item] = probability;
        Tensor Column(Func<(int Context, int Item, double Reward, double Propensity), double> of) =>
            Aligned.Tensor(rows.Select(of).ToArray()).unsqueeze(0);
        var log = new LoggedBandit(Column(r => r.Context).to(ScalarType.Int64), Column(r => r.Item).to(ScalarType.Int64),
            Column(r => r.Reward), Column(r => r.Propensity));
        if (!hasPropensities)
        {
            using var counted = log;
            log = log.WithEstimatedPropensities(contexts.Count, items.Count);
        }
        return new OwnLog(contexts, items, log, Aligned.Tensor(policy).reshape(1, contexts.Count, items.Count).DetachFromDisposeScope(),
            !hasPropensities, groups);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Log.Dispose();
        Policy.Dispose();
    }

    /// <summary>Names in the order in which they came.</summary>
    private sealed class Names : List<string>
    {
        private readonly Dictionary<string, int> _numbers = [];

        public int Of(string name)
        {
            if (_numbers.TryAdd(name, Count))
                Add(name);
            return _numbers[name];
        }

        public bool Has(string name) => _numbers.ContainsKey(name);
    }

    /// <summary>A CSV file with a head, and what is wrong with it.</summary>
    private sealed class File : IDisposable
    {
        private readonly string _path;
        private readonly CsvReader _csv;
        private readonly string[] _heads;

        public File(string path, string[] needed)
        {
            if (!System.IO.File.Exists(path))
                throw new DataFileException($"{path} is missing");
            _path = path;
            _csv = new CsvReader(new StreamReader(path), new CsvConfiguration(CultureInfo.InvariantCulture) { AllowComments = true });
            _heads = _csv.Read() && _csv.ReadHeader() ? _csv.HeaderRecord! : [];
            if (needed.Except(_heads).FirstOrDefault() is { } lacking)
            {
                _csv.Dispose();
                throw new DataFileException($"{path} has the columns {string.Join(", ", _heads.Take(12))}; {lacking} is missing");
            }
        }

        public bool Has(string head) => _heads.Contains(head);

        public bool Read() => _csv.Read();

        public string Name(string head) => _csv.TryGetField<string>(head, out var name) && !string.IsNullOrWhiteSpace(name) ? name.Trim()
            : throw Error($"{head} is empty");

        public double Number(string head, Func<double, bool> allowed, string wanted) => _csv.TryGetField<string>(head, out var text)
            && double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var value) && double.IsFinite(value)
            && allowed(value) ? value : throw Error($"{head} is '{text}', wanted is {wanted}");

        public DataFileException Error(string what) => new($"{_path}, line {_csv.Parser.RawRow}: {what}");

        public void Dispose() => _csv.Dispose();
    }
}
