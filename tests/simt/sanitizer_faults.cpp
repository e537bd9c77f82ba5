// simt_sanitizer_faults FAULT: runs the right twin of a kernel, then the faulty one. A sanitizer
// must report the second alone. There is no simt::Memory, which would find some of them first.

#include <cstdio>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "tests/simt/faulty_kernels.cuh"

using namespace radgpt::kernels;

namespace {

// Of exactly the size that the right twins need.
struct Arrays {
  explicit Arrays(size_t count) : x(count), y(count) {}
  std::vector<float> x;
  std::vector<float> y;
};

template <typename... Parameters>
std::function<void()> both(Grid grid, void (*right)(Parameters...), void (*faulty)(Parameters...),
                           std::type_identity_t<Parameters>... arguments) {
  return [=] {
    launch("right", right, grid, kFaultThreads, nullptr, arguments...);
    std::puts("the right twin has run");
    std::fflush(stdout);
    launch("faulty", faulty, grid, kFaultThreads, nullptr, arguments...);
  };
}

}  // namespace

int main(int count, char** arguments) {
  Arrays block(kFaultThreads);
  Arrays four(4 * kFaultThreads);
  Arrays eight(8 * kFaultThreads);
  Arrays few(kFaultThreads - 1);
  std::vector<uint32_t> counter(1);
  constexpr auto kRight = Twin::kRight;
  constexpr auto kFaulty = Twin::kFaulty;
  const float* const x = block.x.data();
  float* const y = block.y.data();
  const Grid dynamic{.shared_bytes = 4 * kFaultThreads};
  const std::map<std::string, std::function<void()>> faults = {
      {"missing_barrier", both({}, reverse_block<kRight>, reverse_block<kFaulty>, x, y)},
      {"missing_warp_barrier", both({}, reverse_warp<kRight>, reverse_warp<kFaulty>, x, y)},
      {"shuffle_for_barrier",
       both({}, reverse_by_shuffle<kRight>, reverse_by_shuffle<kFaulty>, x, y)},
      {"race_of_writes", both({3}, race_of_writes<kRight>, race_of_writes<kFaulty>, y, 20)},
      {"race_of_counts",
       both({3}, race_of_counts<kRight>, race_of_counts<kFaulty>, counter.data())},
      {"refill_without_barrier",
       both({}, refill<kRight>, refill<kFaulty>, eight.x.data(), eight.y.data())},
      {"stray_read", both({}, copy_with_stray_read<kRight>, copy_with_stray_read<kFaulty>,
                          few.x.data(), few.y.data(), kFaultThreads - 1)},
      {"stray_write", both({}, copy_with_stray_write<kRight>, copy_with_stray_write<kFaulty>,
                           few.x.data(), few.y.data(), kFaultThreads - 1)},
      {"shared_overrun", both(dynamic, shared_overrun<kRight>, shared_overrun<kFaulty>, y)},
      {"misaligned_shared", both({}, misaligned_shared<kRight>, misaligned_shared<kFaulty>,
                                 four.x.data(), four.y.data())},
  };
  const auto fault = count == 2 ? faults.find(arguments[1]) : faults.end();
  if (fault == faults.end()) return 2;
  fault->second();
  std::puts("nothing was reported");
}
