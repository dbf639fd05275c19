using TrainingDynamics.Claims;
using TrainingDynamics.Data;

namespace TrainingDynamics.Tests;

public sealed class ReplicatedTests
{
    private static List<Dictionary<string, string>> Read(string text)
    {
        var file = Path.GetTempFileName();
        try
        {
            File.WriteAllText(file, text);
            return Replicated.Read(file);
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Fact]
    public void AClaimsShareIsReadByItsName()
    {
        var notebooks = Read("""
            {"version": 1, "notebooks": [{"path": "a.ipynb", "claims": [
            {"name": "x", "held": 9, "of": 10}, {"name": "y", "held": 10, "of": 10}]}]}
            """);
        Assert.Equal("9 of 10", notebooks[0]["x"]);
        Assert.Equal("10 of 10", notebooks[0]["y"]);
    }

    [Fact]
    public void WhatIsNotThereIsEmptyAndWhatIsDamagedIsNamed()
    {
        Assert.Empty(Replicated.Read("nowhere.json"));
        const string twice = """{"notebooks": [{"claims": [{"name": "x", "held": 1, "of": 1}, {"name": "x", "held": 1, "of": 1}]}]}""";
        foreach (var text in (string[])["{", "{}", "{\"notebooks\": [{\"claims\": 3}]}", twice])
            Assert.Contains("is damaged", Assert.Throws<DataFileException>(() => Read(text)).Message);
        // A list of claims that no replication has goes without.
        var claims = new ClaimList();
        claims.AtMost("a claim of a test, in no notebook", 1, [0], "");
        Assert.Empty(Replicated.Of(claims));
    }
}
