using System.Runtime.InteropServices;

namespace TrainingDynamics.Runtime;

/// <summary>What becomes of the memory that a training step gives back.</summary>
internal static class Memory
{
    // <malloc.h>
    private const int TrimThreshold = -1, MapThreshold = -3;

    /// <summary>
    /// Has glibc keep up to 1 GB that was freed for the next allocation. By default every tensor of some hundred KB is
    /// mapped anew from the kernel, and touching its pages costs a batched step 15 % (LOG.md). Elsewhere nothing is done.
    /// </summary>
    internal static void KeepFreed()
    {
        if (!OperatingSystem.IsLinux())
            return;
        try
        {
            _ = SetOption(MapThreshold, 256 << 20);
            _ = SetOption(TrimThreshold, 1 << 30);
        }
        catch (EntryPointNotFoundException)
        {
            // musl has no such option; libtorch does not run there either.
        }
        catch (DllNotFoundException)
        {
        }
    }

    [DllImport("libc", EntryPoint = "mallopt")]
    private static extern int SetOption(int option, int value);
}
