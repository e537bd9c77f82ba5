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
  static WrittenArrays of(const RmsNormForward<T>& call);
  static WrittenArrays of(const RmsNormBackward<T>& call);
  static WrittenArrays of(const SwigluForward<T>& call);
  static WrittenArrays of(const SwigluBackward<T>& call);
  static WrittenArrays of(const LoraInputForward<T>& call);
  static WrittenArrays of(const LoraInputBackward<T>& call);
  static WrittenArrays of(const LoraOutputBackward<T>& call);
};

/// What stands in the outputs of a call now, by the names of reference().
template <template <typename> typename Call, typename T>
WrittenArrays written(const Call<T>& call) {
  return Written<T>::of(call);
}

}  // namespace radgpt::kernels
