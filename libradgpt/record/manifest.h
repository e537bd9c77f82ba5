#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace radgpt {

/// What a run was made from and on, so that it can be repeated and its result recognised. Holds
/// names, numbers and digests, never text of reports.
struct Manifest {
  std::map<std::string, std::string> inputs;    ///< path of each data file → SHA-256
  std::map<std::string, std::string> identity;  ///< recipe, base, tokenizer, data → SHA-256
  std::map<std::string, int64_t> counts;        ///< reports, examples, tokens, left-out lines, …
  std::map<std::string, std::string> result;    ///< how it ended; files of the result → SHA-256
  std::string type;                             ///< of weights and products: bf16, fp32
  uint64_t seed = 0;
  int threads = 0;
};

/// Writes `path` as JSON, with the versions of this library and of LibTorch, the machine
/// (processor, cores, memory, host name is left out) and the time added. Errors: kEnvironment.
void write_manifest(const std::string& path, const Manifest& manifest);

/// Model name of the processor as the system gives it.
std::string processor_name();

}  // namespace radgpt
