using System.IO.Compression;
using System.Text.Json.Nodes;
using TorchSharp;
using TrainingDynamics.Checkpoints;
using TrainingDynamics.Data;
using TrainingDynamics.Optimizers;
using TrainingDynamics.Theory;
using static TorchSharp.torch;

namespace TrainingDynamics.Tests;

/// <summary>Checkpoints that PyTorch wrote (data/checkpoints/make.py), held against what PyTorch says of them.</summary>
public sealed class RunReportTests : IDisposable
{
    private static readonly string s_shipped = Path.Combine(Shipped.Folder, "checkpoints");
    private readonly string _folder = Directory.CreateTempSubdirectory("report").FullName;

    private static Checkpoint Open(string name) => Checkpoint.Open(Path.Combine(s_shipped, name));

    private static double Schedule(int step) => Math.Min(1, Math.Min(step / 100.0, Math.Max(0, (2000 - step) / 500.0)));

    private static RunSettings Told => new()
    {
        Rate = 3e-3,
        Steps = 2000,
        Schedule = Schedule,
        FirstStep = 1400,
        PreNorm = true,
        QueryKeyNorm = true,
    };

    [Fact]
    public void WhatPyTorchWroteIsReadAsPyTorchSays()
    {
        foreach (var file in Directory.GetFiles(s_shipped, "*.*").Select(Path.GetFileName)
            .Except(["README.md", "make.py", "SHA256SUMS"]))
            Assert.NotEmpty(Shipped.Read(s_shipped, file!));
        var answers = JsonNode.Parse(File.ReadAllText(Path.Combine(s_shipped, "answers.json")))!.AsObject();
        var report = RunReport.Of(Open("step-1500.pt"), Open("step-1400.pt"), Told);
        Assert.Equal(answers.Select(a => a.Key), report.Weights.Select(w => w.Name));
        Assert.Equal(1500, report.Step);
        Assert.Equal(3e-3, report.Rate!.Value, 12);
        foreach (var weight in report.Weights)
        {
            double Answer(string key) => (double)answers[weight.Name]![key]!;
            void Same(string key, double? measured) => Assert.Equal(1, measured!.Value / Answer(key), 1e-7);
            Assert.Equal(Answer("decay"), weight.Decay);
            Same("norm 1500", weight.Norm);
            Same("norm 1400", weight.NormBefore);
            Same("angle 1400 to 1500", weight.Turned);
            Same("update norm", weight.UpdateRms * Math.Sqrt(weight.Size));
            Same("next angle", weight.NextAngle);
            var u2 = Answer("update norm") * Answer("update norm");
            Assert.Equal(-1 - (2 * Answer("update dot weight") / (3e-3 * u2)), weight.Kappa!.Value, 1e-5);
            Assert.Equal(Answer("stays in bfloat16"), weight.SwallowedByBFloat16!.Value * weight.Size, 0.5);
            if (weight.Decay > 0)
                Assert.Equal(Answer("decay stays in bfloat16"), weight.DecaySwallowedByBFloat16!.Value * weight.Size, 0.5);
        }
        var end = Open("step-2000.safetensors");
        var last = RunReport.Of(end);
        Assert.All(last.Weights, w => Assert.Equal(1, w.Norm / (double)answers[w.Name]!["norm 2000"]!, 1e-9));
        Assert.All(last.Weights, w => Assert.Null(w.EquilibriumRms));
    }

    [Fact]
    public void TheRestOfTheScheduleIsForetoldAndWhatIsInvariantSaid()
    {
        var report = RunReport.Of(Open("step-1500.pt"), Open("step-1400.pt"), Told);
        var end = RunReport.Of(Open("step-2000.safetensors")).Weights.ToDictionary(w => w.Name, w => w.Rms);
        WeightReport Weight(string part) => report.Weights.First(w => w.Name.Contains(part));
        foreach (var name in (string[])["layers.0.self_attn.q_proj", "layers.1.self_attn.k_proj"])
        {
            var weight = Weight(name);
            Assert.Equal(Scaling.Alone, weight.Scaling);
            Assert.Equal(1, weight.RmsAtEnd!.Value / end[weight.Name], 0.1);
            Assert.Equal(1, weight.RmsAtEndWithPush!.Value / end[weight.Name], 0.1);
        }
        Assert.Equal(Scaling.WithTheWriters, Weight("embed_tokens").Scaling);
        Assert.Equal(Scaling.WithTheWriters, Weight("down_proj").Scaling);
        Assert.Equal(Scaling.Seen, Weight("up_proj").Scaling);
        Assert.Equal(Scaling.Seen, Weight("lm_head").Scaling);
        Assert.Equal(Role.Gain, Weight("post_attention_layernorm").Role);
        var writers = report.Weights.Where(w => w.Role.Writes()).ToArray();
        Assert.Equal(5, writers.Length);
        Assert.Equal(Math.Sqrt(writers.Sum(w => w.Norm * w.Norm)), report.Writers!.Norm, 9);
        // Nothing said: nothing claimed.
        var untold = RunReport.Of(Open("step-1500.pt"), Open("step-1400.pt"));
        Assert.Equal(3e-3, untold.Rate);                                                    // the file has the optimizer's
        Assert.Null(untold.Writers);
        Assert.Equal(Scaling.Unknown, untold.Weights.First(w => w.Role == Role.Query).Scaling);
        Assert.All(untold.Weights, w => Assert.Null(w.TurnedByNoise));
        Assert.Contains(untold.Remarks, r => r.StartsWith("PreNorm is unknown"));
        Assert.Contains(untold.Remarks, r => r.StartsWith("FirstStep or LastStep is unknown"));
        // An optimizer of one's own.
        var sgd = RunReport.Of(Open("step-1500.pt"), settings: Told with
        {
            FirstStep = null,
            Equilibrium = (eta, lambda, _) =>
            Equilibrium.Sgd(eta, lambda, gradientSquared: 2)
        });
        Assert.Equal(Equilibrium.Sgd(3e-3, 1, 2).Angle, sgd.Weights.First(w => w.Role == Role.Query).EquilibriumAngle);
        Assert.All(sgd.Weights, w => Assert.Null(w.RmsAtEnd));
    }

    [Fact]
    public void ALoggedNormGivesThePushOfTheCheckpoints()
    {
        var log = LoggedNorms.Read(Path.Combine(s_shipped, "norms.csv"));
        var report = RunReport.Of(Open("step-1500.pt"), Open("step-1400.pt"), Told);
        var thinned = new LoggedNorms([1400, 1500], log.Norms.ToDictionary(n => n.Key,
            n => new[] { n.Value[log.Steps.ToList().IndexOf(1400)], n.Value[log.Steps.ToList().IndexOf(1500)] }));
        foreach (var weight in report.Weights.Where(w => w.Decay > 0))
            Assert.Equal(weight.Push!.Value, thinned.Push(weight.Name, weight.Size, 3e-3, 1, Schedule)[0], 1e-3);
        Assert.Contains("no norm of 'w' was logged", Assert.Throws<ArgumentException>(() => log.Push("w", 4, 3e-3, 1)).Message);
        string Say(string text)
        {
            File.WriteAllText(Path.Combine(_folder, "n.csv"), text);
            return Assert.Throws<DataFileException>(() => LoggedNorms.Read(Path.Combine(_folder, "n.csv"))).Message;
        }
        Assert.Contains("'w' has step 5 after step 10", Say("step,w\n10,1\n5,1\n"));
        Assert.Contains("line 3: w is 'x'", Say("step,w\n10,1\n20,x\n"));
        Assert.Contains("line 2: w is '-1'", Say("step,w\n10,-1\n20,1\n"));
        Assert.Contains("line 3: ", Say("step,w\n10,1\n20\n"));
        Assert.Contains("has the columns time, w", Say("time,w\n10,1\n"));
        Assert.Contains("has the columns ", Say(""));
        Assert.Contains("has 1 steps", Say("step,w\n10,1\n"));
        Assert.Contains("'b' has 1 of 2 steps", Say("step,name,norm\n1,a,1\n1,b,2\n2,a,1\n"));
        Assert.Contains("is missing", Assert.Throws<DataFileException>(() => LoggedNorms.Read("nowhere.csv")).Message);
        File.WriteAllText(Path.Combine(_folder, "n.csv"), "step,name,norm\n1,a,1\n1,b,2\n2,a,3\n2,b,4\n");
        Assert.Equal([2, 4], LoggedNorms.Read(Path.Combine(_folder, "n.csv")).Norms["b"]);
    }

    [Fact]
    public void BadSettingsAreNamed()
    {
        var (now, before) = (Open("step-1500.pt"), Open("step-1400.pt"));
        string Say(RunSettings settings) => Assert.ThrowsAny<ArgumentException>(() => RunReport.Of(now, before, settings)).Message;
        Assert.Contains("FirstStep is 1600 and LastStep 1500", Say(Told with { FirstStep = 1600 }));
        Assert.Contains("Steps is 1000, but the checkpoint is of step 1500", Say(Told with { Steps = 1000 }));
        Assert.Contains("Rate is -1", Say(Told with { Rate = -1 }));
        Assert.Contains("Decay is NaN", Say(Told with { Decay = double.NaN }));
        Assert.Contains("η·λ is 3", Say(Told with { Decay = 1000 }));
        Assert.Contains("Schedule is NaN at step 2000", Say(Told with { Schedule = step => step < 2000 ? 1 : double.NaN }));
        Assert.Contains("Beta2 is 1", Say(Told with { Beta2 = 1 }));
        Assert.Contains("Schedule is NaN at step 1400", Say(Told with { Schedule = _ => double.NaN }));
    }

    [Fact]
    public void NothingInATorchFileIsRunAndDamageIsNamed()
    {
        string Say(string path) => Assert.Throws<DataFileException>(() => Checkpoint.Open(path)).Message;
        string Zip(byte[] pickle, string storage = "", string name = "a/data.pkl")
        {
            var path = Path.Combine(_folder, $"{Guid.NewGuid():N}.pt");
            using var zip = ZipFile.Open(path, ZipArchiveMode.Create);
            void Put(string entry, byte[] bytes)
            {
                using var stream = zip.CreateEntry(entry, CompressionLevel.NoCompression).Open();
                stream.Write(bytes);
            }
            Put(name, pickle);
            if (storage != "")
                Put(storage, new byte[16]);
            return path;
        }
        var touched = Path.Combine(_folder, "touched");
        // os.system('touch …'), as a pickle that runs code has it: nothing of it is made, and nothing is left to analyse.
        foreach (var call in (string[])[$"cos\nsystem\n(S'touch {touched}'\ntR.", $"cposix\nsystem\n(S'touch {touched}'\ntR."])
        {
            var hostile = Checkpoint.Open(Zip([0x80, 2, .. System.Text.Encoding.ASCII.GetBytes(call)]));
            Assert.Empty(hostile.Tensors);
            Assert.Contains("system", Assert.Single(hostile.LeftOut));
            Assert.Contains("has no weights", Assert.Throws<DataFileException>(() => RunReport.Of(hostile)).Message);
        }
        Assert.False(File.Exists(touched));
        Assert.Contains("without a data.pkl", Say(Zip([1], name: "a/other")));
        Assert.Contains("damaged", Say(Zip([])));
        Assert.Contains("damaged", Say(Zip([0x80, 2, 0xFF])));
        // A whole file with its end cut off, and with a storage cut short.
        var whole = File.ReadAllBytes(Path.Combine(s_shipped, "step-1400.pt"));
        var cut = Path.Combine(_folder, "cut.pt");
        File.WriteAllBytes(cut, whole[..(whole.Length / 2)]);
        Assert.Contains(cut, Say(cut));
        File.WriteAllBytes(cut, whole);
        string first;
        using (var zip = ZipFile.Open(cut, ZipArchiveMode.Update))
        {
            var entry = zip.Entries.First(e => e.FullName.EndsWith("data/0"));
            first = entry.FullName;
            entry.Delete();
            using var stream = zip.CreateEntry(first, CompressionLevel.NoCompression).Open();
            stream.Write(new byte[100]);
        }
        Assert.Contains($"tensor 'embed_tokens.weight' ends at byte 9600 of '{first}', which has 100", Say(cut));
    }

    [Fact]
    public void CheckpointsOfTwoRunsAreToldApart()
    {
        string Write(string name, string tensors, int numbers)
        {
            var json = System.Text.Encoding.UTF8.GetBytes(tensors);
            File.WriteAllBytes(Path.Combine(_folder, name), [.. BitConverter.GetBytes((long)json.Length), .. json,
                .. Enumerable.Range(1, numbers).SelectMany(i => BitConverter.GetBytes((float)i))]);
            return Path.Combine(_folder, name);
        }
        var a = Checkpoint.Open(Write("a.safetensors",
            """{"model.wte.weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}""",
            6));
        var b = Checkpoint.Open(Write("b.safetensors", """{"wte.weight": {"dtype": "F32", "shape": [3, 2], "data_offsets": [0, 24]}}""",
            6));
        var c = Checkpoint.Open(Write("c.safetensors", """{"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}""", 2));
        Assert.Contains("'wte.weight' is 3 × 2 in", Assert.Throws<DataFileException>(() => RunReport.Of(a, b)).Message);
        Assert.Contains("have no weight in common", Assert.Throws<DataFileException>(() => RunReport.Of(a, c)).Message);
        // Without an unembedding the embedding is both.
        Assert.Equal(Scaling.Seen, RunReport.Of(a, settings: new RunSettings { PreNorm = true }).Weights.Single().Scaling);
        // Pieces of any size are the whole.
        foreach (var most in (int[])[1, 4, 6, 100])
            Assert.Equal([1.0, 2, 3, 4, 5, 6], Checkpoint.Pieces(a.Tensors[0], most)
                .SelectMany(piece => Runtime.Tensors.ToDoubles(piece)));
    }

    /// <summary>Tied weights, a compiled model's names, an optimizer whose groups have the matrices first, numbers that are tensors,
    /// arrays of numpy.</summary>
    [Fact]
    public void ANanoGptFileIsToldApart()
    {
        var file = Open("like-nanogpt.pt");
        Assert.Equal(7, file.Step);
        Assert.Equal(2, file.LeftOut.Count);
        Assert.Contains("rng (numpy", file.LeftOut[0] + file.LeftOut[1]);
        Assert.Equal("transformer.wte.weight", file.Weights[0].Name);
        Assert.DoesNotContain(file.Weights, w => w.Name.Contains("best_val_loss"));
        var states = AdamState.Of(file.Weights, file);
        // The n-th parameter's gradient was n, so its first moment is a tenth of n.
        var parameters = file.Weights.Where(w => w.Name != "lm_head.weight").ToArray();
        Assert.Equal(parameters.Select(w => w.Name).Order(), states.Keys.Order());
        foreach (var (i, (name, tensor)) in parameters.Index())
        {
            Assert.Equal(0.1 * (i + 1), Checkpoint.Pieces(states[name].Mean).SelectMany(Runtime.Tensors.ToDoubles).First(), 1e-6);
            Assert.Equal(tensor.Shape.Length > 1 ? 0.1 : 0, states[name].Decay);
            Assert.Equal((0.9, 0.95), states[name].Betas);
        }
        var report = RunReport.Of(file, settings: new RunSettings { PreNorm = true });
        Assert.Null(report.Writers);                                                       // tied
        Assert.Equal(Scaling.Seen, report.Weights.First(w => w.Role == Role.Embedding).Scaling);
        Assert.Equal(1, report.Weights.Count(w => w.Role == Role.QueryKeyValue && w.Scaling == Scaling.Unknown));
        Assert.Equal(2, report.Weights.Count(w => w.Role == Role.WritingBias));
        Assert.Contains(report.Remarks, r => r.StartsWith("left out of"));
    }

    /// <summary>κ of one file is what two norms say the step added: (N − ρ²N₋)/(η²‖u‖²); and white noise has (1 + β1ρ)/(1 − β1ρ).</summary>
    [Fact]
    public void KappaOfOneFileIsTheGrowthThatItsLastStepMade()
    {
        const int size = 40_000, steps = 2000;
        const double rate = 0.01, decay = 0.5, beta = 0.9, rho = 1 - (rate * decay);
        using var scope = NewDisposeScope();
        using var quiet = no_grad();
        random.manual_seed(3);
        var (w, m) = (zeros(size, dtype: ScalarType.Float64), zeros(size, dtype: ScalarType.Float64));
        var (before, after, kappas) = (0.0, 0.0, new List<double>());
        for (var step = 1; step <= steps; step++)
        {
            using var inner = NewDisposeScope();
            m.mul_(beta).add_(randn(size, dtype: ScalarType.Float64) * (1 - beta));
            before = w.square().sum().ToDouble();
            w.mul_(rho).sub_(m * rate);
            after = w.square().sum().ToDouble();
            if (step % 20 == 0 && step > 1000)
                kappas.Add((after - (rho * rho * before)) / (rate * rate * m.square().sum().ToDouble()));
        }
        Assert.Equal(1, kappas.Average() / ((1 + (beta * rho)) / (1 - (beta * rho))), 0.02);
        byte[] Doubles(Tensor t) => [.. Runtime.Tensors.ToDoubles(t).SelectMany(BitConverter.GetBytes)];
        var correction = 1 - Math.Pow(beta, steps);
        var square = (1 - Math.Pow(0.999, steps)) * ones(size, dtype: ScalarType.Float64);
        string Entry(string name, string shape, long from, long to) =>
            $"\"{name}\": {{\"dtype\": \"F64\", \"shape\": [{shape}], \"data_offsets\": [{from}, {to}]}}";
        string[] names = ["model.w", "optimizer.state.w.exp_avg", "optimizer.state.w.exp_avg_sq"];
        const long bytes = 8L * size;
        var entries = names.Select((name, i) => Entry(name, $"{size}", i * bytes, (i + 1) * bytes))
            .Append(Entry("optimizer.state.w.step", "", 3 * bytes, (3 * bytes) + 8));
        var header = System.Text.Encoding.UTF8.GetBytes("{" + string.Join(", ", entries) + "}");
        var path = Path.Combine(_folder, "walk.safetensors");
        File.WriteAllBytes(path, [.. BitConverter.GetBytes((long)header.Length), .. header, .. Doubles(w), .. Doubles(m * correction),
            .. Doubles(square), .. BitConverter.GetBytes((double)steps)]);
        var weight = RunReport.Of(Checkpoint.Open(path), settings: new RunSettings
        {
            Rate = rate,
            Decay = decay,
            LastStep = steps,
            Decays = _ => true
        }).Weights.Single();
        Assert.Equal((after - (rho * rho * before)) / (rate * rate * m.square().sum().ToDouble()), weight.Kappa!.Value, 1e-6);
        Assert.Equal(1, weight.OverEquilibrium!.Value, 0.05);
    }

    [Theory]
    [InlineData("transformer.h.0.attn.c_attn.weight", 2, Role.QueryKeyValue)]
    [InlineData("transformer.h.0.attn.c_proj.weight", 2, Role.AttentionOut)]
    [InlineData("transformer.h.0.attn.c_proj.bias", 1, Role.WritingBias)]
    [InlineData("transformer.h.0.mlp.c_proj.weight", 2, Role.Down)]
    [InlineData("transformer.h.0.mlp.c_fc.bias", 1, Role.Bias)]
    [InlineData("transformer.h.0.ln_1.weight", 1, Role.Gain)]
    [InlineData("model.layers.3.self_attn.k_proj.weight", 2, Role.Key)]
    [InlineData("model.layers.3.self_attn.k_norm.weight", 1, Role.Gain)]
    [InlineData("gpt_neox.layers.1.attention.dense.weight", 2, Role.AttentionOut)]
    [InlineData("gpt_neox.layers.1.mlp.dense_4h_to_h.weight", 2, Role.Down)]
    [InlineData("gpt_neox.embed_in.weight", 2, Role.Embedding)]
    [InlineData("layers.7.feed_forward.w2.weight", 2, Role.Down)]
    [InlineData("down2", 2, Role.Down)]
    [InlineData("gain1a", 1, Role.Gain)]
    [InlineData("conv1.weight", 4, Role.Unknown)]
    [InlineData("model.layers.0.block_sparse_moe.gate.weight", 2, Role.Unknown)]
    [InlineData("model.layers.0.self_attn.dense.weight", 2, Role.AttentionOut)]
    [InlineData("transformer.h.0.mlp.fc_out.weight", 2, Role.Down)]
    [InlineData("head.fc_out.weight", 2, Role.Unknown)]
    public void RolesAreReadFromNames(string name, int axes, Role role) => Assert.Equal(role, Roles.Of(name, axes));

    [Fact]
    public void ConventionsOfDecayShrinkAlike()
    {
        double Left(Optimizer optimizer, int steps = 1)
        {
            using (optimizer)
            {
                for (var i = 0; i < steps; i++)
                {
                    using var none = zeros_like(optimizer.Weights);
                    optimizer.Step(none);
                }
                return Runtime.Tensors.ToDoubles(optimizer.Weights)[0];
            }
        }
        Tensor One() => ones(1, 1, dtype: ScalarType.Float64);
        var independent = Decay.Convert(0.1, DecayKind.Decoupled, DecayKind.Independent, rate: 0.02);
        Assert.Equal(1 - independent, Left(new AdamW(One(), 0.02, 0.1)), 1e-15);
        // With momentum the shrinkage comes over 1/(1 − α) steps: ten thousand are long beside that.
        var l2 = Decay.Convert(0.01, DecayKind.Decoupled, DecayKind.SgdL2, rate: 0.01, momentum: 0.9);
        Assert.Equal(1, Math.Log(Left(new Sgd(One(), 0.01, l2: l2, momentum: 0.9), 10_000))
            / Math.Log(Left(new Sgd(One(), 0.01, decoupledDecay: 0.01), 10_000)), 0.002);
        foreach (var from in Enum.GetValues<DecayKind>())
        {
            foreach (var to in Enum.GetValues<DecayKind>())
                Assert.Equal(0.01, Decay.Convert(Decay.Convert(0.01, from, to, 0.1, 0.9), to, from, 0.1, 0.9), 1e-15);
        }
        Assert.Contains("rate is 0", Assert.Throws<ArgumentException>(() =>
            Decay.Convert(1, DecayKind.Decoupled, DecayKind.Independent, 0)).Message);
        Assert.Contains("momentum is 1", Assert.Throws<ArgumentException>(() =>
            Decay.Convert(1, DecayKind.Decoupled, DecayKind.SgdL2, 0.1, 1)).Message);
        Assert.Contains("a step shrinks by 2", Assert.Throws<ArgumentException>(() =>
            Decay.Convert(2, DecayKind.Independent, DecayKind.Decoupled, 0.1)).Message);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);
}
