#!/usr/bin/env bash
# From a bare machine to a scored adapter, on made-up reports: installs, builds, writes reports,
# trains a tiny base model and a LoRA adapter on it, and scores both on reports it has never seen.
# On two cores: about 20 minutes the first time, under 8 once everything is built.
# A second run overwrites what the first left in build/quickstart.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

radgpt=build/release/bin/radgpt
output=build/quickstart

step() {
  echo
  echo "[quickstart] $*"
}

step "1/6 installs the dependencies (docker/install_dependencies.sh)"
bash docker/install_dependencies.sh

step "2/6 builds the executable $radgpt"
cmake --preset release
cmake --build --preset release --target radgpt_executable -j2

step "3/6 writes made-up reports of two centres: chest CT, brain MRI, thyroid ultrasound"
rm -rf "$output"
$radgpt simulate --out "$output/data" --reports 12000 --seed 1

step "4/6 trains a tiny base model on the reports of both centres, every parameter"
$radgpt train recipes/quickstart_base.yaml

step "5/6 trains the adapter: four tasks at once, LoRA on the frozen base"
$radgpt train recipes/quickstart.yaml

step "6/6 scores baselines, base and adapter on held-out patients of both centres"
$radgpt evaluate recipes/quickstart.yaml
