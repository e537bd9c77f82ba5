#include "libradgpt/lora/principal_part.h"

#include <ATen/Parallel.h>
#include <torch/types.h>

#include <algorithm>
#include <tuple>

#include "libradgpt/model/random_tensor.h"

namespace radgpt {

namespace {

// Directions beyond the rank, and iterations: what Halko et al. find enough for slowly falling
// singular values, as weights have them.
constexpr int64_t kMoreDirections = 8;
constexpr int kIterations = 4;
constexpr uint64_t kDirectionTensors = kAdapterTensors + (uint64_t{1} << 24);

at::Tensor orthonormal(const at::Tensor& columns) { return std::get<0>(at::linalg_qr(columns)); }

/// Orthonormal columns that nearly span the principal left singular vectors of `weight`.
at::Tensor principal_basis(const at::Tensor& weight, int64_t directions, TensorSeed seed) {
  at::Tensor start = at::empty({weight.size(1), directions}, weight.options());
  fill_normal(start, seed, 1.0);
  at::Tensor basis = orthonormal(weight.mm(start));
  for (int i = 0; i < kIterations; ++i) {
    basis = orthonormal(weight.mm(orthonormal(weight.t().mm(basis))));
  }
  return basis;
}

void take_principal_part(const PrincipalPart& part, uint64_t seed) {
  const LoraPair& pair = part.pair;
  at::Tensor weight = part.weight.to(at::kCPU, at::kFloat, false, true).contiguous();
  const int64_t directions =
      std::min(pair.rank() + kMoreDirections, std::min(weight.size(0), weight.size(1)));
  const at::Tensor basis =
      principal_basis(weight, directions, {seed, kDirectionTensors + pair.module});
  const auto [u, s, vt] = at::linalg_svd(basis.t().mm(weight), false);
  const at::Tensor roots = (s.narrow(0, 0, pair.rank()) / pair.scale).sqrt();
  const at::Tensor b = basis.mm(u.narrow(1, 0, pair.rank())) * roots;
  const at::Tensor a = vt.narrow(0, 0, pair.rank()) * roots.unsqueeze(1);
  at::Tensor(part.weight).copy_(weight.addmm_(b, a, 1.0, -pair.scale));
  pair.a_master.detach().copy_(a);
  pair.b_master.detach().copy_(b);
}

}  // namespace

void take_principal_parts(const std::vector<PrincipalPart>& parts, uint64_t seed) {
  // One more than there are: a single part, too, is then worked on inside a parallel region, where
  // products have one thread.
  const auto count = static_cast<int64_t>(parts.size());
  at::parallel_for(0, count + 1, 1, [&](int64_t begin, int64_t end) {
    const at::NoGradGuard no_grad;
    for (int64_t i = begin; i < std::min(end, count); ++i) take_principal_part(parts[i], seed);
  });
}

}  // namespace radgpt
