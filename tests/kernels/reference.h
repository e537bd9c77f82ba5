#pragma once

#include "kernels/lora_linear/lora_input.h"
#include "kernels/lora_linear/lora_output.h"
#include "kernels/rms_norm/rms_norm.h"
#include "kernels/swiglu/swiglu.h"
#include "tests/kernels/accuracy.h"

namespace radgpt::kernels {

enum class Arithmetic {
  kExact,  ///< double, nothing rounded
  /// The unfused chain as peft does it: the result of each operation rounded to T, but what a call
  /// writes as sums left as such.
  kPlain
};

/// Use reference().
template <typename T>
struct Reference {
  /// "sum", "inverse_rms", "y", "s": the border
  static Arrays of(const RmsNormForward<T>& call, Arithmetic arithmetic);
  /// "dx", "dweight", "da0", "da1", ...
  static Arrays of(const RmsNormBackward<T>& call, Arithmetic arithmetic);
  /// "y", "s"
  static Arrays of(const SwigluForward<T>& call, Arithmetic arithmetic);
  /// "d_gate_up", "da0", ...
  static Arrays of(const SwigluBackward<T>& call, Arithmetic arithmetic);
  /// "y", "s"
  static Arrays of(const LoraInputForward<T>& call, Arithmetic arithmetic);
  /// "dx", "da0", ...
  static Arrays of(const LoraInputBackward<T>& call, Arithmetic arithmetic);
  /// "ds", "db0", ...
  static Arrays of(const LoraOutputBackward<T>& call, Arithmetic arithmetic);
};

/// What a call should write: its formula once more in plain loops, which share no code with the
/// kernels. Of the call they read inputs only. Outputs that are null in the call have no array. For
/// T float, double, BFloat16.
template <template <typename> typename Call, typename T>
Arrays reference(const Call<T>& call, Arithmetic arithmetic) {
  return Reference<T>::of(call, arithmetic);
}

}  // namespace radgpt::kernels
