#include "libradgpt/base/random.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "tests/catch.h"

namespace radgpt {
namespace {

using Block = std::array<uint32_t, 4>;

TEST_CASE("Random: Philox gives the known answers of Random123") {
  constexpr uint32_t kOnes = 0xFFFFFFFF;
  CHECK(philox({0, 0, 0, 0}, {0, 0}) == Block{0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8});
  CHECK(philox({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}) ==
        Block{0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD});
  CHECK(philox({0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344}, {0xA4093822, 0x299F31D0}) ==
        Block{0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1});
  CHECK(philox<7>({0, 0, 0, 0}, {0, 0}) == Block{0x5F6FB709, 0x0D893F64, 0x4F121F81, 0x4F730A48});
  CHECK(philox<7>({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}) ==
        Block{0x5207DDC2, 0x45165E59, 0x4D8EE751, 0x8C52F662});
}

TEST_CASE("Random: a sequence depends on all of its keys and on nothing else") {
  const auto first = [](Random random) { return random.next_bits(); };
  const uint32_t reference = first(Random(7, RandomStream::kDropout, 3, 4));
  CHECK(first(Random(7, RandomStream::kDropout, 3, 4)) == reference);
  CHECK(first(Random(8, RandomStream::kDropout, 3, 4)) != reference);
  CHECK(first(Random(7 + (uint64_t{1} << 32), RandomStream::kDropout, 3, 4)) != reference);
  CHECK(first(Random(7, RandomStream::kOrder, 3, 4)) != reference);
  CHECK(first(Random(7, RandomStream::kDropout, 4, 4)) != reference);
  CHECK(first(Random(7, RandomStream::kDropout, 3, 5)) != reference);
}

TEST_CASE("Random: numbers below n are all reached, equally often") {
  constexpr uint32_t kSides = 7;
  constexpr int kThrows = 70'000;
  std::vector<double> counts(kSides);
  Random random(1, RandomStream::kSampling);
  for (int i = 0; i < kThrows; ++i) counts.at(random.next_below(kSides)) += 1;
  const double expected = double{kThrows} / kSides;
  double chi_squared = 0;
  for (const double count : counts) {
    chi_squared += (count - expected) * (count - expected) / expected;
  }
  CHECK(chi_squared < 22.5);  // 6 degrees of freedom: exceeded once in a thousand fair dice
  CHECK(Random(1, RandomStream::kSampling).next_below(1) == 0);
}

TEST_CASE("Random: numbers below n are unbiased where 2^32 is far from a multiple") {
  // Without rejection, numbers below 2^30 would come twice as often as the others.
  constexpr uint32_t kSides = 3u << 30;
  constexpr int kThrows = 30'000;
  Random random(2, RandomStream::kSampling);
  int low = 0;
  for (int i = 0; i < kThrows; ++i) low += random.next_below(kSides) < (1u << 30) ? 1 : 0;
  const double deviation = std::sqrt(kThrows * (1.0 / 3) * (2.0 / 3));
  CHECK(std::abs(low - kThrows / 3.0) < 4 * deviation);
}

TEST_CASE("Random: uniform and normal numbers have the moments of their laws") {
  constexpr int kCount = 40'000;
  Random random(3, RandomStream::kInitialisation);
  double uniform_sum = 0;
  double normal_sum = 0;
  double normal_squares = 0;
  for (int i = 0; i < kCount; ++i) {
    const double uniform = random.next_uniform();
    REQUIRE((uniform >= 0 && uniform < 1));
    const double normal = random.next_normal();
    REQUIRE(std::isfinite(normal));
    uniform_sum += uniform;
    normal_sum += normal;
    normal_squares += normal * normal;
  }
  // Four standard errors: deviation of the law / sqrt(count).
  CHECK(std::abs(uniform_sum / kCount - 0.5) < 4 * std::sqrt(1.0 / 12 / kCount));
  CHECK(std::abs(normal_sum / kCount) < 4 * std::sqrt(1.0 / kCount));
  CHECK(std::abs(normal_squares / kCount - 1) < 4 * std::sqrt(2.0 / kCount));
}

}  // namespace
}  // namespace radgpt
