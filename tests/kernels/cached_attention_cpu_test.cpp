#include "kernels/segment_attention/cached_attention.h"
#include "tests/catch.h"
#include "tests/kernels/attention_case.h"

namespace radgpt::kernels {
namespace {

constexpr int32_t kCapacity = 40;

/// All tokens of two sequences are stored, then the last of each attends to its sequence.
template <typename T>
std::vector<double> run(const AttentionCase<T>& of, const Workers& workers) {
  std::vector<T> keys(2 * kCapacity * of.hidden()), values = keys;
  const KeyValueCache<T> cache{keys.data(), values.data(), kCapacity};
  std::vector<int32_t> tokens, entries;
  std::vector<int64_t> rows, positions;
  std::vector<T> last;
  for (int32_t s = 0; s < 2; ++s) {
    const Segment& segment = of.layout.segments[s];
    for (int32_t i = 0; i < segment.length(); ++i) {
      tokens.push_back(segment.begin + i);
      rows.push_back(s * kCapacity + i);
    }
    entries.push_back(segment.length());
    positions.push_back(segment.length() - 1);
    const auto end = of.qkv.begin() + segment.end * 3 * of.hidden();
    last.insert(last.end(), end - 3 * of.hidden(), end);
  }
  cache_store_cpu<T>({of.input, of.input.tokens, tokens.data(), rows.data(), cache}, workers);
  AttentionInput<T> queries = of.input;
  queries.tokens = 2;
  queries.qkv = last.data();
  queries.positions = positions.data();
  const std::vector<int32_t> sequences = {0, 1};
  std::vector<T> out(2 * of.hidden());
  cached_attention_cpu<T>({queries, sequences.data(), entries.data(), cache, out.data()}, workers);
  return {out.begin(), out.end()};
}

/// Rows of the last tokens.
template <typename T>
std::vector<double> last_rows(const AttentionCase<T>& of, Arithmetic arithmetic) {
  const std::vector<double> out = of.reference(arithmetic).at("out");
  std::vector<double> rows;
  for (const Segment& segment : of.layout.segments) {
    const auto end = out.begin() + segment.end * of.hidden();
    rows.insert(rows.end(), end - of.hidden(), end);
  }
  return rows;
}

TEMPLATE_TEST_CASE("Cached attention on a CPU: as accurate as the unfused chain", "", float, double,
                   BFloat16) {
  for (const int64_t head_dim : {2, 10, 34, 128}) {
    for (const auto& [bias, rotated] :
         {std::pair{Bias::kNone, Rotated::kYes}, {Bias::kAlibi, Rotated::kNo}}) {
      INFO("head_dim " << head_dim << " ALiBi " << (bias == Bias::kAlibi));
      const AttentionCase<TestType> of(PackLayout().root(kCapacity).root(7), 3, head_dim, bias,
                                       rotated);
      const std::vector<double> alone = run(of, OneWorker());
      expect_as_accurate_as(last_rows(of, Arithmetic::kPlain), {alone, rounding_of<TestType>()},
                            last_rows(of, Arithmetic::kExact));
      CHECK(run(of, ThreadWorkers(3)) == alone);
    }
  }
}

}  // namespace
}  // namespace radgpt::kernels
