#include <limits>

#include "kernels/segment_attention/segment_attention.h"
#include "tests/catch.h"
#include "tests/kernels/attention_case.h"

namespace radgpt::kernels {
namespace {

template <typename V>
std::vector<V> poisoned(int64_t count) {
  return std::vector<V>(count, V(std::numeric_limits<float>::quiet_NaN()));
}

template <typename T>
WrittenArrays run(const AttentionCase<T>& of, const Workers& workers) {
  const int64_t tokens = of.input.tokens;
  auto out = poisoned<T>(tokens * of.hidden()), d_qkv = poisoned<T>(3 * tokens * of.hidden());
  auto log_sums = poisoned<Compute<T>>(tokens * of.input.heads);
  segment_attention_forward_cpu<T>({of.input, out.data(), log_sums.data()}, of.groups(), workers);
  segment_attention_backward_cpu<T>(
      {of.input, log_sums.data(), nullptr, of.d_out.data(), d_qkv.data()}, of.groups(), workers);
  return {{"out", written_array(out)},
          {"log_sums", written_array(log_sums)},
          {"d_qkv", written_array(d_qkv)}};
}

PackLayout mixed_segments() {
  return PackLayout().root(41).branch(0, 5).branch(0, 37).root(0).root(13).branch(4, 1).branch(0,
                                                                                               2);
}

TEMPLATE_TEST_CASE("Segment attention on a CPU: as accurate as the unfused chain", "", float,
                   double, BFloat16) {
  for (const int64_t head_dim : {2, 10, 16, 34, 128}) {
    for (const auto& [bias, rotated] : {std::pair{Bias::kNone, Rotated::kYes},
                                        {Bias::kAlibi, Rotated::kNo},
                                        {Bias::kNone, Rotated::kNo}}) {
      INFO("head_dim " << head_dim << " ALiBi " << (bias == Bias::kAlibi) << " RoPE "
                       << (rotated == Rotated::kYes));
      const AttentionCase<TestType> of(mixed_segments(), 3, head_dim, bias, rotated);
      const WrittenArrays alone = run(of, OneWorker());
      expect_as_accurate_as(of.reference(Arithmetic::kPlain), alone,
                            of.reference(Arithmetic::kExact));
      CHECK(run(of, ThreadWorkers(3)) == alone);
    }
  }
}

}  // namespace
}  // namespace radgpt::kernels
