#include "kernels/gemm/algorithm_file.h"

#include <fstream>
#include <sstream>

#include "libradgpt/base/error.h"

namespace radgpt::kernels {

namespace {

struct Entry {
  GemmShape shape;
  AlgorithmWords words{};
};

/// The part of a line behind the device.
std::optional<Entry> parse(const std::string& text) {
  Entry entry;
  std::istringstream stream(text);
  for (int64_t* field : entry.shape.fields()) stream >> *field;
  stream >> std::hex;
  for (uint64_t& word : entry.words) stream >> word;
  std::string rest;
  if (!stream || stream >> rest) return std::nullopt;
  return entry;
}

std::string line_of(const std::string& device, GemmShape shape, const AlgorithmWords& words) {
  std::ostringstream line;
  line << device << '\t';
  const char* separator = "";
  for (const int64_t* field : shape.fields()) {
    line << separator << *field;
    separator = " ";
  }
  separator = "\t";
  line << std::hex;
  for (const uint64_t word : words) {
    line << separator << word;
    separator = " ";
  }
  line << '\n';
  return line.str();
}

}  // namespace

AlgorithmFile::AlgorithmFile(std::string path, std::string device)
    : path_(std::move(path)), device_(std::move(device)) {
  if (path_.empty()) return;
  std::ifstream file(path_);
  const std::string prefix = device_ + '\t';
  for (std::string line; std::getline(file, line) && !file.eof();) {  // a cut line has no end
    if (!line.starts_with(prefix)) continue;
    if (const auto entry = parse(line.substr(prefix.size()))) {
      algorithms_[entry->shape] = entry->words;
    }
  }
}

std::optional<AlgorithmWords> AlgorithmFile::find(const GemmShape& shape) const {
  const auto found = algorithms_.find(shape);
  if (found == algorithms_.end()) return std::nullopt;
  return found->second;
}

void AlgorithmFile::add(const GemmShape& shape, const AlgorithmWords& words) {
  algorithms_[shape] = words;
  // One write, so that lines of processes that share the file do not mix.
  std::ofstream file(path_, std::ios::app);
  file << line_of(device_, shape, words) << std::flush;
  if (!file) {
    fail(ErrorKind::kEnvironment, "gemm: cannot write the algorithm file ", path_);
  }
}

}  // namespace radgpt::kernels
