#include "libradgpt/distributed/rendezvous.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>

#include "libradgpt/base/error.h"
#include "libradgpt/distributed/network_address.h"

namespace radgpt {

namespace {

/// start_timeout, spent once for all that has to be found and waited for.
class StartTime {
 public:
  explicit StartTime(double seconds) : seconds_(seconds), begin_(Clock::now()) {}
  double seconds() const { return seconds_; }
  std::chrono::milliseconds left() const {
    const std::chrono::duration<double> spent = Clock::now() - begin_;
    return std::max(milliseconds(seconds_ - spent.count()), std::chrono::milliseconds(1));
  }

 private:
  using Clock = std::chrono::steady_clock;
  double seconds_;
  Clock::time_point begin_;
};

std::string rank_key(int rank) { return concat("rank/", rank); }

std::string host_name() {
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 ? name : "unknown";
}

/// Of this start of the kernel.
std::string machine_name() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string name;
  file >> name;
  return name.empty() ? host_name() : name;
}

/// The first two words of what a rank says of itself.
std::string host_and_process(const std::string& self) {
  return self.substr(0, self.find(' ', self.find(' ') + 1));
}

/// Writes a value that must be the first of its key, and gives the first one back.
std::string first_value(c10d::Store& store, const std::string& key, const std::string& value) {
  return from_store(store.compareSet(key, {}, to_store(value)));
}

c10::intrusive_ptr<c10d::TCPStore> open_store(const RankEnvironment& environment,
                                              const std::string& address, const StartTime& start) {
  c10d::TCPStoreOptions store;
  store.port = environment.port;
  store.waitWorkers = false;
  store.timeout = start.left();
  FileDescriptor socket(environment.listening_socket);
  if (environment.rank == 0 && environment.keeper == StoreKeeper::kRankZero) {
    if (socket.get() < 0) socket = listen_at(address, environment.port);
    store.isServer = true;
    store.port = port_of(socket);
    store.masterListenFd = socket.release();
  }
  try {
    return c10::make_intrusive<c10d::TCPStore>(address, store);
  } catch (const std::exception&) {
    fail(ErrorKind::kPeer, "rank ", environment.rank, ": must reach ",
         environment.keeper == StoreKeeper::kAgent ? "the launcher's store" : "rank 0", " at ",
         environment.address, " port ", environment.port, ", got no answer within ",
         start.seconds(), " s");
  }
}

/// Throws Error unless this rank is the only one of its number in a run of its size.
void register_rank(c10d::Store& store, const RankEnvironment& environment) {
  const std::string size = std::to_string(environment.size);
  const std::string size_of_first = first_value(store, "size", size);
  require(size_of_first == size, "rank ", environment.rank, ": must be one of ", size_of_first,
          " ranks as the others are, got ", size);
  std::error_code unknown;
  const std::string self =
      concat(host_name(), ' ', getpid(), ' ', machine_name(), ' ',
             std::filesystem::read_symlink("/proc/self/ns/pid", unknown).string());
  const std::string holder = first_value(store, rank_key(environment.rank), self);
  if (holder == self) return;
  // After a restart the others may not yet have noticed that the process before it has died.
  fail(ErrorKind::kPeer, "rank ", environment.rank, ": must be taken by one process, got ",
       host_and_process(self), " beside ", host_and_process(holder));
}

/// Names at most five ranks.
std::string list_ranks(const std::vector<int>& ranks) {
  constexpr size_t kNamed = 5;
  std::string list;
  for (size_t i = 0; i < std::min(ranks.size(), kNamed); ++i) {
    list += concat(i == 0 ? "rank " : ", ", ranks[i]);
  }
  return ranks.size() > kNamed ? concat(list, " and ", ranks.size() - kNamed, " more") : list;
}

std::vector<RankProcess> wait_for_ranks(c10d::Store& store, int size, const StartTime& start,
                                        const std::string& address) {
  std::vector<std::string> keys;
  for (int rank = 0; rank < size; ++rank) keys.push_back(rank_key(rank));
  try {
    store.wait(keys, start.left());
  } catch (const std::exception&) {
    std::vector<int> missing;
    for (int rank = 0; rank < size; ++rank) {
      if (!store.check({rank_key(rank)})) missing.push_back(rank);
    }
    fail(ErrorKind::kPeer, "all ", size, " ranks must come within ", start.seconds(),
         " s (distributed.start_timeout), got none of ", list_ranks(missing), "; they meet at ",
         address, ", which must be an address that all reach (distributed.interface)");
  }
  std::vector<RankProcess> ranks;
  for (const std::string& key : keys) {
    RankProcess rank;
    std::istringstream(from_store(store.get(key))) >> rank.host >> rank.process >> rank.machine >>
        rank.process_space;
    ranks.push_back(rank);
  }
  return ranks;
}

}  // namespace

std::string state_of(const RankProcess& process, const RankProcess& self) {
  if (process.machine != self.machine || process.process_space != self.process_space ||
      process.process_space.empty()) {
    return "";
  }
  std::ifstream file(concat("/proc/", process.process, "/stat"));
  std::string text;
  std::getline(file, text);
  const size_t name_end = text.rfind(')');  // "PID (NAME) STATE …", and NAME may hold anything
  if (name_end == std::string::npos || name_end + 2 >= text.size()) return "has died";
  const char state = text[name_end + 2];
  if (state == 'Z' || state == 'X') return "has died";
  return state == 'T' || state == 't' ? "is stopped" : "";
}

Rendezvous meet(const RankEnvironment& environment, const CommunicatorOptions& options) {
  const StartTime start(options.start_timeout);
  Rendezvous found;
  std::string store_address = resolve_host(environment.address, start.seconds());
  found.address = options.interface.empty() ? route_source(store_address)
                                            : interface_address(options.interface);
  const bool by_rank = environment.keeper == StoreKeeper::kRankZero;
  // In a cluster the name of rank 0 may be that of a service, which is no address of its machine.
  if (environment.rank == 0 && by_rank) store_address = found.address;
  found.store = open_store(environment, store_address, start);
  found.store->setTimeout(milliseconds(start.seconds()));  // of what is asked later
  found.prefix = concat("radgpt/", environment.generation);
  found.keeper = by_rank ? "rank 0" : "the launcher's agent";
  c10d::PrefixStore store(found.prefix, found.store);
  try {
    register_rank(store, environment);
    found.ranks = wait_for_ranks(store, environment.size, start, store_address);
  } catch (const Error&) {
    throw;
  } catch (const std::exception&) {
    fail(ErrorKind::kPeer, "rank ", environment.rank, ": the store of ", found.keeper, " at ",
         environment.address, " port ", environment.port, " went away");
  }
  return found;
}

c10::intrusive_ptr<c10d::Store> connect_again(const Rendezvous& rendezvous) {
  return c10::make_intrusive<c10d::PrefixStore>(rendezvous.prefix, rendezvous.store->clone());
}

}  // namespace radgpt
