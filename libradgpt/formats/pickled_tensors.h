#pragma once

#include <optional>
#include <string>
#include <vector>

#include "libradgpt/formats/pickle.h"
#include "libradgpt/formats/pickle_values.h"

namespace radgpt {

/// What torch._utils._rebuild_tensor_v2(storage, offset, shape, strides, requires_grad, hooks[,
/// metadata]) would make; nothing for arguments of other kinds, hooks that do something, or
/// metadata that changes the values. The numbers are checked by pickled_tensors.
std::optional<PickleValue> rebuild_tensor(const std::vector<PickleValue>& values,
                                          const std::vector<uint32_t>& arguments);

/// What torch._utils._rebuild_parameter(tensor, requires_grad, hooks) would make: the tensor.
std::optional<PickleValue> rebuild_parameter(const std::vector<PickleValue>& values,
                                             const std::vector<uint32_t>& arguments);

/// Checks a pickle's result, which must be a dict of tensors, and every number of theirs. `place`
/// is for messages.
std::vector<PickledTensor> pickled_tensors(const std::vector<PickleValue>& values, uint32_t result,
                                           const std::string& place);

}  // namespace radgpt
