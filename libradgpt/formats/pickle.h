#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "libradgpt/formats/data_type.h"

namespace radgpt {

/// A tensor as a pickle of torch.save describes it: a view of a storage, which is a record of the
/// same archive.
struct PickledTensor {
  std::string name;
  DataType dtype = DataType::kF32;  ///< BF16, F16 or F32
  std::string storage;              ///< key: decimal digits
  int64_t storage_elements = 0;
  int64_t offset = 0;  ///< of the first element in the storage, in elements
  Shape shape;         ///< up to 8 dimensions
  Shape strides;       ///< in elements, never negative
};

/// Reads the pickle (protocol 2) of a dict or OrderedDict of tensors or parameters, as torch.save
/// writes a model's state. This is an abstract interpreter: it knows the 27 opcodes and 6 globals
/// that such files need, moves descriptions of values about, and calls nothing. Any other opcode
/// or global is refused, so that a file which would run code in Python is only an Error here.
/// Every view lies within its storage. Limits: 64 MB, 64 kB a string, 1,000,000 values on the
/// stack or in the memo, 2,000,000 in all, nested 64 deep.
/// Tensors are in the order of the dict. Errors are kInput: "PLACE: byte N: …" or "PLACE: NAME: …".
std::vector<PickledTensor> parse_tensor_pickle(std::string_view bytes, const std::string& place);

}  // namespace radgpt
