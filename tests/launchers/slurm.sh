#!/usr/bin/env bash
# slurm.sh BUILD WORK: a Slurm of its own (munged, slurmctld, slurmd) on the loopback interface,
# one node with four processors, whatever the machine has; runs by srun and
# examples/cluster/radgpt.sbatch, and what its variables are worth outside of a step.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/job.sh"
need munged slurmctld slurmd srun sbatch

cluster=$(mktemp -d /tmp/radgpt-slurm-XXXXXX)  # a socket's path is short
daemons=()
stop_cluster() {
  local daemon
  for daemon in "${daemons[@]}"; do kill "$daemon" 2>/dev/null || true; done
  wait
  rm -rf "$cluster"
}
trap stop_cluster EXIT

# await WHAT COMMAND…: until the command succeeds, at most a minute.
await() {
  local deadline=$((SECONDS + 60))
  while [ $SECONDS -lt $deadline ]; do
    if "${@:2}" >/dev/null 2>&1; then return; fi
    sleep 0.1
  done
  tail -n 20 "$cluster"/*.log >&2
  fail "$1 must be there within a minute"
}

free_ports() {
  /usr/bin/python3 -c '
import socket
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*(s.getsockname()[1] for s in sockets))'
}

start_cluster() {
  local controller node user
  read -r controller node < <(free_ports)
  user=$(id -un)
  chmod 755 "$cluster"  # munged refuses a socket that others could not reach
  mkdir "$cluster/state" "$cluster/spool"
  (umask 077 && head -c 1024 /dev/urandom >"$cluster/munge.key")
  cat >"$cluster/slurm.conf" <<CONF
ClusterName=radgpt
SlurmctldHost=localhost
SlurmUser=$user
SlurmdUser=$user
AuthType=auth/munge
AuthInfo=socket=$cluster/munge.socket
SlurmctldPort=$controller
SlurmdPort=$node
StateSaveLocation=$cluster/state
SlurmdSpoolDir=$cluster/spool
SlurmctldPidFile=$cluster/slurmctld.pid
SlurmdPidFile=$cluster/slurmd.pid
SlurmctldLogFile=$cluster/slurmctld.log
SlurmdLogFile=$cluster/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
MpiDefault=none
NodeName=localhost CPUs=4
PartitionName=all Nodes=ALL Default=YES
CONF
  export SLURM_CONF=$cluster/slurm.conf
  munged --foreground --force --num-threads=1 --key-file="$cluster/munge.key" \
    --socket="$cluster/munge.socket" --pid-file="$cluster/munged.pid" \
    --log-file="$cluster/munged.log" --seed-file="$cluster/munged.seed" 2>>"$cluster/out.log" &
  daemons+=($!)
  await "munged's socket" test -S "$cluster/munge.socket"
  slurmctld -D -f "$SLURM_CONF" >>"$cluster/out.log" 2>&1 &
  daemons+=($!)
  slurmd -D -N localhost -f "$SLURM_CONF" >>"$cluster/out.log" 2>&1 &
  daemons+=($!)
  await "an idle node" sh -c 'sinfo -h -o %T | grep -q "^idle$"'
}

start_cluster
make_job

srun -n 3 radgpt train job.yaml output.folder=step
expect_same step 3

sbatch --wait --nodes=1 --ntasks-per-node=2 --cpus-per-task=1 --gpus-per-node=0 --output=batch.out \
  "$examples/radgpt.sbatch" job.yaml output.folder=batch || (cat batch.out && fail "sbatch")
expect_same batch 2

# A batch script has SLURM_PROCID, but is a process of its own, and a shell of salloc too.
sbatch --wait -n 2 --output=script.out --wrap "radgpt train job.yaml output.folder=script" ||
  (cat script.out && fail "sbatch --wrap")
salloc --quiet -n 2 radgpt train job.yaml output.folder=shell
for folder in script shell; do
  cmp one/adapter/adapter_model.safetensors "$folder/adapter/adapter_model.safetensors" ||
    fail "$folder: the adapter must be that of one rank"
done

code=0
srun -n 2 radgpt train job.yaml model.path=/no/such output.folder=fault 2>errors || code=$?
[ "$code" = 3 ] || fail "a model that is not there must end srun with 3, got $code"
grep -q '^error: .*model.path: must be a folder' errors || fail "a rank must say its fault"
