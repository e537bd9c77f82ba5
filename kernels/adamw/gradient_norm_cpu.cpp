#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/adamw/adamw.h"
#include "kernels/primitives/lanes.h"
#include "kernels/primitives/rounding.h"

namespace radgpt::kernels {

namespace {

constexpr int64_t kBlock = 1 << 15;

[[RADGPT_VECTOR_CLONES]] double sum_of_squares(const float* values, int64_t count) {
  double lanes[8] = {};
  int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    for (int lane = 0; lane < 8; ++lane) {
      const double value = values[i + lane];
      lanes[lane] += value * value;
    }
  }
  for (; i < count; ++i) lanes[0] += static_cast<double>(values[i]) * values[i];
  double sum = 0.0;
  for (const double lane : lanes) sum += lane;
  return sum;
}

}  // namespace

double gradient_norm_cpu(const float* values, int64_t count, const Workers& workers) {
  std::vector<double> sums(static_cast<size_t>(divide_up(count, kBlock)));
  workers.run(static_cast<int64_t>(sums.size()), [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      const int64_t first = block * kBlock;
      sums[static_cast<size_t>(block)] =
          sum_of_squares(values + first, std::min(kBlock, count - first));
    }
  });
  double total = 0.0;
  for (const double sum : sums) total += sum;
  return std::sqrt(total);
}

}  // namespace radgpt::kernels
