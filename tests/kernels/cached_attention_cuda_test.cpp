// Attention over a cache by the kernels of the GPU.

#include "kernels/segment_attention/cached_attention.h"
#include "libradgpt/base/error.h"
#include "tests/catch.h"
#include "tests/kernels/attention_case.h"
#include "tests/kernels/device_memory.h"

namespace radgpt::kernels {
namespace {

using Case = AttentionCase<BFloat16>;

constexpr int64_t kCapacity = 160;
const std::vector<int32_t> kLengths = {1, 2, 37, 160, 64};

/// Sequences of those lengths, of which all but the last token of each came earlier.
PackLayout sequences() {
  PackLayout layout;
  for (const int32_t length : kLengths) layout.root(length);
  return layout;
}

/// The tokens of all sequences are stored in the cache, in reverse order of sequences, then the
/// last one of each attends to it.
struct DeviceRun {
  DeviceMemory memory;

  explicit DeviceRun(const Case& of) {
    AttentionInput<BFloat16> input = of.input;
    const auto count = static_cast<int64_t>(kLengths.size());
    std::vector<int32_t> tokens, order;
    std::vector<int64_t> rows;
    std::vector<BFloat16> last;
    for (int64_t s = 0; s < count; ++s) {
      const Segment& segment = of.layout.segments[s];
      order.push_back(static_cast<int32_t>(count - 1 - s));
      for (int32_t i = 0; i < segment.length(); ++i) {
        tokens.push_back(segment.begin + i);
        rows.push_back(order.back() * kCapacity + i);
      }
      const auto end = of.qkv.begin() + segment.end * 3 * of.hidden();
      last.insert(last.end(), end - 3 * of.hidden(), end);
    }
    const int64_t elements = count * kCapacity * of.hidden();
    const KeyValueCache<BFloat16> cache{memory.output<BFloat16>("keys", elements),
                                        memory.output<BFloat16>("values", elements), kCapacity};
    if (!of.slopes.empty()) input.slopes = memory.input("slopes", of.slopes);
    input.positions = nullptr;  // not needed: those of the entries follow each other
    input.qkv = memory.input("qkv", of.qkv);
    cache_store_cuda(
        {input, input.tokens, memory.input("tokens", tokens), memory.input("rows", rows), cache},
        nullptr);
    input.qkv = memory.input("last", last);
    input.tokens = count;
    cached_attention_cuda(
        {input, memory.input("sequences", order), memory.input("entries", kLengths), cache,
         memory.output<BFloat16>("out", count * of.hidden())},
        nullptr);
  }

  std::vector<double> out() const {
    const auto values = memory.values<BFloat16>("out");
    return {values.begin(), values.end()};
  }
};

/// Rows of the last tokens.
std::vector<double> last_rows(const Case& of, const std::vector<double>& out) {
  std::vector<double> rows;
  for (const Segment& segment : of.layout.segments) {
    const auto end = out.begin() + segment.end * of.hidden();
    rows.insert(rows.end(), end - of.hidden(), end);
  }
  return rows;
}

TEST_CASE("Cached attention on a GPU: as accurate as the unfused chain over the whole sequence",
          "[cuda]") {
  for (const int64_t head_dim : {8, 16, 24, 32, 64, 80, 128}) {
    for (const Bias bias : {Bias::kNone, Bias::kAlibi}) {
      INFO("head_dim " << head_dim << " ALiBi " << (bias == Bias::kAlibi));
      const Case of(sequences(), 2, head_dim, bias);
      const DeviceRun run(of);
      CHECK(run.memory.every_byte_written("out"));
      expect_as_accurate_as(last_rows(of, of.reference(Arithmetic::kPlain).at("out")),
                            {run.out(), rounding_of<BFloat16>()},
                            last_rows(of, of.reference(Arithmetic::kExact).at("out")));
    }
  }
}

TEST_CASE("Cached attention on a GPU: the same bits whatever the order of blocks and lanes",
          "[cuda]") {
  const Case of(sequences(), 2, 32, Bias::kAlibi);
  const auto bits = [&](uint64_t seed) {
    const DeviceOrder order(seed);
    return DeviceRun(of).out();
  };
  CHECK(bits(1) == bits(2));
}

TEST_CASE("Cached attention on a GPU: stores keys and values where it is told", "[cuda]") {
  const Case of(PackLayout().root(3), 2, 8, Bias::kNone);
  DeviceMemory memory;
  AttentionInput<BFloat16> input = of.input;
  input.qkv = memory.input("qkv", of.qkv);
  const std::vector<BFloat16> before(4 * of.hidden(), BFloat16(7.0f));
  cache_store_cuda({input,
                    2,
                    memory.input("tokens", std::vector<int32_t>{2, 0}),
                    memory.input("rows", std::vector<int64_t>{1, 3}),
                    {memory.in_place("keys", before), memory.in_place("values", before), 2}},
                   nullptr);
  for (const auto& [name, part] : {std::pair{"keys", 1}, {"values", 2}}) {
    std::vector<BFloat16> expected = before;
    for (const auto& [token, row] : {std::pair{2, 1}, {0, 3}}) {
      const auto from = of.qkv.begin() + (3 * token + part) * of.hidden();
      std::copy(from, from + of.hidden(), expected.begin() + row * of.hidden());
    }
    CHECK(std::ranges::equal(memory.values<BFloat16>(name), expected));
  }
}

#ifndef RADGPT_TEST_ON_GPU  // which counts no bytes
TEST_CASE("Cached attention on a GPU: reads each entry once", "[cuda]") {
  const Case of(sequences(), 2, 16, Bias::kNone);
  const DeviceRun run(of);
  REQUIRE(run.memory.launches().size() == 2);
  const int64_t row = of.hidden() * static_cast<int64_t>(sizeof(BFloat16));
  const auto requested = [&](int launch, const char* name) {
    return run.memory.launches()[launch].buffers.at(name).requested;
  };
  CHECK(requested(0, "qkv") == simt::Bytes{2 * of.input.tokens * row, 0});
  for (const char* name : {"keys", "values"}) {
    CHECK(requested(0, name) == simt::Bytes{0, of.input.tokens * row});
    CHECK(requested(1, name) == simt::Bytes{of.input.tokens * row, 0});
  }
  const auto sequences = static_cast<int64_t>(kLengths.size());
  CHECK(run.memory.launches()[1].buffers.at("last").distinct == simt::Bytes{sequences * row, 0});
  CHECK(requested(1, "out") == simt::Bytes{0, sequences * row});
}
#endif

TEST_CASE("Cached attention on a GPU: refuses what the device cannot take", "[cuda]") {
  const Case of(PackLayout().root(3), 1, 12, Bias::kNone);
  CHECK_THROWS_WITH(
      cached_attention_cuda({of.input, nullptr, nullptr, {}, nullptr}, nullptr),
      "cached_attention: head_dim must be a multiple of 8 up to 128 on a GPU, got 12");
  const Case right(PackLayout().root(3), 1, 8, Bias::kNone);
  CHECK_THROWS_WITH(cache_store_cuda({right.input, 0, nullptr, nullptr, {}}, nullptr),
                    "cache_store: capacity must be positive, got 0");
}

}  // namespace
}  // namespace radgpt::kernels
