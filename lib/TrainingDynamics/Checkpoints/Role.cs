namespace TrainingDynamics.Checkpoints;

/// <summary>What a weight of a transformer does.</summary>
public enum Role
{
    /// <summary>Not told by its name.</summary>
    Unknown,

    /// <summary>Token embedding E.</summary>
    Embedding,

    /// <summary>Learned positions, added to the stream.</summary>
    Position,

    /// <summary>W_q.</summary>
    Query,

    /// <summary>W_k.</summary>
    Key,

    /// <summary>W_v.</summary>
    Value,

    /// <summary>W_q, W_k and W_v in one matrix.</summary>
    QueryKeyValue,

    /// <summary>W_o: what attention writes with.</summary>
    AttentionOut,

    /// <summary>W_gate, W_up, or both in one.</summary>
    Up,

    /// <summary>W_down: what the feed-forward layer writes with.</summary>
    Down,

    /// <summary>Unembedding U.</summary>
    Head,

    /// <summary>A norm's gain.</summary>
    Gain,

    /// <summary>A bias of what writes into the stream.</summary>
    WritingBias,

    /// <summary>Any other bias or shift.</summary>
    Bias,
}

/// <summary>Roles by the names that GPT-2, nanoGPT, Llama and its kin, GPT-NeoX and this library give them.</summary>
public static class Roles
{
    private static readonly (Role Role, string[] Names)[] s_names =
    [
        (Role.Embedding, ["embed_tokens", "wte", "tok_embeddings", "word_embeddings", "embed_in", "token_embedding", "tok_emb"]),
        (Role.Position, ["wpe", "embed_positions", "position_embeddings", "position_embedding", "pos_emb"]),
        (Role.Query, ["q_proj", "wq", "to_q", "query"]),
        (Role.Key, ["k_proj", "wk", "to_k", "key"]),
        (Role.Value, ["v_proj", "wv", "to_v", "value"]),
        (Role.QueryKeyValue, ["c_attn", "qkv_proj", "query_key_value", "Wqkv", "qkv", "in_proj_weight"]),
        (Role.AttentionOut, ["o_proj", "out_proj", "wo", "attn.c_proj", "attention.dense", "self_attention.dense", "self_attn.dense"]),
        (Role.Up, ["gate_proj", "up_proj", "gate_up_proj", "w1", "w3", "c_fc", "fc1", "fc_in", "dense_h_to_4h", "linear1"]),
        (Role.Down, ["down_proj", "w2", "mlp.c_proj", "fc2", "mlp.fc_out", "dense_4h_to_h", "linear2"]),
        (Role.Head, ["lm_head", "output", "embed_out"]),
    ];

    // This library's, with a layer's number behind.
    private static readonly (Role Role, string[] Names)[] s_own =
    [
        (Role.Embedding, ["E"]), (Role.Position, ["P"]), (Role.Query, ["q"]), (Role.Key, ["k"]), (Role.Value, ["v"]),
        (Role.AttentionOut, ["o"]), (Role.Up, ["gate", "up"]), (Role.Down, ["down"]), (Role.Head, ["U"]),
    ];

    /// <summary>The role that a name tells.</summary>
    /// <param name="name">As in <see cref="Checkpoint.Weights"/>.</param>
    /// <param name="axes">How many axes the weight has.</param>
    public static Role Of(string name, int axes)
    {
        var bias = name.EndsWith(".bias", StringComparison.Ordinal);
        var stem = bias || name.EndsWith(".weight", StringComparison.Ordinal) ? name[..name.LastIndexOf('.')] : name;
        bool Ends(string known) => stem == known || stem.EndsWith("." + known, StringComparison.Ordinal);
        var role = name.Contains('.') ? s_names.FirstOrDefault(known => known.Names.Any(Ends)).Role
            : s_names.Concat(s_own).FirstOrDefault(known => known.Names.Contains(stem.TrimEnd("0123456789".ToCharArray()))).Role;
        if (axes > 2)
            return Role.Unknown;
        if (bias)
            return role is Role.AttentionOut or Role.Down ? Role.WritingBias : Role.Bias;
        if (axes == 2)
            return role;
        // A gain is no matrix.
        var last = stem.Split('.')[^1];
        return last.Contains("norm", StringComparison.OrdinalIgnoreCase) || last.StartsWith("ln", StringComparison.Ordinal)
            || name.StartsWith("gain", StringComparison.Ordinal) ? Role.Gain : Role.Unknown;
    }

    /// <summary>Whether a weight adds to the residual stream: those are invariant only together.</summary>
    public static bool Writes(this Role role) =>
        role is Role.Embedding or Role.Position or Role.AttentionOut or Role.Down or Role.WritingBias;
}
