namespace TrainingDynamics.Measurement;

/// <summary>What is measured block by block, [replica][block], of one block or of all.</summary>
public static class Blocks
{
    /// <summary>One block's value of every replica.</summary>
    public static double[] Block(this double[][] values, int block) => [.. values.Select(row => row[block])];

    /// <summary>The sum over blocks of every replica.</summary>
    public static double[] Sum(this double[][] values) => [.. values.Select(row => row.Sum())];
}
