#!/usr/bin/env bash
# readme.sh BUILD README WORK: builds the program of README.md's section "The library" with the
# CMakeLists.txt above it, both as they stand there, against an installed copy, and asks it what it is
# for. Its answer must be that of `radgpt generate`, on a tiny base and adapter that radgpt makes.
set -euo pipefail
build=$1 readme=$2 work=$3

fail() {
  echo "error: $*" >&2
  exit 1
}

# block LANGUAGE: the one code block of that language in the section.
block() {
  awk -v open='```'"$1" '
    /^## / { section = ($0 == "## The library") }
    section && $0 == "```" { copying = 0 }
    copying { print }
    section && $0 == open { copying = 1; ++blocks }
    END { if (blocks != 1) { print "blocks: " blocks + 0 >"/dev/stderr"; exit 1 } }' "$readme" ||
    fail "README.md: The library: must have one block of $1"
}

rm -rf "$work"
mkdir -p "$work/source" "$work/run"
block cmake >"$work/source/CMakeLists.txt"
block cpp >"$work/source/answer.cpp"
cmake --install "$build" --prefix "$work/installed" >"$work/install.log"
cmake -S "$work/source" -B "$work/build" -G Ninja -DCMAKE_PREFIX_PATH="$work/installed"
cmake --build "$work/build"

cd "$work/run"
radgpt=$work/installed/bin/radgpt
cat >base.yaml <<'RECIPE'
model: {hidden_size: 32, intermediate_size: 64, layers: 1, heads: 2, position: rope,
        max_length: 512, tokenizer_pieces: 1800}
data: {sources: [{train: [data/reports.jsonl]}], too_long: shorten_context}
train: {parameters: full, epochs: 0, steps: 2, pack_tokens: 512, threads: 1}
output: {folder: base}
RECIPE
cat >adapter.yaml <<'RECIPE'
model: {path: base/model, max_length: 512}
data: {sources: [{train: [data/reports.jsonl]}], too_long: shorten_context}
train: {epochs: 0, steps: 2, pack_tokens: 512, threads: 1}
output: {folder: run}
RECIPE
"$radgpt" simulate --out data --reports 60
"$radgpt" train base.yaml
"$radgpt" train adapter.yaml
findings=双肺纹理清晰，未见实变及结节影。
"$work/build/answer" base/model run/adapter <<<"$findings" >answer.txt
"$radgpt" generate --model base/model --adapter run/adapter --recipe adapter.yaml --task summary \
  --input - <<<"$findings" >expected.txt
[ -s answer.txt ] || fail "answer: must print a line, got nothing"
cmp answer.txt expected.txt || fail "answer: must say what radgpt generate says"
