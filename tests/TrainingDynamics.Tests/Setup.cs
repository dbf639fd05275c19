using System.Runtime.CompilerServices;
using TrainingDynamics.Runtime;

// Tensor statistics and torch's thread count are the process' own: one test at a time.
[assembly: Xunit.v3.Parallelization(Mode = Xunit.Sdk.ParallelMode.None)]

namespace TrainingDynamics.Tests;

internal static class Setup
{
    [ModuleInitializer]
    internal static void OneThread() => Threads.Count = 1;

    /// <summary>Tensors alive now, without those that an earlier test left to the garbage collector.</summary>
    internal static long LiveTensors()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        return TorchSharp.torch.Tensor.TotalCount;
    }
}
