#include <ATen/core/Tensor.h>

#include <iostream>

#include "libradgpt/model/baichuan.h"

// Runs three tokens through a tiny model with fresh weights.
int main() {
  radgpt::ModelConfig config;
  config.vocab_size = 64;
  config.hidden_size = 32;
  config.intermediate_size = 48;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 4;
  config.position = radgpt::PositionKind::kAlibi;
  radgpt::Baichuan model(config, at::kFloat);
  model.initialise(1);

  radgpt::Pack pack;
  pack.tokens = {7, 8, 9};
  pack.positions = {0, 1, 2};
  pack.segments = {{.begin = 0, .end = 3}};
  const at::Tensor hidden = model.forward(pack, {});
  std::cout << "hidden states " << hidden.sizes() << "\n";
  return hidden.size(0) == 3 && hidden.size(1) == 32 ? 0 : 1;
}
