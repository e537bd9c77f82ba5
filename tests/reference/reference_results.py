"""A job (tiny_models.py) computed by the reference, under the names of results.h."""

import re

import torch
from torch.nn import functional

import baichuan
from tiny_models import STOP_IDS


def alone(pack):
    """Each segment's tokens behind those of its prefix: what a model without packs reads."""
    tokens = pack["tokens"]
    return [tokens[first:last] + tokens[begin:end]
            for begin, end, first, last in pack["segments"]]


def padded_logits(model, sequences, side):
    """Logits of sequences of different lengths in one padded batch, a tensor a sequence."""
    longest = max(map(len, sequences))
    ids = torch.zeros(len(sequences), longest, dtype=torch.long)
    mask = torch.zeros_like(ids)
    places = [slice(longest - len(s), longest) if side == "left" else slice(0, len(s))
              for s in sequences]
    for row, (place, sequence) in enumerate(zip(places, sequences)):
        ids[row, place], mask[row, place] = torch.tensor(sequence), 1
    logits = model(input_ids=ids, attention_mask=mask).logits
    return [logits[row, place] for row, place in enumerate(places)]


def pack_logits(model, pack, side="right"):
    """[tokens, vocabulary] in the order of the pack."""
    rows = zip(pack["segments"], padded_logits(model, alone(pack), side))
    return torch.cat([logits[len(logits) - (end - begin):] for (begin, end, *_), logits in rows])


def pack_loss(model, pack):
    """Weighted mean of -log P(target)."""
    logits = pack_logits(model, pack)[pack["target_rows"]]
    terms = functional.cross_entropy(logits, torch.tensor(pack["targets"]), reduction="none")
    weights = torch.tensor(pack["target_weights"] or [1.0] * len(terms))
    return (terms * weights).sum() / weights.sum()


@torch.no_grad()
def decoded_logits(model, sequence, prefilled):
    cache = model.new_cache()
    rows = [model(torch.tensor([sequence[:prefilled]]), cache=cache).logits[0, -1:]]
    for token in sequence[prefilled:]:
        rows.append(model(torch.tensor([[token]]), cache=cache).logits[0])
    return torch.cat(rows)


def file_name(name):
    """PEFT keeps the adapter's name inside its parameters' names and leaves it out of files."""
    name = name.replace(".default.", ".")
    return name.replace("magnitude_vector.weight", "magnitude_vector")


def trained_parameters(model):
    return {file_name(n): p for n, p in model.named_parameters() if p.requires_grad}


def gradients(model):
    found = {f"gradient.{name}": p.grad.clone() for name, p in trained_parameters(model).items()}
    for name in list(found):
        if ".mlp.gate_proj.weight" in name:
            both = [found.pop(name), found.pop(name.replace("gate_proj", "up_proj"))]
            found[name.replace("gate_proj", "gate_up_proj")] = torch.cat(both)
    return found


def train(model, job):
    """AdamW that decays matrices only and, for LoRA+, gives B a multiple of the learning rate."""
    named = trained_parameters(model)
    parameters = list(named.values())
    ratio = {name: job["loraplus_ratio"] if ".lora_B." in name else 1.0 for name in named}
    optimizer = torch.optim.AdamW(
        [dict(params=[p], lr=job["learning_rate"] * ratio[name],
              weight_decay=job["weight_decay"] if p.dim() > 1 else 0.0)
         for name, p in named.items()], betas=(0.9, 0.999), eps=1e-8)
    losses = []
    for step in range(job["steps"]):
        optimizer.zero_grad()
        loss = pack_loss(model, job["packs"][step % len(job["packs"])])
        loss.backward()
        losses.append(loss.item())
        torch.nn.utils.clip_grad_norm_(parameters, job["clip_norm"])
        optimizer.step()
    return torch.tensor(losses)


def add_logits(model, job, name, results):
    with torch.no_grad():
        for i, pack in enumerate(job["packs"]):
            side = "left" if i % 2 else "right"
            results[f"{name}.{i}"] = pack_logits(model, pack, side)


def compute(model, job):
    """model: a BaichuanForCausalLM, or a PeftModel around one."""
    base = model if isinstance(model, baichuan.BaichuanForCausalLM) else model.base_model.model
    results = {}
    add_logits(model, job, "logits", results)
    for i, sequence in enumerate(job["sequences"]):
        results[f"decoded.{i}"] = decoded_logits(base, sequence, job["prefilled"])
    for i, prompt in enumerate(job["prompts"]):
        ids = baichuan.generate(base, prompt, job["new_tokens"], STOP_IDS, cached=True)
        assert ids == baichuan.generate(base, prompt, job["new_tokens"], STOP_IDS, cached=False)
        results[f"generated.{i}"] = torch.tensor(ids, dtype=torch.long)
    with torch.no_grad():
        results["losses"] = torch.stack([pack_loss(model, pack) for pack in job["packs"]])
    model.zero_grad()
    pack_loss(model, job["packs"][0]).backward()
    results.update(gradients(model))
    results["step_losses"] = train(model, job)
    add_logits(model, job, "trained_logits", results)
    return results


# fp32: absolute for logits and losses; for gradients relative to the tensor's largest element.
TOLERANCES = {"logits": 1e-4, "trained_logits": 1e-4, "decoded": 1e-4, "losses": 1e-5,
              "step_losses": 1e-5, "gradient": 1e-5, "generated": 0}


def faults(got, expected):
    """What differs by more than the tolerances, a line each."""
    found = [f"{name}: only one side has it" for name in set(got) ^ set(expected)]
    worst = {}
    for name in sorted(set(got) & set(expected)):
        kind = re.split(r"\.", name)[0]
        if got[name].shape != expected[name].shape:
            found.append(f"{name}: {list(got[name].shape)}, not {list(expected[name].shape)}")
            continue
        error = float((got[name] - expected[name]).abs().max()) if got[name].numel() else 0.0
        if kind == "gradient":
            error /= float(expected[name].abs().max())
        worst[kind] = max(worst.get(kind, 0.0), error)
        if not error <= TOLERANCES[kind]:
            found.append(f"{name}: differs by {error:.1e}, tolerance {TOLERANCES[kind]:.0e}")
    print("  largest differences:", ", ".join(f"{k} {v:.1e}" for k, v in worst.items()))
    return found


def trained_logits(results):
    """Those of all packs after the steps, named as those before."""
    return {name.removeprefix("trained_"): values for name, values in results.items()
            if name.startswith("trained_logits")}


def logit_faults(what, model, job, expected):
    """As faults, for a model that is to have these logits."""
    got = {}
    add_logits(model, job, "logits", got)
    errors = {name: float((got[name] - values).abs().max()) for name, values in expected.items()}
    return [f"{what}: {name} differs by {error:.1e}" for name, error in errors.items()
            if not error <= TOLERANCES["logits"]]
