#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <string>

namespace radgpt {

/// The tensors of an adapter by their names in files, fp32 on the CPU.
struct AdapterTensors {
  std::string path;  ///< of the file, for messages
  std::map<std::string, at::Tensor> tensors;
  std::string base = {};  ///< Baichuan::fingerprint of what it was trained on; empty: not known
};

/// Reads `folder`/adapter_model.safetensors, or adapter_model.bin where there is none. Throws
/// Error(kInput) naming file and tensor for a type other than F32, BF16 and F16, and for NaN or
/// infinity.
AdapterTensors read_adapter_tensors(const std::string& folder);

/// Writes `folder`/adapter_model.safetensors in the order of names; makes the folder if absent.
/// `base` as in AdapterTensors goes into its metadata, which PEFT leaves alone. Throws
/// Error(kEnvironment).
void write_adapter_tensors(const std::string& folder,
                           const std::map<std::string, at::Tensor>& tensors,
                           const std::string& base);

}  // namespace radgpt
