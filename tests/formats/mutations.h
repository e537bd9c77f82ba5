#pragma once

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <string>
#include <vector>

#include "libradgpt/base/error.h"
#include "libradgpt/base/files.h"
#include "libradgpt/base/random.h"
#include "tests/catch.h"

namespace radgpt {

// Thousands of damaged files: a reader answers with a value or with an Error, never with a crash,
// and takes little time and memory. Build with AddressSanitizer (preset asan) to see what hides.

/// What parsers of text stumble over.
inline const std::vector<std::string>& stumbling_text() {
  static const std::vector<std::string> parts{"\"",
                                              "{",
                                              "}",
                                              "[",
                                              "]",
                                              ",",
                                              ":",
                                              "\\u",
                                              "-",
                                              "1e999",
                                              "18446744073709551615",
                                              "null",
                                              std::string(1, '\0'),
                                              "\xFF",
                                              "\x80",
                                              "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01",
                                              "\n",
                                              "\r"};
  return parts;
}

/// One to four edits: a byte changed, a bit flipped, bytes cut out, doubled or joined by ones that
/// parsers stumble over.
inline std::string mutate(std::string bytes, uint64_t seed,
                          const std::vector<std::string>& stumbling) {
  Random random(seed, RandomStream::kSampling);
  const uint32_t edits = 1 + random.next_below(4);
  for (uint32_t i = 0; i < edits && !bytes.empty(); ++i) {
    const size_t at = random.next_below(static_cast<uint32_t>(bytes.size()));
    const size_t length = 1 + random.next_below(8);
    switch (random.next_below(6)) {
      case 0:
        bytes[at] = static_cast<char>(random.next_below(256));
        break;
      case 1:
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << random.next_below(8)));
        break;
      case 2:
        bytes.erase(at, length);
        break;
      case 3:
        bytes.insert(at, bytes.substr(at, length));
        break;
      case 4:
        bytes.insert(at, stumbling[random.next_below(static_cast<uint32_t>(stumbling.size()))]);
        break;
      default:
        bytes.resize(at);
    }
  }
  return bytes;
}

/// A file in memory that is written over and over.
class MemoryFile {
 public:
  MemoryFile() : descriptor_(memfd_create("radgpt", MFD_CLOEXEC)) {}

  /// Replaces all bytes; gives the path to open.
  std::string write(const std::string& bytes) const {
    REQUIRE(ftruncate(descriptor_.get(), 0) == 0);
    REQUIRE(pwrite(descriptor_.get(), bytes.data(), bytes.size(), 0) ==
            static_cast<ssize_t>(bytes.size()));
    return "/proc/self/fd/" + std::to_string(descriptor_.get());
  }

 private:
  FileDescriptor descriptor_;
};

/// Which damaged copies of a file are made.
struct Mutants {
  uint64_t first_seed = 0;
  int count = 2'000;
  const std::vector<std::string>& stumbling = stumbling_text();
};

inline int64_t peak_kilobytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

/// Gives `read` damaged copies of `good`, which it must accept; some must be refused.
template <typename Read>
void survive(const std::string& good, const Mutants& mutants, const Read& read) {
  read(good);
  int refused = 0;
  double slowest = 0;
  const int64_t peak = peak_kilobytes();
  for (int i = 0; i < mutants.count; ++i) {
    const std::string bytes =
        mutate(good, mutants.first_seed + static_cast<uint64_t>(i), mutants.stumbling);
    const std::clock_t start = std::clock();
    try {
      read(bytes);
    } catch (const Error& error) {
      ++refused;
      REQUIRE(std::string(error.what()).find('\n') == std::string::npos);
    }
    slowest = std::max(slowest, static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC);
  }
  CHECK(refused > mutants.count / 2);
  CHECK(slowest < 2);
  CHECK(peak_kilobytes() - peak < 512 << 10);
}

}  // namespace radgpt
