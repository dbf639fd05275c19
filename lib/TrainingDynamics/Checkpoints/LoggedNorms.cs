using System.Globalization;
using CsvHelper;
using CsvHelper.Configuration;
using TrainingDynamics.Data;
using TrainingDynamics.Theory;

namespace TrainingDynamics.Checkpoints;

/// <summary>Norms that a run logged: what is left of it where no checkpoint is.</summary>
/// <param name="Steps">The logged steps, rising.</param>
/// <param name="Norms">‖w‖ of each weight at each step, by name.</param>
public sealed record LoggedNorms(IReadOnlyList<int> Steps, IReadOnlyDictionary<string, double[]> Norms)
{
    /// <summary>Reads a CSV file: a column <c>step</c> (or <c>_step</c>, as Weights and Biases names it) and one for each
    /// weight, or three columns <c>step</c>, <c>name</c>,
    /// <c>norm</c>.</summary>
    /// <exception cref="DataFileException">It is missing, has no such columns, a number cannot be read or is not positive, a step is
    /// missing for a weight, or steps do not rise: says which line and column.</exception>
    public static LoggedNorms Read(string path)
    {
        if (!File.Exists(path))
            throw new DataFileException($"{path} is missing");
        using var csv = new CsvReader(new StreamReader(path), new CsvConfiguration(CultureInfo.InvariantCulture) { AllowComments = true });
        string[] heads = csv.Read() && csv.ReadHeader() ? csv.HeaderRecord! : [];
        var stepHead = heads.FirstOrDefault(head => head.TrimStart('_').Equals("step", StringComparison.OrdinalIgnoreCase));
        if (stepHead is null || heads.Length < 2)
            throw new DataFileException($"{path} has the columns {string.Join(", ", heads)}; wanted are step and one for each weight, or "
                + "step, name and norm");
        var isLong = heads.Except([stepHead]).Order().SequenceEqual(["name", "norm"]);
        var rows = new List<(int Step, string Name, double Norm)>();
        double Number(string head) => double.TryParse(csv.GetField(head), CultureInfo.InvariantCulture, out var value)
            && double.IsFinite(value) && (value > 0 || head == stepHead) ? value
            : throw new DataFileException($"{path}, line {csv.Parser.RawRow}: {head} is '{csv.GetField(head)}', wanted is a number "
                + "above 0");
        while (csv.Read())
        {
            try
            {
                var step = (int)Number(stepHead);
                rows.AddRange(isLong ? [(step, csv.GetField("name")!, Number("norm"))]
                    : heads.Where(h => h != stepHead).Select(h => (step, h, Number(h))));
            }
            catch (CsvHelperException e)
            {
                throw new DataFileException($"{path}, line {csv.Parser.RawRow}: {e.Message.Split('\n')[0].Trim()}", e);
            }
        }
        var byName = rows.GroupBy(row => row.Name).ToDictionary(group => group.Key, group => group.ToArray());
        int[] steps = [.. rows.Select(row => row.Step).Distinct()];
        if (steps.Length < 2)
            throw new DataFileException($"{path} has {steps.Length} steps: wanted are at least two");
        foreach (var (name, weight) in byName)
        {
            if (weight.Zip(weight.Skip(1)).FirstOrDefault(pair => pair.Second.Step <= pair.First.Step) is { First.Step: > 0 } back)
                throw new DataFileException($"{path}: '{name}' has step {back.Second.Step} after step {back.First.Step}");
            if (weight.Length != steps.Length)
                throw new DataFileException($"{path}: '{name}' has {weight.Length} of {steps.Length} steps");
        }
        return new LoggedNorms(steps, byName.ToDictionary(pair => pair.Key, pair => pair.Value.Select(row => row.Norm).ToArray()));
    }

    /// <summary>
    /// What the updates added to ‖w‖² between each logged step and the next, over what AdamW's would on white noise:
    /// <see cref="Averaging.Push"/>. 1 where the law holds; above it the gradients agree from step to step.
    /// </summary>
    /// <param name="name">The weight.</param>
    /// <param name="size">d, how many numbers it has.</param>
    /// <param name="rate">η at its peak.</param>
    /// <param name="decay">λ, decoupled and multiplied by the rate.</param>
    /// <param name="schedule">What η is multiplied by at a step; 1 by default.</param>
    /// <returns>One number for each logged step but the first.</returns>
    /// <exception cref="ArgumentException">There is no such weight, or a number is out of its range.</exception>
    public double[] Push(string name, long size, double rate, double decay, Func<int, double>? schedule = null)
    {
        var norms = Norms.GetValueOrDefault(name) ?? throw new ArgumentException($"no norm of '{name}' was logged; there are "
            + string.Join(", ", Norms.Keys.Take(12)) + (Norms.Count > 12 ? $" and {Norms.Count - 12} more" : ""), nameof(name));
        ArgumentOutOfRangeException.ThrowIfLessThan(size, 1);
        return [.. Enumerable.Range(1, Steps.Count - 1).Select(i =>
        {
            var window = Averaging.Of(rate, decay, Steps[i] - Steps[i - 1], t => schedule?.Invoke(Steps[i - 1] + t) ?? 1);
            return window.Push(norms[i - 1] * norms[i - 1], norms[i] * norms[i], size);
        })];
    }
}
