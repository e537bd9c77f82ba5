# Sourced by the tests of launchers with BUILD and WORK: a small job, done by one rank, and what it
# is compared with. Ranks beyond the machine's processors are fine: each has one thread.
# shellcheck shell=bash

# Launchers listen at every address they find, so they get a network of the test's own: loopback, and
# a cable with both ends in it, since neither Slurm nor Open MPI is content with loopback alone.
if [ -z "${RADGPT_OWN_NETWORK:-}" ]; then
  own=(unshare --net)
  "${own[@]}" true 2>/dev/null || own=(unshare --user --map-root-user --net)
  if ! command -v ip >/dev/null || ! "${own[@]}" true 2>/dev/null; then
    echo "skipped: no right to make a network namespace, or no iproute2"
    exit 0
  fi
  RADGPT_OWN_NETWORK=1 exec "${own[@]}" bash "$0" "$@"
fi
ip link set lo up
ip link add own0 type veth peer name own1
ip address add 10.78.0.1/24 dev own0
ip link set own0 up
ip link set own1 up

build=$1 work=$2
examples=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../../examples/cluster")
rm -rf "$work"
mkdir -p "$work/bin"
cd "$work"
ln -s "$build/bin/radgpt" bin/radgpt
PATH=$work/bin:/usr/sbin:$PATH  # slurmctld and munged are in sbin

# need NAME…: ends the test well where a program is missing.
need() {
  local name
  for name in "$@"; do
    if ! command -v "$name" >/dev/null; then
      echo "skipped: no $name (docker/install_dependencies.sh --reference installs it)"
      exit 0
    fi
  done
}

fail() {
  echo "error: $*" >&2
  exit 1
}

# make_job: job.yaml, and in one/ the run of a single rank.
make_job() {
  radgpt simulate --out reports --reports 150 --seed 3
  cat >base.yaml <<RECIPE
model: {hidden_size: 64, intermediate_size: 160, layers: 2, heads: 2, position: rope,
        max_length: 512, tokenizer_pieces: 2000, dtype: fp32}
data: {sources: [{reports: [$work/reports/reports.jsonl]}]}
tasks: [{name: report, answer: "{findings}\n{impression}"}]
train: {parameters: full, steps: 4, pack_tokens: 1024, seed: 1, threads: 1}
optim: {learning_rate: 0.01}
output: {folder: $work/base}
RECIPE
  radgpt train base.yaml
  cat >job.yaml <<RECIPE
model: {path: $work/base/model, max_length: 512, dtype: fp32}
data: {sources: [{reports: [$work/reports/reports.jsonl]}], validation_fraction: 0.05}
lora: {rank: 4, alpha: 8, dropout: 0.1, targets: [all]}
train: {steps: 8, pack_tokens: 512, packs_per_step: 4, seed: 2, threads: 1, evaluate_every: 4,
        save_every: 4}
optim: {learning_rate: 0.02}
output: {folder: $work/one}
RECIPE
  radgpt train job.yaml
}

# expect_same FOLDER RANKS: that many ranks have made the adapter of one, bit for bit.
expect_same() {
  grep -q "\"ranks\": *$2" "$1/manifest.json" || fail "$1: must be a run of $2 ranks"
  cmp one/adapter/adapter_model.safetensors "$1/adapter/adapter_model.safetensors" ||
    fail "$1: the adapter must be that of one rank"
}
