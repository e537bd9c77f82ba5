#pragma once

#include <filesystem>
#include <fstream>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include "tests/simt/faulty_kernels.cuh"
#include "tests/simt/memory.h"
#include "tests/simt/order.h"

// What the tests of planted faults share.

namespace radgpt::kernels {

inline constexpr int kCount = kFaultThreads;

inline std::vector<float> counted(int count) {
  std::vector<float> values(static_cast<size_t>(count));
  std::iota(values.begin(), values.end(), 1.0f);
  return values;
}

// "faulty_kernels.cuh:LINE" of the line that ends with this comment.
inline std::string place_of(const std::string& comment) {
  const std::string file = "faulty_kernels.cuh";
  std::ifstream source(std::filesystem::path(__FILE__).parent_path() / file);
  std::string text;
  for (int line = 1; std::getline(source, text); ++line) {
    if (text.ends_with("  // " + comment)) return file + ":" + std::to_string(line);
  }
  return "no " + comment;
}

// The message of the fault that `run` must have, naming its kernel.
inline std::string fault_of(const std::function<void()>& run) {
  try {
    run();
  } catch (const simt::Fault& fault) {
    return fault.what();
  }
  return "no fault";
}

using Copy = void (*)(const float*, float*);

// y of kernel(x, y), for x = 1, 2, ... in the order of `seed`.
inline std::vector<float> result(Copy kernel, int inputs, int outputs, uint64_t seed) {
  const simt::Order order(seed);
  simt::Memory memory;
  const float* x = memory.input("x", counted(inputs));
  auto* y = memory.output<float>("y", outputs);
  launch("kernel", kernel, {}, kFaultThreads, nullptr, x, y);
  return memory.values<float>("y");
}

}  // namespace radgpt::kernels
