#include "libradgpt/model/row_adapters.h"

#include <torch/types.h>

#include <algorithm>

#include "libradgpt/base/error.h"

namespace radgpt {

std::vector<int32_t> adapter_of_row(const Pack& pack) {
  if (pack.adapters.empty()) return {};
  require(pack.adapters.size() == pack.segments.size(), "model: adapters must be one a segment, ",
          pack.segments.size(), ", got ", pack.adapters.size());
  std::vector<int32_t> of_row(pack.tokens.size(), -1);
  for (size_t i = 0; i < pack.segments.size(); ++i) {
    const Segment& segment = pack.segments[i];
    std::fill(of_row.begin() + segment.begin, of_row.begin() + segment.end, pack.adapters[i]);
    require(segment.prefix_length() == 0 || of_row[segment.prefix_begin] == pack.adapters[i],
            "model: adapters: a branch must take that of its prefix, ",
            of_row[segment.prefix_begin], ", got ", pack.adapters[i]);
  }
  return of_row;
}

std::vector<at::Tensor> rows_of_choice(const std::vector<int32_t>& adapters, int choices,
                                       at::Device device) {
  if (adapters.empty()) return {};
  std::vector<std::vector<int64_t>> rows(std::max(1, choices));
  for (size_t row = 0; row < adapters.size(); ++row) {
    const int32_t adapter = adapters[row];
    require(adapter >= -1 && adapter < choices, "model: adapters must be in [-1, ", choices,
            "), got ", adapter);
    if (adapter >= 0) rows[adapter].push_back(static_cast<int64_t>(row));
  }
  std::vector<at::Tensor> tensors;
  for (const std::vector<int64_t>& one : rows) {
    tensors.push_back(at::tensor(one, at::kLong).to(device));
  }
  return tensors;
}

}  // namespace radgpt
