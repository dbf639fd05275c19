// Trains the three small language models of notebook forgetting/06 and writes them to data/parity-sequences. A reader never
// needs it; it is here so that anyone can see, and repeat, how the shipped weights came to be. From the repository's root,
// after dotnet build lib/TrainingDynamics, some minutes on two cores:
//   dotnet run data/Pretrain.cs
#:project ../lib/TrainingDynamics
#:property PublishAot=false
using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using TrainingDynamics.Experiments;
using TrainingDynamics.Runtime;

RuntimeHelpers.RunModuleConstructor(typeof(Natives).Module.ModuleHandle);
var folder = Directory.CreateDirectory(Path.Combine("data", "parity-sequences")).FullName;
var told = 0;
var weights = ParitySequences.Pretrain([1, 2, 3], progress: new Told(p =>
{
    if (p.Step >= told)
        Console.WriteLine($"step {p.Step} of {p.Steps}, {p.StepsPerSecond:0.0} a second, {p.Left:mm\\:ss} left");
    told = p.Step + 200;
}));
File.WriteAllBytes(Path.Combine(folder, "bases.f32"), weights);
File.WriteAllText(Path.Combine(folder, "SHA256SUMS"), $"{Convert.ToHexStringLower(SHA256.HashData(weights))}  bases.f32\n");
Console.WriteLine($"{weights.Length} bytes in {folder}");

internal sealed class Told(Action<Progress> tell) : IProgress<Progress>
{
    public void Report(Progress value) => tell(value);
}
