using System.Globalization;
using System.IO.Compression;
using CsvHelper;
using TorchSharp;
using TrainingDynamics.Runtime;
using static TorchSharp.torch;

namespace TrainingDynamics.Data;

/// <summary>Ratings of items by users, a row a rating; users and items are numbered from 0 in the order of their ids.</summary>
/// <param name="Name">What it is.</param>
/// <param name="UserIds">The id of each user.</param>
/// <param name="ItemIds">The id of each item.</param>
/// <param name="Titles">The title of each item.</param>
/// <param name="Rows">The ratings: user, item, stars, and seconds since 1970.</param>
public sealed record Ratings(string Name, IReadOnlyList<long> UserIds,
    IReadOnlyList<long> ItemIds, IReadOnlyList<string> Titles, IReadOnlyList<(int User, int Item, double Stars, long Time)> Rows)
{
    /// <summary>The number of the item with this id.</summary>
    /// <exception cref="ArgumentException">There is none.</exception>
    public int ItemOf(long id)
    {
        for (var i = 0; i < ItemIds.Count; i++)
        {
            if (ItemIds[i] == id)
                return i;
        }
        throw new ArgumentException($"{Name} has no item with the id {id}; it has {ItemIds.Count}, from {ItemIds.DefaultIfEmpty().Min()} "
            + $"to {ItemIds.DefaultIfEmpty().Max()}", nameof(id));
    }

    /// <summary>The ratings among the most active users and the most rated items, numbered anew, most first.</summary>
    /// <exception cref="ArgumentException">There are not so many.</exception>
    public Ratings Densest(int users, int items)
    {
        if (users < 1 || users > UserIds.Count || items < 1 || items > ItemIds.Count)
            throw new ArgumentException($"{users} users and {items} items were asked for; {Name} has {UserIds.Count} and {ItemIds.Count}",
                nameof(users));
        var u = Rows.CountBy(r => r.User).OrderByDescending(c => c.Value).ThenBy(c => c.Key).Take(users).Select(c => c.Key).ToArray();
        var i = Rows.CountBy(r => r.Item).OrderByDescending(c => c.Value).ThenBy(c => c.Key).Take(items).Select(c => c.Key).ToArray();
        var (toUser, toItem) = (u.Index().ToDictionary(p => p.Item, p => p.Index), i.Index().ToDictionary(p => p.Item, p => p.Index));
        return new Ratings($"{Name}, {users} users × {items} items",
            [.. u.Select(x => UserIds[x])], [.. i.Select(x => ItemIds[x])], [.. i.Select(x => Titles[x])],
            [.. Rows.Where(r => toUser.ContainsKey(r.User) && toItem.ContainsKey(r.Item))
                .Select(r => (toUser[r.User], toItem[r.Item], r.Stars, r.Time))]);
    }

    /// <summary>The sum of <paramref name="of"/> over the ratings of each user and item, (user, item), float64.</summary>
    public Tensor Table(Func<(int User, int Item, double Stars, long Time), double> of)
    {
        var table = new double[UserIds.Count, ItemIds.Count];
        foreach (var row in Rows)
            table[row.User, row.Item] += of(row);
        return Aligned.Tensor(table);
    }
}

/// <summary>
/// MovieLens (Harper and Konstan 2015, doi:10.1145/2827872): stars that people gave to movies. Its terms do not allow us to ship it. It is
/// read from where the
/// user has it, in the form in which GroupLens gives it (ratings.csv: userId,movieId,rating,timestamp; movies.csv: movieId,title,genres),
/// or fetched when the user asks.
/// </summary>
public static class MovieLens
{
    /// <summary>The environment variable that names the folder.</summary>
    public const string Variable = "MOVIELENS_DIR";

    private const string Home = "https://files.grouplens.org/datasets/movielens/ml-latest-small.zip";
    private const string Sum = "696d65a3dfceac7c45750ad32df2c259311949efec81f0f144fdfb91ebc9e436";
    private static readonly string[] RatingColumns = ["userId", "movieId", "rating", "timestamp"],
        MovieColumns = ["movieId", "title", "genres"];

    /// <summary>Whether the environment names a folder with ratings in it.</summary>
    public static bool IsHere => Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } folder
        && File.Exists(Path.Combine(folder, "ratings.csv"));

    /// <summary>Reads ratings.csv and movies.csv.</summary>
    /// <param name="folder">By default what the environment variable MOVIELENS_DIR names.</param>
    /// <exception cref="DataFileException">No folder is named, or a file is missing, truncated or of another kind: says the line, what was
    /// expected and what was found.</exception>
    public static Ratings Load(string? folder = null)
    {
        folder ??= Environment.GetEnvironmentVariable(Variable);
        if (string.IsNullOrEmpty(folder))
            throw new DataFileException($"no folder is named for MovieLens: set {Variable} to a folder with ratings.csv and movies.csv, "
                + "or pass a folder, or call FetchAsync once");
        var titles = new SortedDictionary<long, string>();
        foreach (var (line, fields) in Lines(Path.Combine(folder, "movies.csv"), MovieColumns))
            titles[(long)Number(Path.Combine(folder, "movies.csv"), line, "movieId", fields[0], 1, long.MaxValue)] = fields[1];
        var path = Path.Combine(folder, "ratings.csv");
        var rows = new List<(long User, long Item, double Stars, long Time)>();
        foreach (var (line, fields) in Lines(path, RatingColumns))
        {
            var item = (long)Number(path, line, "movieId", fields[1], 1, long.MaxValue);
            if (!titles.ContainsKey(item))
                throw new DataFileException(
                    $"{path}, line {line}: the movieId {item} is unknown; movies.csv has {titles.Count} movies without it");
            rows.Add(((long)Number(path, line, "userId", fields[0], 1, long.MaxValue),
                item, Number(path, line, "rating", fields[2], 0.5, 5), (long)Number(path, line, "timestamp", fields[3], 0, long.MaxValue)));
        }
        if (rows.Count == 0)
            throw new DataFileException($"{path} has no rating in it");
        var users = rows.Select(r => r.User).Distinct().Order().ToArray();
        var items = rows.Select(r => r.Item).Distinct().Order().ToArray();
        var (toUser, toItem) = (users.Index().ToDictionary(p => p.Item, p => p.Index),
            items.Index().ToDictionary(p => p.Item, p => p.Index));
        return new Ratings("MovieLens", users, items, [.. items.Select(i => titles[i])],
            [.. rows.Select(r => (toUser[r.User], toItem[r.Item], r.Stars, r.Time))]);
    }

    /// <summary>Fetches MovieLens latest-small (100,836 ratings) from GroupLens into <paramref name="folder"/>, verifies its checksum and
    /// loads it. By fetching it you accept its terms: research and teaching, no redistribution but under the same terms, nothing
    /// commercial.</summary>
    /// <param name="folder">Where ratings.csv and movies.csv go.</param>
    /// <param name="from">Another server that has the archive, if its home is out of reach.</param>
    /// <param name="cancellation">Stops the download.</param>
    /// <exception cref="DataFileException">The archive came with another checksum; nothing is kept of it.</exception>
    /// <exception cref="HttpRequestException">The server did not give it.</exception>
    public static async Task<Ratings> FetchAsync(string folder, Uri? from = null, CancellationToken cancellation = default)
    {
        Directory.CreateDirectory(folder);
        var draft = Path.Combine(folder, "ml-latest-small.zip.part");
        using (var client = new HttpClient())
            await File.WriteAllBytesAsync(draft, await client.GetByteArrayAsync(from ?? new Uri(Home), cancellation), cancellation);
        try
        {
            using var archive = new ZipArchive(new MemoryStream(Shipped.Verified(draft, Sum)));
            foreach (var name in (string[])["movies.csv", "ratings.csv"])
            {
                var part = Path.Combine(folder, name + ".part");
                await archive.Entries.Single(e => e.Name == name).ExtractToFileAsync(part, overwrite: true, cancellation);
                File.Move(part, Path.Combine(folder, name), overwrite: true);
            }
        }
        finally
        {
            File.Delete(draft);
        }
        return Load(folder);
    }

    private static IEnumerable<(int Line, string[] Fields)> Lines(string path, string[] columns)
    {
        if (!File.Exists(path))
            throw new DataFileException($"{path} is missing: MovieLens has it, with the columns {string.Join(",", columns)}");
        using var reader = new StreamReader(path);
        using var csv = new CsvParser(reader, CultureInfo.InvariantCulture);
        for (var first = true; csv.Read(); first = false)
        {
            var fields = csv.Record!;
            if (first && !fields.SequenceEqual(columns))
                throw new DataFileException(
                    $"{path}, line 1: expected the columns {string.Join(",", columns)}, found '{string.Join(",", fields)}'");
            if (fields.Length != columns.Length)
                throw new DataFileException($"{path}, line {csv.RawRow}: expected {columns.Length} columns "
                    + $"({string.Join(",", columns)}), found {fields.Length}: '{csv.RawRecord.Trim()}'");
            if (!first)
                yield return (csv.RawRow, fields);
        }
    }

    private static double Number(string path, int line, string column, string text, double from, double to)
        => double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var value) && value >= from && value <= to ? value
            : throw new DataFileException(
                $"{path}, line {line}: expected {column} to be a number{(to < 1e9 ? $" from {from} to {to}" : "")}, found '{text}'");
}
