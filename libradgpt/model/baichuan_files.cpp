#include <torch/types.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <map>

#include "libradgpt/base/error.h"
#include "libradgpt/base/hash.h"
#include "libradgpt/formats/checkpoint_index.h"
#include "libradgpt/formats/safetensors.h"
#include "libradgpt/model/baichuan.h"

namespace radgpt {

namespace {

constexpr int64_t kPieceBytes = int64_t{8} << 20;
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
               const LoadProgress& progress)
      : folder_(folder), progress_(progress) {
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
    const int64_t step = std::max<int64_t>(1, kPieceBytes / std::max<int64_t>(1, row_bytes));
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
  const LoadProgress& progress_;
  int64_t of_ = 0;
  int64_t done_ = 0;
  int64_t told_ = 0;
};

// First tensor of every shard, in order; a shard holds at most max_bytes unless one tensor is more.
std::vector<size_t> plan_shards(const std::vector<int64_t>& bytes, int64_t max_bytes) {
  std::vector<size_t> first = {0};
  int64_t filled = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (filled > 0 && filled + bytes[i] > max_bytes) {
      first.push_back(i);
      filled = 0;
    }
    filled += bytes[i];
  }
  return first;
}

std::string shard_name(size_t number, size_t count) {
  if (count == 1) return "model.safetensors";
  char name[64];
  std::snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", number + 1, count);
  return name;
}

struct StoredTensor {
  TensorSpec spec;
  at::Tensor tensor;
};

void write_shard(const std::string& path, std::span<const StoredTensor> tensors) {
  std::vector<TensorSpec> specs;
  for (const StoredTensor& stored : tensors) specs.push_back(stored.spec);
  SafetensorsWriter writer(path, specs, {{"format", "pt"}});
  for (const StoredTensor& stored : tensors) {
    writer.write(bytes_of(stored.tensor.to(at::kCPU, scalar_type(stored.spec.dtype)).contiguous()));
  }
  writer.finish();
}

void make_folder(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) fail(ErrorKind::kEnvironment, folder, ": cannot make the folder: ", error.message());
}

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
  WeightReader reader(weights, names, progress);
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
  make_folder(folder);
  const std::vector<NamedShape> names = named_tensors(config_);
  const std::vector<at::Tensor> all = tensors();
  ModelConfig config = config_;
  config.dtype = stored_type(type());
  std::vector<StoredTensor> stored;
  std::vector<int64_t> bytes;
  CheckpointIndex index;
  for (size_t i = 0; i < names.size(); ++i) {
    stored.push_back({{names[i].name, config.dtype, names[i].shape}, all[i]});
    bytes.push_back(all[i].numel() * size_of(config.dtype));
    index.total_size += bytes.back();
  }
  const std::vector<size_t> first = plan_shards(bytes, max_shard_bytes);
  for (size_t shard = 0; shard < first.size(); ++shard) {
    const size_t end = shard + 1 < first.size() ? first[shard + 1] : stored.size();
    const std::string name = shard_name(shard, first.size());
    write_shard(folder + "/" + name, std::span(stored).subspan(first[shard], end - first[shard]));
    for (size_t i = first[shard]; i < end; ++i) index.shard[names[i].name] = name;
  }
  if (first.size() > 1) write_checkpoint_index(folder + "/model.safetensors.index.json", index);
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
