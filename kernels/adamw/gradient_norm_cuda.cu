#include "kernels/adamw/gradient_norm.cuh"
#include "kernels/primitives/checks.h"
#include "kernels/primitives/rounding.h"

namespace radgpt::kernels {

namespace {

int64_t block_count(int64_t count) { return divide_up(count, kNormBlock); }

}  // namespace

size_t gradient_norm_workspace(int64_t count) {
  return static_cast<size_t>(block_count(count)) * sizeof(double);
}

void gradient_norm_cuda(const float* values, int64_t count, double* norm, Workspace workspace,
                        Stream stream) {
  const char* who = "gradient_norm";
  require(count >= 0, who, ": count must not be negative, got ", count);
  check_array(who, "values", values, count);
  require(workspace.bytes >= gradient_norm_workspace(count), who, ": needs a workspace of ",
          gradient_norm_workspace(count), " bytes, got ", workspace.bytes);
  auto* sums = static_cast<double*>(workspace.data);
  const int64_t blocks = block_count(count);
  launch(who, squares_kernel, Grid{.x = blocks}, kNormThreads, stream, values, count, sums);
  launch(who, norm_kernel, Grid{}, kNormThreads, stream, sums, blocks, norm);
}

}  // namespace radgpt::kernels
