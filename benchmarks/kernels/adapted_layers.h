#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "libradgpt/base/error.h"

namespace radgpt {

struct LayerShape {
  int64_t rows, in, out;
};

/// Linear layers with adapters of one rank and dropout, as programs here take them.
struct AdaptedLayers {
  int64_t rank;
  double dropout;
  std::vector<LayerShape> shapes;
};

/// `words` are [RANK DROPOUT [ROWS IN OUT]...]; what they lack is taken from `defaults`.
inline AdaptedLayers read_layers(const std::vector<std::string>& words, AdaptedLayers defaults) {
  AdaptedLayers layers = std::move(defaults);
  if (words.empty()) return layers;
  require(words.size() % 3 == 2, "expected RANK DROPOUT [ROWS IN OUT]..., got ", words.size(),
          " numbers");
  layers.rank = std::stoll(words[0]);
  layers.dropout = std::stod(words[1]);
  require(layers.rank >= 1 && layers.dropout >= 0 && layers.dropout < 1,
          "RANK must be at least 1 and DROPOUT in [0, 1), got ", words[0], " and ", words[1]);
  if (words.size() > 2) layers.shapes.clear();
  for (size_t i = 2; i < words.size(); i += 3) {
    layers.shapes.push_back(
        {std::stoll(words[i]), std::stoll(words[i + 1]), std::stoll(words[i + 2])});
  }
  return layers;
}

}  // namespace radgpt
