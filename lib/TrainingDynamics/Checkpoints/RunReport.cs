using TorchSharp;
using TrainingDynamics.Data;
using TrainingDynamics.Runtime;
using TrainingDynamics.Theory;
using static TorchSharp.torch;

namespace TrainingDynamics.Checkpoints;

/// <summary>Whether the loss sees a weight's length.</summary>
public enum Scaling
{
    /// <summary>The file does not tell, and nobody said.</summary>
    Unknown,

    /// <summary>It does not: decay is a valve.</summary>
    Alone,

    /// <summary>It does not when all that write into the stream are scaled by one factor.</summary>
    WithTheWriters,

    /// <summary>It does: decay is a pull on a length that means something.</summary>
    Seen,
}

/// <summary>What is known of one weight, or of the writers as one. What is unknown is null.</summary>
public sealed record WeightReport
{
    /// <summary>Its name.</summary>
    public required string Name { get; init; }

    /// <summary>What it does.</summary>
    public required Role Role { get; init; }

    /// <summary>How many numbers it has.</summary>
    public required long Size { get; init; }

    /// <summary>Whether the loss sees its length.</summary>
    public required Scaling Scaling { get; init; }

    /// <summary>‖w‖.</summary>
    public required double Norm { get; init; }

    /// <summary>‖w‖/√size.</summary>
    public required double Rms { get; init; }

    /// <summary>λ, decoupled and multiplied by the rate.</summary>
    public double? Decay { get; init; }

    /// <summary>‖w‖ in the earlier checkpoint.</summary>
    public double? NormBefore { get; init; }

    /// <summary>The angle between the two checkpoints, in radians.</summary>
    public double? Turned { get; init; }

    /// <summary>What it would be at equilibrium if nothing were learned: cos = Π(1 − η_tλ).</summary>
    public double? TurnedByNoise { get; init; }

    /// <summary>The rms at equilibrium, at the rate of the checkpoint's step.</summary>
    public double? EquilibriumRms { get; init; }

    /// <summary>The angle of a step at equilibrium, in radians.</summary>
    public double? EquilibriumAngle { get; init; }

    /// <summary>rms over that of equilibrium.</summary>
    public double? OverEquilibrium => Rms / EquilibriumRms;

    /// <summary>Steps at the present rate until ‖w‖² is within a tenth of equilibrium's: ln(10·|N/N* − 1|)/r, r the relaxation
    /// rate.</summary>
    public double? StepsToEquilibrium { get; init; }

    /// <summary>
    /// What the updates added to ‖w‖² between the checkpoints, over what white noise would: (N − k²N₀)/(d·Σc²), k and c of
    /// <see cref="Averaging"/>. 1 where AdamW's law holds; times √ of it the equilibrium's rms is the measured one.
    /// </summary>
    public double? Push { get; init; }

    /// <summary>The rms of Adam's update u = m̂/(√v̂ + ε).</summary>
    public double? UpdateRms { get; init; }

    /// <summary>κ = 1 − 2⟨u, w⟩/(η‖u‖²) from one file alone: the growth of ‖w‖² by the next step, over that by its update alone.</summary>
    public double? Kappa { get; init; }

    /// <summary>The angle of the step w ← (1 − ηλ)w − ηu, in radians.</summary>
    public double? NextAngle { get; init; }

    /// <summary>The share of its numbers that this step would leave as they are if weights were bfloat16.</summary>
    public double? SwallowedByBFloat16 { get; init; }

    /// <summary>The rms at the end of the schedule: N_T = k²N + push·d·Σc², push 1 where it was not measured.</summary>
    public double? RmsAtEnd { get; init; }
}

/// <summary>
/// One or two checkpoints of a run held against the theory of weight decay: for every weight norm and turning beside equilibrium, and what
/// the rest of the schedule will do. Files are read weight by weight in pieces.
/// </summary>
/// <param name="Weights">One for each weight of two axes and more, and for gains and biases, in the file's order.</param>
/// <param name="Writers">All that write into the residual stream as one vector; null where there is none, or they are not invariant
/// together.</param>
/// <param name="Step">The step of the later checkpoint; null if nobody said.</param>
/// <param name="Rate">η at that step; null if nobody said.</param>
/// <param name="Remarks">What was not known, and what was assumed in its place.</param>
public sealed record RunReport(IReadOnlyList<WeightReport> Weights, WeightReport? Writers, int? Step, double? Rate,
    IReadOnlyList<string> Remarks)
{
    /// <summary>Analyses a run.</summary>
    /// <param name="now">The later checkpoint.</param>
    /// <param name="before">An earlier one of the same run, if there is one.</param>
    /// <param name="settings">What the files do not tell.</param>
    /// <exception cref="DataFileException">The checkpoints' weights differ in shape, or a file is damaged.</exception>
    /// <exception cref="ArgumentException">A setting is out of its range, steps are out of order, or a schedule is shorter than the
    /// run.</exception>
    public static RunReport Of(Checkpoint now, Checkpoint? before = null, RunSettings? settings = null)
        => new Analysis(now, before, settings ?? new RunSettings()).Report();

    private sealed class Analysis
    {
        private readonly Checkpoint _now;
        private readonly Checkpoint? _before;
        private readonly RunSettings _settings;
        private readonly IReadOnlyDictionary<string, AdamState> _states;
        private readonly Dictionary<string, StoredTensor> _earlier;
        private readonly int? _first, _last;
        private readonly double? _peak, _rate;                                       // before the schedule; at the last step
        private readonly double _beta1, _beta2;
        private readonly bool? _queryKeyNorm, _tied;
        private readonly List<string> _remarks = [];

        public Analysis(Checkpoint now, Checkpoint? before, RunSettings settings)
        {
            (_now, _before, _settings, _states) = (now, before, settings, AdamState.Of(now));
            _earlier = before?.Weights.ToDictionary(w => w.Name, w => w.Tensor) ?? [];
            (_first, _last) = (settings.FirstStep ?? before?.Step, settings.LastStep ?? now.Step ?? _states.Values.FirstOrDefault()?.Step);
            Check();
            var state = _states.Values.FirstOrDefault();
            // A file has the rate of its own step.
            var factor = Factor(_last ?? 1);
            _peak = settings.Rate ?? (factor > 0 ? state?.Rate / factor : null);
            _rate = _peak * factor;
            (_beta1, _beta2) = (settings.Beta1 ?? state?.Betas?.Item1 ?? 0.9, settings.Beta2 ?? state?.Betas?.Item2 ?? 0.999);
            string[] names = [.. now.Weights.Select(w => w.Name)];
            _queryKeyNorm = settings.QueryKeyNorm ?? (names.Any(n => n.Contains("q_norm", StringComparison.Ordinal)
                && names.Contains(n.Replace("q_norm", "k_norm", StringComparison.Ordinal))) ? true : null);
            _tied = settings.Tied ?? TiedInFile();
            Remark();
        }

        public RunReport Report()
        {
            var parts = _now.Weights.Select(w => (w.Name, w.Tensor, Role: Roles.Of(w.Name, w.Tensor.Shape.Length),
                Sums: Measure(w.Name, w.Tensor))).ToArray();
            var weights = parts.Select(p => Describe(p.Name, p.Role, ScalingOf(p.Role), p.Sums, DecayOf(p.Name, p.Tensor))).ToArray();
            var writers = parts.Where(p => p.Role.Writes()).ToArray();
            double?[] decays = [.. writers.Select(p => DecayOf(p.Name, p.Tensor)).Distinct()];
            if (writers.Length > 0 && ScalingOf(Role.Embedding) == Scaling.WithTheWriters && decays.Length > 1)
                _remarks.Add("the writers decay differently: they have no common equilibrium");
            return new RunReport(weights, writers.Length == 0 || ScalingOf(Role.Embedding) != Scaling.WithTheWriters ? null
                : Describe("the writers, as one", Role.Unknown, Scaling.Alone, writers.Select(p => p.Sums).Aggregate((a, b) => a + b),
                    decays.Length == 1 ? decays[0] : null), _last, _rate, _remarks);
        }

        private void Check()
        {
            var s = _settings;
            void Range(double? value, string name, double below)
            {
                if (value is { } v && !(v >= 0 && v < below))
                    throw new ArgumentException($"{name} is {v}, allowed is a number in [0, {(below < 2 ? below : "∞")})", name);
            }
            Range(s.Rate, nameof(s.Rate), double.PositiveInfinity);
            Range(s.Decay, nameof(s.Decay), double.PositiveInfinity);
            Range(s.Beta1, nameof(s.Beta1), 1);
            Range(s.Beta2, nameof(s.Beta2), 1);
            if (s.Rate * s.Decay >= 1)
                throw new ArgumentException($"{nameof(s.Decay)} is {s.Decay} at {nameof(s.Rate)} {s.Rate}: η·λ is {s.Rate * s.Decay}, "
                    + "allowed is [0, 1)", nameof(s.Decay));
            if (_first >= _last)
                throw new ArgumentException($"{nameof(s.FirstStep)} is {_first} and {nameof(s.LastStep)} {_last}: the first checkpoint is "
                    + "the earlier one", nameof(s.FirstStep));
            if (_last > s.Steps)
                throw new ArgumentException($"{nameof(s.Steps)} is {s.Steps}, but the checkpoint is of step {_last}: the schedule is "
                    + "shorter than the run", nameof(s.Steps));
            foreach (var (name, tensor) in _now.Weights)
            {
                if (_earlier.TryGetValue(name, out var old) && !old.Shape.SequenceEqual(tensor.Shape))
                    throw new DataFileException($"'{name}' is {string.Join(" × ", old.Shape)} in {old.File} and "
                        + $"{string.Join(" × ", tensor.Shape)} in {tensor.File}");
            }
            if (_now.Weights.Count == 0)
                throw new DataFileException($"{_now.Path} has no weights: its tensors are "
                    + string.Join(", ", _now.Tensors.Take(12).Select(t => $"{t.Name} ({t.Type})")));
            if (_before is not null && !_now.Weights.Any(w => _earlier.ContainsKey(w.Name)))
                throw new DataFileException($"{_before.Path} and {_now.Path} have no weight in common: one has "
                    + $"{string.Join(", ", _before.Weights.Take(3).Select(w => w.Name))}, the other "
                    + string.Join(", ", _now.Weights.Take(3).Select(w => w.Name)));
        }

        private void Remark()
        {
            void Say(bool unknown, string remark)
            {
                if (unknown)
                    _remarks.Add(remark);
            }
            string[] lost = [.. _earlier.Keys.Except(_now.Weights.Select(w => w.Name)),
                .. _before is null ? [] : _now.Weights.Select(w => w.Name).Except(_earlier.Keys)];
            Say(lost.Length > 0, $"in one of the two checkpoints only: {string.Join(", ", lost.Take(6))}"
                + (lost.Length > 6 ? $" and {lost.Length - 6} more" : ""));
            Say(_rate is null, $"{nameof(RunSettings.Rate)} is unknown: no equilibrium");
            Say(_settings.Decay is null && _states.Values.All(s => s.Decay is null),
                $"{nameof(RunSettings.Decay)} is unknown: no equilibrium");
            Say(_before is not null && (_first is null || _last is null),
                $"{nameof(RunSettings.FirstStep)} or {nameof(RunSettings.LastStep)} is unknown: what noise would turn is, too");
            Say(_settings.Steps is null, $"{nameof(RunSettings.Steps)} is unknown: no forecast to the end");
            Say(_settings.Schedule is null && _rate is not null,
                $"{nameof(RunSettings.Schedule)} is unknown: the rate is taken as {_rate:g4} at all steps");
            Say(_settings.PreNorm is null, $"{nameof(RunSettings.PreNorm)} is unknown: whether the writers are invariant together is, too");
            Say(_queryKeyNorm is null, $"{nameof(RunSettings.QueryKeyNorm)} is unknown: whether queries and keys are invariant is, too");
            Say(_tied is null, $"{nameof(RunSettings.Tied)} is unknown");
            Say(_states.Count == 0, "no optimizer's state: no update, κ or angle of the next step");
            string[] unnamed = [.. _now.Weights.Where(w => w.Tensor.Shape.Length == 2 && Roles.Of(w.Name, 2) == Role.Unknown)
                .Select(w => w.Name)];
            Say(unnamed.Length > 0, $"of no known role: {string.Join(", ", unnamed.Take(6))}"
                + (unnamed.Length > 6 ? $" and {unnamed.Length - 6} more" : ""));
        }

        private double Factor(int step)
        {
            var factor = _settings.Schedule?.Invoke(step) ?? 1;
            return factor >= 0 && double.IsFinite(factor) ? factor : throw new ArgumentException(
                $"{nameof(RunSettings.Schedule)} is {factor} at step {step}, allowed is a number in [0, ∞)", nameof(RunSettings.Schedule));
        }

        /// <summary>Whether unembedding and embedding are one; null where there is neither.</summary>
        private bool? TiedInFile()
        {
            StoredTensor? Of(Role role) => _now.Weights.FirstOrDefault(w => Roles.Of(w.Name, w.Tensor.Shape.Length) == role).Tensor;
            if (Of(Role.Embedding) is not { } embedding)
                return null;
            return Of(Role.Head) is not { } head
                || (head.Shape.SequenceEqual(embedding.Shape) && Checkpoint.Pieces(embedding).Zip(Checkpoint.Pieces(head), (a, b) =>
                    a.eq(b).all().ToBoolean()).All(same => same));
        }

        private Scaling ScalingOf(Role role) => role switch
        {
            Role.Query or Role.Key => _queryKeyNorm switch { true => Scaling.Alone, false => Scaling.Seen, null => Scaling.Unknown },
            Role.Unknown or Role.QueryKeyValue => Scaling.Unknown,
            _ when !role.Writes() => Scaling.Seen,
            _ => (_settings.PreNorm, _tied) switch
            {
                (true, false) => Scaling.WithTheWriters,
                (false, _) or (_, true) => Scaling.Seen,
                _ => Scaling.Unknown,
            },
        };

        private double? DecayOf(string name, StoredTensor tensor)
        {
            if (_settings.Decay is { } decay)
                return (_settings.Decays?.Invoke(name) ?? tensor.Shape.Length >= 2) ? decay : 0;
            return _states.GetValueOrDefault(name)?.Decay;
        }

        /// <summary>Sums over the numbers of a weight that add up over weights.</summary>
        private readonly record struct Sums(long Size, double Now, double Before, double Product, double Update, double UpdateWeight,
            double Swallowed, bool HasBefore, bool HasState)
        {
            public static Sums operator +(Sums a, Sums b) => new(a.Size + b.Size, a.Now + b.Now, a.Before + b.Before,
                a.Product + b.Product, a.Update + b.Update, a.UpdateWeight + b.UpdateWeight, a.Swallowed + b.Swallowed,
                a.HasBefore && b.HasBefore, a.HasState && b.HasState);
        }

        private Sums Measure(string name, StoredTensor tensor)
        {
            var (old, state) = (_earlier.GetValueOrDefault(name), _states.GetValueOrDefault(name));
            var rate = _rate ?? 0;
            var sums = new Sums(0, 0, 0, 0, 0, 0, 0, old is not null, state is not null && _rate is not null);
            using var before = (old is null ? [] : Checkpoint.Pieces(old)).GetEnumerator();
            using var means = (state is null ? [] : Checkpoint.Pieces(state.Mean)).GetEnumerator();
            using var squares = (state is null ? [] : Checkpoint.Pieces(state.Square)).GetEnumerator();
            var decay = DecayOf(name, tensor) ?? 0;
            foreach (var piece in Checkpoint.Pieces(tensor))
            {
                using var scope = NewDisposeScope();
                var w = piece.to(ScalarType.Float64).reshape(-1);
                double Dot(Tensor a, Tensor b) => (a * b).sum().ToDouble();
                sums = sums with { Size = sums.Size + w.numel(), Now = sums.Now + Dot(w, w) };
                if (old is not null && before.MoveNext())
                {
                    var v = before.Current.to(ScalarType.Float64).reshape(-1);
                    sums = sums with { Before = sums.Before + Dot(v, v), Product = sums.Product + Dot(v, w) };
                }
                if (state is null || !means.MoveNext() || !squares.MoveNext())
                    continue;
                var mean = means.Current.to(ScalarType.Float64).reshape(-1) / (1 - Math.Pow(_beta1, state.Step));
                var square = squares.Current.to(ScalarType.Float64).reshape(-1) / (1 - Math.Pow(_beta2, state.Step));
                var u = mean / square.sqrt_().add_(state.Epsilon ?? 1e-8);
                var rounded = w.to(ScalarType.BFloat16);
                var stepped = rounded.to(ScalarType.Float64).mul_(1 - (rate * decay)).sub_(u * rate).to(ScalarType.BFloat16);
                sums = sums with
                {
                    Update = sums.Update + Dot(u, u),
                    UpdateWeight = sums.UpdateWeight + Dot(u, w),
                    Swallowed = sums.Swallowed + stepped.eq(rounded).sum().ToInt64(),
                };
            }
            return sums;
        }

        private WeightReport Describe(string name, Role role, Scaling scaling, Sums sums, double? decay)
        {
            var report = new WeightReport
            {
                Name = name,
                Role = role,
                Size = sums.Size,
                Scaling = scaling,
                Decay = decay,
                Norm = Math.Sqrt(sums.Now),
                Rms = Math.Sqrt(sums.Now / Math.Max(1, sums.Size)),
            };
            if (sums.HasBefore && sums.Before > 0 && sums.Now > 0)
                report = report with
                {
                    NormBefore = Math.Sqrt(sums.Before),
                    // The half-angle's sine: exact where the cosine is 1 to rounding.
                    Turned = 2 * Math.Asin(Math.Sqrt(Math.Clamp((1 - (sums.Product / Math.Sqrt(sums.Before * sums.Now))) / 2, 0, 1))),
                };
            if (decay is { } lambda && Window(_first, _last, lambda) is { } between)
                report = report with
                {
                    TurnedByNoise = lambda > 0 ? Math.Acos(between.Kept) : null,
                    Push = sums.HasBefore && IsAdamW
                        ? (sums.Now - (between.Kept * between.Kept * sums.Before)) / Added(between, sums) : null,
                };
            if (_rate is > 0 and var rate && decay is > 0 and var pull)
                report = WithEquilibrium(report, rate, pull);
            if (sums.HasState && _rate is { } eta && sums.Update > 0 && sums.Now > 0)
                report = WithState(report, sums, eta, decay ?? 0);
            if (IsAdamW && decay is { } left && Window(_last, _settings.Steps, left) is { } rest)
                report = report with
                {
                    RmsAtEnd = Math.Sqrt(Math.Max(0,
                    (rest.Kept * rest.Kept * sums.Now) + ((report.Push ?? 1) * Added(rest, sums))) / sums.Size)
                };
            return report;
        }

        private bool IsAdamW => _settings.Equilibrium is null;

        /// <summary>d·Σc²: what AdamW's updates on white noise add to ‖w‖².</summary>
        private static double Added(Averaging window, Sums sums) => sums.Size * window.Updates.Sum(c => c * c);

        /// <summary>The window of the steps after one and up to another.</summary>
        private Averaging? Window(int? after, int? to, double decay)
        {
            if (after is not { } from || to is not { } end || end <= from || _peak is not { } peak)
                return null;
            double[] rates = [.. Enumerable.Range(from + 1, end - from).Select(t => peak * Factor(t))];
            return Averaging.Of(rates, [.. Enumerable.Repeat(decay, rates.Length)]);
        }

        private WeightReport WithEquilibrium(WeightReport report, double rate, double decay)
        {
            var point = _settings.Equilibrium?.Invoke(rate, decay, report.Size)
                ?? Theory.Equilibrium.AdamW(rate, decay, report.Size, _beta1);
            var away = Math.Abs(Math.Pow(report.Norm / point.Norm, 2) - 1);
            return report with
            {
                EquilibriumRms = point.Norm / Math.Sqrt(report.Size),
                EquilibriumAngle = point.Angle,
                StepsToEquilibrium = away <= 0.1 ? 0 : Math.Log(away / 0.1) / point.RelaxationRate,
            };
        }

        private static WeightReport WithState(WeightReport report, Sums sums, double rate, double decay)
        {
            // w′ = ρw − ηu across w, and along it.
            var rho = 1 - (rate * decay);
            var across = Math.Max(0, sums.Update - (sums.UpdateWeight * sums.UpdateWeight / sums.Now));
            return report with
            {
                UpdateRms = Math.Sqrt(sums.Update / sums.Size),
                Kappa = rate > 0 ? 1 - (2 * sums.UpdateWeight / (rate * sums.Update)) : null,
                NextAngle = Math.Atan2(rate * Math.Sqrt(across), ((rho * sums.Now) - (rate * sums.UpdateWeight)) / Math.Sqrt(sums.Now)),
                SwallowedByBFloat16 = sums.Swallowed / sums.Size,
            };
        }
    }
}
