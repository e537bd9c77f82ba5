#!/usr/bin/env bash
# exported_symbols.sh LIBRARY…: fails if a shared library shows symbols of a library inside it.
set -euo pipefail
faults=0
for library in "$@"; do
  symbols=$(nm --dynamic --demangle --defined-only "$library")
  count=$(grep -c 'radgpt::' <<<"$symbols" || true)
  leaked=$(grep -E 'sentencepiece|google::protobuf|absl::|FLAGS_|YAML::|nlohmann' <<<"$symbols" || true)
  echo "$(basename "$library"): $count symbols of radgpt, ${leaked:+these }leaked: ${leaked:-none}"
  if [ -n "$leaked" ] || [ "$count" = 0 ]; then faults=1; fi
done
exit $faults
