#include "libradgpt/export/exported_tensor.h"

#include <ATen/Parallel.h>
#include <torch/types.h>

#include <algorithm>

namespace radgpt {
namespace {

constexpr int64_t kPieceNumbers = int64_t{16} << 20;
constexpr int64_t kNumbersPerTask = 1 << 16;

void encode_piece(const at::Tensor& piece, TensorEncoding encoding, std::span<std::byte> into,
                  const std::string& where) {
  const at::Tensor numbers = piece.to(at::kCPU, at::kFloat).contiguous();
  const auto* first = numbers.const_data_ptr<float>();
  const int64_t block = block_size(encoding);
  at::parallel_for(0, numbers.numel() / block, kNumbersPerTask, [&](int64_t begin, int64_t end) {
    const auto count = static_cast<size_t>((end - begin) * block);
    const auto offset = static_cast<size_t>(encoded_bytes(encoding, begin * block));
    const auto size = static_cast<size_t>(encoded_bytes(encoding, (end - begin) * block));
    encode_tensor(encoding, {first + begin * block, count}, into.subspan(offset, size), where);
  });
}

}  // namespace

std::vector<ExportedTensor> baichuan_tensors(const Baichuan& model) {
  const std::vector<at::Tensor> values = model.tensors();
  std::vector<ExportedTensor> tensors;
  for (const NamedShape& one : named_tensors(model.config())) {
    tensors.push_back({one.name, one.shape, values[tensors.size()]});
  }
  return tensors;
}

void write_encoded(const ExportedTensor& tensor, TensorEncoding encoding, const ByteSink& sink) {
  const int64_t rows = tensor.values.size(0);
  const int64_t row = tensor.values.numel() / std::max<int64_t>(1, rows);
  const int64_t step = std::max<int64_t>(1, kPieceNumbers / std::max<int64_t>(1, row));
  std::vector<std::byte> bytes;
  for (int64_t begin = 0; begin < rows; begin += step) {
    const at::Tensor piece = tensor.values.narrow(0, begin, std::min(step, rows - begin));
    bytes.resize(static_cast<size_t>(encoded_bytes(encoding, piece.numel())));
    encode_piece(piece, encoding, bytes, "model: " + tensor.name);
    sink(bytes);
  }
}

}  // namespace radgpt
