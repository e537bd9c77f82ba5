#include "libradgpt/model/embedding_noise.h"

#include <ATen/Parallel.h>
#include <torch/types.h>

#include <cmath>

#include "libradgpt/base/random.h"

namespace radgpt {

namespace {

constexpr int64_t kRowsAtATime = 16;

/// The largest number of each row.
std::vector<float> bounds_of_rows(const Pack& pack, int64_t hidden, double alpha) {
  std::vector<float> bounds;
  bounds.reserve(pack.tokens.size());
  for (const Segment& segment : pack.segments) {
    const auto length = static_cast<double>(segment.length() + segment.prefix_length());
    bounds.insert(bounds.end(), segment.length(),
                  static_cast<float>(alpha / std::sqrt(length * static_cast<double>(hidden))));
  }
  return bounds;
}

}  // namespace

at::Tensor embedding_noise(const Pack& pack, int64_t hidden, const DropoutKey& key) {
  const std::vector<float> bounds = bounds_of_rows(pack, hidden, key.neftune_alpha);
  at::Tensor noise = at::empty({pack.size(), hidden}, at::kFloat);
  float* out = noise.mutable_data_ptr<float>();
  // Seed and step in the key, pack and row in the counter.
  const uint64_t mixed = key.seed ^ (key.step << 32 | key.step >> 32);
  at::parallel_for(0, pack.size(), kRowsAtATime, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      Random random(mixed, RandomStream::kEmbeddingNoise, key.pack, static_cast<uint32_t>(row));
      for (int64_t i = 0; i < hidden; ++i) {
        out[row * hidden + i] = bounds[row] * static_cast<float>(2.0 * random.next_uniform() - 1.0);
      }
    }
  });
  return noise;
}

}  // namespace radgpt
