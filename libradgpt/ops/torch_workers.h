#pragma once

#include <ATen/Parallel.h>

#include "kernels/primitives/workers.h"

namespace radgpt {

/// LibTorch's threads for the kernels.
class TorchWorkers final : public kernels::Workers {
 public:
  void run(int64_t tasks, const std::function<void(int64_t, int64_t)>& work) const override {
    at::parallel_for(0, tasks, 1, work);
  }
};

}  // namespace radgpt
