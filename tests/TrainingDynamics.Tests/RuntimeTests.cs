using System.Reflection;
using System.Runtime.CompilerServices;
using TrainingDynamics.Runtime;

namespace TrainingDynamics.Tests;

public sealed class RuntimeTests : IDisposable
{
    private readonly string _cache = Directory.CreateTempSubdirectory("natives-tests").FullName;

    public void Dispose() => Directory.Delete(_cache, recursive: true);

    [Fact]
    public void TheDoctorFindsNothingWrong() => Assert.All(Doctor.Checks(), check => Assert.True(check.Ok, check.Message));

    [Fact]
    public void AGeneratorDrawsNothingAfterItsEnd()
    {
        var random = new ReplicaRandom(1, 2);
        random.Dispose();
        Assert.Throws<ObjectDisposedException>(() => random.Normal([3], TorchSharp.torch.float64));
        Assert.Throws<ObjectDisposedException>(() => random.Uniform([3], TorchSharp.torch.float64));
        Assert.Throws<ObjectDisposedException>(() => random.Integers(5, 3));
    }

    [Fact]
    public async Task ManyMayHealAtOnce()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "only Linux libraries are healed");
        var library = Path.Combine(Places.TorchSharp[0], "libLibTorchSharp.so");
        var healed = await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => Task.Run(() => Natives.Heal(library, _cache))));
        Assert.Single(healed.Distinct());
        var (original, copy) = (await File.ReadAllBytesAsync(library), await File.ReadAllBytesAsync(healed[0]));
        Assert.Equal(1, original.Zip(copy).Count(p => p.First != p.Second));
        Assert.Single(Directory.GetFiles(Path.GetDirectoryName(healed[0])!));
        File.WriteAllBytes(healed[0], copy[..100]);                                    // a copy that someone cut short is replaced
        Assert.Equal(copy, File.ReadAllBytes(Natives.Heal(library, _cache)));
    }

    [Fact]
    public void WhatCannotBeHealedSaysWhy()
    {
        var stranger = Path.Combine(_cache, "libother.so");
        File.WriteAllText(stranger, "no library at all");
        Assert.Contains("no such entry", Assert.Throws<NativeLoadException>(() => Natives.Heal(stranger, _cache)).Message);
        var e = Assert.Throws<NativeLoadException>(() => Natives.Load([_cache], [_cache], _cache));
        Assert.Contains("is not there", e.Message);
        Assert.Contains("dotnet build", e.Message);
        Assert.SkipUnless(OperatingSystem.IsLinux(), "only Linux libraries are healed");
        var library = Path.Combine(Places.TorchSharp[0], "libLibTorchSharp.so");
        var blocked = Path.Combine(_cache, "file");
        File.WriteAllText(blocked, "");                                                // a file where the cache's folder should be
        var unwritable = Assert.Throws<NativeLoadException>(() => Natives.Heal(library, blocked));
        Assert.Contains("could not be written", unwritable.Message);
        Assert.Contains("GCC 13", unwritable.Message);
    }

    [Fact]
    public void NoOutputFolderHoldsACopyOfLibtorch() => Assert.Empty(Directory.EnumerateFiles(
        Path.Combine(Root.Folder, "artifacts", "bin"), "*torch_cpu*", SearchOption.AllDirectories));

    [Fact]
    public void NoPlotlyTypeIsInThePublicInterface()
    {
        static IEnumerable<Type> Parts(Type type) => type.GetGenericArguments()
            .SelectMany(Parts).Concat(type.HasElementType ? Parts(type.GetElementType()!) : []).Append(type);
        var foreign = typeof(Natives).Assembly.GetExportedTypes().SelectMany(t => t.GetMembers().SelectMany(m => m switch
            {
                MethodInfo method => method.GetParameters().Select(p => p.ParameterType).Append(method.ReturnType),
                ConstructorInfo constructor => constructor.GetParameters().Select(p => p.ParameterType),
                PropertyInfo property => [property.PropertyType],
                FieldInfo field => [field.FieldType],
                _ => Array.Empty<Type>(),
            }).Concat(t.GetInterfaces()).Append(t.BaseType ?? t)).SelectMany(Parts)
                .Where(t => t.Assembly.GetName().Name!.StartsWith("Plotly") || t.Assembly.GetName().Name == "FSharp.Core");
        Assert.Empty(foreign);
        Assert.DoesNotContain(AppDomain.CurrentDomain.GetAssemblies(), a => a.GetName().Name == "Plotly.NET"
            && System.Runtime.Loader.AssemblyLoadContext.GetLoadContext(a) == System.Runtime.Loader.AssemblyLoadContext.Default);
    }

    [Fact]
    public void ThreadsAreAtLeastOne() => Assert.Throws<ArgumentOutOfRangeException>(() => Threads.Count = 0);
}

internal static class Root
{
    public static string Folder { get; } = typeof(Root).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>()
        .First(a => a.Key == "RepositoryRoot").Value!;
}
