#!/usr/bin/env bash
# executable.sh BUILD WORK: installs the build, moves the copy, and does the main job with the moved
# executable at its smallest, outside the tree. What the copy needs must be in the copy: without its
# word lists the scores of words are gone, so those of the tree were not used.
set -euo pipefail
build=$1 work=$2

rm -rf "$work"
mkdir -p "$work/run"
cmake --install "$build" --prefix "$work/first" >"$work/install.log"
mv "$work/first" "$work/moved"
radgpt=$work/moved/bin/radgpt
cd "$work/run"

cat >recipe.yaml <<'RECIPE'
model: {hidden_size: 32, intermediate_size: 64, layers: 1, heads: 2, position: rope,
        max_length: 512, tokenizer_pieces: 1800, dtype: fp32}
data: {sources: [{reports: [data/reports.jsonl]}], too_long: shorten_context}
train: {parameters: full, steps: 1, pack_tokens: 512, threads: 1}
evaluate: {limit: 2, max_new_tokens: 4, bootstrap: 0, calibrate: false, baselines: false}
output: {folder: run}
RECIPE

fail() {
  echo "error: $*" >&2
  exit 1
}

"$radgpt" recipes list | grep -q "^$work/moved/share/radgpt/recipes/quickstart.yaml" ||
  fail "the moved copy must list its own recipes"
"$radgpt" simulate --out data --reports 60
"$radgpt" train recipe.yaml
"$radgpt" evaluate recipe.yaml
grep -q '"rouge_l_words"' run/scores.json || fail "scores of words must be there"
mv "$work/moved/share/radgpt/words" "$work/moved/share/radgpt/no_words"
"$radgpt" evaluate recipe.yaml 2>&1 | grep "no word list" ||
  fail "word lists must be those of the copy"
for licence in share/doc/radgpt/LICENSE share/doc/radgpt/LICENSE.sentencepiece \
  share/radgpt/no_words/LICENSE; do
  [ -s "$work/moved/$licence" ] || fail "$licence must be installed"
done
