#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "libradgpt/base/error.h"

// What the watches of the ranks tell each other through the store.

namespace radgpt {

// Keys of the store: a rank's sign, that it has heard the verdict, that it needs nobody any more.
constexpr const char* kVerdict = "verdict";
inline std::string sign_key(int rank) { return concat("sign/", rank); }
inline std::string heard_key(int rank) { return concat("heard/", rank); }
inline std::string done_key(int rank) { return concat("done/", rank); }

/// What a rank last said of itself.
struct Sign {
  int64_t count = -1;  ///< signs before; -1: none has come
  int64_t step = 0;
  int64_t verbs = 0;  ///< that the rank has come to
};

std::vector<uint8_t> to_bytes(const Sign& sign);
Sign parse_sign(const std::vector<uint8_t>& bytes);

/// Who is to blame, and what everyone ends with.
struct Verdict {
  Error error;
  std::vector<int> accused = {};  ///< none where nobody is known
};

std::vector<uint8_t> to_bytes(const Verdict& verdict);
/// Of bytes that are none: kPeer, whatever message stands there.
Verdict parse_verdict(const std::vector<uint8_t>& bytes);

}  // namespace radgpt
