#include "libradgpt/train/program_digest.h"

#include <torch/version.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "libradgpt/base/hash.h"

namespace radgpt {

std::string program_digest() {
  namespace fs = std::filesystem;
  std::set<std::string> files = {"/proc/self/exe"};
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    const size_t path = line.find('/');
    if (path == std::string::npos) continue;
    const std::string file = line.substr(path);
    if (file.ends_with(" (deleted)")) continue;  // replaced since; the others tell
    if (fs::path(file).filename().string().rfind("libradgpt", 0) == 0) files.insert(file);
  }
  // Ordered by content: the ranks' copies may lie in different folders.
  std::set<std::string> digests;
  for (const std::string& file : files) digests.insert(to_hex(sha256_of_file(file)));
  Sha256 all;
  all.update(TORCH_VERSION);
  for (const std::string& digest : digests) all.update(digest);
  return to_hex(all.finish());
}

}  // namespace radgpt
