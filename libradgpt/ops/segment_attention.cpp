#include "libradgpt/ops/segment_attention.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/tensor.h>

#include <span>

#include "libradgpt/ops/attention_input.h"
#include "libradgpt/ops/composite_node.h"
#include "libradgpt/ops/run_kernel.h"

namespace radgpt {

namespace {

/// What the node keeps.
struct AttentionState {
  AttentionOperand operand;
  std::vector<kernels::AttentionGroup> groups;
  at::Tensor tiles;
  at::Tensor log_sums;  ///< [heads, tokens] in the type of sums
  at::Tensor out;       ///< [tokens, hidden]; only a GPU's backward pass needs it

  const kernels::AttentionTile* first_tile() const {
    return static_cast<const kernels::AttentionTile*>(tiles.const_data_ptr());
  }
};

at::Tensor attention_forward(AttentionState& state) {
  const at::Tensor& qkv = state.operand.qkv;
  at::Tensor out = at::empty({qkv.size(0), qkv.size(1) / 3}, qkv.options());
  visit_type(qkv.scalar_type(), "attention", [&](auto zero) {
    using T = decltype(zero);
    using C = Compute<T>;
    state.log_sums =
        at::empty({state.operand.heads, qkv.size(0)}, qkv.options().dtype(kScalarType<C>));
    const kernels::SegmentAttentionForward<T> call{
        state.operand.input<T>(), mutable_values_of<T>(out), state.log_sums.mutable_data_ptr<C>()};
    run_kernel<T>(
        qkv,
        [&](auto& device, auto stream) {
          device.attention_forward(call, state.first_tile(), state.tiles.size(0), stream);
          // Another tensor than the one that gets this node for its history, or each would keep the
          // other alive.
          state.out = out.detach();
        },
        [&](auto workers) { kernels::segment_attention_forward_cpu(call, state.groups, workers); });
  });
  return out;
}

at::Tensor attention_backward(const AttentionState& state, const at::Tensor& gradient) {
  const at::Tensor& qkv = state.operand.qkv;
  at::Tensor d_qkv = at::empty_like(qkv);
  const at::Tensor d_out = gradient.contiguous();
  visit_type(qkv.scalar_type(), "attention", [&](auto zero) {
    using T = decltype(zero);
    kernels::SegmentAttentionBackward<T> call{
        .input = state.operand.input<T>(),
        .log_sums = state.log_sums.const_data_ptr<Compute<T>>(),
        .d_out = values_of<T>(d_out),
        .d_qkv = mutable_values_of<T>(d_qkv)};
    run_kernel<T>(
        qkv,
        [&](auto& device, auto stream) {
          call.out = values_of<T>(state.out);
          const DeviceWorkspace workspace(device.attention_backward_workspace(call), qkv);
          device.attention_backward(call, state.first_tile(), state.tiles.size(0), workspace,
                                    stream);
        },
        [&](auto workers) {
          kernels::segment_attention_backward_cpu(call, state.groups, workers);
        });
  });
  rotate_on_device(d_qkv, state.operand, kernels::RopeDirection::kBackward);
  return d_qkv;
}

class SegmentAttentionNode : public CompositeNode {
 public:
  explicit SegmentAttentionNode(AttentionState state) : state_(std::move(state)) {
    keep(state_.operand.qkv);
  }
  std::string name() const override { return "SegmentAttention"; }

 private:
  std::vector<at::Tensor> backward(const std::vector<at::Tensor>& gradients) override {
    return {attention_backward(state_, gradients[0])};
  }
  void release() override { state_ = {}; }

  AttentionState state_;
};

}  // namespace

AttentionLayout::AttentionLayout(std::vector<Segment> segments, at::Device device)
    : segments_(std::move(segments)) {
  const int64_t tokens = segments_.empty() ? 0 : segments_.back().end;
  const std::vector<kernels::AttentionTile> tiles =
      kernels::make_attention_tiles(kernels::group_segments(segments_, tokens));
  const std::span<const int32_t> words(reinterpret_cast<const int32_t*>(tiles.data()),
                                       tiles.size() * sizeof(tiles[0]) / sizeof(int32_t));
  const auto count = static_cast<int64_t>(tiles.size());
  tiles_ = at::tensor(at::ArrayRef<int32_t>(words.data(), words.size()), at::kInt)
               .view({count, static_cast<int64_t>(sizeof(tiles[0]) / sizeof(int32_t))})
               .to(device);
}

at::Tensor attend(const AttentionOperand& operand, const AttentionLayout& layout,
                  const at::Tensor& leaf) {
  const int64_t tokens = operand.qkv.size(0);
  require(layout.tiles().device() == operand.qkv.device(), "attention: layout must be on ",
          operand.qkv.device(), " as qkv is, got ", layout.tiles().device());
  AttentionState state{
      operand, kernels::group_segments(layout.segments(), tokens), layout.tiles(), {}, {}};
  at::Tensor out;
  {
    const at::NoGradGuard forward_only;
    out = attention_forward(state);
  }
  if (!gradients_wanted({leaf})) return out;
  record({out}, make_node<SegmentAttentionNode>(std::move(state)), {leaf});
  return out;
}

at::Tensor segment_attention(const at::Tensor& qkv, const at::Tensor& positions,
                             const AttentionLayout& layout, int64_t heads,
                             const PositionEncoding& encoding) {
  return attend(AttentionOperand::of(qkv, positions, heads, encoding), layout, qkv);
}

}  // namespace radgpt
