#include "libradgpt/distributed/rank_environment.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <limits>
#include <string_view>
#include <vector>

#include "libradgpt/base/error.h"
#include "libradgpt/base/hash.h"

namespace radgpt {

namespace {

constexpr int kMostRanks = 65536;
constexpr int kMostRestarts = std::numeric_limits<int>::max();
// Ports of jobs: above those of services, below those that Linux gives to outgoing connections.
constexpr uint32_t kLowestPort = 20000;
constexpr uint32_t kPorts = 12000;

/// For a message: at most 40 bytes of plain ASCII.
std::string in_quotes(std::string_view value) {
  constexpr size_t kLongest = 40;
  std::string text(value.substr(0, kLongest));
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c < 0x20 || c >= 0x7F; }, '?');
  return "\"" + text + (value.size() > kLongest ? "\"…" : "\"");
}

/// Decimal digits alone, leading zeros included, as launchers write them.
bool parse_digits(std::string_view text, int64_t& value) {
  const bool digits = !text.empty() && text.find_first_not_of("0123456789") == text.npos;
  return digits && std::from_chars(text.data(), text.data() + text.size(), value).ec == std::errc();
}

/// Of a variable that must be set because `beside` is.
std::string text_of(const VariableLookup& variable, const std::string& name,
                    const std::string& beside) {
  const std::optional<std::string> value = variable(name);
  require(value.has_value(), "environment: ", name, ": must be set beside ", beside,
          ", got nothing");
  return *value;
}

int number_in(const std::string& name, const std::string& text, int lowest, int highest) {
  int64_t value = 0;
  require(parse_digits(text, value) && value >= lowest && value <= highest, "environment: ", name,
          ": must be a whole number in [", lowest, ", ", highest, "], got ", in_quotes(text));
  return static_cast<int>(value);
}

/// How a launcher calls what it tells.
struct Names {
  const char* rank;
  const char* size;
  const char* local_rank;
};
constexpr Names kVariables = {"RANK", "WORLD_SIZE", "LOCAL_RANK"};
constexpr Names kOpenMpi = {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE",
                            "OMPI_COMM_WORLD_LOCAL_RANK"};
constexpr Names kSlurm = {"SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID"};

RankEnvironment read_place(const VariableLookup& variable, const Names& names) {
  RankEnvironment environment;
  environment.size =
      number_in(names.size, text_of(variable, names.size, names.rank), 1, kMostRanks);
  environment.rank =
      number_in(names.rank, text_of(variable, names.rank, names.size), 0, environment.size - 1);
  return environment;
}

int read_local_rank(const VariableLookup& variable, const Names& names, int size) {
  return number_in(names.local_rank, text_of(variable, names.local_rank, names.rank), 0, size - 1);
}

uint16_t read_port(const std::string& text) {
  return static_cast<uint16_t>(number_in("MASTER_PORT", text, 1, 65535));
}

/// A name or an address, of IPv6 too; whether it exists shows when it is looked up.
std::string read_address(const std::string& text) {
  constexpr std::string_view kAllowed =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:%";
  constexpr size_t kLongestName = 253;  // RFC 1035
  require(
      !text.empty() && text.size() <= kLongestName && text.find_first_not_of(kAllowed) == text.npos,
      "environment: MASTER_ADDR: must be a host name or an address, got ", in_quotes(text));
  return text;
}

uint16_t port_of_job(const std::string& job) {
  return static_cast<uint16_t>(kLowestPort + crc32(job) % kPorts);
}

/// A RANK exported in a shell reaches every process that mpirun or srun starts from it. torchrun
/// below them numbers as it likes, and so does whoever starts another number of ranks than they do.
void check_rank_of_launcher(const VariableLookup& variable, const RankEnvironment& environment) {
  const bool open_mpi = variable(kOpenMpi.size).has_value();
  const Names& names = open_mpi ? kOpenMpi : kSlurm;
  const std::string rank = std::to_string(environment.rank);
  if (variable("TORCHELASTIC_RUN_ID") || variable(names.size) != std::to_string(environment.size)) {
    return;
  }
  const std::string launchers = variable(names.rank).value_or(rank);
  require(launchers == rank, "environment: RANK: must be that of ", names.rank, ", ",
          in_quotes(launchers), ", or not be set, got ", in_quotes(rank));
}

StoreKeeper read_keeper(const VariableLookup& variable) {
  const std::string name = "TORCHELASTIC_USE_AGENT_STORE";
  const std::string value = variable(name).value_or("False");
  require(value == "True" || value == "False", "environment: ", name,
          ": must be True or False, got ", in_quotes(value));
  return value == "True" ? StoreKeeper::kAgent : StoreKeeper::kRankZero;
}

RankEnvironment from_variables(const VariableLookup& variable) {
  RankEnvironment environment = read_place(variable, kVariables);
  check_rank_of_launcher(variable, environment);
  if (variable(kVariables.local_rank)) {
    environment.local_rank = read_local_rank(variable, kVariables, environment.size);
  }
  const std::string restarts = "TORCHELASTIC_RESTART_COUNT";
  if (const auto value = variable(restarts)) {
    environment.generation = number_in(restarts, *value, 0, kMostRestarts);
  }
  if (environment.size == 1) return environment;
  environment.keeper = read_keeper(variable);
  environment.address = read_address(text_of(variable, "MASTER_ADDR", "WORLD_SIZE"));
  environment.port = read_port(text_of(variable, "MASTER_PORT", "WORLD_SIZE"));
  return environment;
}

/// Puts in what a launcher does not tell, unless MASTER_ADDR and MASTER_PORT do.
void complete(const VariableLookup& variable, const std::function<std::string()>& address,
              const std::function<std::string()>& job, RankEnvironment& environment) {
  if (environment.size == 1) return;
  const std::optional<std::string> given_address = variable("MASTER_ADDR");
  const std::optional<std::string> given_port = variable("MASTER_PORT");
  environment.address = given_address ? read_address(*given_address) : address();
  environment.port = given_port ? read_port(*given_port) : port_of_job(job());
}

RankEnvironment from_open_mpi(const VariableLookup& variable) {
  RankEnvironment environment = read_place(variable, kOpenMpi);
  environment.local_rank = read_local_rank(variable, kOpenMpi, environment.size);
  const auto address = [&]() -> std::string {
    const std::string name = "OMPI_COMM_WORLD_LOCAL_SIZE";
    const int here = number_in(name, text_of(variable, name, kOpenMpi.rank), 1, environment.size);
    require(here == environment.size,
            "environment: MASTER_ADDR: must be set where ranks are on several machines, since Open "
            "MPI names none, got nothing (mpirun -x MASTER_ADDR=HOST, the host of rank 0)");
    return "127.0.0.1";
  };
  const auto job = [&] {
    const std::optional<std::string> name = variable("PMIX_NAMESPACE");
    require(name.has_value(), "environment: MASTER_PORT: must be set beside ", kOpenMpi.rank,
            " without PMIX_NAMESPACE, got nothing");
    return *name;
  };
  complete(variable, address, job, environment);
  return environment;
}

/// At the commas outside of brackets.
std::vector<std::string_view> split(std::string_view list) {
  std::vector<std::string_view> parts;
  size_t begin = 0;
  bool inside = false;
  for (size_t i = 0; i < list.size(); ++i) {
    if (list[i] == '[') inside = true;
    if (list[i] == ']') inside = false;
    if (list[i] != ',' || inside) continue;
    parts.push_back(list.substr(begin, i - begin));
    begin = i + 1;
  }
  parts.push_back(list.substr(begin));
  return parts;
}

/// "01-04" or "7".
bool is_range(std::string_view text) {
  const size_t dash = text.find('-');
  int64_t first = 0;
  int64_t last = 0;
  if (!parse_digits(text.substr(0, dash), first)) return false;
  return dash == text.npos || (parse_digits(text.substr(dash + 1), last) && first <= last);
}

/// The first of "node[01-04,7]"; empty if it is not written so.
std::string first_of_item(std::string_view item) {
  constexpr std::string_view kName =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
  std::string host;
  while (true) {
    const size_t open = item.find('[');
    const std::string_view name = item.substr(0, open);
    if (name.find_first_not_of(kName) != name.npos) return "";
    host += name;
    if (open == item.npos) return host;
    const size_t close = item.find(']', open);
    if (close == item.npos) return "";
    const std::vector<std::string_view> ranges = split(item.substr(open + 1, close - open - 1));
    if (!std::all_of(ranges.begin(), ranges.end(), is_range)) return "";
    host += ranges.front().substr(0, ranges.front().find('-'));
    item.remove_prefix(close + 1);
  }
}

/// The first host of a list as Slurm writes it: node[01-04,7],gpu3.
std::string first_host(const std::string& variable, const std::string& list) {
  const std::vector<std::string_view> items = split(list);
  for (const std::string_view item : items) {
    require(!first_of_item(item).empty(), "environment: ", variable,
            ": must be hosts as in node[01-04,7],gpu3, got ", in_quotes(list));
  }
  return first_of_item(items.front());
}

RankEnvironment from_slurm(const VariableLookup& variable) {
  RankEnvironment environment = read_place(variable, kSlurm);
  environment.local_rank = read_local_rank(variable, kSlurm, environment.size);
  const auto address = [&]() -> std::string {
    const std::string list = "SLURM_STEP_NODELIST";
    const std::string nodes = "SLURM_STEP_NUM_NODES";
    const std::string host = first_host(list, text_of(variable, list, kSlurm.rank));
    const int count = number_in(nodes, text_of(variable, nodes, kSlurm.rank), 1, environment.size);
    return count == 1 ? "127.0.0.1" : host;
  };
  const auto job = [&] {
    return text_of(variable, "SLURM_JOB_ID", kSlurm.rank) + "." +
           text_of(variable, "SLURM_STEP_ID", kSlurm.rank);
  };
  complete(variable, address, job, environment);
  return environment;
}

}  // namespace

RankEnvironment read_rank_environment(const VariableLookup& variable) {
  const auto names_one = [&](const Names& names) {
    return variable(names.rank).has_value() || variable(names.size).has_value();
  };
  if (names_one(kVariables)) return from_variables(variable);
  if (names_one(kOpenMpi)) return from_open_mpi(variable);
  const bool step = variable("SLURM_STEP_ID") && variable(kSlurm.size);
  return step ? from_slurm(variable) : RankEnvironment();
}

RankEnvironment read_rank_environment() {
  return read_rank_environment([](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  });
}

}  // namespace radgpt
