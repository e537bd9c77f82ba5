"""Adapters of libradgpt and of PEFT are each other's: for every row of VARIANTS

* an adapter that PEFT made gives the same logits, gradients, steps and answers here,
* one trained here is loaded by PEFT and gives the logits it gave here, as does the model into which
  it was merged here,
* one trained by PEFT is loaded here and gives the logits it gave there,
* what is loaded and saved again stays the same to the byte: both files of ours, and PEFT's tensors,
* `radgpt convert` makes of it an adapter that computes the same on a model whose W_pack is split
  into q_proj, k_proj and v_proj, or back.
"""

import dataclasses
import filecmp
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

import baichuan
import reference_results
import tiny_models
from adapters import load_adapter, make_adapter

FIVE = ["W_pack", "o_proj", "gate_proj", "up_proj", "down_proj"]
THIRDS = ["q_proj", "k_proj", "v_proj"]


@dataclasses.dataclass
class Variant:
    name: str
    size: str                  # of the model, see tiny_models.py
    options: dict              # of peft.LoraConfig
    split: bool = False        # PEFT adapts a model with q_proj, k_proj and v_proj
    job: dict = dataclasses.field(default_factory=dict)  # other values of the job
    safetensors: bool = True   # False: PEFT saves adapter_model.bin
    all_linear: bool = False   # the config says so; PEFT expands it for models of transformers only


VARIANTS = [
    Variant("W_pack", "rope", dict(r=8, lora_alpha=16, target_modules=["W_pack"])),
    Variant("W_pack, rank 1", "alibi_5_heads",
            dict(r=1, lora_alpha=32, target_modules=["W_pack"])),
    Variant("five linears", "rope_6_heads", dict(r=4, lora_alpha=8, target_modules=FIVE)),
    Variant("five linears, rsLoRA", "alibi",
            dict(r=6, lora_alpha=5, target_modules=FIVE, use_rslora=True)),
    Variant("gate_proj and o_proj", "alibi_40_heads",
            dict(r=5, lora_alpha=7.5, target_modules=["gate_proj", "o_proj"])),
    Variant("all-linear", "rope", dict(r=3, lora_alpha=3, target_modules=FIVE), all_linear=True),
    Variant("adapter_model.bin", "rope", dict(r=4, lora_alpha=4, target_modules=FIVE),
            safetensors=False),
    Variant("rank_pattern, alpha_pattern", "rope_6_heads",
            dict(r=4, lora_alpha=8, target_modules=FIVE,
                 rank_pattern={"W_pack": 2, "layers.1.mlp.down_proj": 7},
                 alpha_pattern={"^model.layers.0.self_attn.o_proj": 3, "up_proj": 1.5})),
    Variant("layers_to_transform", "alibi_5_heads",
            dict(r=4, lora_alpha=8, target_modules=["W_pack", "up_proj"],
                 layers_to_transform=[0, 2])),
    Variant("one module by its name", "rope",
            dict(r=4, lora_alpha=8, target_modules=["layers.1.self_attn.W_pack", "down_proj"])),
    Variant("q_proj, k_proj, v_proj", "alibi_5_heads",
            dict(r=4, lora_alpha=8, target_modules=THIRDS), split=True),
    Variant("q_proj, v_proj, up_proj, rsLoRA", "rope",
            dict(r=3, lora_alpha=4, target_modules=["q_proj", "v_proj", "up_proj"],
                 use_rslora=True, rank_pattern={"v_proj": 5}), split=True),
    Variant("DoRA", "rope_6_heads",
            dict(r=4, lora_alpha=8, target_modules=FIVE, use_dora=True)),
    Variant("DoRA, rank_pattern", "alibi_5_heads",
            dict(r=4, lora_alpha=8, target_modules=["W_pack", "gate_proj"], use_dora=True,
                 use_rslora=True, rank_pattern={"W_pack": 2})),
    Variant("DoRA on thirds", "alibi_40_heads",
            dict(r=4, lora_alpha=8, target_modules=THIRDS, use_dora=True), split=True),
    Variant("LoRA+", "rope", dict(r=4, lora_alpha=8, target_modules=FIVE),
            job=dict(loraplus_ratio=8.0, learning_rate=5e-4)),
]


class Comparison:
    def __init__(self, folder, variant, seed):
        self.folder, self.variant = folder, variant
        self.model = folder / "model"
        tiny_models.write_model(self.model, tiny_models.SIZES[variant.size], seed=seed)
        self.job = tiny_models.make_job(
            seed=seed, **(dict(learning_rate=2e-3) | variant.job))
        torch.manual_seed(seed)
        self.faults = []

    def save(self, model, name):
        model.save_pretrained(self.folder / name, save_embedding_layers=False,
                              safe_serialization=self.variant.safetensors)
        if self.variant.all_linear:
            self.write_targets(name, "all-linear")

    def write_targets(self, name, targets):
        path = self.folder / name / "adapter_config.json"
        config = json.loads(path.read_text())
        path.write_text(json.dumps(config | dict(target_modules=targets), indent=2))

    def run(self, name, adapter, steps):
        """Results of libradgpt, which leaves the trained adapter in the folder `name`, and merged
        into the model in NAME_merged."""
        tiny_models.write_job(self.folder / "job.json", dict(self.job, steps=steps))
        results = self.folder / "results.safetensors"
        subprocess.run([os.environ["PROGRAM"], self.folder / "job.json", results, self.model,
                        self.folder / f"{name}_merged", self.folder / adapter, self.folder / name],
                       check=True)
        return load_file(results)

    def expect_logits(self, what, model, expected):
        self.faults += reference_results.logit_faults(what, model, self.job, expected)

    def load(self, name, split):
        return load_adapter(self.model, self.folder / name, split)

    def compare(self):
        split = self.variant.split
        model = make_adapter(self.model, self.variant.options, split)
        self.save(model, "by_peft")
        ours = self.run("trained", "by_peft", self.job["steps"])
        theirs = reference_results.compute(model, self.job)
        self.faults += reference_results.faults(ours, theirs)
        self.save(model, "trained_by_peft")
        again = self.run("saved_for_peft", "trained_by_peft", 0)
        for name, values in reference_results.trained_logits(theirs).items():
            error = float((again[name] - values).abs().max())
            if not error <= reference_results.TOLERANCES["logits"]:
                self.faults.append(f"trained by PEFT, loaded here: {name} differs by {error:.1e}")
        self.compare_files()
        self.compare_trained(reference_results.trained_logits(ours))

    def compare_trained(self, expected):
        """What was trained here, read by others."""
        split = self.variant.split
        if self.variant.all_linear:
            self.write_targets("trained", FIVE)
        self.expect_logits("trained here, loaded by PEFT", self.load("trained", split), expected)
        self.expect_logits("merged here", baichuan.load(self.folder / "trained_merged"), expected)
        subprocess.run([os.environ["RADGPT"], "convert", "--adapter", self.folder / "trained",
                        "--out", self.folder / "converted", "--to",
                        "packed" if split else "split"], check=True, stdout=subprocess.DEVNULL)
        self.expect_logits("converted", self.load("converted", not split), expected)

    def compare_files(self):
        self.run("saved_again", "trained", 0)
        pairs = [(f"trained/{name}", f"saved_again/{name}")
                 for name in ("adapter_config.json", "adapter_model.safetensors")]
        if self.variant.safetensors:
            # Whose base is not known; what is saved from here says it.
            plain = self.folder / "without_base.safetensors"
            saved = self.folder / "saved_for_peft/adapter_model.safetensors"
            save_file(load_file(saved), plain, {"format": "pt"})
            pairs.append(("trained_by_peft/adapter_model.safetensors", plain.name))
        for first, second in pairs:
            if not filecmp.cmp(self.folder / first, self.folder / second, shallow=False):
                self.faults.append(f"{first} is another after it was loaded and saved")


class PissaComparison(Comparison):
    """Both sides start from the principal singular values of the base, which stand apart here, as
    fp32 knows singular vectors no better than that. Their signs are free, so gradients are compared
    without."""

    def __init__(self, folder, variant, seed):
        super().__init__(folder, variant, seed)
        weights, rank = load_file(self.model / "model.safetensors"), variant.options["r"]
        for name, values in weights.items():
            if name.endswith("proj.weight") or name.endswith("W_pack.weight"):
                u, s, vt = torch.linalg.svd(values, full_matrices=False)
                s = torch.cat([torch.linspace(3, 1, rank), torch.full((len(s) - rank,), 0.05)])
                weights[name] = u @ torch.diag(s) @ vt
        save_file(weights, self.model / "model.safetensors", {"format": "pt"})

    def compare(self):
        plain = dict(self.variant.options, init_lora_weights=True)
        self.save(make_adapter(self.model, plain), "config")
        ours = self.run("trained", "config", self.job["steps"])
        theirs = reference_results.compute(make_adapter(self.model, self.variant.options), self.job)

        def unsigned(results):
            return {name: values.abs() if name.startswith("gradient") else values
                    for name, values in results.items()}

        self.faults += reference_results.faults(unsigned(ours), unsigned(theirs))
        self.compare_trained(reference_results.trained_logits(ours))


PISSA = [
    Variant("PiSSA", "rope", dict(r=6, lora_alpha=3, target_modules=["W_pack", "gate_proj"],
                                  init_lora_weights="pissa"), job=dict(pissa=True)),
    Variant("PiSSA, rsLoRA", "alibi", dict(r=8, lora_alpha=2, target_modules=FIVE,
                                           init_lora_weights="pissa", use_rslora=True),
            job=dict(pissa=True)),
]


def main():
    failed = False
    rows = [(Comparison, variant) for variant in VARIANTS]
    rows += [(PissaComparison, variant) for variant in PISSA]
    for seed, (kind, variant) in enumerate(rows):
        print(f"{variant.name}, {variant.size}", flush=True)
        with tempfile.TemporaryDirectory() as temporary:
            comparison = kind(Path(temporary), variant, seed)
            comparison.compare()
        for fault in comparison.faults:
            print("  " + fault)
        failed = failed or bool(comparison.faults)
    sys.exit(failed)


main()
