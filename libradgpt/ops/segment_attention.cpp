#include "libradgpt/ops/segment_attention.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include "libradgpt/ops/attention_head.h"
#include "libradgpt/ops/composite_node.h"

namespace radgpt {

namespace {

/// What the node keeps.
struct AttentionState {
  at::Tensor qkv;
  at::Tensor positions;
  std::vector<AttentionGroup> groups;
  int64_t heads = 0;
  PositionEncoding encoding;
  at::Tensor log_sums;  ///< [heads, tokens] in the type of sums
};

/// Calls work(head object, group, head) for every pair of group and head, in parallel. Heads vary
/// slowest, so that threads get equal shares.
template <typename T, typename Work>
void for_each_head(const AttentionState& state, typename AttentionHead<T>::Pass pass,
                   const Work& work) {
  const AttentionProblem<T> problem(state.qkv, state.positions, state.heads, state.encoding);
  int64_t most_keys = 0;
  for (const AttentionGroup& group : state.groups) {
    most_keys = std::max(most_keys, group.most_keys());
  }
  const auto groups = static_cast<int64_t>(state.groups.size());
  at::parallel_for(0, groups * state.heads, 1, [&](int64_t begin, int64_t end) {
    AttentionHead<T> head(problem, most_keys, pass);
    for (int64_t task = begin; task < end; ++task) {
      work(head, state.groups[task % groups], task / groups);
    }
  });
}

at::Tensor attention_forward(AttentionState& state) {
  const at::Tensor& qkv = state.qkv;
  at::Tensor out = at::empty({qkv.size(0), qkv.size(1) / 3}, qkv.options());
  visit_type(qkv.scalar_type(), "attention", [&](auto zero) {
    using T = decltype(zero);
    using C = Compute<T>;
    state.log_sums = at::empty({state.heads, qkv.size(0)}, qkv.options().dtype(kScalarType<C>));
    T* rows = mutable_values_of<T>(out);
    C* log_sums = state.log_sums.mutable_data_ptr<C>();
    for_each_head<T>(state, AttentionHead<T>::Pass::kForward,
                     [&](AttentionHead<T>& worker, const AttentionGroup& group, int64_t head) {
                       worker.forward(group, head, rows, log_sums);
                     });
  });
  return out;
}

at::Tensor attention_backward(const AttentionState& state, const at::Tensor& gradient) {
  at::Tensor d_qkv = at::empty_like(state.qkv);
  const at::Tensor d_out = gradient.contiguous();
  visit_type(d_qkv.scalar_type(), "attention", [&](auto zero) {
    using T = decltype(zero);
    const T* rows = values_of<T>(d_out);
    const auto* log_sums = state.log_sums.const_data_ptr<Compute<T>>();
    T* result = mutable_values_of<T>(d_qkv);
    for_each_head<T>(state, AttentionHead<T>::Pass::kBackward,
                     [&](AttentionHead<T>& worker, const AttentionGroup& group, int64_t head) {
                       worker.backward(group, head, rows, log_sums, result);
                     });
  });
  return d_qkv;
}

class SegmentAttentionNode : public CompositeNode {
 public:
  explicit SegmentAttentionNode(AttentionState state) : state_(std::move(state)) {
    keep(state_.qkv);
  }
  std::string name() const override { return "SegmentAttention"; }

 private:
  std::vector<at::Tensor> backward(const at::Tensor& gradient) override {
    return {attention_backward(state_, gradient)};
  }
  void release() override { state_ = {}; }

  AttentionState state_;
};

}  // namespace

void check_attention(const at::Tensor& qkv, const at::Tensor& positions, int64_t heads,
                     const PositionEncoding& encoding) {
  require(qkv.dim() == 2 && heads > 0 && qkv.size(1) % (3 * heads) == 0,
          "attention: qkv must be [tokens, 3 * heads * head_dim] with ", heads, " heads, got ",
          qkv.sizes());
  require(positions.sizes() == at::IntArrayRef{qkv.size(0)} && positions.scalar_type() == at::kLong,
          "attention: positions must be int64 [", qkv.size(0), "], got ", positions.scalar_type(),
          " ", positions.sizes());
  const int64_t head_dim = qkv.size(1) / (3 * heads);
  if (encoding.cosines.defined() && qkv.size(0) > 0) {
    const int64_t first = positions.min().item<int64_t>(), last = positions.max().item<int64_t>();
    require(
        2 * encoding.cosines.size(1) == head_dim && first >= 0 && last < encoding.cosines.size(0),
        "attention: RoPE table of ", encoding.cosines.sizes(), " does not reach head_dim ",
        head_dim, ", positions ", first, " to ", last);
  }
  require(!encoding.slopes.defined() || encoding.slopes.size(0) == heads,
          "attention: ALiBi slopes must be [", heads, "], got ",
          encoding.slopes.defined() ? encoding.slopes.numel() : 0);
}

at::Tensor segment_attention(const at::Tensor& qkv, const at::Tensor& positions,
                             const std::vector<Segment>& segments, int64_t heads,
                             const PositionEncoding& encoding) {
  check_attention(qkv, positions, heads, encoding);
  AttentionState state{qkv.detach().contiguous(),
                       positions.contiguous(),
                       group_segments(segments, qkv.size(0)),
                       heads,
                       encoding,
                       {}};
  at::Tensor out;
  {
    const at::NoGradGuard forward_only;
    out = attention_forward(state);
  }
  if (!gradients_wanted({qkv})) return out;
  return record(out, make_node<SegmentAttentionNode>(std::move(state)), {qkv});
}

}  // namespace radgpt
