#!/usr/bin/env bash
# torchrun.sh BUILD WORK PACKAGES: examples/cluster/torchrun.sh with two and three ranks.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/job.sh"
packages=$3
if [ ! -e "$packages/.installed" ]; then
  echo "skipped: no third_party/reference (docker/install_dependencies.sh --reference makes it)"
  exit 0
fi
cat >bin/torchrun <<TORCHRUN
#!/usr/bin/env bash
PYTHONPATH='$packages' exec /usr/bin/python3 -m torch.distributed.run "\$@"
TORCHRUN
chmod +x bin/torchrun

make_job
for ranks in 2 3; do
  RANKS=$ranks bash "$examples/torchrun.sh" job.yaml output.folder="ranks_$ranks"
  expect_same "ranks_$ranks" "$ranks"
done

# A fault is that of a rank: torchrun itself ends with 1.
if RANKS=2 bash "$examples/torchrun.sh" job.yaml model.path=/no/such output.folder=fault 2>errors; then
  fail "a model that is not there must be a fault"
fi
grep -q '^error: .*model.path: must be a folder' errors || fail "a rank must say its fault"
