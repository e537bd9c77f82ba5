"""Baichuan2 in plain PyTorch: what libradgpt is compared with.

Written from the description of the architecture (technical report arXiv 2309.10305 and the facts of
the official model files), in fp32, one plain formula after the other. Parameters have the names of
the Hugging Face files, so that PEFT can adapt the model. Nothing here is fast.
"""

import json
import math
from pathlib import Path
from types import SimpleNamespace

import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional


class RMSNorm(nn.Module):
    """x / sqrt(mean(x^2) + eps) * weight."""

    def __init__(self, hidden_size, eps):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(hidden_size))
        self.eps = eps

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight


class NormHead(nn.Module):
    """Logits against rows of 2-norm 1: hidden states keep their length."""

    def __init__(self, hidden_size, vocab_size):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(vocab_size, hidden_size))

    def forward(self, hidden):
        return hidden @ functional.normalize(self.weight, dim=1).T


def alibi_slopes(heads):
    """One slope a head. For n = 2^k heads the geometric sequence that begins with its own ratio
    2^(-8/n). Otherwise that of the largest power of two below, then for the remaining heads every
    second one of the sequence for twice as many."""
    power = 2 ** math.floor(math.log2(heads))
    slopes = [2 ** (-8 * (h + 1) / power) for h in range(power)]
    slopes += [2 ** (-8 * (2 * h + 1) / (2 * power)) for h in range(heads - power)]
    return torch.tensor(slopes)


def rotate(x, positions):
    """RoPE with base 10000. Column i of a head forms a pair with column i + head_dim / 2, and the
    pair turns by position * 10000^(-2 i / head_dim).

    x [batch, heads, tokens, head_dim], positions [batch, tokens]
    """
    half = x.shape[-1] // 2
    frequencies = 10000.0 ** (-torch.arange(half, dtype=torch.float32) / half)
    angles = (positions[:, :, None].float() * frequencies)[:, None]
    first, second = x[..., :half], x[..., half:]
    cosine, sine = angles.cos(), angles.sin()
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], -1)


class Attention(nn.Module):
    """With W_pack = rows of q, of k, of v, each head after head; or, split, with the three as
    linears of their own, as a model converted for Llama has them."""

    def __init__(self, config, split):
        super().__init__()
        hidden = config["hidden_size"]
        self.heads = config["num_attention_heads"]
        self.position = config["position_embedding"]
        if split:
            self.q_proj = nn.Linear(hidden, hidden, bias=False)
            self.k_proj = nn.Linear(hidden, hidden, bias=False)
            self.v_proj = nn.Linear(hidden, hidden, bias=False)
        else:
            self.W_pack = nn.Linear(hidden, 3 * hidden, bias=False)
        self.o_proj = nn.Linear(hidden, hidden, bias=False)

    def project(self, x):
        if hasattr(self, "W_pack"):
            return self.W_pack(x).chunk(3, -1)
        return self.q_proj(x), self.k_proj(x), self.v_proj(x)

    def forward(self, x, positions, allowed, cache):
        batch, tokens, hidden = x.shape
        q, k, v = (part.view(batch, tokens, self.heads, -1).transpose(1, 2)
                   for part in self.project(x))
        if self.position == "rope":
            q, k = rotate(q, positions), rotate(k, positions)
        if cache is not None:
            if "k" in cache:
                k, v = torch.cat([cache["k"], k], 2), torch.cat([cache["v"], v], 2)
            cache["k"], cache["v"] = k, v
        scores = q @ k.transpose(-1, -2) / math.sqrt(hidden // self.heads)
        if self.position == "alibi":
            keys = torch.arange(k.shape[2])
            distance = keys[None, :] - keys[-tokens:, None]
            scores = scores + alibi_slopes(self.heads)[:, None, None] * distance
        # A padded row may see nothing; the smallest number keeps it free of NaN, unlike -inf.
        scores = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min)
        mixed = scores.softmax(-1) @ v
        return self.o_proj(mixed.transpose(1, 2).reshape(batch, tokens, hidden))


class MLP(nn.Module):
    """down(silu(gate(x)) * up(x))"""

    def __init__(self, config):
        super().__init__()
        hidden, intermediate = config["hidden_size"], config["intermediate_size"]
        self.gate_proj = nn.Linear(hidden, intermediate, bias=False)
        self.up_proj = nn.Linear(hidden, intermediate, bias=False)
        self.down_proj = nn.Linear(intermediate, hidden, bias=False)

    def forward(self, x):
        gate = self.gate_proj(x)
        return self.down_proj(gate * gate.sigmoid() * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, config, split):
        super().__init__()
        self.input_layernorm = RMSNorm(config["hidden_size"], config["rms_norm_eps"])
        self.self_attn = Attention(config, split)
        self.post_attention_layernorm = RMSNorm(config["hidden_size"], config["rms_norm_eps"])
        self.mlp = MLP(config)

    def forward(self, x, positions, allowed, cache):
        x = x + self.self_attn(self.input_layernorm(x), positions, allowed, cache)
        return x + self.mlp(self.post_attention_layernorm(x))


class Decoder(nn.Module):
    def __init__(self, config, split):
        super().__init__()
        self.embed_tokens = nn.Embedding(config["vocab_size"], config["hidden_size"])
        self.layers = nn.ModuleList(
            Layer(config, split) for _ in range(config["num_hidden_layers"]))
        self.norm = RMSNorm(config["hidden_size"], config["rms_norm_eps"])


class Config(dict):
    """config.json. PEFT reads keys as attributes."""

    def __getattr__(self, name):
        if name not in self:
            raise AttributeError(name)
        return self[name]


class BaichuanForCausalLM(nn.Module):
    """config is the dictionary of config.json, with position_embedding "rope" or "alibi"."""

    def __init__(self, config, split=False):
        super().__init__()
        self.config = Config(config)
        self.model = Decoder(config, split)
        self.lm_head = NormHead(config["hidden_size"], config["vocab_size"])

    def forward(self, input_ids, attention_mask=None, labels=None, cache=None, **_):
        """input_ids [batch, tokens]. attention_mask [batch, cached + tokens] has 1 for tokens and 0
        for padding, on either side. labels are as input_ids, with -100 where no loss is: token i
        predicts label i + 1. cache is a list of one dictionary a layer, empty at first."""
        past = cache[0]["k"].shape[2] if cache and cache[0] else 0
        batch, tokens = input_ids.shape
        if attention_mask is None:
            attention_mask = torch.ones(batch, past + tokens, dtype=torch.long)
        positions = (attention_mask.cumsum(1) - 1).clamp_min(0)[:, past:]
        causal = torch.ones(past + tokens, past + tokens, dtype=torch.bool).tril()[past:]
        allowed = causal[None, None] & (attention_mask[:, None, None, :] == 1)
        x = self.model.embed_tokens(input_ids)
        for i, layer in enumerate(self.model.layers):
            x = layer(x, positions, allowed, cache[i] if cache else None)
        logits = self.lm_head(self.model.norm(x))
        loss = None if labels is None else shifted_loss(logits, labels)
        return SimpleNamespace(logits=logits, loss=loss)

    def prepare_inputs_for_generation(self, *_, **__):
        """PEFT asks causal models for it and never calls it here."""
        raise NotImplementedError

    def new_cache(self):
        return [{} for _ in self.model.layers]


def shifted_loss(logits, labels, reduction="mean"):
    """Mean of -log P(label i + 1 | tokens up to i) over the labels that are not -100."""
    return functional.cross_entropy(
        logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100,
        reduction=reduction)


@torch.no_grad()
def generate(model, prompt, new_tokens, stop_ids, cached):
    """Greedy: the ids that follow the prompt, without the stop id that ends them."""
    ids, cache = list(prompt), model.new_cache() if cached else None
    pending = ids
    while len(ids) < len(prompt) + new_tokens:
        logits = model(torch.tensor([pending]), cache=cache).logits[0, -1]
        ids.append(int(logits.argmax()))
        if ids[-1] in stop_ids:
            return ids[len(prompt):-1]
        pending = ids[-1:] if cached else ids
    return ids[len(prompt):]


def read_weights(folder):
    pytorch_file = Path(folder) / "pytorch_model.bin"
    if pytorch_file.exists():
        return torch.load(pytorch_file, weights_only=True)
    index = Path(folder) / "model.safetensors.index.json"
    if not index.exists():
        return load_file(Path(folder) / "model.safetensors")
    shards = sorted(set(json.loads(index.read_text())["weight_map"].values()))
    return {name: values for shard in shards
            for name, values in load_file(Path(folder) / shard).items()}


def load(folder, split=False):
    """The model of a folder in Hugging Face layout, in fp32."""
    config = json.loads((Path(folder) / "config.json").read_text())
    model = BaichuanForCausalLM(config, split)
    weights = {}
    for name, values in read_weights(folder).items():
        if split and name.endswith("W_pack.weight"):
            for part, rows in zip("qkv", values.float().chunk(3)):
                weights[name.replace("W_pack", f"{part}_proj")] = rows
        else:
            weights[name] = values.float()
    model.load_state_dict(weights)
    return model.eval()
