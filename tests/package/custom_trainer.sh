#!/usr/bin/env bash
# custom_trainer.sh BUILD WORK: the loop of examples/custom_trainer, which package_custom_trainer has
# built and run in WORK, has made the adapter that `radgpt train` makes of the same base and reports
# with the same numbers, bit for bit. So the example is a whole and right training loop.
set -euo pipefail
build=$1 work=$2

cd "$work/run"
cat >recipe.yaml <<'RECIPE'
model: {path: custom_trainer_example/base, max_length: 2048}
data: {sources: [{train: [custom_trainer_example/reports.jsonl]}], too_long: shorten_context}
lora: {rank: 8, alpha: 16, dropout: 0.05, targets: [all]}
optim: {learning_rate: 0.01, schedule: cosine, warmup_fraction: 0.1, clip_norm: 1}
train: {epochs: 0, steps: 20, pack_tokens: 2048, packs_per_step: 2, seed: 1}
output: {folder: run, existing: overwrite}
RECIPE
"$build/bin/radgpt" train recipe.yaml
cmp run/adapter/adapter_model.safetensors custom_trainer_example/adapter/adapter_model.safetensors
