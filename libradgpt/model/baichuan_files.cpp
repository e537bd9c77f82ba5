#include <torch/types.h>

#include <algorithm>
#include <functional>
#include <map>

#include "libradgpt/base/error.h"
#include "libradgpt/base/hash.h"
#include "libradgpt/formats/checkpoint_index.h"
#include "libradgpt/formats/safetensors.h"
#include "libradgpt/model/baichuan.h"

namespace radgpt {

namespace {

constexpr int64_t kPieceBytes = int64_t{2} << 20;
// What a processor converts at once: few enough elements (32,768) that LibTorch stays on one
// thread. That keeps up with disks, while threads that wait for each other took 2 s of 2.6 on a
// busy machine.
constexpr int64_t kConvertedBytes = (int64_t{64} << 10) - 1;
constexpr int64_t kToldBytes = int64_t{64} << 20;

at::ScalarType scalar_type(DataType type) {
  switch (type) {
    case DataType::kBF16:
      return at::kBFloat16;
    case DataType::kF16:
      return at::kHalf;
    default:
      return at::kFloat;
  }
}

DataType stored_type(at::ScalarType type) {
  return type == at::kBFloat16 ? DataType::kBF16 : DataType::kF32;
}

std::span<std::byte> bytes_of(const at::Tensor& tensor) {
  return {static_cast<std::byte*>(tensor.data_ptr()), tensor.nbytes()};
}

// Reads tensors of a folder piece by piece and tells how far it is.
class WeightReader {
 public:
  WeightReader(const WeightFolder& folder, const std::vector<NamedShape>& tensors,
               at::Device device, const LoadProgress& progress)
      : folder_(folder),
        converted_bytes_(device.is_cpu() ? kConvertedBytes : kPieceBytes),
        progress_(progress) {
    for (const NamedShape& tensor : tensors) {
      of_ += static_cast<int64_t>(folder.find(tensor.name)->bytes());
    }
  }

  // Calls visit(first row, rows as stored) for the whole of a tensor, some rows at a time.
  void read_rows(const std::string& name,
                 const std::function<void(int64_t, const at::Tensor&)>& visit) {
    const TensorInfo& info = *folder_.find(name);
    const int64_t rows = info.shape.at(0);
    const int64_t row_bytes = static_cast<int64_t>(info.bytes()) / std::max<int64_t>(1, rows);
    const int64_t step = std::max<int64_t>(1, converted_bytes_ / std::max<int64_t>(1, row_bytes));
    std::vector<int64_t> shape = info.shape;
    for (int64_t row = 0; row < rows; row += step) {
      shape[0] = std::min(step, rows - row);
      const at::Tensor piece = at::empty(shape, scalar_type(info.dtype));
      read(name, bytes_of(piece), row * row_bytes);
      visit(row, piece);
    }
  }

  void read_tensor(const std::string& name, const at::Tensor& into) {
    if (into.is_cpu() && into.is_contiguous() &&
        into.scalar_type() == scalar_type(folder_.find(name)->dtype)) {
      const std::span<std::byte> bytes = bytes_of(into);
      for (size_t from = 0; from < bytes.size(); from += kPieceBytes) {
        read(name, bytes.subspan(from, std::min<size_t>(kPieceBytes, bytes.size() - from)), from);
      }
      return;
    }
    read_rows(name, [&](int64_t row, const at::Tensor& piece) {
      into.narrow(0, row, piece.size(0)).copy_(piece);
    });
  }

  // To be called when all is read.
  void finish() {
    if (told_ > 0 && told_ < done_) tell();
  }

 private:
  void read(const std::string& name, std::span<std::byte> into, uint64_t from) {
    folder_.read(name, into, from);
    done_ += static_cast<int64_t>(into.size());
    if (done_ - told_ >= kToldBytes) tell();
  }
  void tell() {
    told_ = done_;
    if (progress_) progress_(done_, of_);
  }

  const WeightFolder& folder_;
  const int64_t converted_bytes_;
  const LoadProgress& progress_;
  int64_t of_ = 0;
  int64_t done_ = 0;
  int64_t told_ = 0;
};

}  // namespace

std::unique_ptr<Baichuan> Baichuan::load(const std::string& folder,
                                         const at::TensorOptions& options,
                                         const LoadProgress& progress) {
  const at::NoGradGuard no_grad;
  const ModelConfig config = read_model_config(folder + "/config.json");
  const WeightFolder weights(folder);
  const std::vector<NamedShape> names = named_tensors(config);
  weights.expect(names);
  auto model = std::make_unique<Baichuan>(config, options);
  const std::vector<at::Tensor> tensors = model->tensors();
  std::map<std::string, at::Tensor> into;
  for (size_t i = 0; i < names.size(); ++i) into[names[i].name] = tensors[i];
  WeightReader reader(weights, names, model->device(), progress);
  for (const std::string& name : weights.names()) {
    const auto found = into.find(name);
    if (found == into.end()) continue;  // a rotary table
    if (name != names.back().name) {
      reader.read_tensor(name, found->second);
      continue;
    }
    reader.read_rows(
        name, [&](int64_t row, const at::Tensor& piece) { model->normalise_head(row, piece); });
  }
  reader.finish();
  return model;
}

void Baichuan::save(const std::string& folder, int64_t max_shard_bytes) const {
  const at::NoGradGuard no_grad;
  const std::vector<at::Tensor> values = tensors();
  ModelConfig config = config_;
  config.dtype = stored_type(type());
  std::vector<TensorSpec> specs;
  for (const NamedShape& one : named_tensors(config_)) {
    specs.push_back({one.name, config.dtype, one.shape});
  }
  write_weight_folder(folder, specs, max_shard_bytes, [&](size_t i, const ByteSink& sink) {
    sink(bytes_of(values[i].to(at::kCPU, scalar_type(config.dtype)).contiguous()));
  });
  write_model_config(folder + "/config.json", config);
}

std::string Baichuan::digest() const {
  const at::NoGradGuard no_grad;
  Sha256 hash;
  hash.update(concat(config_.position == PositionKind::kRope ? "rope " : "alibi ",
                     config_.num_attention_heads, " ", c10::toString(type()), "\n"));
  for (const at::Tensor& tensor : tensors()) {
    const at::Tensor whole = tensor.cpu().contiguous();
    hash.update({static_cast<const char*>(whole.data_ptr()), whole.nbytes()});
  }
  return to_hex(hash.finish());
}

}  // namespace radgpt
