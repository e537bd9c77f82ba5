#include "libradgpt/ops/attention_input.h"

#include "libradgpt/ops/run_kernel.h"

namespace radgpt {

void check_attention(const at::Tensor& qkv, const at::Tensor& positions, int64_t heads,
                     const PositionEncoding& encoding) {
  require(qkv.dim() == 2 && heads > 0 && qkv.size(1) % (3 * heads) == 0,
          "attention: qkv must be [tokens, 3 * heads * head_dim] with ", heads, " heads, got ",
          qkv.sizes());
  require(positions.sizes() == at::IntArrayRef{qkv.size(0)} && positions.scalar_type() == at::kLong,
          "attention: positions must be int64 [", qkv.size(0), "], got ", positions.scalar_type(),
          " ", positions.sizes());
  for (const at::Tensor& table : {positions, encoding.cosines, encoding.sines, encoding.slopes}) {
    require(!table.defined() || table.device() == qkv.device(),
            "attention: positions and encoding must be on ", qkv.device(), " as qkv is, got ",
            table.defined() ? table.device() : qkv.device());
  }
  const int64_t head_dim = qkv.size(1) / (3 * heads);
  if (encoding.cosines.defined()) {
    require(2 * encoding.cosines.size(1) == head_dim, "attention: RoPE table of ",
            encoding.cosines.sizes(), " does not fit head_dim ", head_dim);
  }
  if (encoding.cosines.defined() && qkv.is_cpu() && qkv.size(0) > 0) {
    const int64_t first = positions.min().item<int64_t>(), last = positions.max().item<int64_t>();
    require(first >= 0 && last < encoding.cosines.size(0), "attention: RoPE table of ",
            encoding.cosines.sizes(), " does not reach positions ", first, " to ", last);
  }
  require(!encoding.slopes.defined() || encoding.slopes.size(0) == heads,
          "attention: ALiBi slopes must be [", heads, "], got ",
          encoding.slopes.defined() ? encoding.slopes.numel() : 0);
}

AttentionOperand AttentionOperand::of(const at::Tensor& qkv, const at::Tensor& positions,
                                      int64_t heads, const PositionEncoding& encoding) {
  check_attention(qkv, positions, heads, encoding);
  AttentionOperand operand{qkv.detach().contiguous(), positions.contiguous(), heads, encoding,
                           false};
  if (device_kernels(qkv) == nullptr || !encoding.cosines.defined()) return operand;
  if (qkv.is_leaf()) {
    operand.qkv = operand.qkv.clone();
  } else if (operand.qkv.data_ptr() == qkv.data_ptr()) {
    qkv.unsafeGetTensorImpl()->bump_version();  // a node that kept it must not read it any more
  }
  rotate_on_device(operand.qkv, operand, kernels::RopeDirection::kForward);
  operand.rotated = true;
  return operand;
}

void rotate_on_device(const at::Tensor& qkv, const AttentionOperand& operand,
                      kernels::RopeDirection direction) {
  const DeviceKernels* device = device_kernels(qkv);
  if (device == nullptr || !operand.encoding.cosines.defined()) return;
  device->rope({.tokens = qkv.size(0),
                .heads = operand.heads,
                .head_dim = qkv.size(1) / 3 / operand.heads,
                .qkv = mutable_values_of<kernels::BFloat16>(qkv),
                .stride = qkv.size(1),
                .positions = operand.positions.const_data_ptr<int64_t>(),
                .cosines = operand.encoding.cosines.const_data_ptr<float>(),
                .sines = operand.encoding.sines.const_data_ptr<float>(),
                .direction = direction},
               DeviceStream(*device, qkv));
}

}  // namespace radgpt
