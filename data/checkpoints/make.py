"""Trains one small language model in PyTorch and saves it as a run of anybody's would be saved.

    python3 data/checkpoints/make.py        (Debian: apt-get install python3-torch; a minute on one core)

A Pre-LN transformer with RMSNorm, QK-norm without gains, SwiGLU, rotary positions and no biases, on Pride and Prejudice, character by
character; AdamW as nanoGPT sets it up: what has two axes decays, gains do not. Writes beside this file:

    step-1400.pt             a state_dict
    step-1500.pt             model, optimizer, step: what a run is resumed from
    step-2000.safetensors    the weights at the end of the schedule, bfloat16
    norms.csv                the norm of every matrix each fifty steps, a column a matrix
    answers.json             what PyTorch says of them, computed in float64: the tests' known answers
    like-nanogpt.pt          a tiny file with all that nanoGPT's has, and an array of numpy: tied weights, a compiled model's names, an
                             optimizer of two groups, numbers that are tensors
"""
import csv, gzip, json, math, os, struct
import numpy
import torch
from torch import nn
from torch.nn import functional as F

HERE = os.path.dirname(os.path.abspath(__file__))
SEED, WIDTH, LAYERS, HEADS, HIDDEN, CONTEXT, BATCH = 20260, 32, 2, 4, 64, 32, 8
RATE, DECAY, BETAS, EPSILON = 3e-3, 1.0, (0.9, 0.99), 1e-8
STEPS, WARMUP, STABLE = 2000, 100, 1500            # then a straight line to zero


class Norm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return self.weight * unit(x)


def unit(x):
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-8)


def rotate(x):                                      # (batch, head, position, size)
    half = x.shape[-1] // 2
    angle = torch.arange(x.shape[-2])[:, None] * 10000.0 ** (-torch.arange(half) / half)
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()], -1)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            setattr(self, name, nn.Linear(WIDTH, WIDTH, bias=False))

    def forward(self, x):
        batch, length, _ = x.shape
        q, k, v = (p(x).view(batch, length, HEADS, -1).transpose(1, 2) for p in (self.q_proj, self.k_proj, self.v_proj))
        scores = rotate(unit(q)) @ rotate(unit(k)).transpose(-1, -2) / math.sqrt(WIDTH // HEADS)
        scores = scores + torch.full((length, length), -math.inf).triu(1)
        return self.o_proj((scores.softmax(-1) @ v).transpose(1, 2).reshape(batch, length, WIDTH))


class FeedForward(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate_proj = nn.Linear(WIDTH, HIDDEN, bias=False)
        self.up_proj = nn.Linear(WIDTH, HIDDEN, bias=False)
        self.down_proj = nn.Linear(HIDDEN, WIDTH, bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.input_layernorm, self.self_attn = Norm(WIDTH), Attention()
        self.post_attention_layernorm, self.mlp = Norm(WIDTH), FeedForward()

    def forward(self, x):
        x = x + self.self_attn(self.input_layernorm(x))
        return x + self.mlp(self.post_attention_layernorm(x))


class Model(nn.Module):
    def __init__(self, vocabulary):
        super().__init__()
        self.embed_tokens = nn.Embedding(vocabulary, WIDTH)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        self.norm = Norm(WIDTH)
        self.lm_head = nn.Linear(WIDTH, vocabulary, bias=False)

    def forward(self, tokens):
        x = self.embed_tokens(tokens)
        for layer in self.layers:
            x = layer(x)
        return self.lm_head(self.norm(x))


def factor(step):                                   # of the rate, at step 1, 2, ...
    return min(1, step / WARMUP, max(0, (STEPS - step) / (STEPS - STABLE)))


def matrices(state):
    return {name: w.detach().clone() for name, w in state.items()}


def write_safetensors(path, tensors):
    """The format: the header's length, the header, the numbers; bfloat16 is the upper half of a float32, rounded."""
    header, parts, end = {"__metadata__": {"format": "pt"}}, [], 0
    for name, w in tensors.items():
        data = bytes(w.bfloat16().contiguous().view(torch.int16).numpy().tobytes())
        header[name] = {"dtype": "BF16", "shape": list(w.shape), "data_offsets": [end, end + len(data)]}
        parts.append(data)
        end += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(parts))


def main():
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    text = gzip.open(os.path.join(HERE, "..", "austen", "pride-and-prejudice.txt.gz"), "rt", encoding="utf-8", newline="").read()
    index = {character: i for i, character in enumerate(sorted(set(text)))}
    tokens = torch.tensor([index[character] for character in text])
    tokens = tokens[: round(0.9 * len(tokens))]
    model = Model(len(index))
    decays = [w for w in model.parameters() if w.dim() == 2]
    others = [w for w in model.parameters() if w.dim() < 2]
    adamw = torch.optim.AdamW([{"params": decays, "weight_decay": DECAY}, {"params": others, "weight_decay": 0.0}],
                              lr=RATE, betas=BETAS, eps=EPSILON)
    names, norms, saved = [name for name, w in model.named_parameters() if w.dim() == 2], [], {}
    for step in range(1, STEPS + 1):
        starts = torch.randint(len(tokens) - CONTEXT - 1, (BATCH,))
        window = torch.stack([tokens[s:s + CONTEXT + 1] for s in starts])
        loss = F.cross_entropy(model(window[:, :-1]).flatten(0, 1), window[:, 1:].flatten())
        adamw.zero_grad()
        loss.backward()
        for group in adamw.param_groups:
            group["lr"] = RATE * factor(step)
        adamw.step()
        if step % 50 == 0:
            norms.append([step] + [w.detach().double().norm().item() for name, w in model.named_parameters() if name in names])
        if step == 1400:
            saved[step] = matrices(model.state_dict())
            torch.save(model.state_dict(), os.path.join(HERE, "step-1400.pt"))
        if step == 1500:
            saved[step] = matrices(model.state_dict())
            torch.save({"model": model.state_dict(), "optimizer": adamw.state_dict(), "step": step, "loss": loss.item()},
                       os.path.join(HERE, "step-1500.pt"))
            answers = known_answers(saved, model, adamw)
            print(f"step {step}, loss {loss.item():.3f}")
    write_safetensors(os.path.join(HERE, "step-2000.safetensors"), model.state_dict())
    for name, w in model.state_dict().items():
        answers[name]["norm 2000"] = w.bfloat16().double().norm().item()
    with open(os.path.join(HERE, "norms.csv"), "w", newline="\n") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["step"] + names)
        rows.writerows([[row[0]] + [f"{norm:.7g}" for norm in row[1:]] for row in norms])
    with open(os.path.join(HERE, "answers.json"), "w", newline="\n") as file:
        json.dump(answers, file, indent=1)
        file.write("\n")


def known_answers(saved, model, adamw):
    """Of every weight: norms, the angle between the checkpoints, the update u = m/(sqrt(v) + eps), the next step's angle at the rate and
    decay of its group without a further gradient, and the weights that this step, or its decay, would leave as they are in bfloat16."""
    answers = {}
    group = {id(w): g for g in adamw.param_groups for w in g["params"]}
    for name, parameter in model.named_parameters():
        state, rate, decay = adamw.state[parameter], group[id(parameter)]["lr"], group[id(parameter)]["weight_decay"]
        before, w = saved[1400][name].double().flatten(), saved[1500][name].double().flatten()
        step = int(state["step"])
        mean = state["exp_avg"].double().flatten() / (1 - BETAS[0] ** step)
        square = state["exp_avg_sq"].double().flatten() / (1 - BETAS[1] ** step)
        u = mean / (square.sqrt() + EPSILON)
        next_w = (1 - rate * decay) * w - rate * u
        rounded = w.bfloat16().double()
        decayed = ((1 - rate * decay) * rounded).bfloat16().double()        # AdamW rounds twice unless it is fused
        stays = (decayed - rate * u).bfloat16().double() == rounded
        answers[name] = {
            "shape": list(parameter.shape), "decay": decay, "norm 1400": before.norm().item(), "norm 1500": w.norm().item(),
            "angle 1400 to 1500": math.acos(min(1, (before @ w / before.norm() / w.norm()).item())),
            "update norm": u.norm().item(), "update dot weight": (u @ w).item(),
            "next angle": 2 * math.asin((next_w / next_w.norm() - w / w.norm()).norm().item() / 2),
            "stays in bfloat16": int(stays.sum()), "decay stays in bfloat16": int((decayed == rounded).sum()),
        }
    return answers


class TinyGpt(nn.Module):
    def __init__(self):
        super().__init__()
        block = nn.ModuleDict({"ln_1": nn.LayerNorm(4), "attn": nn.ModuleDict({"c_attn": nn.Linear(4, 12), "c_proj": nn.Linear(4, 4)}),
                               "ln_2": nn.LayerNorm(4), "mlp": nn.ModuleDict({"c_fc": nn.Linear(4, 16), "c_proj": nn.Linear(16, 4)})})
        self.transformer = nn.ModuleDict({"wte": nn.Embedding(7, 4), "wpe": nn.Embedding(5, 4), "h": nn.ModuleList([block]),
                                          "ln_f": nn.LayerNorm(4)})
        self.lm_head = nn.Linear(4, 7, bias=False)
        self.transformer.wte.weight = self.lm_head.weight


def like_nanogpt():
    torch.manual_seed(SEED)
    model = TinyGpt()
    named = dict(model.named_parameters())
    adamw = torch.optim.AdamW([{"params": [w for w in named.values() if w.dim() >= 2], "weight_decay": 0.1},
                               {"params": [w for w in named.values() if w.dim() < 2], "weight_decay": 0.0}], lr=6e-4, betas=(0.9, 0.95))
    for i, w in enumerate(named.values()):
        w.grad = torch.full_like(w, i + 1.0)            # so that a state tells whose it is: the first update's mean is a tenth of it
    adamw.step()
    torch.save({"model": {"_orig_mod." + name: w for name, w in model.state_dict().items()}, "optimizer": adamw.state_dict(),
                "model_args": {"n_layer": 1, "bias": True}, "iter_num": 7, "best_val_loss": torch.tensor(1.5),
                "config": {"out_dir": "out", "learning_rate": 6e-4}, "rng": numpy.arange(3), "score": numpy.float64(2.5)},
               os.path.join(HERE, "like-nanogpt.pt"))


main()
like_nanogpt()
