#include "libradgpt/ops/input_source.h"

#include "libradgpt/base/error.h"

namespace radgpt {

InputSource InputSource::plain(const at::Tensor& x) {
  require(x.dim() == 2, "lora_linear: x must be [rows, in], got ", x.sizes());
  return {InputKind::kPlain, x.detach().contiguous(), {}, {}, {}};
}

InputSource InputSource::rms_norm(const at::Tensor& x, const at::Tensor& branch,
                                  const NormWeight& norm) {
  const auto alike = [&](const at::Tensor& tensor) {
    return tensor.scalar_type() == x.scalar_type() && tensor.device() == x.device();
  };
  const auto text_of = [](const at::Tensor& tensor) {
    return concat(tensor.sizes(), " ", tensor.scalar_type(), " on ", tensor.device());
  };
  require(x.dim() == 2 && norm.weight.sizes() == at::IntArrayRef{x.size(1)} && alike(norm.weight),
          "rms_norm: x [rows, hidden] and weight [hidden] of one type on one device, got ",
          text_of(x), " and ", text_of(norm.weight));
  InputSource result{InputKind::kRmsNorm, x.detach().contiguous(), norm, {}, {}};
  if (branch.defined()) {
    require(branch.sizes() == x.sizes() && alike(branch), "rms_norm: a branch like x, ", text_of(x),
            ", got ", text_of(branch));
    result.branch = branch.detach().contiguous();
  }
  result.norm.weight = norm.weight.detach().contiguous();
  return result;
}

InputSource InputSource::swiglu(const at::Tensor& gate_up) {
  require(gate_up.dim() == 2 && gate_up.size(1) % 2 == 0,
          "swiglu: gate_up must be [rows, 2 * in], got ", gate_up.sizes());
  return {InputKind::kSwiglu, gate_up.detach().contiguous(), {}, {}, {}};
}

}  // namespace radgpt
