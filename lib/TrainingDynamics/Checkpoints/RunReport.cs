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

    /// <summary>What it would be at AdamW's equilibrium if nothing were learned. With ρ the geometric mean of 1 − η_tλ over the k steps:
    /// cos = [ρ^{k+1}(1 − β1²) − β1^{k+1}(1 − ρ²)]/[(ρ − β1)(1 + ρβ1)].</summary>
    public double? TurnedByNoise { get; init; }

    /// <summary>The rms at equilibrium, at the rate of the checkpoint's step.</summary>
    public double? EquilibriumRms { get; init; }

    /// <summary>The angle of a step at equilibrium, in radians.</summary>
    public double? EquilibriumAngle { get; init; }

    /// <summary>rms over that of equilibrium.</summary>
    public double? OverEquilibrium => Rms / EquilibriumRms;

    /// <summary>Steps at the present rate until ‖w‖² is within a tenth of where it comes to rest, N* = push·N_eq (push 1 where it is not
    /// known): ln(10·|N/N* − 1|)/r, r the relaxation rate. Only for what is invariant by itself, or as one.</summary>
    public double? StepsToEquilibrium { get; init; }

    /// <summary>
    /// What the updates added to ‖w‖² between the checkpoints, over what AdamW's would on white noise to first order in ηλ:
    /// (N − k²N₀)/(d·Σc²), k and c of <see cref="Averaging"/>. About κ times the update's mean square over that of noise.
    /// </summary>
    public double? Push { get; init; }

    /// <summary>The rms of Adam's last update u = m̂/(√v̂ + ε); √((1 − β1)/(1 + β1)) on white noise.</summary>
    public double? UpdateRms { get; init; }

    /// <summary>κ = −1 − 2⟨u, w⟩/(η‖u‖²) of the last step, from one file alone: what ‖w‖² grew by beside decay, over η²‖u‖². With
    /// w = ρw₋ − ηu it is 1 − 2ρ⟨u, w₋⟩/(η‖u‖²); (1 + β1ρ)/(1 − β1ρ) on white noise.</summary>
    public double? Kappa { get; init; }

    /// <summary>The angle of the step w ← (1 − ηλ)w − ηu, in radians: of the next step, but for its own gradient.</summary>
    public double? NextAngle { get; init; }

    /// <summary>The share of its numbers that this step would leave as they are if weights were bfloat16, rounded after the decay and
    /// after the update as PyTorch's default AdamW does.</summary>
    public double? SwallowedByBFloat16 { get; init; }

    /// <summary>The share of its numbers that the decay of this step alone would leave as they are in bfloat16; null without
    /// decay.</summary>
    public double? DecaySwallowedByBFloat16 { get; init; }

    /// <summary>The rms at the end of the schedule if updates are as on white noise from now on: N_T = k²N + d·Σc².</summary>
    public double? RmsAtEnd { get; init; }

    /// <summary>The same if the push stays what it was between the checkpoints: N_T = k²N + push·d·Σc².</summary>
    public double? RmsAtEndWithPush { get; init; }
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
    /// <param name="settings">What the files do not tell. What the optimizer's state has of a weight goes
    /// before.</param>
    /// <param name="optimizer">The file with the optimizer's state, where it is not the later checkpoint.</param>
    /// <exception cref="DataFileException">The checkpoints' weights differ in shape, or a file is damaged or has no weights.</exception>
    /// <exception cref="ArgumentException">A setting is out of its range, steps are out of order, or a schedule is shorter than the
    /// run.</exception>
    public static RunReport Of(Checkpoint now, Checkpoint? before = null, RunSettings? settings = null, Checkpoint? optimizer = null)
        => new Analysis(now, before, settings ?? new RunSettings(), optimizer ?? now).Report();

    private sealed class Analysis
    {
        private readonly Checkpoint _now;
        private readonly Checkpoint? _before;
        private readonly RunSettings _settings;
        private readonly IReadOnlyDictionary<string, AdamState> _states;
        private readonly Dictionary<string, StoredTensor> _earlier;
        private readonly int? _first, _last;
        private readonly bool? _queryKeyNorm, _tied;
        private readonly List<string> _remarks = [];

        public Analysis(Checkpoint now, Checkpoint? before, RunSettings settings, Checkpoint optimizer)
        {
            (_now, _before, _settings, _states) = (now, before, settings, AdamState.Of(now.Weights, optimizer));
            _earlier = before?.Weights.ToDictionary(w => w.Name, w => w.Tensor) ?? [];
            (_first, _last) = (settings.FirstStep ?? before?.Step, settings.LastStep ?? now.Step ?? _states.Values.FirstOrDefault()?.Step);
            Check();
            string[] names = [.. now.Weights.Select(w => w.Name)];
            _queryKeyNorm = settings.QueryKeyNorm ?? (names.Any(n => n.Contains("q_norm", StringComparison.Ordinal)
                && names.Contains(n.Replace("q_norm", "k_norm", StringComparison.Ordinal))) ? true : null);
            _tied = settings.Tied ?? TiedInFile();
            Remark(AdamState.Count(optimizer));
        }

        public RunReport Report()
        {
            var parts = _now.Weights.Select(w => (w.Name, w.Tensor, Role: RoleOf(w), Sums: Measure(w.Name, w.Tensor))).ToArray();
            var weights = parts.Select(p => Describe(p.Name, p.Role, ScalingOf(p.Role), p.Sums, p.Tensor)).ToArray();
            return new RunReport(weights, Writers(), _last, weights.Length > 0 ? RateOf(parts[0].Name) : null, _remarks);

            WeightReport? Writers()
            {
                var writers = parts.Where(p => p.Role.Writes()).ToArray();
                if (writers.Length == 0 || ScalingOf(Role.Embedding) != Scaling.WithTheWriters)
                    return null;
                // One writer that is not known as one, and the sum is of something else.
                string[] unknown = [.. parts.Where(p => p.Role == Role.Unknown && p.Tensor.Shape.Length > 1).Select(p => p.Name)];
                string? why = unknown.Length > 0 ? $"some role is not known ({Few(unknown)})"
                    : writers.Select(p => DecayOf(p.Name, p.Tensor)).Distinct().Count() > 1 ? "they decay differently"
                    : writers.Select(p => RateOf(p.Name)).Distinct().Count() > 1 ? "they have different rates" : null;
                if (why is null)
                    return Describe("the writers, as one", Role.Unknown, Scaling.Alone,
                        writers.Select(p => p.Sums).Aggregate((x, y) => x + y), writers[0].Tensor, writers[0].Name);
                _remarks.Add($"no row for the writers as one: {why}");
                return null;
            }
        }

        private static Role RoleOf((string Name, StoredTensor Tensor) weight) => Roles.Of(weight.Name, weight.Tensor.Shape.Length);

        private static string Few(IReadOnlyCollection<string> names) => string.Join(", ", names.Take(6))
            + (names.Count > 6 ? $" and {names.Count - 6} more" : "");

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
            foreach (var step in new[] { _first, _last, s.Steps }.OfType<int>())
                Factor(step);
            foreach (var (name, tensor) in _now.Weights)
            {
                if (_earlier.TryGetValue(name, out var old) && !old.Shape.SequenceEqual(tensor.Shape))
                    throw new DataFileException($"'{name}' is {string.Join(" × ", old.Shape)} in {old.File} and "
                        + $"{string.Join(" × ", tensor.Shape)} in {tensor.File}");
            }
            if (_now.Weights.Count == 0)
                throw new DataFileException(_now.Path + " has no weights"
                    + (AdamState.Count(_now) > 0 ? ": it is an optimizer's file; " : "; ")
                    + $"its tensors are {Few([.. _now.Tensors.Select(t => $"{t.Name} ({t.Type})")])}");
            if (_before is not null && !_now.Weights.Any(w => _earlier.ContainsKey(w.Name)))
                throw new DataFileException($"{_before.Path} and {_now.Path} have no weight in common: one has "
                    + $"{Few([.. _earlier.Keys])}, the other {Few([.. _now.Weights.Select(w => w.Name)])}");
        }

        private void Remark(int stored)
        {
            void Say(bool unknown, string remark)
            {
                if (unknown)
                    _remarks.Add(remark);
            }
            string[] lost = [.. _earlier.Keys.Except(_now.Weights.Select(w => w.Name)),
                .. _before is null ? [] : _now.Weights.Select(w => w.Name).Except(_earlier.Keys)];
            Say(lost.Length > 0, $"in one of the two checkpoints only: {Few(lost)}");
            Say(_now.LeftOut.Count > 0, $"left out of {_now.Path}, unread: {Few([.. _now.LeftOut])}");
            Say(stored == 0, "no optimizer's state: no update, κ or angle of the next step");
            Say(stored > 0 && _states.Count < stored, $"{stored - _states.Count} of the optimizer's {stored} states could not be told to "
                + $"one of the {_now.Weights.Count} weights: order and shapes do not fit");
            Disagree(nameof(RunSettings.Decay), _settings.Decay,
                [.. _states.Values.Select(s => s.Decay).OfType<double>().Where(v => v > 0)]);
            Disagree(nameof(RunSettings.Beta1), _settings.Beta1, [.. _states.Values.Select(s => s.Betas?.Item1).OfType<double>()]);
            Disagree(nameof(RunSettings.Beta2), _settings.Beta2, [.. _states.Values.Select(s => s.Betas?.Item2).OfType<double>()]);
            // Schedulers step before or after a file is written, so the file's rate may be the next step's.
            if (_settings.Rate is { } peak && _last is { } last && _states.Values.FirstOrDefault()?.Rate is { } written)
                Say(!new[] { last, last + 1 }.Any(step => Math.Abs(peak * Factor(step) - written) <= 2e-3 * written),
                    $"{nameof(RunSettings.Rate)} and {nameof(RunSettings.Schedule)} give {peak * Factor(last):g4} at step {last}; "
                    + $"the file's {written:g4} is taken");
            Say(_settings.LastStep is { } told && _now.Step is { } said && said != told,
                $"{nameof(RunSettings.LastStep)} is told as {_settings.LastStep}, the file says {_now.Step}");
            Say(_settings.Rate is null && _states.Values.All(s => s.Rate is null),
                $"{nameof(RunSettings.Rate)} is unknown: no equilibrium");
            Say(_settings.Decay is null && _states.Values.All(s => s.Decay is null),
                $"{nameof(RunSettings.Decay)} is unknown: no equilibrium");
            Say(_before is not null && (_first is null || _last is null),
                $"{nameof(RunSettings.FirstStep)} or {nameof(RunSettings.LastStep)} is unknown: no push, nor what noise would turn");
            Say(_settings.Steps is null, $"{nameof(RunSettings.Steps)} is unknown: no forecast to the end");
            Say(_settings.Schedule is null, $"{nameof(RunSettings.Schedule)} is unknown: the rate is taken as constant");
            Say(_settings.PreNorm is null, $"{nameof(RunSettings.PreNorm)} is unknown: whether the writers are invariant together is, too");
            Say(_queryKeyNorm is null, $"{nameof(RunSettings.QueryKeyNorm)} is unknown: whether queries and keys are invariant is, too");
            Say(_tied is null, $"{nameof(RunSettings.Tied)} is unknown: whether the embedding writes only is, too");
            string[] unnamed = [.. _now.Weights.Where(w => w.Tensor.Shape.Length > 1 && RoleOf(w) == Role.Unknown).Select(w => w.Name)];
            Say(unnamed.Length > 0, $"of no known role: {Few(unnamed)}");
        }

        private void Disagree(string name, double? told, double[] written)
        {
            if (told is { } value && written.Length > 0 && !written.Contains(value))
                _remarks.Add($"{name} is told as {value:g4}; the optimizer's "
                    + $"{string.Join(", ", written.Distinct().Select(v => $"{v:g4}"))} is taken for the weights it has");
        }

        private double Factor(int step)
        {
            var factor = _settings.Schedule?.Invoke(step) ?? 1;
            return factor >= 0 && double.IsFinite(factor) ? factor : throw new ArgumentException(
                $"{nameof(RunSettings.Schedule)} is {factor} at step {step}, allowed is a number in [0, ∞)", nameof(RunSettings.Schedule));
        }

        /// <summary>Whether unembedding and embedding are one; null where it cannot be told.</summary>
        private bool? TiedInFile()
        {
            StoredTensor? Of(Role role) => _now.Weights.FirstOrDefault(w => RoleOf(w) == role).Tensor;
            if (Of(Role.Embedding) is not { } embedding)
                return null;
            if (Of(Role.Head) is { } head)
                return head.Shape.SequenceEqual(embedding.Shape) && Checkpoint.Pieces(embedding).Zip(Checkpoint.Pieces(head), (a, b) =>
                    a.eq(b).all().ToBoolean()).All(same => same);
            // One that is called otherwise would have the vocabulary on an axis.
            return _now.Weights.Any(w => RoleOf(w) == Role.Unknown && w.Tensor.Shape.Length == 2
                && w.Tensor.Shape.Contains(embedding.Shape[0])) ? null : true;
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

        private double? DecayOf(string name, StoredTensor tensor) => _states.GetValueOrDefault(name)?.Decay
            ?? (_settings.Decay is not { } decay ? null : (_settings.Decays?.Invoke(name) ?? tensor.Shape.Length >= 2) ? decay : 0);

        /// <summary>η at the last step.</summary>
        private double? RateOf(string name) => _states.GetValueOrDefault(name)?.Rate ?? _settings.Rate * Factor(_last ?? 1);

        /// <summary>η before the schedule's factor.</summary>
        private double? PeakOf(string name) => _settings.Rate is { } told && _states.GetValueOrDefault(name)?.Rate is null ? told
            : Factor(_last ?? 1) is > 0 and var factor ? RateOf(name) / factor : _settings.Rate;

        private double Beta1Of(string name) => _states.GetValueOrDefault(name)?.Betas?.Item1 ?? _settings.Beta1 ?? 0.9;

        /// <summary>Sums over the numbers of a weight that add up over weights.</summary>
        private readonly record struct Sums(long Size, double Now, double Before, double Product, double Update, double UpdateWeight,
            double Swallowed, double DecaySwallowed, bool HasBefore, bool HasState)
        {
            public static Sums operator +(Sums a, Sums b) => new(a.Size + b.Size, a.Now + b.Now, a.Before + b.Before,
                a.Product + b.Product, a.Update + b.Update, a.UpdateWeight + b.UpdateWeight, a.Swallowed + b.Swallowed,
                a.DecaySwallowed + b.DecaySwallowed, a.HasBefore && b.HasBefore, a.HasState && b.HasState);
        }

        private Sums Measure(string name, StoredTensor tensor)
        {
            var (old, state) = (_earlier.GetValueOrDefault(name), _states.GetValueOrDefault(name));
            var (rate, decay) = (RateOf(name) ?? 0, DecayOf(name, tensor) ?? 0);
            var (beta1, beta2) = (Beta1Of(name), state?.Betas?.Item2 ?? _settings.Beta2 ?? 0.999);
            var sums = default(Sums) with { HasBefore = old is not null, HasState = state is not null && rate > 0 };
            using var before = (old is null ? [] : Checkpoint.Pieces(old)).GetEnumerator();
            using var means = (state is null ? [] : Checkpoint.Pieces(state.Mean)).GetEnumerator();
            using var squares = (state is null ? [] : Checkpoint.Pieces(state.Square)).GetEnumerator();
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
                var mean = means.Current.to(ScalarType.Float64).reshape(-1) / (1 - Math.Pow(beta1, state.Step));
                var square = squares.Current.to(ScalarType.Float64).reshape(-1) / (1 - Math.Pow(beta2, state.Step));
                var u = mean / square.sqrt_().add_(state.Epsilon ?? 1e-8);
                var rounded = w.to(ScalarType.BFloat16);
                var decayed = rounded.to(ScalarType.Float64).mul_(1 - (rate * decay)).to(ScalarType.BFloat16);
                var stepped = (decayed.to(ScalarType.Float64) - (u * rate)).to(ScalarType.BFloat16);
                sums = sums with
                {
                    Update = sums.Update + Dot(u, u),
                    UpdateWeight = sums.UpdateWeight + Dot(u, w),
                    Swallowed = sums.Swallowed + stepped.eq(rounded).sum().ToInt64(),
                    DecaySwallowed = sums.DecaySwallowed + decayed.eq(rounded).sum().ToInt64(),
                };
            }
            return sums;
        }

        /// <summary>What is known of a weight, or of several of one rate and decay, of which <paramref name="like"/> names one.</summary>
        private WeightReport Describe(string name, Role role, Scaling scaling, Sums sums, StoredTensor tensor, string? like = null)
        {
            like ??= name;
            var (decay, rate, beta1) = (DecayOf(like, tensor), RateOf(like), Beta1Of(like));
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
            if (IsAdamW && decay is > 0 && Window(_first, _last, like, decay) is { } between)
                report = report with
                {
                    TurnedByNoise = TurnedByNoise(between, beta1),
                    Push = sums.HasBefore ? between.Push(sums.Before, sums.Now, sums.Size) : null,
                };
            if (rate is > 0 and var eta && decay is > 0 and var lambda)
                report = WithEquilibrium(report, eta, lambda, beta1);
            if (sums.HasState && sums.Update > 0 && sums.Now > 0)
                report = WithState(report, sums, rate ?? 0, decay ?? 0);
            if (IsAdamW && decay is > 0 && Window(_last, _settings.Steps, like, decay) is { } rest)
            {
                double End(double push) =>
                    Math.Sqrt(Math.Max(0, (rest.Kept * rest.Kept * sums.Now) + (push * rest.AddedByNoise(sums.Size))) / sums.Size);
                report = report with { RmsAtEnd = End(1), RmsAtEndWithPush = report.Push is { } push ? End(push) : null };
            }
            return report;
        }

        private bool IsAdamW => _settings.Equilibrium is null;

        /// <summary>The window of the steps after one and up to another.</summary>
        private Averaging? Window(int? after, int? to, string name, double? decay)
        {
            if (after is not { } from || to is not { } end || end <= from || PeakOf(name) is not { } peak)
                return null;
            double[] rates = [.. Enumerable.Range(from + 1, end - from).Select(t => peak * Factor(t))];
            return Averaging.Of(rates, [.. Enumerable.Repeat(decay ?? 0, rates.Length)]);
        }

        private static double TurnedByNoise(Averaging window, double beta)
        {
            var steps = window.Updates.Length;
            var rho = Math.Pow(window.Kept, 1.0 / steps);
            var kept = window.Kept * rho * (1 - (beta * beta));
            var cosine = (kept - (Math.Pow(beta, steps + 1) * (1 - (rho * rho)))) / ((rho - beta) * (1 + (rho * beta)));
            return Math.Acos(Math.Clamp(cosine, -1, 1));
        }

        private WeightReport WithEquilibrium(WeightReport report, double rate, double decay, double beta1)
        {
            var point = _settings.Equilibrium?.Invoke(rate, decay, report.Size)
                ?? Theory.Equilibrium.AdamW(rate, decay, report.Size, beta1);
            var rest = point.Norm * point.Norm * (report.Push is > 0 and var push ? push : 1);
            var away = Math.Abs((report.Norm * report.Norm / rest) - 1);
            return report with
            {
                EquilibriumRms = point.Norm / Math.Sqrt(report.Size),
                EquilibriumAngle = point.Angle,
                StepsToEquilibrium = report.Scaling != Scaling.Alone ? null
                    : away <= 0.1 ? 0 : Math.Log(away / 0.1) / point.RelaxationRate,
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
                Kappa = -1 - (2 * sums.UpdateWeight / (rate * sums.Update)),
                NextAngle = Math.Atan2(rate * Math.Sqrt(across), ((rho * sums.Now) - (rate * sums.UpdateWeight)) / Math.Sqrt(sums.Now)),
                SwallowedByBFloat16 = sums.Swallowed / sums.Size,
                DecaySwallowedByBFloat16 = decay > 0 ? sums.DecaySwallowed / sums.Size : null,
            };
        }
    }
}
