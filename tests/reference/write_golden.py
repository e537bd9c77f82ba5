"""Writes golden/: for each kind of position a tiny model, a job, an adapter that PEFT made, and
what the reference computes, which golden_test.cpp compares with where there is no Python.

    bash tests/reference/run.sh third_party/reference write_golden.py
"""

import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file

import baichuan
import reference_results
import tiny_models
from adapters import make_adapter

GOLDEN = Path(__file__).parent / "golden"
VOCABULARY = 53
SIZES = {
    "rope": dict(position_embedding="rope", hidden_size=24, num_attention_heads=6,
                 num_hidden_layers=2, intermediate_size=28, rms_norm_eps=0.02),
    "alibi": dict(position_embedding="alibi", hidden_size=20, num_attention_heads=5,
                  num_hidden_layers=2, intermediate_size=28, rms_norm_eps=0.02),
}


def golden_job():
    job = tiny_models.make_job(VOCABULARY)
    pack = job["packs"][0]
    weights = torch.linspace(0.5, 2, len(pack["targets"])).tolist()
    return dict(job, packs=[dict(pack, target_weights=weights)], sequences=job["sequences"][:2],
                prompts=job["prompts"][:3])


def main():
    shutil.rmtree(GOLDEN, ignore_errors=True)
    for name, size in SIZES.items():
        folder = GOLDEN / name
        tiny_models.write_model(folder, size, VOCABULARY)
        job = golden_job()
        tiny_models.write_job(folder / "job.json", job)
        results = reference_results.compute(baichuan.load(folder), job)
        del results["trained_logits.0"]
        save_file(results, folder / "expected.safetensors")
        torch.manual_seed(0)
        adapter = make_adapter(folder, dict(r=3, lora_alpha=5, use_rslora=name == "alibi",
                                            target_modules=["W_pack", "up_proj"]))
        adapter.save_pretrained(folder / "adapter", save_embedding_layers=False)
        (folder / "adapter" / "README.md").unlink()
        results = reference_results.compute(adapter, job)
        save_file({key: values for key, values in results.items() if "logits" not in key},
                  folder / "expected_with_adapter.safetensors")


main()
