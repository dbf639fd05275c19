namespace NotebookHost.Engine;

/// <summary>
/// How the process that runs cells collects garbage: seldom. Bindings of native libraries may free what a call still reads when a collection
/// falls into the call (TorchSharp 0.107's scalars do: 14 of 400,000 additions under constant collection), and a notebook makes little garbage.
/// </summary>
internal static class GarbageCollection
{
    /// <summary>The runtime reads it at the start of a process only.</summary>
    public const string Variable = "DOTNET_GCgen0size";

    /// <summary>256 MB, in hexadecimal.</summary>
    public const string Budget = "10000000";
}
