#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace radgpt {

/// Who keeps the store through which ranks find each other.
enum class StoreKeeper {
  kRankZero,  ///< rank 0 listens at the address
  kAgent,     ///< a launcher's agent does; every rank is a client
};

/// Where a process stands among the ranks of a run, and where they meet.
struct RankEnvironment {
  int rank = 0;
  int size = 1;
  int local_rank = 0;   ///< among the ranks of this machine: the number of its GPU
  std::string address;  ///< of the store: a host name or an IP address; empty with one rank
  uint16_t port = 0;    ///< of the store
  StoreKeeper keeper = StoreKeeper::kRankZero;
  int generation = 0;  ///< restarts so far: what a killed generation left in the store is not read
  /// A socket that listens at address and port already, for rank 0 as keeper; -1: it opens one.
  int listening_socket = -1;
};

/// The value of an environment variable, nothing if it is not set.
using VariableLookup = std::function<std::optional<std::string>(const std::string& name)>;

/// Reads what a launcher has put into the environment; the first of these that is there decides:
///
///   torchrun   RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT, with
///              TORCHELASTIC_USE_AGENT_STORE and TORCHELASTIC_RESTART_COUNT
///   variables  the same five, set by hand or by Kubernetes; without LOCAL_RANK it is 0
///   Open MPI   OMPI_COMM_WORLD_RANK, _SIZE, _LOCAL_RANK, _LOCAL_SIZE
///   Slurm      SLURM_PROCID, SLURM_STEP_NUM_TASKS, SLURM_LOCALID, SLURM_STEP_NODELIST of a step
///              (srun); a batch script outside of one is a process of its own
///
/// MASTER_ADDR and MASTER_PORT may be given beside the variables of Open MPI and Slurm too. Without
/// them the address is 127.0.0.1 where all ranks share a machine, else the first host of Slurm's
/// list (Open MPI names none); the port, in [20000, 32000), is made from the job's number, so two
/// jobs on a machine hardly ever meet. With none of all these: one rank.
///
/// Throws Error(kInput) naming the variable for one that is missing, no number, or out of range,
/// and for a RANK that is not the launcher's own: one for all would make every process rank 0.
RankEnvironment read_rank_environment(const VariableLookup& variable);

/// The same, of this process.
RankEnvironment read_rank_environment();

}  // namespace radgpt
