using TrainingDynamics.Measurement;

namespace TrainingDynamics.Experiments;

/// <summary>
/// Settings times seeds as replicas of one run: replica i·S + s is setting i under seed s. All settings see the same seeds,
/// so they start from the same weights and draw the same batches.
/// </summary>
/// <param name="settings">What is swept.</param>
/// <param name="seeds">The seeds of each setting.</param>
public sealed class Sweep<T>(IReadOnlyList<T> settings, IReadOnlyList<int> seeds)
{
    /// <summary>What is swept.</summary>
    public IReadOnlyList<T> Settings => settings;

    /// <summary>The seed of every replica.</summary>
    public int[] Seeds { get; } = [.. settings.SelectMany(_ => seeds)];

    /// <summary>A number of each replica from its setting.</summary>
    public double[] Each(Func<T, double> of) => [.. settings.SelectMany(setting => seeds.Select(_ => of(setting)))];

    /// <summary>The values of one setting's seeds.</summary>
    public double[] Of(int setting, IReadOnlyList<double> perReplica) => [.. perReplica.Skip(setting * seeds.Count).Take(seeds.Count)];

    /// <summary>The curve of each setting, a replica a seed.</summary>
    public Trace[] Split(Trace trace, Func<T, string> name) =>
        [.. settings.Select((setting, i) => trace.Part(name(setting), i * seeds.Count, seeds.Count))];
}
