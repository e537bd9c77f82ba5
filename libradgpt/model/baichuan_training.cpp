#include <torch/types.h>

#include <algorithm>

#include "libradgpt/base/error.h"
#include "libradgpt/model/baichuan.h"
#include "libradgpt/model/random_tensor.h"
#include "libradgpt/model/sharded_layers.h"

namespace radgpt {

namespace {

constexpr int64_t kHeadRowsAtATime = 16384;

}  // namespace

void Baichuan::initialise(uint64_t seed) {
  const at::NoGradGuard no_grad;
  const double deviation = config_.initializer_range;
  const std::vector<KeptRows> all = kept_rows();
  for (size_t i = 0; i + 1 < all.size(); ++i) {
    if (all[i].rows.dim() == 1) {
      at::Tensor(all[i].rows).fill_(1.0);
    } else {
      fill_normal(all[i].rows, {seed, i}, deviation, all[i].first);
    }
  }
  fill_normal(head_.normalised, {seed, all.size() - 1}, deviation);
  for (int64_t row = 0; row < config_.vocab_size; row += kHeadRowsAtATime) {
    const int64_t count = std::min(kHeadRowsAtATime, config_.vocab_size - row);
    normalise_head(row, head_.normalised.narrow(0, row, count).clone());
  }
}

// Masters and the weights that follow them, in the order of the forward pass.
std::vector<Baichuan::Trained> Baichuan::trained() {
  std::vector<Trained> all = {{"model.embed_tokens.weight", embedding_, &embedding_master_}};
  const auto add_linear = [&](const std::string& name, BorderedWeight& linear) {
    all.push_back({name, linear.weight(), &linear.master});
  };
  const auto add_norm = [&](const std::string& name, NormWeight& norm) {
    all.push_back({name, norm.weight, &norm.master});
  };
  for (int i = 0; i < layers(); ++i) {
    const std::string layer = concat("model.layers.", i, ".");
    add_norm(layer + "input_layernorm.weight", layers_[i].attention_norm);
    add_linear(layer + "self_attn.W_pack.weight", layers_[i].packed_qkv);
    add_linear(layer + "self_attn.o_proj.weight", layers_[i].attention_output);
    add_norm(layer + "post_attention_layernorm.weight", layers_[i].mlp_norm);
    add_linear(layer + "mlp.gate_up_proj.weight", layers_[i].gate_up);
    add_linear(layer + "mlp.down_proj.weight", layers_[i].down);
  }
  add_norm("model.norm.weight", final_norm_);
  all.push_back({"lm_head.weight", head_.normalised, &head_.master});
  return all;
}

void Baichuan::add_parameters(ParameterStore& store) {
  require(!sharded_,
          "model: train.parameters must be adapter with distributed.base: sharded, got full");
  require(parameters_.empty(), "model: parameters added twice");
  for (const Trained& trained : trained()) {
    parameters_.push_back(store.add({trained.name, trained.weight.sizes().vec()}));
  }
}

void Baichuan::bind_parameters(ParameterStore& store) {
  const at::NoGradGuard no_grad;
  const std::vector<Trained> all = trained();
  for (size_t i = 0; i < all.size(); ++i) {
    const at::Tensor& master = store.master(parameters_.at(i));
    master.detach().copy_(all[i].weight);
    const bool is_head = i + 1 == all.size();
    if (is_head) master.detach().mul_(head_norms_.unsqueeze(1));
    store.bind(parameters_[i], all[i].weight,
               is_head ? ParameterStore::Binding::kNormalisedRows : ParameterStore::Binding::kCopy);
    *all[i].master = master;
  }
}

}  // namespace radgpt
