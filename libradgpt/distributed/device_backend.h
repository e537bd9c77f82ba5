#pragma once

#include <chrono>
#include <string>
#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>

namespace radgpt {

/// Makes the group of ranks that moves tensors between GPUs, each on its current device, over the
/// network interface of that name.
using DeviceBackendMaker = c10::intrusive_ptr<c10d::Backend> (*)(
    const c10::intrusive_ptr<c10d::Store>& store, int rank, int size,
    std::chrono::milliseconds timeout, const std::string& interface);

/// Null in builds without CUDA.
DeviceBackendMaker& device_backend_maker();

}  // namespace radgpt
