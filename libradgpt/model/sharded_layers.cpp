#include "libradgpt/model/sharded_layers.h"

#include <torch/csrc/autograd/function.h>
#include <torch/types.h>

#include <algorithm>

namespace radgpt {

namespace {

/// A contiguous tensor whose memory is yet to come.
at::Tensor without_memory(at::IntArrayRef sizes, const at::TensorOptions& options) {
  at::Tensor tensor = at::empty({0}, options);
  tensor.unsafeGetTensorImpl()->set_sizes_contiguous(sizes);
  return tensor;
}

/// Lends a tensor the memory of another.
void give_memory(const at::Tensor& tensor, const at::Tensor& memory) {
  c10::StorageImpl& storage = *tensor.storage().unsafeGetStorageImpl();
  storage.set_data_ptr_noswap(c10::DataPtr(memory.mutable_data_ptr(), memory.device()));
  storage.set_nbytes(tensor.nbytes());
}

void take_memory(const at::Tensor& tensor) {
  c10::StorageImpl& storage = *tensor.storage().unsafeGetStorageImpl();
  storage.set_data_ptr_noswap(c10::DataPtr(nullptr, storage.device()));
  storage.set_nbytes(0);
}

class EnterBackward : public torch::autograd::FunctionPostHook {
 public:
  EnterBackward(ShardedLayers& layers, int layer, int lowest)
      : layers_(layers), layer_(layer), lowest_(lowest) {}

  torch::autograd::variable_list operator()(const torch::autograd::variable_list& outputs,
                                            const torch::autograd::variable_list&) override {
    layers_.enter_backward(layer_, lowest_);
    return outputs;
  }

 private:
  ShardedLayers& layers_;
  int layer_;
  int lowest_;
};

}  // namespace

ShardedLayers::ShardedLayers(Communicator& ranks, std::vector<Linears> layers,
                             const at::TensorOptions& options)
    : ranks_(ranks), layers_(std::move(layers)) {
  int64_t elements = 0;
  for (size_t i = 0; i < places_.size(); ++i) {
    const BorderedWeight& linear = *layers_.at(0)[i];
    places_[i] = {elements, (linear.out_features() + ranks.size() - 1) / ranks.size()};
    elements += places_[i].rows * linear.in_features;
  }
  for (const Linears& linears : layers_) {
    // The rows that the last ranks lack travel as zeros.
    shards_.push_back(at::zeros({elements}, options));
    for (BorderedWeight* linear : linears) {
      linear->storage = without_memory({linear->out_features(), linear->in_features}, options);
    }
  }
}

KeptRows ShardedLayers::rows_of(const at::Tensor& shard, int linear, int rank) const {
  const BorderedWeight& weight = *layers_[0][linear];
  const Place& place = places_[linear];
  const int64_t first = std::min(rank * place.rows, weight.out_features());
  const int64_t rows = std::min(place.rows, weight.out_features() - first);
  return {first,
          shard.narrow(0, place.begin, rows * weight.in_features).view({rows, weight.in_features})};
}

KeptRows ShardedLayers::kept_rows(int layer, int linear) const {
  return rows_of(shards_.at(layer), linear, ranks_.rank());
}

void ShardedLayers::make_border(BorderedWeight& weight, int64_t border) {
  give_up();
  const at::TensorOptions options = weight.storage.options();
  weight.storage = without_memory({weight.out_features(), weight.in_features + border}, options);
  weight.kept_border = at::zeros({weight.out_features(), border}, options);
  for (at::Tensor& memory : memory_) memory.reset();
}

int ShardedLayers::lowest_with_gradients() const {
  const auto has_pairs = [](const BorderedWeight* linear) { return !linear->pairs.empty(); };
  const auto lowest = std::find_if(layers_.begin(), layers_.end(), [&](const Linears& linears) {
    return std::any_of(linears.begin(), linears.end(), has_pairs);
  });
  return static_cast<int>(lowest - layers_.begin());
}

void ShardedLayers::enter_forward(int layer, int lowest) {
  const int last = size() - 1;
  if (layer < last) {
    enter(layer, layer + 1);
  } else {
    enter(layer, lowest < last ? last - 1 : kNone);  // the loss hides what backward gathers first
  }
}

void ShardedLayers::enter_backward(int layer, int lowest) {
  enter(layer, layer > lowest ? layer - 1 : kNone);
}

void ShardedLayers::enter_behind(const at::Tensor& result, int layer, int lowest) {
  if (const auto node = result.grad_fn()) {
    node->add_post_hook(std::make_unique<EnterBackward>(*this, layer, lowest));
  }
}

void ShardedLayers::join(int lowest) {
  for (int layer = 0; layer < size(); ++layer) enter_forward(layer, lowest);
  for (int layer = size() - 1; layer >= lowest; --layer) enter_backward(layer, lowest);
}

void ShardedLayers::enter(int layer, int next) {
  const at::NoGradGuard no_grad;
  if (whole_ != layer) {
    give_up();
    if (ahead_ != layer) start_gather(layer);
    fill(layer);
  }
  write_borders(layer);
  if (next != kNone && ahead_ != next) start_gather(next);
}

ShardedLayers::~ShardedLayers() { give_up(); }

void ShardedLayers::start_gather(int layer) {
  transfer_.wait();  // for another layer, of a pass that was not gone through with
  const at::Tensor& shard = shards_[layer];
  if (!gathered_.defined()) gathered_ = at::empty({ranks_.size(), shard.numel()}, shard.options());
  transfer_ = ranks_.gather(gathered_, shard);
  ahead_ = layer;
}

void ShardedLayers::fill(int layer) {
  transfer_.wait();
  ahead_ = kNone;
  whole_ = layer;  // from the first linear on there is something to give up
  for (size_t linear = 0; linear < places_.size(); ++linear) {
    const BorderedWeight& weight = *layers_[layer][linear];
    if (!memory_[linear].defined()) memory_[linear] = make_memory(linear);
    give_memory(weight.storage, memory_[linear]);
    for (int rank = 0; rank < ranks_.size(); ++rank) {
      const auto [first, rows] = rows_of(gathered_[rank], static_cast<int>(linear), rank);
      weight.weight().narrow(0, first, rows.size(0)).copy_(rows);
    }
  }
}

/// Room for a linear of any layer, whatever its border.
at::Tensor ShardedLayers::make_memory(size_t linear) const {
  int64_t elements = 0;
  for (const Linears& linears : layers_) {
    elements = std::max(elements, linears[linear]->storage.numel());
  }
  return at::empty({elements}, layers_[0][linear]->storage.options());
}

/// What was published since the layer was entered last.
void ShardedLayers::write_borders(int layer) {
  for (const BorderedWeight* weight : layers_[layer]) {
    if (weight->border() == 0) continue;
    weight->storage.narrow(1, weight->in_features, weight->border()).copy_(weight->kept_border);
  }
}

void ShardedLayers::give_up() {
  if (whole_ == kNone) return;
  for (const BorderedWeight* weight : layers_[whole_]) take_memory(weight->storage);
  whole_ = kNone;
}

}  // namespace radgpt
