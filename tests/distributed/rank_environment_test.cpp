#include "libradgpt/distributed/rank_environment.h"

#include <stdlib.h>

#include <map>
#include <string>
#include <vector>

#include "libradgpt/base/error.h"
#include "tests/catch.h"

namespace radgpt {
namespace {

using Variables = std::map<std::string, std::string>;

RankEnvironment read(const Variables& variables) {
  return read_rank_environment([&](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional<std::string>(found->second);
  });
}

Variables with(Variables variables, const Variables& changes) {
  for (const auto& [name, value] : changes) {
    if (value == "unset") {
      variables.erase(name);
    } else {
      variables[name] = value;
    }
  }
  return variables;
}

// As `env` prints them, without those that nothing is read from.

// torchrun of PyTorch 2.11, two ranks on each of two machines, once restarted.
const Variables kTorchrun = {{"RANK", "3"},
                             {"WORLD_SIZE", "4"},
                             {"LOCAL_RANK", "1"},
                             {"LOCAL_WORLD_SIZE", "2"},
                             {"GROUP_RANK", "1"},
                             {"MASTER_ADDR", "node-a"},
                             {"MASTER_PORT", "29500"},
                             {"TORCHELASTIC_RUN_ID", "none"},
                             {"TORCHELASTIC_RESTART_COUNT", "1"},
                             {"TORCHELASTIC_USE_AGENT_STORE", "True"}};

// A worker of a PyTorchJob.
const Variables kKubernetes = {{"RANK", "1"},
                               {"WORLD_SIZE", "2"},
                               {"MASTER_ADDR", "radgpt-master-0"},
                               {"MASTER_PORT", "23456"},
                               {"PYTHONUNBUFFERED", "1"}};

// mpirun of Open MPI 4.1.4.
const Variables kOpenMpi = {{"OMPI_COMM_WORLD_RANK", "1"},
                            {"OMPI_COMM_WORLD_SIZE", "2"},
                            {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
                            {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"},
                            {"OMPI_COMM_WORLD_NODE_RANK", "1"},
                            {"PMIX_NAMESPACE", "511311873"},
                            {"PMIX_RANK", "1"},
                            {"PMIX_HOSTNAME", "node-a"}};

// srun of Slurm 22.05, one task on each of four nodes.
const Variables kSlurm = {{"SLURM_JOB_ID", "4711"},
                          {"SLURM_STEP_ID", "0"},
                          {"SLURM_NTASKS", "4"},
                          {"SLURM_STEP_NUM_TASKS", "4"},
                          {"SLURM_STEP_NUM_NODES", "4"},
                          {"SLURM_STEP_NODELIST", "node[07-09,12]"},
                          {"SLURM_JOB_NODELIST", "node[01-12]"},
                          {"SLURM_PROCID", "2"},
                          {"SLURM_LOCALID", "0"}};

// The script of sbatch: no step.
const Variables kBatchScript = {{"SLURM_JOB_ID", "2"},       {"SLURM_NTASKS", "2"},
                                {"SLURM_NPROCS", "2"},       {"SLURM_PROCID", "0"},
                                {"SLURM_LOCALID", "0"},      {"SLURM_JOB_NODELIST", "node[01-02]"},
                                {"SLURM_JOB_NUM_NODES", "2"}};

// mpirun in a job of Slurm: its daemons are the step, and every rank has their number.
const Variables kOpenMpiInSlurm =
    with(with(kSlurm, {{"SLURM_PROCID", "0"}, {"SLURM_STEP_NUM_TASKS", "1"}}), kOpenMpi);

struct Good {
  const char* what;
  Variables variables;
  RankEnvironment expected;
};

RankEnvironment place(int rank, int size, int local_rank, std::string address, uint16_t port) {
  RankEnvironment environment;
  environment.rank = rank;
  environment.size = size;
  environment.local_rank = local_rank;
  environment.address = std::move(address);
  environment.port = port;
  return environment;
}

RankEnvironment by_agent(RankEnvironment environment, int generation) {
  environment.keeper = StoreKeeper::kAgent;
  environment.generation = generation;
  return environment;
}

// Ports of jobs: 20000 + CRC-32 of the number mod 12000, counted by Python's zlib.
TEST_CASE("Rank environment: is what the launcher has set") {
  const std::vector<Good> table = {
      {"nothing", {}, {}},
      {"torchrun", kTorchrun, by_agent(place(3, 4, 1, "node-a", 29500), 1)},
      {"torchrun whose store is its own",
       with(kTorchrun,
            {{"TORCHELASTIC_USE_AGENT_STORE", "False"}, {"TORCHELASTIC_RESTART_COUNT", "0"}}),
       place(3, 4, 1, "node-a", 29500)},
      {"torchrun in a step of Slurm", with(kSlurm, kTorchrun),
       by_agent(place(3, 4, 1, "node-a", 29500), 1)},
      {"torchrun below mpirun", with(kOpenMpi, kTorchrun),
       by_agent(place(3, 4, 1, "node-a", 29500), 1)},
      {"Kubernetes", kKubernetes, place(1, 2, 0, "radgpt-master-0", 23456)},
      {"IPv6", with(kKubernetes, {{"MASTER_ADDR", "fe80::1%eth0"}}),
       place(1, 2, 0, "fe80::1%eth0", 23456)},
      {"one rank needs no address", {{"RANK", "0"}, {"WORLD_SIZE", "1"}}, {}},
      {"most ranks", with(kKubernetes, {{"RANK", "65535"}, {"WORLD_SIZE", "65536"}}),
       place(65535, 65536, 0, "radgpt-master-0", 23456)},
      {"Open MPI", kOpenMpi, place(1, 2, 1, "127.0.0.1", 30893)},
      {"Open MPI in Slurm", kOpenMpiInSlurm, place(1, 2, 1, "127.0.0.1", 30893)},
      {"Open MPI on several machines",
       with(kOpenMpi, {{"OMPI_COMM_WORLD_LOCAL_SIZE", "1"},
                       {"OMPI_COMM_WORLD_LOCAL_RANK", "0"},
                       {"MASTER_ADDR", "node-a"}}),
       place(1, 2, 0, "node-a", 30893)},
      {"Open MPI without a number",
       with(kOpenMpi, {{"PMIX_NAMESPACE", "unset"}, {"MASTER_PORT", "1"}}),
       place(1, 2, 1, "127.0.0.1", 1)},
      {"Slurm", kSlurm, place(2, 4, 0, "node07", 26573)},
      {"Slurm's next step", with(kSlurm, {{"SLURM_STEP_ID", "1"}}),
       place(2, 4, 0, "node07", 29531)},
      {"Slurm on one node", with(kSlurm, {{"SLURM_STEP_NUM_NODES", "1"}, {"SLURM_LOCALID", "2"}}),
       place(2, 4, 2, "127.0.0.1", 26573)},
      {"Slurm with an address",
       with(kSlurm, {{"MASTER_ADDR", "10.0.0.7"}, {"MASTER_PORT", "65535"}}),
       place(2, 4, 0, "10.0.0.7", 65535)},
      {"sbatch", kBatchScript, {}},
      {"one task", with(kSlurm, {{"SLURM_STEP_NUM_TASKS", "1"}, {"SLURM_PROCID", "0"}}), {}},
      {"a RANK of its own", with(kSlurm, with(kKubernetes, {{"WORLD_SIZE", "8"}})),
       place(1, 8, 0, "radgpt-master-0", 23456)},
      {"the RANK of mpirun", with(kOpenMpi, kKubernetes), place(1, 2, 0, "radgpt-master-0", 23456)},
  };
  for (const Good& row : table) {
    INFO(row.what);
    const RankEnvironment environment = read(row.variables);
    CHECK(environment.rank == row.expected.rank);
    CHECK(environment.size == row.expected.size);
    CHECK(environment.local_rank == row.expected.local_rank);
    CHECK(environment.address == row.expected.address);
    CHECK(environment.port == row.expected.port);
    CHECK(environment.keeper == row.expected.keeper);
    CHECK(environment.generation == row.expected.generation);
    CHECK(environment.listening_socket == -1);
  }
}

struct Bad {
  Variables variables;
  std::string message;
};

void check_refusals(const std::vector<Bad>& table) {
  for (const Bad& row : table) {
    INFO(row.message);
    try {
      read(row.variables);
      FAIL_CHECK("accepted");
    } catch (const Error& error) {
      CHECK(error.what() == "environment: " + row.message);
      CHECK(error.kind() == ErrorKind::kInput);
    }
  }
}

TEST_CASE("Rank environment: refuses ranks and sizes that cannot be") {
  const std::string several = "fault\n\x1b[31mfault fault fault fault fault fault";
  check_refusals({
      {with(kTorchrun, {{"RANK", "4"}}), "RANK: must be a whole number in [0, 3], got \"4\""},
      {with(kTorchrun, {{"RANK", "-1"}}), "RANK: must be a whole number in [0, 3], got \"-1\""},
      {with(kTorchrun, {{"RANK", ""}}), "RANK: must be a whole number in [0, 3], got \"\""},
      {with(kTorchrun, {{"RANK", "1.0"}}), "RANK: must be a whole number in [0, 3], got \"1.0\""},
      {with(kTorchrun, {{"RANK", " 1"}}), "RANK: must be a whole number in [0, 3], got \" 1\""},
      {with(kTorchrun, {{"RANK", "18446744073709551616"}}),
       "RANK: must be a whole number in [0, 3], got \"18446744073709551616\""},
      {with(kTorchrun, {{"RANK", several}}),
       "RANK: must be a whole number in [0, 3], got "
       "\"fault??[31mfault fault fault fault fault\"…"},
      {with(kTorchrun, {{"RANK", "unset"}}), "RANK: must be set beside WORLD_SIZE, got nothing"},
      {with(kTorchrun, {{"WORLD_SIZE", "unset"}}),
       "WORLD_SIZE: must be set beside RANK, got nothing"},
      {with(kTorchrun, {{"WORLD_SIZE", "0"}}),
       "WORLD_SIZE: must be a whole number in [1, 65536], got \"0\""},
      {with(kTorchrun, {{"WORLD_SIZE", "65537"}}),
       "WORLD_SIZE: must be a whole number in [1, 65536], got \"65537\""},
      {with(kTorchrun, {{"LOCAL_RANK", "-1"}}),
       "LOCAL_RANK: must be a whole number in [0, 3], got \"-1\""},
      {with(kTorchrun, {{"LOCAL_RANK", "4"}}),
       "LOCAL_RANK: must be a whole number in [0, 3], got \"4\""},
      {with(kTorchrun, {{"TORCHELASTIC_RESTART_COUNT", "once"}}),
       "TORCHELASTIC_RESTART_COUNT: must be a whole number in [0, 2147483647], got \"once\""},
      {with(kTorchrun, {{"TORCHELASTIC_USE_AGENT_STORE", "1"}}),
       "TORCHELASTIC_USE_AGENT_STORE: must be True or False, got \"1\""},
      {with(kOpenMpi, with(kKubernetes, {{"RANK", "0"}})),
       "RANK: must be that of OMPI_COMM_WORLD_RANK, \"1\", or not be set, got \"0\""},
      {with(kSlurm, with(kKubernetes, {{"RANK", "0"}, {"WORLD_SIZE", "4"}})),
       "RANK: must be that of SLURM_PROCID, \"2\", or not be set, got \"0\""},
      {with(kOpenMpi, {{"OMPI_COMM_WORLD_RANK", "2"}}),
       "OMPI_COMM_WORLD_RANK: must be a whole number in [0, 1], got \"2\""},
      {with(kOpenMpi, {{"OMPI_COMM_WORLD_SIZE", "unset"}}),
       "OMPI_COMM_WORLD_SIZE: must be set beside OMPI_COMM_WORLD_RANK, got nothing"},
      {with(kOpenMpi, {{"OMPI_COMM_WORLD_LOCAL_RANK", "unset"}}),
       "OMPI_COMM_WORLD_LOCAL_RANK: must be set beside OMPI_COMM_WORLD_RANK, got nothing"},
      {with(kSlurm, {{"SLURM_PROCID", "4"}}),
       "SLURM_PROCID: must be a whole number in [0, 3], got \"4\""},
      {with(kSlurm, {{"SLURM_LOCALID", "unset"}}),
       "SLURM_LOCALID: must be set beside SLURM_PROCID, got nothing"},
  });
}

TEST_CASE("Rank environment: refuses addresses and ports that cannot be") {
  const std::string address = "MASTER_ADDR: must be a host name or an address, got ";
  const std::string port = "MASTER_PORT: must be a whole number in [1, 65535], got ";
  check_refusals({
      {with(kKubernetes, {{"MASTER_ADDR", "unset"}}),
       "MASTER_ADDR: must be set beside WORLD_SIZE, got nothing"},
      {with(kKubernetes, {{"MASTER_ADDR", ""}}), address + "\"\""},
      {with(kKubernetes, {{"MASTER_ADDR", "two words"}}), address + "\"two words\""},
      {with(kKubernetes, {{"MASTER_ADDR", "http://node"}}), address + "\"http://node\""},
      {with(kKubernetes, {{"MASTER_ADDR", std::string(254, 'a')}}),
       address + "\"" + std::string(40, 'a') + "\"…"},
      {with(kKubernetes, {{"MASTER_PORT", "unset"}}),
       "MASTER_PORT: must be set beside WORLD_SIZE, got nothing"},
      {with(kKubernetes, {{"MASTER_PORT", "http"}}), port + "\"http\""},
      {with(kKubernetes, {{"MASTER_PORT", "0"}}), port + "\"0\""},
      {with(kKubernetes, {{"MASTER_PORT", "65536"}}), port + "\"65536\""},
      {with(kOpenMpi, {{"MASTER_PORT", "x"}}), port + "\"x\""},
      {with(kSlurm, {{"MASTER_ADDR", "a b"}}), address + "\"a b\""},
      {with(kOpenMpi, {{"OMPI_COMM_WORLD_LOCAL_SIZE", "1"}}),
       "MASTER_ADDR: must be set where ranks are on several machines, since Open MPI names none, "
       "got nothing (mpirun -x MASTER_ADDR=HOST, the host of rank 0)"},
      {with(kOpenMpi, {{"OMPI_COMM_WORLD_LOCAL_SIZE", "3"}}),
       "OMPI_COMM_WORLD_LOCAL_SIZE: must be a whole number in [1, 2], got \"3\""},
      {with(kOpenMpi, {{"PMIX_NAMESPACE", "unset"}}),
       "MASTER_PORT: must be set beside OMPI_COMM_WORLD_RANK without PMIX_NAMESPACE, got nothing"},
      {with(kSlurm, {{"SLURM_STEP_NODELIST", "unset"}}),
       "SLURM_STEP_NODELIST: must be set beside SLURM_PROCID, got nothing"},
      {with(kSlurm, {{"SLURM_STEP_NUM_NODES", "5"}}),
       "SLURM_STEP_NUM_NODES: must be a whole number in [1, 4], got \"5\""},
      {with(kSlurm, {{"SLURM_JOB_ID", "unset"}}),
       "SLURM_JOB_ID: must be set beside SLURM_PROCID, got nothing"},
  });
}

TEST_CASE("Rank environment: takes the first host of every list that Slurm writes") {
  const std::vector<std::pair<std::string, std::string>> table = {
      {"gpu3", "gpu3"},
      {"gpu3,node[01-04]", "gpu3"},
      {"node[01-04,7],gpu3", "node01"},
      {"node[7,01-04]", "node7"},
      {"node[0098-0102]", "node0098"},
      {"r[1-2]n[08-10]", "r1n08"},
      {"r[3,5]n4-ib.cluster,login_1", "r3n4-ib.cluster"},
  };
  for (const auto& [list, host] : table) {
    INFO(list);
    CHECK(read(with(kSlurm, {{"SLURM_STEP_NODELIST", list}})).address == host);
  }
}

TEST_CASE("Rank environment: refuses host lists that Slurm does not write") {
  for (const char* list : {"",
                           ",",
                           "a,",
                           ",a",
                           "a,,b",
                           "node[",
                           "node]",
                           "node[]",
                           "node[1",
                           "node[1,]",
                           "node[,1]",
                           "node[1-]",
                           "node[-1]",
                           "node[1-2-3]",
                           "node[4-1]",
                           "node[a-b]",
                           "node[[1]]",
                           "node[1]]",
                           "node 1",
                           "node[1 ]",
                           "node[1],b[",
                           "a;b",
                           "node[99999999999999999999]"}) {
    INFO(list);
    check_refusals({{with(kSlurm, {{"SLURM_STEP_NODELIST", list}}),
                     concat("SLURM_STEP_NODELIST: must be hosts as in node[01-04,7],gpu3, got \"",
                            list, "\"")}});
  }
}

TEST_CASE("Rank environment: the ports of jobs lie below those of outgoing connections") {
  for (int job = 1; job <= 5000; ++job) {
    const uint16_t port = read(with(kSlurm, {{"SLURM_JOB_ID", std::to_string(job)}})).port;
    CHECK((port >= 20000 && port < 32000));
  }
}

TEST_CASE("Rank environment: is read from this process where nothing else is given") {
  setenv("RANK", "7", 1);
  CHECK_THROWS_WITH(read_rank_environment(),
                    "environment: WORLD_SIZE: must be set beside RANK, got nothing");
  unsetenv("RANK");
  CHECK(read_rank_environment().size == 1);
}

}  // namespace
}  // namespace radgpt
