#pragma once

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include "kernels/primitives/bfloat16.h"
#include "kernels/primitives/stream.h"
#include "kernels/primitives/workers.h"
#include "libradgpt/base/error.h"

#ifdef RADGPT_CUDA
#include <cuda_runtime.h>
#endif

namespace radgpt::kernels {

/// What kernels run on: a GPU, or all cores of a processor.
class Machine {
 public:
  virtual ~Machine() = default;
  virtual bool is_gpu() const = 0;
  virtual std::string name() const = 0;
  virtual double memory_bytes() const = 0;

  virtual void* allocate(size_t bytes) = 0;  ///< aligned to 256 bytes
  virtual void release(void* memory) = 0;
  virtual void write(void* to, const void* from, size_t bytes) = 0;
  virtual void read(void* to, const void* from, size_t bytes) = 0;
  virtual void copy(void* to, const void* from, size_t bytes) = 0;  ///< for its time
  virtual void synchronise() = 0;

  /// Milliseconds of `runs` runs, before each of which the caches are filled with something else.
  virtual std::vector<double> time(int runs, const std::function<void()>& work) = 0;

  /// One memory for all who ask, of the size of the largest.
  Workspace workspace(size_t bytes) {
    if (bytes > workspace_.bytes) {
      if (workspace_.data != nullptr) release(workspace_.data);
      workspace_ = {allocate(bytes), bytes};
    }
    return {workspace_.data, bytes};
  }
  const Workers& workers() const { return workers_; }

  /// Repeats the first `filled` bytes until there are `bytes`.
  void repeat(void* memory, size_t filled, size_t bytes) {
    for (auto* begin = static_cast<char*>(memory); filled < bytes;) {
      const size_t more = std::min(filled, bytes - filled);
      copy(begin + filled, begin, more);
      filled += more;
    }
  }

 private:
  Workspace workspace_;
  ThreadWorkers workers_{static_cast<int>(std::max(1u, std::thread::hardware_concurrency()))};
};

class Processor final : public Machine {
 public:
  bool is_gpu() const override { return false; }
  std::string name() const override {
    std::ifstream file("/proc/cpuinfo");
    for (std::string line; std::getline(file, line);) {
      if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
    }
    return "processor";
  }
  double memory_bytes() const override {
    return static_cast<double>(sysconf(_SC_PHYS_PAGES)) *
           static_cast<double>(sysconf(_SC_PAGESIZE));
  }
  void* allocate(size_t bytes) override { return std::aligned_alloc(256, (bytes / 256 + 1) * 256); }
  void release(void* memory) override { std::free(memory); }
  void write(void* to, const void* from, size_t bytes) override { std::memcpy(to, from, bytes); }
  void read(void* to, const void* from, size_t bytes) override { std::memcpy(to, from, bytes); }
  void copy(void* to, const void* from, size_t bytes) override {
    constexpr int64_t kPiece = 1 << 20;
    const auto count = static_cast<int64_t>(bytes);
    workers().run((count + kPiece - 1) / kPiece, [&](int64_t begin, int64_t end) {
      std::memcpy(static_cast<char*>(to) + begin * kPiece,
                  static_cast<const char*>(from) + begin * kPiece,
                  std::min(end * kPiece, count) - begin * kPiece);
    });
  }
  void synchronise() override {}
  std::vector<double> time(int runs, const std::function<void()>& work) override {
    std::vector<char> other(size_t{64} << 20);
    std::vector<double> times;
    for (int run = 0; run < runs; ++run) {
      std::fill(other.begin(), other.end(), static_cast<char>(run));
      const auto start = std::chrono::steady_clock::now();
      work();
      const std::chrono::duration<double, std::milli> elapsed =
          std::chrono::steady_clock::now() - start;
      times.push_back(elapsed.count());
    }
    return times;
  }
};

#ifdef RADGPT_CUDA
inline constexpr bool kWithCuda = true;

class Gpu final : public Machine {
 public:
  /// Whether there is one.
  static bool present() {
    int devices = 0;
    return cudaGetDeviceCount(&devices) == cudaSuccess && devices > 0;
  }
  Gpu() {
    check(cudaGetDeviceProperties(&properties_, 0), "cudaGetDeviceProperties");
    other_bytes_ = std::max(size_t{256} << 20, 4 * static_cast<size_t>(properties_.l2CacheSize));
    other_ = allocate(other_bytes_);
  }
  ~Gpu() override { release(other_); }
  bool is_gpu() const override { return true; }
  std::string name() const override { return properties_.name; }
  double memory_bytes() const override { return static_cast<double>(properties_.totalGlobalMem); }
  void* allocate(size_t bytes) override {
    void* memory = nullptr;
    check(cudaMalloc(&memory, std::max(bytes, size_t{1})), "cudaMalloc");
    return memory;
  }
  void release(void* memory) override { static_cast<void>(cudaFree(memory)); }
  void write(void* to, const void* from, size_t bytes) override {
    check(cudaMemcpy(to, from, bytes, cudaMemcpyHostToDevice), "cudaMemcpy");
  }
  void read(void* to, const void* from, size_t bytes) override {
    check(cudaMemcpy(to, from, bytes, cudaMemcpyDeviceToHost), "cudaMemcpy");
  }
  void copy(void* to, const void* from, size_t bytes) override {
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice), "cudaMemcpyAsync");
  }
  void synchronise() override { check(cudaDeviceSynchronize(), "a kernel"); }
  /// While the cache is filled, the host enqueues the work, so no launch is waited for.
  std::vector<double> time(int runs, const std::function<void()>& work) override {
    cudaEvent_t begin = nullptr, end = nullptr;
    check(cudaEventCreate(&begin), "cudaEventCreate");
    check(cudaEventCreate(&end), "cudaEventCreate");
    std::vector<double> times;
    for (int run = 0; run < runs; ++run) {
      check(cudaMemsetAsync(other_, run, other_bytes_), "cudaMemsetAsync");
      check(cudaEventRecord(begin), "cudaEventRecord");
      work();
      check(cudaEventRecord(end), "cudaEventRecord");
      check(cudaEventSynchronize(end), "a kernel");
      float milliseconds = 0;
      check(cudaEventElapsedTime(&milliseconds, begin, end), "cudaEventElapsedTime");
      times.push_back(milliseconds);
    }
    check(cudaEventDestroy(begin), "cudaEventDestroy");
    check(cudaEventDestroy(end), "cudaEventDestroy");
    return times;
  }

 private:
  static void check(cudaError_t status, const char* what) {
    if (status == cudaSuccess) return;
    fail(ErrorKind::kEnvironment, "kernel_table: ", what, " failed: ", cudaGetErrorString(status));
  }

  cudaDeviceProp properties_{};
  void* other_ = nullptr;
  size_t other_bytes_ = 0;
};
#else
inline constexpr bool kWithCuda = false;
#endif

/// Bytes a second that the machine reads and writes at best: a large copy.
inline double measured_peak(Machine& machine) {
  const size_t bytes = size_t{1} << (machine.is_gpu() ? 30 : 27);
  void* from = machine.allocate(bytes);
  void* to = machine.allocate(bytes);
  for (void* memory : {from, to}) {
    const char first = 1;
    machine.write(memory, &first, 1);
    machine.repeat(memory, 1, bytes);
  }
  const std::vector<double> times = machine.time(10, [&] { machine.copy(to, from, bytes); });
  machine.release(from);
  machine.release(to);
  return 2.0 * static_cast<double>(bytes) / (*std::min_element(times.begin(), times.end()) / 1e3);
}

/// Runs on_gpu(call, stream), or on_cpu(call, workers). What is of the GPU is compiled only where
/// the build has it, and only for its type.
template <typename T, typename Call, typename OnGpu, typename OnCpu>
void run_on(const Machine& machine, const Call& call, const OnGpu& on_gpu, const OnCpu& on_cpu) {
  if constexpr (kWithCuda && std::is_same_v<T, BFloat16>) {
    if (machine.is_gpu()) {
      on_gpu(call, Stream{nullptr});
      return;
    }
  }
  on_cpu(call, machine.workers());
}

}  // namespace radgpt::kernels
