"""Tiny random models in Hugging Face layout, and what both implementations are to compute on them.

A job is a dictionary (and job.json) as results.h has it. A pack's segments are [begin, end,
prefix_begin, prefix_end], see libradgpt/base/pack.h.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

import baichuan

STOP_IDS = {2, 195, 196}

# Heads that are no power of two, Baichuan2-13B's 40 among them, and an epsilon that shows.
SIZES = {
    "rope": dict(position_embedding="rope", hidden_size=48, num_attention_heads=4,
                 num_hidden_layers=2, intermediate_size=80, rms_norm_eps=1e-6),
    "rope_6_heads": dict(position_embedding="rope", hidden_size=72, num_attention_heads=6,
                         num_hidden_layers=3, intermediate_size=104, rms_norm_eps=0.02),
    "alibi": dict(position_embedding="alibi", hidden_size=64, num_attention_heads=4,
                  num_hidden_layers=2, intermediate_size=96, rms_norm_eps=1e-6),
    "alibi_5_heads": dict(position_embedding="alibi", hidden_size=80, num_attention_heads=5,
                          num_hidden_layers=3, intermediate_size=112, rms_norm_eps=0.02),
    "alibi_40_heads": dict(position_embedding="alibi", hidden_size=80, num_attention_heads=40,
                           num_hidden_layers=2, intermediate_size=88, rms_norm_eps=1e-6),
}


def config_of(size, vocab_size):
    return dict(size, architectures=["BaichuanForCausalLM"], model_type="baichuan",
                torch_dtype="float32", vocab_size=vocab_size, model_max_length=256,
                hidden_act="silu", initializer_range=0.02, pad_token_id=0, bos_token_id=1,
                eos_token_id=2, tie_word_embeddings=False)


def write_model(folder, size, vocab_size=307, seed=0, pytorch_file=False):
    """Weights at which every part of the model matters; rows of the head have all lengths. In
    model.safetensors, or in pytorch_model.bin as the official checkpoints."""
    folder = Path(folder)
    folder.mkdir(parents=True)
    config = config_of(size, vocab_size)
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    torch.manual_seed(seed)
    weights = {}
    for name, values in baichuan.BaichuanForCausalLM(config).state_dict().items():
        if values.dim() == 1:
            weights[name] = 1 + 0.2 * torch.randn(values.shape)
        elif "embed" in name:
            weights[name] = torch.randn(values.shape)
        else:
            weights[name] = torch.randn(values.shape) * values.shape[1] ** -0.5
    weights["lm_head.weight"] *= 3 * torch.rand(vocab_size, 1) + 0.1
    if pytorch_file:
        torch.save(weights, folder / "pytorch_model.bin")
    else:
        save_file(weights, folder / "model.safetensors", {"format": "pt"})


class PackWriter:
    def __init__(self):
        self.pack = dict(tokens=[], positions=[], segments=[], target_rows=[], targets=[],
                         target_weights=[])

    def add(self, tokens, prefix=(0, 0)):
        """A segment behind the tokens [prefix) of the pack; returns its own range."""
        pack, begin = self.pack, len(self.pack["tokens"])
        start = prefix[1] - prefix[0]
        pack["tokens"] += tokens
        pack["positions"] += range(start, start + len(tokens))
        pack["segments"].append([begin, begin + len(tokens), *prefix])
        return begin, begin + len(tokens)

    def learn(self, segment, first, targets):
        """The row `first` of a segment and those after it predict the targets."""
        rows = range(segment[0] + first, segment[0] + first + len(targets))
        assert rows[-1] < segment[1]
        self.pack["target_rows"] += rows
        self.pack["targets"] += targets


def branching_pack(draw):
    """Two reports with branches of their own between plain sequences, losses in the branches."""
    writer = PackWriter()
    for branches in [(5, 9, 3), (12,)]:
        prefix = writer.add(draw(17 + branches[0]))
        for length in branches:
            branch = writer.add(draw(length), prefix)
            writer.learn(branch, length // 3, draw(length - length // 3))
        plain = writer.add(draw(11))
        writer.learn(plain, 0, draw(4))
    return writer.pack


def weighted_pack(draw):
    """Sequences of different lengths, one of a single token; targets of different weights."""
    writer = PackWriter()
    for length in (1, 30, 7, 64, 2):
        writer.learn(writer.add(draw(length)), length // 2, draw(length - length // 2))
    weights = torch.linspace(0.25, 2, len(writer.pack["targets"]))
    return dict(writer.pack, target_weights=weights.tolist())


def labelled_pack(ids, labels):
    """One sequence with labels as Hugging Face has them: token i predicts label i + 1."""
    writer = PackWriter()
    writer.add(ids)
    for row, label in enumerate(labels[1:]):
        if label != -100:
            writer.pack["target_rows"].append(row)
            writer.pack["targets"].append(label)
    return writer.pack


def make_job(vocab_size=307, seed=1, **changes):
    generator = torch.Generator().manual_seed(seed)

    def draw(count):
        return torch.randint(0, vocab_size, (count,), generator=generator).tolist()

    ids = draw(40)
    labels = [-100 if i % 3 == 0 or i < 15 else ids[i] for i in range(40)]
    job = dict(
        packs=[branching_pack(draw), weighted_pack(draw), labelled_pack(ids, labels)],
        labelled=dict(pack=2, ids=ids, labels=labels),
        sequences=[draw(23), draw(9), draw(40), draw(10)], prefilled=8,
        prompts=[draw(n) for n in (12, 3, 1, 30, 8)], new_tokens=20,
        steps=10, learning_rate=1e-3, weight_decay=0.1, clip_norm=1.0,
        loraplus_ratio=1.0, pissa=False)
    return dict(job, **changes)


def write_job(path, job):
    Path(path).write_text(json.dumps(job) + "\n")
