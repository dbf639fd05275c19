using System.Reflection;
using System.Runtime.Loader;
using System.Text.Json;
using TrainingDynamics.Runtime;

namespace TrainingDynamics.Figures;

/// <summary>
/// A private assembly context for Plotly.NET. A notebook host brings an F# runtime of its own, older than Plotly.NET's;
/// here Plotly.NET finds the files beside this library, or in its packages, and nothing else. This assembly is loaded in it once more, and
/// only strings cross over.
/// </summary>
internal sealed class PlotlyContext() : AssemblyLoadContext(Natives.DrawingContext)
{
    private static readonly Lazy<(Func<string, string> Figure, Func<string> Script)> Renderer = new(() =>
    {
        var own = typeof(PlotlyContext).Assembly.Location;
        var renderer = new PlotlyContext().LoadFromAssemblyPath(own).GetType(typeof(PlotlyRenderer).FullName!, throwOnError: true)!;
        return (renderer.GetMethod(nameof(PlotlyRenderer.Figure), BindingFlags.Static | BindingFlags.Public)!.CreateDelegate<Func<string,
            string>>(),
                renderer.GetMethod(nameof(PlotlyRenderer.Script),
                    BindingFlags.Static | BindingFlags.Public)!.CreateDelegate<Func<string>>());
    });

    /// <summary>The figure as Plotly's JSON: data and layout.</summary>
    public static string Render(Drawing drawing) => Renderer.Value.Figure(JsonSerializer.Serialize(drawing, PlotlyRenderer.Json));

    /// <summary>plotly.js, from the Plotly.NET package.</summary>
    public static string Script() => Renderer.Value.Script();

    /// <inheritdoc/>
    protected override Assembly? Load(AssemblyName name)
        => Places.Assembly(name.Name!) is { } file ? LoadFromAssemblyPath(file) : null;
}
