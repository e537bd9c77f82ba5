#include <algorithm>

#include "kernels/segment_attention/attention_head_cpu.h"
#include "kernels/segment_attention/segment_attention.h"

namespace radgpt::kernels {

namespace {

/// Calls work(head object, group, head) for every pair of group and head, in parallel. Heads vary
/// slowest, so that threads get equal shares.
template <typename T, typename Work>
void for_each_head(const AttentionInput<T>& input, const std::vector<AttentionGroup>& groups,
                   typename AttentionHead<T>::Pass pass, const Workers& workers, const Work& work) {
  const AttentionProblem<T> problem(input);
  int64_t most_keys = 0;
  for (const AttentionGroup& group : groups) most_keys = std::max(most_keys, group.most_keys());
  const auto count = static_cast<int64_t>(groups.size());
  workers.run(count * input.heads, [&](int64_t begin, int64_t end) {
    AttentionHead<T> head(problem, most_keys, pass);
    for (int64_t task = begin; task < end; ++task) {
      work(head, groups[task % count], task / count);
    }
  });
}

}  // namespace

template <typename T>
void segment_attention_forward_cpu(const SegmentAttentionForward<T>& call,
                                   const std::vector<AttentionGroup>& groups,
                                   const Workers& workers) {
  for_each_head<T>(call.input, groups, AttentionHead<T>::Pass::kForward, workers,
                   [&](AttentionHead<T>& worker, const AttentionGroup& group, int64_t head) {
                     worker.forward(group, head, call.out, call.log_sums);
                   });
}

template <typename T>
void segment_attention_backward_cpu(const SegmentAttentionBackward<T>& call,
                                    const std::vector<AttentionGroup>& groups,
                                    const Workers& workers) {
  for_each_head<T>(call.input, groups, AttentionHead<T>::Pass::kBackward, workers,
                   [&](AttentionHead<T>& worker, const AttentionGroup& group, int64_t head) {
                     worker.backward(group, head, call.d_out, call.log_sums, call.d_qkv);
                   });
}

template void segment_attention_forward_cpu(const SegmentAttentionForward<float>&,
                                            const std::vector<AttentionGroup>&, const Workers&);
template void segment_attention_forward_cpu(const SegmentAttentionForward<double>&,
                                            const std::vector<AttentionGroup>&, const Workers&);
template void segment_attention_forward_cpu(const SegmentAttentionForward<BFloat16>&,
                                            const std::vector<AttentionGroup>&, const Workers&);
template void segment_attention_backward_cpu(const SegmentAttentionBackward<float>&,
                                             const std::vector<AttentionGroup>&, const Workers&);
template void segment_attention_backward_cpu(const SegmentAttentionBackward<double>&,
                                             const std::vector<AttentionGroup>&, const Workers&);
template void segment_attention_backward_cpu(const SegmentAttentionBackward<BFloat16>&,
                                             const std::vector<AttentionGroup>&, const Workers&);

}  // namespace radgpt::kernels
