"""libradgpt's model, loss, gradients, AdamW steps, cached decoding and generation against
baichuan.py, on tiny random models of both kinds, read from both kinds of files. All weights are
trained, and the trained model is read back. Last, the golden files: they must be what baichuan.py
computes today."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file

import baichuan
import reference_results
import tiny_models


def check_labels(model, job):
    """The pack of a labelled sequence has the loss that Hugging Face's labels give."""
    labelled = job["labelled"]
    loss = model(torch.tensor([labelled["ids"]]), labels=torch.tensor([labelled["labels"]])).loss
    assert abs(loss - reference_results.pack_loss(model, job["packs"][labelled["pack"]])) < 1e-6


def compare_golden(folder):
    job = json.loads((folder / "job.json").read_text())
    print("golden", folder.name)
    results = reference_results.compute(baichuan.load(folder), job)
    expected = load_file(folder / "expected.safetensors")
    return reference_results.faults({name: results[name] for name in expected}, expected)


def main():
    failed = False
    for seed, (name, size) in enumerate(tiny_models.SIZES.items()):
        print(name)
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            tiny_models.write_model(folder / "model", size, seed=seed,
                                    pytorch_file=seed % 2 == 1)
            job = tiny_models.make_job(seed=seed)
            tiny_models.write_job(folder / "job.json", job)
            subprocess.run([os.environ["PROGRAM"], folder / "job.json",
                            folder / "results.safetensors", folder / "model",
                            folder / "trained"], check=True)
            model = baichuan.load(folder / "model")
            check_labels(model, job)
            got = load_file(folder / "results.safetensors")
            faults = reference_results.faults(got, reference_results.compute(model, job))
            faults += reference_results.logit_faults(
                "trained and saved here", baichuan.load(folder / "trained"), job,
                reference_results.trained_logits(got))
            for fault in faults:
                print("  " + fault)
                failed = True
    for folder in sorted((Path(__file__).parent / "golden").iterdir()):
        for fault in compare_golden(folder):
            print("  " + fault)
            failed = True
    sys.exit(failed)


main()
