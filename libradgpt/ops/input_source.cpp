#include "libradgpt/ops/input_source.h"

#include "libradgpt/base/error.h"

namespace radgpt {

InputSource InputSource::plain(const at::Tensor& x) {
  require(x.dim() == 2, "lora_linear: x must be [rows, in], got ", x.sizes());
  return {InputKind::kPlain, x.detach().contiguous(), {}, {}, {}};
}

InputSource InputSource::rms_norm(const at::Tensor& x, const at::Tensor& branch,
                                  const NormWeight& norm) {
  require(x.dim() == 2 && norm.weight.sizes() == at::IntArrayRef{x.size(1)} &&
              norm.weight.scalar_type() == x.scalar_type(),
          "rms_norm: x [rows, hidden] and weight [hidden] of one type, got ", x.sizes(), " ",
          x.scalar_type(), " and ", norm.weight.sizes(), " ", norm.weight.scalar_type());
  require(
      !branch.defined() || (branch.sizes() == x.sizes() && branch.scalar_type() == x.scalar_type()),
      "rms_norm: a branch like x, ", x.sizes(), " ", x.scalar_type(), ", got ",
      branch.defined() ? concat(branch.sizes(), " ", branch.scalar_type()) : "none");
  InputSource result{InputKind::kRmsNorm, x.detach().contiguous(), norm, {}, {}};
  if (branch.defined()) result.branch = branch.detach().contiguous();
  result.norm.weight = norm.weight.detach().contiguous();
  return result;
}

InputSource InputSource::swiglu(const at::Tensor& gate_up) {
  require(gate_up.dim() == 2 && gate_up.size(1) % 2 == 0,
          "swiglu: gate_up must be [rows, 2 * in], got ", gate_up.sizes());
  return {InputKind::kSwiglu, gate_up.detach().contiguous(), {}, {}, {}};
}

}  // namespace radgpt
