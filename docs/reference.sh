#!/usr/bin/env bash
# reference.sh DOXYFILE OUT: makes the reference in the folder OUT and fails if anything that must be
# documented is not, or a comment or link is wrong. Members of documented types may go without a
# comment: what `int64_t rank() const` is needs none.
set -euo pipefail
doxyfile=$1 out=$2

if ! command -v doxygen >/dev/null; then
  echo "skipped: no doxygen"
  exit 0
fi
rm -rf "$out"
mkdir -p "$out"
doxygen "$doxyfile"
readonly member='warning: Member .* of (class|struct|union) .* is not documented\.$'
if grep -vE "$member" "$out/warnings.txt"; then
  echo "error: the reference has the faults above"
  exit 1
fi
echo "reference: $out/index.html"
