#include "tests/kernels/gpu/gpu_memory.h"

#include <cuda_runtime.h>

#include <algorithm>
#include <stdexcept>

namespace gpu {

namespace {

constexpr size_t kGuard = 256;  // bytes before and behind a buffer, and its alignment
constexpr unsigned char kUnwritten = 0xFF;

void check(cudaError_t status, const std::string& what) {
  if (status == cudaSuccess) return;
  throw std::runtime_error(what + ": " + cudaGetErrorString(status));
}

bool unwritten(const unsigned char* begin, size_t bytes) {
  return std::all_of(begin, begin + bytes, [](unsigned char byte) { return byte == kUnwritten; });
}

}  // namespace

void* allocate(size_t bytes) {
  void* memory = nullptr;
  check(cudaMallocManaged(&memory, std::max(bytes, size_t{1})), "cudaMallocManaged");
  return memory;
}

// Kernels may still use it; and after one has failed, every call of CUDA returns that error.
void release(void* memory) {
  static_cast<void>(cudaDeviceSynchronize());
  static_cast<void>(cudaFree(memory));
}

void synchronise() { check(cudaDeviceSynchronize(), "a kernel failed"); }

Memory::~Memory() {
  for (const auto& [name, buffer] : buffers_) release(buffer.begin - kGuard);
}

unsigned char* Memory::add(const std::string& name, size_t bytes) {
  if (buffers_.contains(name)) throw std::runtime_error("two buffers " + name);
  auto* memory = static_cast<unsigned char*>(allocate(bytes + 2 * kGuard));
  std::memset(memory, kUnwritten, bytes + 2 * kGuard);
  buffers_[name] = {memory + kGuard, bytes, {}};
  return memory + kGuard;
}

void Memory::expect_intact() const {
  synchronise();
  for (const auto& [name, buffer] : buffers_) {
    if (!unwritten(buffer.begin - kGuard, kGuard) ||
        !unwritten(buffer.begin + buffer.bytes, kGuard)) {
      throw std::runtime_error("a kernel wrote beside " + name);
    }
    if (!std::equal(buffer.input.begin(), buffer.input.end(), buffer.begin)) {
      throw std::runtime_error("a kernel wrote to the input " + name);
    }
  }
}

bool Memory::every_byte_written(const std::string& name) const {
  expect_intact();
  const Buffer& buffer = buffers_.at(name);
  constexpr size_t kStore = 8;
  if (buffer.bytes < kStore) return buffer.bytes == 0 || !unwritten(buffer.begin, buffer.bytes);
  for (size_t at = 0; at + kStore <= buffer.bytes; at += kStore) {
    if (unwritten(buffer.begin + at, kStore)) return false;
  }
  return true;
}

}  // namespace gpu
