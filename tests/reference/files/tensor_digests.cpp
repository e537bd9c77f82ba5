// Reads the tensor files whose paths come on standard input, one a line, and answers each with a
// line: "accepted" and "\tNAME\tTYPE\tSHAPE\tSHA-256" for every tensor, or "refused\tMESSAGE".
// compare_files.py asks it and PyTorch about the same files.

#include <cstdio>
#include <iostream>
#include <string>
#include <vector>

#include "libradgpt/base/error.h"
#include "libradgpt/base/hash.h"
#include "libradgpt/formats/tensor_file.h"

namespace radgpt {
namespace {

std::string digest_of(const TensorFile& file, const TensorInfo& tensor, uint64_t piece_bytes) {
  Sha256 hash;
  std::vector<std::byte> piece(std::min(piece_bytes, tensor.bytes()));
  for (uint64_t from = 0; from < tensor.bytes(); from += piece.size()) {
    const auto part =
        std::span(piece).first(std::min<uint64_t>(piece.size(), tensor.bytes() - from));
    file.read(tensor, part, from);
    hash.update({reinterpret_cast<const char*>(part.data()), part.size()});
  }
  return to_hex(hash.finish());
}

std::string answer(const std::string& path, uint64_t piece_bytes) {
  try {
    const auto file = open_tensor_file(path);
    std::string line = "accepted";
    for (const TensorInfo& tensor : file->tensors()) {
      line += concat("\t", tensor.name, "\t", name_of(tensor.dtype), "\t", to_text(tensor.shape),
                     "\t", digest_of(*file, tensor, piece_bytes));
    }
    return line;
  } catch (const Error& error) {
    return concat("refused\t", error.what());
  }
}

}  // namespace
}  // namespace radgpt

/// The argument is how many bytes are read at once.
int main(int argc, char** argv) {
  const uint64_t piece_bytes = argc > 1 ? std::stoull(argv[1]) : uint64_t{1} << 24;
  for (std::string path; std::getline(std::cin, path);) {
    std::cout << radgpt::answer(path, piece_bytes) << std::endl;
  }
}
