#pragma once

#include "kernels/lora_linear/lora_input.h"
#include "kernels/lora_linear/lora_output.h"
#include "kernels/rms_norm/rms_norm.h"
#include "kernels/swiglu/swiglu.h"
#include "tests/kernels/accuracy.h"

namespace radgpt::kernels {

/// Use written().
template <typename T>
struct Written {
  static Arrays of(const RmsNormForward<T>& call);
  static Arrays of(const RmsNormBackward<T>& call);
  static Arrays of(const SwigluForward<T>& call);
  static Arrays of(const SwigluBackward<T>& call);
  static Arrays of(const LoraInputForward<T>& call);
  static Arrays of(const LoraInputBackward<T>& call);
  static Arrays of(const LoraOutputBackward<T>& call);
};

/// What stands in the outputs of a call now, by the names of reference().
template <template <typename> typename Call, typename T>
Arrays written(const Call<T>& call) {
  return Written<T>::of(call);
}

}  // namespace radgpt::kernels
