#!/usr/bin/env bash
# Examples a second of one rank and of several, each with one thread, in the same run, and what
# share of a step the ranks wait for each other:
#
#   ranks.sh RADGPT RANKS ROUNDS RECIPE [field=value …]
#
# The global batch is the same, so is the work; the adapters must be equal, bit for bit. One run of
# each in turn, ROUNDS times. The first step of a run warms up and is left out.
set -euo pipefail
radgpt=$1 ranks=$2 rounds=$3 recipe=$4
shift 4
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

run() {  # COUNT NAME: trains with so many ranks
  OMP_NUM_THREADS=1 "$radgpt" launch -n "$1" "$recipe" "${@:3}" train.threads=1 \
    train.evaluate_every=1000000 output.existing=error "output.folder=$folder/$2" >/dev/null
}

for ((round = 0; round < rounds; ++round)); do
  run 1 "one-$round" "$@"
  run "$ranks" "several-$round" "$@"
  cmp "$folder/one-$round/adapter/adapter_model.safetensors" \
    "$folder/several-$round/adapter/adapter_model.safetensors"
done

python3 - "$folder" "$rounds" "$ranks" <<'PYTHON'
import json, statistics, sys

folder, rounds, ranks = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])

def steps(name):
    with open(f"{folder}/{name}/run.jsonl", encoding="utf-8") as lines:
        found = [json.loads(line) for line in lines]
    return [line for line in found if line["kind"] == "step"][1:]

def rate(found):
    return sum(s["examples"] for s in found) / sum(s["seconds"] for s in found)

ratios = []
for round_number in range(rounds):
    one, several = steps(f"one-{round_number}"), steps(f"several-{round_number}")
    ratios.append(rate(several) / rate(one))
    waited = sum(s["seconds_waited"] for s in several) / sum(s["seconds"] for s in several)
    print(f"round {round_number + 1}: 1 rank {rate(one):.3f} examples/s, {ranks} ranks "
          f"{rate(several):.3f} examples/s, {ratios[-1]:.3f} times; rank 0 waits "
          f"{100 * waited:.2f} % and sends {several[0]['bytes_sent'] / 1e6:.2f} MB a step")
print(f"median {statistics.median(ratios):.3f} times, lowest {min(ratios):.3f}, "
      f"highest {max(ratios):.3f}; adapters equal in all rounds")
PYTHON
