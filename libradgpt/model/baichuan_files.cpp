#include <torch/types.h>

#include <algorithm>
#include <functional>
#include <map>

#include "libradgpt/base/error.h"
#include "libradgpt/base/hash.h"
#include "libradgpt/formats/checkpoint_index.h"
#include "libradgpt/formats/safetensors.h"
#include "libradgpt/model/baichuan.h"
#include "libradgpt/model/sharded_layers.h"

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

int64_t bytes_of_row(const TensorInfo& tensor) {
  return static_cast<int64_t>(tensor.bytes()) / std::max<int64_t>(1, tensor.shape.at(0));
}

// Reads tensors of a folder piece by piece and tells how far it is.
class WeightReader {
 public:
  WeightReader(const WeightFolder& folder, const std::map<std::string, KeptRows>& tensors,
               at::Device device, const LoadProgress& progress)
      : folder_(folder),
        converted_bytes_(device.is_cpu() ? kConvertedBytes : kPieceBytes),
        progress_(progress) {
    for (const auto& [name, into] : tensors) {
      of_ += into.rows.size(0) * bytes_of_row(*folder.find(name));
    }
  }

  // Calls visit(row of `into`, rows as stored) for all that are kept of a tensor, some at a time.
  void read_rows(const std::string& name, const KeptRows& into,
                 const std::function<void(int64_t, const at::Tensor&)>& visit) {
    const TensorInfo& info = *folder_.find(name);
    const int64_t rows = into.rows.size(0), row_bytes = bytes_of_row(info);
    const int64_t step = std::max<int64_t>(1, converted_bytes_ / std::max<int64_t>(1, row_bytes));
    std::vector<int64_t> shape = info.shape;
    for (int64_t row = 0; row < rows; row += step) {
      shape[0] = std::min(step, rows - row);
      const at::Tensor piece = at::empty(shape, scalar_type(info.dtype));
      read(name, bytes_of(piece), (into.first + row) * row_bytes);
      visit(row, piece);
    }
  }

  void read_tensor(const std::string& name, const KeptRows& into) {
    const TensorInfo& info = *folder_.find(name);
    if (into.rows.is_cpu() && into.rows.is_contiguous() &&
        into.rows.scalar_type() == scalar_type(info.dtype)) {
      const std::span<std::byte> bytes = bytes_of(into.rows);
      const auto begin = static_cast<size_t>(into.first * bytes_of_row(info));
      for (size_t from = 0; from < bytes.size(); from += kPieceBytes) {
        read(name, bytes.subspan(from, std::min<size_t>(kPieceBytes, bytes.size() - from)),
             begin + from);
      }
      return;
    }
    read_rows(name, into, [&](int64_t row, const at::Tensor& piece) {
      into.rows.narrow(0, row, piece.size(0)).copy_(piece);
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

// What is kept of rows [begin, end) of a weight that is kept as `kept` says.
KeptRows rows_within(const KeptRows& kept, int64_t begin, int64_t end) {
  const int64_t kept_end = kept.first + kept.rows.size(0);
  const int64_t from = std::clamp(kept.first, begin, end), to = std::clamp(kept_end, begin, end);
  if (from == to) return {0, kept.rows.narrow(0, 0, 0)};
  return {from - begin, kept.rows.narrow(0, from - kept.first, to - from)};
}

}  // namespace

void Baichuan::require_whole(const char* what) const {
  require(!sharded_, "model: ", what, " must have all weights here, got a sharded base");
}

std::vector<at::Tensor> Baichuan::layer_tensors(const BaichuanLayer& layer) const {
  const int64_t intermediate = config_.intermediate_size;
  const at::Tensor gate_up = layer.gate_up.weight();
  return {layer.attention_norm.weight,
          layer.packed_qkv.weight(),
          layer.attention_output.weight(),
          layer.mlp_norm.weight,
          gate_up.narrow(0, 0, intermediate),
          gate_up.narrow(0, intermediate, intermediate),
          layer.down.weight()};
}

std::vector<at::Tensor> Baichuan::tensors() const {
  require_whole("tensors");
  std::vector<at::Tensor> all = {embedding_};
  for (const BaichuanLayer& layer : layers_) {
    const std::vector<at::Tensor> of_layer = layer_tensors(layer);
    all.insert(all.end(), of_layer.begin(), of_layer.end());
  }
  all.insert(all.end(), {final_norm_.weight, head_.normalised});
  return all;
}

/// What is kept here of all weights, in the order of named_tensors.
std::vector<KeptRows> Baichuan::kept_rows() const {
  std::vector<KeptRows> all = {{0, embedding_}};
  for (int layer = 0; layer < layers(); ++layer) {
    const BaichuanLayer& weights = layers_[layer];
    const std::array<const BorderedWeight*, 4> linears = {
        &weights.packed_qkv, &weights.attention_output, &weights.gate_up, &weights.down};
    const auto kept = [&](int linear) {
      return sharded_ ? sharded_->kept_rows(layer, linear) : KeptRows{0, linears[linear]->weight()};
    };
    const int64_t intermediate = config_.intermediate_size;
    const KeptRows gate_up = kept(2);
    all.insert(all.end(), {{0, weights.attention_norm.weight},
                           kept(0),
                           kept(1),
                           {0, weights.mlp_norm.weight},
                           rows_within(gate_up, 0, intermediate),
                           rows_within(gate_up, intermediate, 2 * intermediate),
                           kept(3)});
  }
  all.insert(all.end(), {{0, final_norm_.weight}, {0, head_.normalised}});
  return all;
}

std::unique_ptr<Baichuan> Baichuan::load(const std::string& folder,
                                         const at::TensorOptions& options,
                                         const LoadProgress& progress, Communicator* ranks) {
  const at::NoGradGuard no_grad;
  const ModelConfig config = read_model_config(folder + "/config.json");
  const WeightFolder weights(folder);
  const std::vector<NamedShape> names = named_tensors(config);
  weights.expect(names);
  auto model = std::make_unique<Baichuan>(config, options, ranks);
  const std::vector<KeptRows> kept = model->kept_rows();
  std::map<std::string, KeptRows> into;
  for (size_t i = 0; i < names.size(); ++i) into[names[i].name] = kept[i];
  WeightReader reader(weights, into, model->device(), progress);
  for (const std::string& name : weights.names()) {
    const auto found = into.find(name);
    if (found == into.end()) continue;  // a rotary table
    if (name != names.back().name) {
      reader.read_tensor(name, found->second);
      continue;
    }
    reader.read_rows(name, found->second, [&](int64_t row, const at::Tensor& piece) {
      model->normalise_head(row, piece);
    });
  }
  reader.finish();
  return model;
}

void Baichuan::save(const std::string& folder, int64_t max_shard_bytes) const {
  const at::NoGradGuard no_grad;
  require_whole("save");
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
  const auto add = [&](const at::Tensor& tensor) {
    const at::Tensor whole = tensor.cpu().contiguous();
    hash.update({static_cast<const char*>(whole.data_ptr()), whole.nbytes()});
  };
  add(embedding_);
  for (int layer = 0; layer < layers(); ++layer) {
    if (sharded_) sharded_->enter_forward(layer, layers());
    for (const at::Tensor& tensor : layer_tensors(layers_[layer])) add(tensor);
  }
  add(final_norm_.weight);
  add(head_.normalised);
  return to_hex(hash.finish());
}

std::string Baichuan::fingerprint() const {
  const at::NoGradGuard no_grad;
  constexpr int64_t kRows = 64;
  Sha256 hash;
  for (const at::Tensor& tensor : {embedding_, head_.normalised}) {
    const int64_t stride = std::max<int64_t>(1, tensor.size(0) / kRows);
    const at::Tensor signs = at::signbit(tensor.slice(0, 0, tensor.size(0), stride))
                                 .to(at::kCPU, at::kByte)
                                 .contiguous();
    hash.update({static_cast<const char*>(signs.const_data_ptr()), signs.nbytes()});
  }
  return to_hex(hash.finish());
}

}  // namespace radgpt
