"""Adapters of libradgpt and of PEFT are each other's: for every row of VARIANTS

* an adapter that PEFT made gives the same logits, gradients, steps and answers here,
* one trained here is loaded by PEFT and gives the logits it gave here,
* one trained by PEFT is loaded here and gives the logits it gave there,
* what is loaded and saved again stays the same to the byte: both files of ours, and PEFT's tensors.
"""

import filecmp
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file

import reference_results
import tiny_models
from adapters import load_adapter, make_adapter

FIVE = ["W_pack", "o_proj", "gate_proj", "up_proj", "down_proj"]

# name, size of the model, options of peft.LoraConfig
VARIANTS = [
    ("W_pack", "rope", dict(r=8, lora_alpha=16, target_modules=["W_pack"])),
    ("W_pack, rank 1", "alibi_5_heads", dict(r=1, lora_alpha=32, target_modules=["W_pack"])),
    ("five linears", "rope_6_heads", dict(r=4, lora_alpha=8, target_modules=FIVE)),
    ("five linears, rsLoRA", "alibi",
     dict(r=6, lora_alpha=5, target_modules=FIVE, use_rslora=True)),
    ("gate_proj and o_proj", "alibi_40_heads",
     dict(r=5, lora_alpha=7.5, target_modules=["gate_proj", "o_proj"])),
]


class Comparison:
    def __init__(self, folder, size, options, seed):
        self.folder = folder
        self.model = folder / "model"
        tiny_models.write_model(self.model, tiny_models.SIZES[size], seed=seed)
        self.job = tiny_models.make_job(seed=seed, learning_rate=2e-3)
        torch.manual_seed(seed)
        self.peft = make_adapter(self.model, options)
        self.faults = []

    def run(self, name, adapter, steps):
        """Results of libradgpt, which leaves the adapter trained in the folder `name`."""
        tiny_models.write_job(self.folder / "job.json", dict(self.job, steps=steps))
        results = self.folder / "results.safetensors"
        subprocess.run([os.environ["PROGRAM"], self.folder / "job.json", results, self.model,
                        self.folder / adapter, self.folder / name], check=True)
        return load_file(results)

    def expect_equal(self, what, got, expected):
        """Logits of all packs, of results or of a model."""
        for name, values in expected.items():
            error = float((got[name] - values).abs().max())
            if not error <= reference_results.TOLERANCES["logits"]:
                self.faults.append(f"{what}: {name} differs by {error:.1e}")

    def compare(self):
        self.peft.save_pretrained(self.folder / "by_peft", save_embedding_layers=False)
        ours = self.run("trained", "by_peft", self.job["steps"])
        theirs = reference_results.compute(self.peft, self.job)
        self.faults += reference_results.faults(ours, theirs)
        self.peft.save_pretrained(self.folder / "trained_by_peft", save_embedding_layers=False)

        logits = {f"logits.{i}": ours[f"trained_logits.{i}"] for i in range(len(self.job["packs"]))}
        loaded = {}
        reference_results.add_logits(load_adapter(self.model, self.folder / "trained"), self.job,
                                     "logits", loaded)
        self.expect_equal("trained here, loaded by PEFT", loaded, logits)

        logits = {name: theirs["trained_" + name] for name in logits}
        again = self.run("saved_for_peft", "trained_by_peft", 0)
        self.expect_equal("trained by PEFT, loaded here", again, logits)
        self.compare_files()

    def compare_files(self):
        self.run("saved_again", "trained", 0)
        for name in ("adapter_config.json", "adapter_model.safetensors"):
            first, second = self.folder / "trained" / name, self.folder / "saved_again" / name
            if not filecmp.cmp(first, second, shallow=False):
                self.faults.append(f"{name} is another after it was loaded and saved")
        first = self.folder / "trained_by_peft/adapter_model.safetensors"
        second = self.folder / "saved_for_peft/adapter_model.safetensors"
        if not filecmp.cmp(first, second, shallow=False):
            self.faults.append("PEFT's tensors are other bytes after they were loaded and saved")


def main():
    failed = False
    for seed, (name, size, options) in enumerate(VARIANTS):
        print(f"{name}, {size}")
        with tempfile.TemporaryDirectory() as temporary:
            comparison = Comparison(Path(temporary), size, options, seed)
            comparison.compare()
        for fault in comparison.faults:
            print("  " + fault)
        failed = failed or bool(comparison.faults)
    sys.exit(failed)


main()
