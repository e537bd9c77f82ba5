#include "libradgpt/ops/segment_attention.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include "libradgpt/ops/attention_input.h"
#include "libradgpt/ops/composite_node.h"
#include "libradgpt/ops/torch_workers.h"

namespace radgpt {

namespace {

/// What the node keeps.
struct AttentionState {
  at::Tensor qkv;
  at::Tensor positions;
  std::vector<kernels::AttentionGroup> groups;
  int64_t heads = 0;
  PositionEncoding encoding;
  at::Tensor log_sums;  ///< [heads, tokens] in the type of sums

  template <typename T>
  kernels::AttentionInput<T> input() const {
    return attention_input<T>(qkv, positions, heads, encoding);
  }
};

at::Tensor attention_forward(AttentionState& state) {
  const at::Tensor& qkv = state.qkv;
  at::Tensor out = at::empty({qkv.size(0), qkv.size(1) / 3}, qkv.options());
  visit_type(qkv.scalar_type(), "attention", [&](auto zero) {
    using T = decltype(zero);
    using C = Compute<T>;
    state.log_sums = at::empty({state.heads, qkv.size(0)}, qkv.options().dtype(kScalarType<C>));
    kernels::segment_attention_forward_cpu<T>(
        {state.input<T>(), mutable_values_of<T>(out), state.log_sums.mutable_data_ptr<C>()},
        state.groups, TorchWorkers());
  });
  return out;
}

at::Tensor attention_backward(const AttentionState& state, const at::Tensor& gradient) {
  at::Tensor d_qkv = at::empty_like(state.qkv);
  const at::Tensor d_out = gradient.contiguous();
  visit_type(d_qkv.scalar_type(), "attention", [&](auto zero) {
    using T = decltype(zero);
    kernels::segment_attention_backward_cpu<T>(
        {.input = state.input<T>(),
         .log_sums = state.log_sums.const_data_ptr<Compute<T>>(),
         .d_out = values_of<T>(d_out),
         .d_qkv = mutable_values_of<T>(d_qkv)},
        state.groups, TorchWorkers());
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
                       kernels::group_segments(segments, qkv.size(0)),
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
