#include <algorithm>
#include <cmath>

#include "kernels/adamw/adamw.h"
#include "kernels/primitives/rounding.h"
#include "kernels/primitives/row_loops.h"
#include "libradgpt/base/error.h"

namespace radgpt::kernels {

namespace {

/// The elements of one block.
struct Block {
  const TrainedTensor* tensor;
  int64_t first;  ///< in the tensor
  int64_t count;
};

Block block_of(const TrainedTensors& tensors, int64_t number) {
  const TrainedTensor* next = std::upper_bound(
      tensors.tensors, tensors.tensors + tensors.count, number,
      [](int64_t block, const TrainedTensor& tensor) { return block < tensor.first_block; });
  const TrainedTensor* tensor = next - 1;
  const int64_t first = (number - tensor->first_block) * kAdamWBlock;
  return {tensor, first, std::min(kAdamWBlock, tensor->rows * tensor->columns - first)};
}

/// The call as one tensor has it.
AdamW call_for(const TrainedTensor& tensor, AdamW call) {
  call.rate *= tensor.rate_ratio;
  const bool decays = tensor.decay == WeightDecay::kYes;
  call.keep = decays ? 1.0f - tensor.rate_ratio * (1.0f - call.keep) : 1.0f;
  return call;
}

// The call by value: a store to a master cannot change it.
[[RADGPT_VECTOR_CLONES]] void update(AdamW call, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i) {
    const float g = call.gradient[i] * call.gradient_scale;
    const float first = call.beta1 * call.first_moment[i] + (1.0f - call.beta1) * g;
    const float second = call.beta2 * call.second_moment[i] + (1.0f - call.beta2) * g * g;
    const float deviation = std::sqrt(second * call.second_correction) + call.epsilon;
    call.first_moment[i] = first;
    call.second_moment[i] = second;
    call.master[i] = call.master[i] * call.keep - call.rate * first / deviation;
  }
}

template <typename T>
void copy_block(const Block& block, const float* master) {
  const TrainedTensor& tensor = *block.tensor;
  const int64_t end = block.first + block.count;
  for (int64_t i = block.first; i < end;) {
    const int64_t row = i / tensor.columns, column = i % tensor.columns;
    const int64_t length = std::min(tensor.columns - column, end - i);
    round_row(master + tensor.begin + i, length,
              static_cast<T*>(tensor.copy) + row * tensor.copy_stride + column, tensor.scale);
    i += length;
  }
}

void publish_block(const Block& block, const float* master) {
  if (block.tensor->copy == nullptr) return;
  if (block.tensor->copy_type == CopyType::kBFloat16) {
    copy_block<BFloat16>(block, master);
  } else {
    copy_block<float>(block, master);
  }
}

}  // namespace

int64_t number_blocks(std::vector<TrainedTensor>& tensors) {
  int64_t blocks = 0;
  for (TrainedTensor& tensor : tensors) {
    const int64_t count = tensor.rows * tensor.columns;
    require(count > 0 && count <= INT32_MAX,
            "adamw: a tensor must have 1 to 2^31 - 1 elements, got ", tensor.rows, " x ",
            tensor.columns);
    tensor.first_block = static_cast<int32_t>(blocks);
    blocks += divide_up(count, kAdamWBlock);
  }
  return blocks;
}

void adamw_cpu(const AdamW& call, const Workers& workers) {
  workers.run(call.tensors.blocks, [&](int64_t begin, int64_t end) {
    for (int64_t number = begin; number < end; ++number) {
      const Block block = block_of(call.tensors, number);
      const int64_t first = block.tensor->begin + block.first;
      update(call_for(*block.tensor, call), first, first + block.count);
      publish_block(block, call.master);
    }
  });
}

}  // namespace radgpt::kernels
