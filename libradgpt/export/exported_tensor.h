#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "libradgpt/formats/checkpoint_index.h"
#include "libradgpt/formats/tensor_encoding.h"
#include "libradgpt/model/baichuan.h"

namespace radgpt {

/// A tensor as a file is to have it.
struct ExportedTensor {
  std::string name;
  Shape shape;
  /// A view of a weight with as many numbers in the file's order; its own sizes may differ from
  /// `shape`, its last one is that of the shape.
  at::Tensor values;
};

/// All weights of a model under Baichuan2's own names.
std::vector<ExportedTensor> baichuan_tensors(const Baichuan& model);

/// Gives the tensor's bytes in this encoding to `sink`, rounded once from the model's type, in
/// pieces of some 64 MB. Throws Error(kInput) "model: NAME: …" for a number that the encoding
/// cannot hold.
void write_encoded(const ExportedTensor& tensor, TensorEncoding encoding, const ByteSink& sink);

}  // namespace radgpt
