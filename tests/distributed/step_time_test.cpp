#include "libradgpt/distributed/step_time.h"

#include <torch/types.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <mutex>

#include "tests/catch.h"
#include "tests/distributed/thread_ranks.h"

namespace radgpt {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Least of `count` timings: what a busy machine adds is not the network's.
template <typename Work>
double least_seconds(int count, const Work& work) {
  double least = 1e9;
  for (int i = 0; i < count; ++i) {
    const Clock::time_point start = Clock::now();
    work();
    least = std::min(least, seconds_since(start));
  }
  return least;
}

/// What the verbs of these ranks reach: a gather of nothing, and one of many bytes.
Network measure_network(Communicator& ranks) {
  const int64_t elements = int64_t{1} << 20;
  const at::Tensor mine = at::zeros({elements});
  const at::Tensor all = at::empty({ranks.size(), elements});
  const double small = least_seconds(30, [&] { ranks.gather_numbers({1.0}); });
  const double large = least_seconds(20, [&] { ranks.gather(all, mine).wait(); });
  const double sent = 4.0 * static_cast<double>(elements) * (ranks.size() - 1);
  return {sent / (large - small), small / (ranks.size() - 1)};
}

/// One reduction without any computing around it.
double measure_reduction(Communicator& ranks, int64_t elements) {
  const at::Tensor flat = at::ones({elements});
  GradientReduction reduction(ranks, flat, {{0, elements}}, ReductionOrder::kOrdered,
                              reduction_block(ranks.size()));
  return least_seconds(20, [&] {
    const PackRange own = reduction.begin(ranks.size());
    for (int64_t pack = own.begin; pack < own.end; ++pack) reduction.add();
    reduction.finish();
  });
}

TEST_CASE("Step time: the prediction is within a factor of three of reductions over Gloo") {
  for (const int size : {2, 4}) {
    for (const int64_t elements : {int64_t{1} << 14, int64_t{1} << 20, int64_t{1} << 22}) {
      // A small message of four ranks on two processors takes as long as the scheduler likes.
      if (size == 4 && elements < 1 << 20) continue;
      std::mutex mutex;
      double measured = 0, predicted = 0;
      run_thread_ranks(size, [&](Communicator& ranks) {
        const Network network = measure_network(ranks);
        const double seconds = measure_reduction(ranks, elements);
        const std::lock_guard lock(mutex);
        if (ranks.rank() != 0) return;
        StepWork work;
        work.packs = size;
        work.gradient_bytes = 4 * elements;
        const StepTime time = predict_step(work, network, size);
        measured = seconds;
        predicted = time.exchange + time.gather;
      });
      std::cout << "step time: " << size << " ranks, " << elements << " parameters: predicted "
                << 1e3 * predicted << " ms, measured " << 1e3 * measured << " ms\n";
      CHECK(measured < 3 * predicted);
      CHECK(predicted < 3 * measured);
    }
  }
}

TEST_CASE("Step time: the parts of a step by hand") {
  StepWork work;
  work.pack = 0.5;
  work.packs = 16;
  work.gradient_bytes = 8 << 20;  // 8 blocks
  const Network network{1e9, 1e-5};
  const StepTime one = predict_step(work, network, 1);
  CHECK(one.total() == Approx(16 * 0.5));
  const StepTime four = predict_step(work, network, 4);
  CHECK(four.compute == Approx(4 * 0.5));
  CHECK(four.exchange == Approx((8 << 20) * 0.75 / 1e9 + 8 * 3 * 1e-5));
  CHECK(four.gather == Approx(four.exchange));
  CHECK(four.agreement == Approx(3e-5));
  CHECK(four.hidden == Approx(four.exchange * 7 / 8 + four.gather * 5 / 8));
  work.overlaps = false;
  CHECK(predict_step(work, network, 4).hidden == 0);
  // 3 ranks have 6, 5 and 5 packs: 0-3, 4-5; 6-7, 8-9, 10; 11, 12-15.
  const StepTime three = predict_step(work, network, 3);
  CHECK(three.compute == Approx(6 * 0.5));
  CHECK(three.exchange == Approx(3 * (8 << 20) * 2.0 / 3 / 1e9 + 8 * 2 * 1e-5));
}

}  // namespace
}  // namespace radgpt
