#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <torch/csrc/distributed/c10d/Store.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <vector>

#include "libradgpt/distributed/communicator.h"
#include "libradgpt/distributed/rank_environment.h"

namespace radgpt {

/// A rank's process.
struct RankProcess {
  std::string host;
  int64_t process = 0;
  std::string machine;  ///< names this start of its kernel: hosts may have one name
  /// The space of process numbers that the number belongs to: containers of one host have their
  /// own.
  std::string process_space;
};

/// What ranks have once they have found each other.
struct Rendezvous {
  c10::intrusive_ptr<c10d::TCPStore> store;
  std::string prefix;   ///< of the keys of this generation
  std::string keeper;   ///< who keeps the store, for messages
  std::string address;  ///< of this machine, numeric: what other ranks reach it by
  std::vector<RankProcess> ranks;
};

/// A text as the store keeps it, and back.
inline std::vector<uint8_t> to_store(const std::string& text) { return {text.begin(), text.end()}; }
inline std::string from_store(const std::vector<uint8_t>& bytes) {
  return {bytes.begin(), bytes.end()};
}

/// Seconds as c10d takes them.
inline std::chrono::milliseconds milliseconds(double seconds) {
  return std::chrono::milliseconds(static_cast<int64_t>(seconds * 1000));
}

/// What the system says of a process, "has died" or "is stopped"; empty if it runs or is not known,
/// as on another machine than `self`.
std::string state_of(const RankProcess& process, const RankProcess& self);

/// Resolves addresses, makes or joins the store and waits for all ranks, as Communicator says.
Rendezvous meet(const RankEnvironment& environment, const CommunicatorOptions& options);

/// A view of the store's keys of this generation over a connection of its own.
c10::intrusive_ptr<c10d::Store> connect_again(const Rendezvous& rendezvous);

}  // namespace radgpt
