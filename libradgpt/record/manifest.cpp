#include "libradgpt/record/manifest.h"

#include <torch/version.h>
#include <unistd.h>

#include <chrono>
#include <ctime>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "libradgpt/base/files.h"
#include "libradgpt/base/version.h"

namespace radgpt {

namespace {

std::string utc_time() {
  const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

}  // namespace

std::string processor_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.rfind("model name", 0) == 0) return line.substr(line.find(':') + 2);
  }
  return "unknown";
}

void write_manifest(const std::string& path, const Manifest& manifest) {
  const auto memory =
      static_cast<int64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<int64_t>(sysconf(_SC_PAGE_SIZE));
  const nlohmann::ordered_json json = {{"written", utc_time()},
                                       {"radgpt", version()},
                                       {"libtorch", TORCH_VERSION},
                                       {"machine",
                                        {{"processor", processor_name()},
                                         {"cores", std::thread::hardware_concurrency()},
                                         {"memory_bytes", memory}}},
                                       {"threads", manifest.threads},
                                       {"type", manifest.type},
                                       {"seed", manifest.seed},
                                       {"identity", manifest.identity},
                                       {"inputs", manifest.inputs},
                                       {"counts", manifest.counts},
                                       {"result", manifest.result}};
  write_file_atomically(path, json.dump(2) + "\n");
}

}  // namespace radgpt
