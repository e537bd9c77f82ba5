#pragma once

#include <string>
#include <utility>
#include <vector>

#include "tests/base/temporary_folder.h"
#include "tests/formats/pickle_bytes.h"
#include "tests/model/reference_model.h"

namespace radgpt {

/// A folder's weights once more as torch.save writes them: a storage for each tensor, W_pack
/// transposed in its own.
inline void write_pytorch_model(const TemporaryFolder& folder, const Weights& weights) {
  std::vector<std::pair<std::string, std::string>> entries;
  std::vector<std::string> records;
  for (const auto& [name, values] : weights) {
    const bool is_turned = name.ends_with("W_pack.weight");
    const at::Tensor tensor = values.detach().to(at::kFloat).contiguous();
    const at::Tensor stored = is_turned ? tensor.t().contiguous() : tensor;
    const std::string storage =
        storage_op("FloatStorage", std::to_string(records.size()), tensor.numel());
    const at::Tensor view = is_turned ? stored.t() : stored;
    entries.emplace_back(name, tensor_op(storage, 0, view.sizes().vec(), view.strides().vec()));
    records.emplace_back(static_cast<const char*>(stored.const_data_ptr()), stored.nbytes());
  }
  folder.write("pytorch_model.bin", pytorch_bytes(dict_pickle(entries), records));
}

}  // namespace radgpt
