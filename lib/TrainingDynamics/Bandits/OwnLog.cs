using System.Globalization;
using System.Text;
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
    /// <summary>More (context, item) pairs than this are refused: a policy is a whole table, some fifty bytes a pair in all.</summary>
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

    /// <summary>The items' groups, where the log has a column of them. Items that only the policy has, and it names no group for, are a
    /// group of their own, which no log shows.</summary>
    public ItemGroups? Groups { get; }

    /// <summary>
    /// Reads both. The log is a CSV file with a head: <c>item</c>, <c>reward</c>, and if there are <c>context</c>, <c>propensity</c>,
    /// <c>group</c>; one impression a line. The policy is one with <c>item</c>, <c>probability</c>, <c>context</c> if the log has it, and
    /// <c>group</c> for items that the log may not have; pairs that are not in it have probability 0. Contexts, items and groups are names,
    /// whatever they are. Columns besides are left alone, and so are lines before the head that begin with #.
    /// </summary>
    /// <param name="logFile">Path of the log.</param>
    /// <param name="policyFile">Path of the policy.</param>
    /// <exception cref="DataFileException">A file is missing or has no such columns, a line has another number of fields, a number cannot
    /// be read or is out of its range, an item has two groups, a pair stands twice, the policy lacks a context of the log, shows none of
    /// its items or does not sum to one, or there are too many pairs: says which file, line and value.</exception>
    public static OwnLog Read(string logFile, string policyFile)
    {
        var (contexts, items, groups) = (new Names(), new Names(), new Names());
        var groupOf = new Dictionary<int, int>();
        var rows = new List<(int Context, int Item, double Reward, double Propensity)>();
        bool hasContexts, hasPropensities, hasGroups;
        // Puts the line's item into the line's group, if it has one, and finds an item that is in two.
        int Item(File file, bool grouped)
        {
            var item = items.Of(file.Name("item"));
            if (grouped && groups.Of(file.Name("group")) is var group && !groupOf.TryAdd(item, group) && groupOf[item] != group)
                throw file.Error($"item '{items[item]}' is in group '{groups[group]}', and was in '{groups[groupOf[item]]}' before");
            return item;
        }
        using (var log = new File(logFile, ["item", "reward"]))
        {
            (hasContexts, hasPropensities, hasGroups) = (log.Has("context"), log.Has("propensity"), log.Has("group"));
            while (log.Read())
            {
                rows.Add((contexts.Of(hasContexts ? log.Name("context") : ""), Item(log, hasGroups),
                    log.Number("reward", _ => true, "a finite number"),
                    hasPropensities ? log.Number("propensity", p => p is > 0 and <= 1, "a number in (0, 1]") : 1));
            }
        }
        if (rows.Count < 2)
            throw new DataFileException($"{logFile} has {rows.Count} impressions, wanted are two at least");
        var seen = items.Count;
        RequireFew(logFile, contexts.Count, seen);
        var wanted = new Dictionary<(int Context, int Item), double>();
        using (var policy = new File(policyFile, hasContexts ? ["context", "item", "probability"] : ["item", "probability"]))
        {
            if (!hasContexts && policy.Has("context"))
                throw new DataFileException($"{policyFile} has contexts, and {logFile} has none");
            while (policy.Read())
            {
                var name = hasContexts ? policy.Name("context") : "";
                var probability = policy.Number("probability", p => p is >= 0 and <= 1, "a number in [0, 1]");
                // Nobody came in a context that the log has not; what is shown there counts for nothing.
                if (contexts.Has(name) && !wanted.TryAdd((contexts.Of(name), Item(policy, hasGroups && policy.Has("group"))), probability))
                    throw policy.Error($"item '{policy.Name("item")}'{(hasContexts ? $" in context '{name}'" : "")} stands twice");
            }
        }
        RequirePolicy(policyFile, contexts, wanted, seen, hasContexts);
        RequireFew(logFile, contexts.Count, items.Count);
        return Of(contexts, items, rows, wanted, hasPropensities, hasGroups
            ? new ItemGroups([.. Enumerable.Range(0, items.Count).Select(i => groupOf.GetValueOrDefault(i, groups.Count))]) : null);
    }

    private static void RequireFew(string path, long contexts, long items)
    {
        if (contexts * items > MostPairs)
            throw new DataFileException($"{path}: {contexts} contexts and {items} items are more than {MostPairs} pairs; take segments of "
                + "contexts instead of each visitor");
    }

    private static void RequirePolicy(string path, Names contexts, Dictionary<(int Context, int Item), double> wanted, int seen, bool named)
    {
        var (mass, known) = (new double[contexts.Count], 0.0);
        foreach (var ((context, item), probability) in wanted)
        {
            mass[context] += probability;
            known += item < seen ? probability : 0;
        }
        foreach (var (context, sum) in mass.Index())
        {
            var of = named ? $" of context '{contexts[context]}'" : "";
            if (sum == 0)
                throw new DataFileException($"{path} has no probability{of}, and the log has impressions of it");
            if (Math.Abs(sum - 1) > 1e-4)
                throw new DataFileException($"{path}: the probabilities{of} sum to {sum}, wanted is 1, to 0.0001");
        }
        if (known == 0)
            throw new DataFileException($"{path}: none of the items that the policy shows is in the log; are they the same names?");
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
        private readonly Dictionary<string, int> _heads = [];
        private readonly int _comments, _columns;
        private int _line;

        public File(string path, string[] needed)
        {
            _path = path;
            if (!System.IO.File.Exists(path))
                throw new DataFileException(Directory.Exists(path) ? $"{path} is a folder, wanted is a file" : $"{path} is missing");
            StreamReader? reader = null;
            try
            {
                reader = new StreamReader(path, new UTF8Encoding(false, throwOnInvalidBytes: true));
                while (reader.Peek() == '#')
                {
                    reader.ReadLine();
                    _comments++;
                }
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException or DecoderFallbackException)
            {
                reader?.Dispose();
                throw new DataFileException($"{path} cannot be read as UTF-8 text: {e.Message}", e);
            }
            _csv = new CsvReader(reader, new CsvConfiguration(CultureInfo.InvariantCulture));
            string[] heads = Next() ? [.. _csv.Parser.Record!.Select(head => head.Trim().ToLowerInvariant())] : [];
            _columns = heads.Length;
            var twice = heads.GroupBy(head => head).FirstOrDefault(head => head.Count() > 1);
            if (needed.Except(heads).FirstOrDefault() is { } lacking)
                Refuse($"{path} has the columns {Short(string.Join(", ", heads.Select(head => $"'{head}'")))}; {lacking} is missing "
                    + "(the separator is a comma)");
            if (twice is not null)
                Refuse($"{path} has the column '{twice.Key}' {twice.Count()} times");
            foreach (var (at, head) in heads.Index())
                _heads.Add(head, at);
        }

        public bool Has(string head) => _heads.ContainsKey(head);

        /// <summary>To the next line that is not empty.</summary>
        public bool Read()
        {
            if (!Next())
                return false;
            return _csv.Parser.Count == _columns ? true
                : throw Error($"there are {_csv.Parser.Count} fields, the head has {_columns} (a decimal is written with a point)");
        }

        public string Name(string head) => Field(head) is { Length: > 0 } name ? name : throw Error($"{head} is empty");

        public double Number(string head, Func<double, bool> allowed, string wanted) =>
            double.TryParse(Field(head), NumberStyles.Float, CultureInfo.InvariantCulture, out var value) && double.IsFinite(value)
                && allowed(value) ? value : throw Error($"{head} is '{Short(Field(head))}', wanted is {wanted}");

        public DataFileException Error(string what) => new($"{_path}, line {_line}: {what}");

        public void Dispose() => _csv.Dispose();

        private string Field(string head) => _csv.Parser[_heads[head]].Trim();

        private bool Next()
        {
            var before = _csv.Parser.RawRow;
            _line = _comments + before + 1;
            string[] fields;
            try
            {
                if (!_csv.Parser.Read())
                    return false;
                fields = _csv.Parser.Record!;                                          // parsed only here
            }
            catch (Exception e) when (e is CsvHelperException or IOException or DecoderFallbackException)
            {
                throw Error(e is BadDataException ? "a quote stands where none may, or is not closed" : e.Message.Split('\n')[0].Trim());
            }
            _line = _comments + _csv.Parser.RawRow;
            if (fields.Any(field => field.Contains('\n')))
                throw Error("a field goes over several lines; is a quote not closed?");
            return true;
        }

        private void Refuse(string why)
        {
            Dispose();
            throw new DataFileException(why);
        }

        private static string Short(string text) => text.Length > 80 ? text[..80] + "…" : text;
    }
}
