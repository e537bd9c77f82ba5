#include "libradgpt/model/embedding_noise.h"

#include <ATen/Parallel.h>
#include <torch/types.h>

#include <cmath>

#include "libradgpt/model/baichuan.h"
#include "tests/catch.h"
#include "tests/device/test_type.h"
#include "tests/model/reference_model.h"
#include "tests/model/small_packs.h"

namespace radgpt {

namespace {

constexpr int64_t kHidden = 320;
const DropoutKey kKey{.seed = 5, .step = 7, .pack = 1, .active = true, .neftune_alpha = 5};

Pack shared_pack() {
  Pack pack;
  const Segment report = add_segment(pack, Tokens(30, 4));
  add_segment(pack, Tokens(6, 5), report);
  add_segment(pack, Tokens(50, 6));
  return pack;
}

}  // namespace

TEST_CASE("NEFTune: noise is uniform within alpha / sqrt(length hidden) of each sequence") {
  const Pack pack = shared_pack();
  const at::Tensor noise = embedding_noise(pack, kHidden, kKey);
  REQUIRE(noise.sizes() == at::IntArrayRef({86, kHidden}));
  const double lengths[] = {30, 36, 50};
  for (size_t i = 0; i < 3; ++i) {
    const at::Tensor rows = noise.narrow(0, pack.segments[i].begin, pack.segments[i].length());
    const double bound = 5 / std::sqrt(lengths[i] * kHidden);
    const double count = static_cast<double>(rows.numel());
    CHECK(rows.abs().max().item<double>() <= bound * (1 + 1e-6));
    CHECK(rows.abs().max().item<double>() > 0.99 * bound);
    // Mean 0 and deviation bound / sqrt(3), known to 1/sqrt(n); 5 of those.
    const double deviation = bound / std::sqrt(3.0);
    CHECK(std::abs(rows.mean().item<double>()) < 5 * deviation / std::sqrt(count));
    CHECK(rows.std().item<double>() == Approx(deviation).epsilon(5 / std::sqrt(count)));
  }
}

TEST_CASE("NEFTune: noise is a function of seed, step, pack and row alone") {
  const at::Tensor noise = embedding_noise(shared_pack(), kHidden, kKey);
  const int before = at::get_num_threads();
  for (const int threads : {1, 2}) {
    at::set_num_threads(threads);
    CHECK(at::equal(embedding_noise(shared_pack(), kHidden, kKey), noise));
  }
  at::set_num_threads(before);
  for (int part = 0; part < 3; ++part) {
    DropoutKey other = kKey;
    if (part == 0) other.seed = 6;
    if (part == 1) other.step = 8;
    if (part == 2) other.pack = 2;
    CHECK_FALSE(at::equal(embedding_noise(shared_pack(), kHidden, other), noise));
  }
}

TEST_CASE("NEFTune: a model hears it while its key is active, and only then") {
  Baichuan model(small_config(PositionKind::kRope), test_type());
  model.initialise(1);
  DropoutKey quiet = kKey, evaluation = kKey;
  quiet.neftune_alpha = 0;
  evaluation.active = false;
  const at::Tensor plain = model.forward(shared_pack(), {});
  CHECK(at::equal(model.forward(shared_pack(), quiet), plain));
  CHECK(at::equal(model.forward(shared_pack(), evaluation), plain));
  CHECK_FALSE(at::equal(model.forward(shared_pack(), kKey), plain));
}

}  // namespace radgpt
