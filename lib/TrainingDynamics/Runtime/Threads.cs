using TorchSharp;

namespace TrainingDynamics.Runtime;

/// <summary>How many threads torch computes with.</summary>
public static class Threads
{
    /// <summary>Threads inside one operation. With one, a seed repeats bitwise; across different numbers it need not.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Less than one.</exception>
    public static int Count
    {
        get => torch.get_num_threads();
        set
        {
            if (value < 1)
                throw new ArgumentOutOfRangeException(nameof(value), value, "at least one thread is needed");
            torch.set_num_threads(value);
        }
    }
}
