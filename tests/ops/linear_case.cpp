#include "tests/ops/linear_case.h"

#include <torch/types.h>

#include "libradgpt/base/random.h"

namespace radgpt {

at::Tensor short_values(at::IntArrayRef shape, uint64_t seed, at::ScalarType type) {
  at::Tensor values = torch::empty(shape, at::kDouble);
  Random random(seed, RandomStream::kInitialisation);
  double* element = values.data_ptr<double>();
  for (int64_t i = 0; i < values.numel(); ++i) {
    element[i] = (static_cast<double>(random.next_below(129)) - 64.0) / 64.0;
  }
  return values.to(type);
}

namespace {

at::Tensor leaf(const at::Tensor& values) {
  return values.detach().clone().set_requires_grad(true);
}

at::ScalarType master_type(at::ScalarType type) {
  return type == at::kDouble ? at::kDouble : at::kFloat;
}

}  // namespace

LinearCase::LinearCase(int64_t rows, int64_t in, int64_t out, const std::vector<PairShape>& pairs,
                       at::ScalarType type) {
  const auto wide = master_type(type);
  x = leaf(short_values({rows, in}, 1, type));
  norm.master = leaf(short_values({in}, 2, wide) / 4 + 1);
  weight.master = leaf(short_values({out, in}, 3, wide));
  weight.in_features = in;
  weight.storage = torch::zeros({out, in + (pairs.empty() ? 0 : 2 * kBorderTile)}, type);
  for (const PairShape& shape : pairs) {
    LoraPair pair;
    pair.module = static_cast<uint32_t>(weight.pairs.size()) + 5;
    pair.a_master = leaf(short_values({shape.rank, in}, 10 + pair.module, wide));
    pair.b_master =
        leaf(short_values({shape.row_end - shape.row_begin, shape.rank}, 20 + pair.module, wide));
    pair.a = torch::empty({shape.rank, in}, type);
    pair.scale = 0.5;
    pair.dropout = shape.dropout;
    pair.row_begin = shape.row_begin;
    pair.row_end = shape.row_end;
    if (!weight.pairs.empty()) {
      pair.column = weight.pairs.back().column + weight.pairs.back().rank();
    }
    weight.pairs.push_back(pair);
  }
  publish();
}

void LinearCase::publish() {
  const at::NoGradGuard no_grad;
  norm.weight = norm.master.detach().to(x.scalar_type());
  weight.weight().copy_(weight.master);
  for (LoraPair& pair : weight.pairs) {
    pair.a.copy_(pair.a_master);
    weight.scaled_b(pair).copy_(pair.b_master * pair.scale);
  }
}

std::vector<at::Tensor> LinearCase::leaves() const {
  std::vector<at::Tensor> all = {x, norm.master, weight.master};
  for (const LoraPair& pair : weight.pairs) {
    all.push_back(pair.a_master);
    all.push_back(pair.b_master);
  }
  return all;
}

LinearCase LinearCase::in_double() const {
  LinearCase other = *this;
  other.x = leaf(x.to(at::kDouble));
  other.norm.master = leaf(norm.master.to(at::kDouble));
  other.weight.master = leaf(weight.master.to(at::kDouble));
  other.weight.storage = weight.storage.to(at::kDouble);
  for (LoraPair& pair : other.weight.pairs) {
    pair.a_master = leaf(pair.a_master.to(at::kDouble));
    pair.b_master = leaf(pair.b_master.to(at::kDouble));
    pair.a = pair.a.to(at::kDouble);
  }
  other.publish();
  return other;
}

}  // namespace radgpt
