#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "kernels/gemm/gemm_shape.h"

namespace radgpt::kernels {

/// An algorithm of cuBLASLt: what it says may be stored and restored by the same version.
using AlgorithmWords = std::array<uint64_t, 8>;

/// Algorithms by device and shape, kept in a text file that several devices may share:
///
///   device <tab> fields of the shape <tab> words of the algorithm in hexadecimal
///
/// one a line, the last line of a shape counts. A line that cannot be read is passed over: its
/// product is measured anew.
class AlgorithmFile {
 public:
  /// Reads the lines of `device`. A file that does not exist is empty. An empty path: no file.
  AlgorithmFile(std::string path, std::string device);

  std::optional<AlgorithmWords> find(const GemmShape& shape) const;
  /// Appends a line. Throws Error kEnvironment when that fails.
  void add(const GemmShape& shape, const AlgorithmWords& words);
  bool exists() const { return !path_.empty(); }

 private:
  std::string path_;
  std::string device_;
  std::map<GemmShape, AlgorithmWords> algorithms_;
};

}  // namespace radgpt::kernels
