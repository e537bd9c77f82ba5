#include "libradgpt/distributed/peer_messages.h"

#include <algorithm>
#include <sstream>

#include "libradgpt/distributed/rendezvous.h"

namespace radgpt {

std::vector<uint8_t> to_bytes(const Sign& sign) {
  return to_store(concat(sign.count, ' ', sign.step, ' ', sign.verbs));
}

Sign parse_sign(const std::vector<uint8_t>& bytes) {
  std::istringstream text(from_store(bytes));
  Sign sign;
  text >> sign.count >> sign.step >> sign.verbs;
  return sign;
}

/// The exit code, the number of accused and each of them, then the message.
std::vector<uint8_t> to_bytes(const Verdict& verdict) {
  std::string text = concat(verdict.error.exit_code(), ' ', verdict.accused.size(), ' ');
  for (const int rank : verdict.accused) text += concat(rank, ' ');
  return to_store(text + verdict.error.what());
}

Verdict parse_verdict(const std::vector<uint8_t>& bytes) {
  std::istringstream text(from_store(bytes));
  int kind = static_cast<int>(ErrorKind::kPeer);
  size_t count = 0;
  text >> kind >> count;
  if (kind < static_cast<int>(ErrorKind::kUsage) || kind > static_cast<int>(ErrorKind::kPrivacy)) {
    kind = static_cast<int>(ErrorKind::kPeer);
  }
  constexpr size_t kMostRanks = 65536;
  std::vector<int> accused(std::min(count, kMostRanks));
  for (int& rank : accused) text >> rank;
  text.get();  // the space before the message
  std::string message;
  std::getline(text, message);
  return {Error(static_cast<ErrorKind>(kind), message), accused};
}

}  // namespace radgpt
