#pragma once

#include <cmath>

#include "kernels/adamw/adamw.h"
#include "kernels/primitives/device.cuh"

namespace radgpt::kernels {

inline constexpr int kAdamWThreads = 256;

struct alignas(16) Floats4 {
  float value[4];
};

/// The elements of a block in the flat buffers, and its tensor.
struct AdamWBlock {
  const TrainedTensor* tensor;
  int64_t begin;
  int64_t end;
};

/// Words of a TrainedTensor, which stands in shared memory: thread 0 looks it up, for all.
inline constexpr int kTensorWords = sizeof(TrainedTensor) / sizeof(Words4);

RADGPT_DEVICE AdamWBlock own_block(const TrainedTensors& tensors, Words4* shared) {
  const int64_t number = blockIdx.x;
  if (threadIdx.x == 0) {
    int64_t first = 0, last = tensors.count - 1;  // the tensor is in [first, last]
    while (first < last) {
      const int64_t middle = (first + last + 1) / 2;
      if (load<int32_t>(&tensors.tensors[middle].first_block) <= number) {
        first = middle;
      } else {
        last = middle - 1;
      }
    }
    const auto* words = reinterpret_cast<const Words4*>(tensors.tensors + first);
    for (int i = 0; i < kTensorWords; ++i) shared[i] = load<Words4>(words + i);
  }
  barrier();
  const auto* tensor = reinterpret_cast<const TrainedTensor*>(shared);
  const int64_t begin = (number - tensor->first_block) * kAdamWBlock;
  const int64_t count = tensor->rows * tensor->columns;
  const int64_t end = begin + kAdamWBlock < count ? begin + kAdamWBlock : count;
  return {tensor, tensor->begin + begin, tensor->begin + end};
}

/// Calls four(i) for the groups of four elements from a multiple of four on that lie in [begin,
/// end), and one(i) for the elements before and behind them.
template <typename Four, typename One>
RADGPT_DEVICE void for_each_element(const AdamWBlock& block, const Four& four, const One& one) {
  for (int64_t i = block.begin / 4 * 4 + 4 * threadIdx.x; i < block.end; i += 4 * kAdamWThreads) {
    if (i >= block.begin && i + 4 <= block.end) {
      four(i);
    } else {
      const int64_t first = i < block.begin ? block.begin : i;
      const int64_t last = i + 4 < block.end ? i + 4 : block.end;
      for (int64_t j = first; j < last; ++j) one(j);
    }
  }
}

/// Where element `index` of a tensor stands in its copy, and how many its row has from there on.
struct Place {
  int64_t offset;
  uint32_t left;
};

RADGPT_DEVICE Place place_of(const TrainedTensor& tensor, int64_t index) {
  const auto at = static_cast<uint32_t>(index), columns = static_cast<uint32_t>(tensor.columns);
  const uint32_t row = at / columns, column = at - row * columns;
  return {row * tensor.copy_stride + column, columns - column};
}

RADGPT_DEVICE void store_rounded(float* to, float value) { store(to, value); }
RADGPT_DEVICE void store_rounded(BFloat16* to, float value) {
  store(to, static_cast<uint16_t>(pack_bfloat16(value, 0.0f)));
}
RADGPT_DEVICE void store_rounded(float* to, const Floats4& values) { store(to, values); }
RADGPT_DEVICE void store_rounded(BFloat16* to, const Floats4& values) {
  store(to, Words2{{pack_bfloat16(values.value[0], values.value[1]),
                    pack_bfloat16(values.value[2], values.value[3])}});
}

/// `to` is the copy as what it holds.
template <typename T>
RADGPT_DEVICE void publish(const TrainedTensor& tensor, T* to, int64_t index, float value) {
  store_rounded(to + place_of(tensor, index).offset, value * tensor.scale);
}

template <typename T>
RADGPT_DEVICE void publish(const TrainedTensor& tensor, T* to, int64_t index,
                           const Floats4& values) {
  const Place place = place_of(tensor, index);
  if (place.left >= 4 && reinterpret_cast<uintptr_t>(to + place.offset) % (4 * sizeof(T)) == 0) {
    Floats4 scaled = values;
#pragma unroll
    for (int i = 0; i < 4; ++i) scaled.value[i] *= tensor.scale;
    return store_rounded(to + place.offset, scaled);
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) publish(tensor, to, index + i, values.value[i]);
}

/// New masters, one or four of them from `element` of the flat buffers on, into the copy.
template <typename Values>
RADGPT_DEVICE void publish(const TrainedTensor& tensor, int64_t element, const Values& values) {
  if (tensor.copy == nullptr) return;
  if (tensor.copy_type == CopyType::kBFloat16) {
    publish(tensor, static_cast<BFloat16*>(tensor.copy), element - tensor.begin, values);
  } else {
    publish(tensor, static_cast<float*>(tensor.copy), element - tensor.begin, values);
  }
}

/// The step size and what decay leaves of a master, in one tensor.
struct TensorStep {
  float rate;
  float keep;
};

RADGPT_DEVICE void update(const AdamW& step, TensorStep tensor, float gradient, float& master,
                          float& first, float& second) {
  const float g = gradient * step.gradient_scale;
  first = step.beta1 * first + (1.0f - step.beta1) * g;
  second = step.beta2 * second + (1.0f - step.beta2) * g * g;
  const float deviation = sqrtf(second * step.second_correction) + step.epsilon;
  master = master * tensor.keep - tensor.rate * first / deviation;
}

static RADGPT_KERNEL(kAdamWThreads, 1) void adamw_kernel(AdamW call) {
  RADGPT_SHARED(Words4, shared, kTensorWords);
  const AdamWBlock block = own_block(call.tensors, shared);
  const float ratio = block.tensor->rate_ratio;
  const bool decays = block.tensor->decay == WeightDecay::kYes;
  const TensorStep tensor = {call.rate * ratio, decays ? 1.0f - ratio * (1.0f - call.keep) : 1.0f};
  const auto four = [&](int64_t i) {
    const Floats4 gradient = load<Floats4>(call.gradient + i);
    Floats4 master = load<Floats4>(call.master + i);
    Floats4 first = load<Floats4>(call.first_moment + i);
    Floats4 second = load<Floats4>(call.second_moment + i);
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      update(call, tensor, gradient.value[j], master.value[j], first.value[j], second.value[j]);
    }
    store(call.master + i, master);
    store(call.first_moment + i, first);
    store(call.second_moment + i, second);
    publish(*block.tensor, i, master);
  };
  const auto one = [&](int64_t i) {
    float master = load<float>(call.master + i);
    float first = load<float>(call.first_moment + i);
    float second = load<float>(call.second_moment + i);
    update(call, tensor, load<float>(call.gradient + i), master, first, second);
    store(call.master + i, master);
    store(call.first_moment + i, first);
    store(call.second_moment + i, second);
    publish(*block.tensor, i, master);
  };
  for_each_element(block, four, one);
}

}  // namespace radgpt::kernels
