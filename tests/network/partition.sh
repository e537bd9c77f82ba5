#!/usr/bin/env bash
# Two "hosts" (network namespaces with an address each, joined by a cable) train one run of two
# ranks. The cable is cut for 2 s: the run goes on and ends with the bits of a run on one rank. It is
# cut for good: both sides end with code 5 within the time-out and 2 s, naming the other, and only
# rank 0 has written; in a step, and in a save. Each host has a folder of its own.
#
#   partition.sh RADGPT FOLDER
set -euo pipefail
radgpt=$1 folder=$2
timeout=5

if [ "$(id -u)" != 0 ] || ! command -v ip >/dev/null ||
  ! unshare --net --mount true 2>/dev/null; then
  echo "skipped: network namespaces need root and iproute2"
  exit 0
fi
# Everything below is in a namespace of its own, so that names and processes end with it.
if [ "${RADGPT_PARTITION_INSIDE:-}" = "" ]; then
  RADGPT_PARTITION_INSIDE=1 exec unshare --net --mount --pid --fork --kill-child --mount-proc \
    bash "$0" "$@"
fi
mount -t tmpfs tmpfs /run
mkdir -p /run/netns
for host in a b; do
  ip netns add "$host" || { echo "skipped: this kernel makes no named network namespace"; exit 0; }
  ip -n "$host" link set lo up
done
ip link add cable_a netns a type veth peer name cable_b netns b
ip -n a address add 10.77.0.1/24 dev cable_a
ip -n b address add 10.77.0.2/24 dev cable_b
ip -n a link set cable_a up
ip -n b link set cable_b up

rm -rf "$folder"
mkdir -p "$folder/a"
cd "$folder/a"
"$radgpt" simulate --out reports --reports 150 --seed 3 >/dev/null
cat >base.yaml <<YAML
model: {hidden_size: 64, intermediate_size: 160, layers: 2, heads: 2, position: rope,
        max_length: 512, tokenizer_pieces: 2000}
data: {sources: [{reports: [reports/reports.jsonl]}]}
tasks: [{name: report, answer: "{findings}\n{impression}"}]
train: {parameters: full, steps: 4, pack_tokens: 1024, seed: 1, threads: 1}
output: {folder: base}
YAML
"$radgpt" train base.yaml >/dev/null 2>&1
cat >adapter.yaml <<YAML
model: {path: base/model, max_length: 512}
data: {sources: [{reports: [reports/reports.jsonl]}], validation_fraction: 0.05}
lora: {rank: 4, alpha: 8, dropout: 0.1, targets: [all]}
train: {steps: 100, pack_tokens: 512, packs_per_step: 4, seed: 2, threads: 1, save_every: 5}
distributed: {timeout: $timeout}
output: {folder: one}
YAML

fail() {
  echo "$1"
  tail -n 3 errors-*
  exit 1
}

# start RANK HOST ARGUMENT…: one rank on one host, in the background.
start() {
  local rank=$1 host=$2
  shift 2
  RANK=$rank LOCAL_RANK=0 WORLD_SIZE=2 MASTER_ADDR=10.77.0.1 MASTER_PORT=29400 \
    ip netns exec "$host" unshare --uts bash -c 'hostname "host-$0"; cd "../$0"; exec "$@"' \
    "$host" "$radgpt" train adapter.yaml "$@" >/dev/null 2>"errors-$rank" &
}

# wait_for_steps FOLDER COUNT: until that many steps are recorded.
wait_for_steps() {
  local deadline=$((SECONDS + 120))
  until [ "$(grep -c '"kind":"step"' "$1/run.jsonl" 2>/dev/null || true)" -ge "$2" ] 2>/dev/null; do
    [ $SECONDS -lt $deadline ] || fail "no $2 steps within 120 s"
    read -rt 0.05 <> <(:) || true
  done
}

pause() { read -rt "$1" <> <(:) || true; }

cp -r . ../b
"$radgpt" train adapter.yaml >/dev/null 2>&1

start 0 a output.folder=healed
first=$!
start 1 b output.folder=healed
second=$!
wait_for_steps healed 10
ip -n a link set cable_a down
pause 2
ip -n a link set cable_a up
wait "$first" || fail "a cut of 2 s has ended rank 0"
wait "$second" || fail "a cut of 2 s has ended rank 1"
cmp one/adapter/adapter_model.safetensors healed/adapter/adapter_model.safetensors ||
  fail "a cut of 2 s has changed the adapter"
echo "cut for 2 s: healed, the adapter has the bits of a run on one rank"

# wait_for_save FOLDER PROCESS…: until a checkpoint is being written. Looks all the time: that takes
# milliseconds.
wait_for_save() {
  local deadline=$((SECONDS + 120))
  until compgen -G "$1/checkpoints/.unfinished-*" >/dev/null; do
    { [ $SECONDS -lt $deadline ] && kill -0 "$2" "$3"; } || fail "no checkpoint within 120 s"
  done
}

# cut FOLDER SAVE_EVERY: the cable, while two ranks train; where they save, in the middle of a save,
# behind which ranks wait longer for each other than the time-out if only there are signs of life.
cut() {
  local folder=$1 save_every=$2 first second rank code begin took codes=
  start 0 a output.folder="$folder" train.steps=100000 train.save_every="$save_every"
  first=$!
  start 1 b output.folder="$folder" train.steps=100000 train.save_every="$save_every"
  second=$!
  wait_for_steps "$folder" 10
  if [ "$save_every" != 0 ]; then
    wait_for_save "$folder" "$first" "$second"
    kill -STOP "$first"  # or the save would be over before the cable is cut
  fi
  begin=$(date +%s%3N)
  ip -n a link set cable_a down
  kill -CONT "$first"
  for rank in "$first" "$second"; do
    code=0
    wait "$rank" || code=$?
    codes="$codes $code"
  done
  took=$(($(date +%s%3N) - begin))
  [ "$codes" = " 5 5" ] || fail "a cut cable must end both ranks with 5, got$codes"
  echo "$folder, time-out $timeout s: both have ended after $took ms"
  [ "$took" -lt $(((timeout + 2) * 1000)) ] || fail "that is more than the time-out and 2 s"
  grep -q '^error: rank 0 (host-a): step [0-9]*: rank 1 (host-b)' errors-0 ||
    fail "rank 0 names the wrong rank"
  grep -q '^error: rank 1 (host-b): step [0-9]*: rank 0 (host-a)' errors-1 ||
    fail "rank 1 names the wrong rank"
  [ ! -e "../b/$folder" ] || fail "rank 1 has written"
  ip -n a link set cable_a up
}

cut cut_in_a_step 0
cut cut_in_a_save 1
