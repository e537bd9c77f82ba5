#include "libradgpt/ops/linear_input.h"

#include "libradgpt/ops/row_loops.h"

namespace radgpt {

namespace {

template <typename T>
class PlainInput : public LinearInput<T> {
 public:
  explicit PlainInput(const InputSource& source)
      : x_(source.source.const_data_ptr<T>()), width_(source.columns()) {}

  void write_row(int64_t row, T* x) const override {
    std::memcpy(x, x_ + row * width_, width_ * sizeof(T));
  }

  void backward_row(int64_t, const Compute<T>* gradient, T* source_gradient,
                    Compute<T>*) const override {
    round_row(gradient, width_, source_gradient);
  }

 private:
  const T* x_;
  int64_t width_;
};

}  // namespace

InputSource InputSource::plain(const at::Tensor& x) {
  require(x.dim() == 2, "lora_linear: x must be [rows, in], got ", x.sizes());
  return {InputKind::kPlain, x.detach().contiguous(), {}, {}};
}

template <typename T>
std::unique_ptr<LinearInput<T>> make_linear_input(const InputSource& source) {
  switch (source.kind) {
    case InputKind::kRmsNorm:
      return make_rms_norm_input<T>(source);
    case InputKind::kSwiglu:
      return make_swiglu_input<T>(source);
    case InputKind::kPlain:
      break;
  }
  return std::make_unique<PlainInput<T>>(source);
}

template std::unique_ptr<LinearInput<float>> make_linear_input(const InputSource&);
template std::unique_ptr<LinearInput<double>> make_linear_input(const InputSource&);
template std::unique_ptr<LinearInput<c10::BFloat16>> make_linear_input(const InputSource&);

}  // namespace radgpt
