#pragma once

#include <chrono>
#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>

namespace radgpt {

/// Makes the group of ranks that moves tensors between GPUs, each on its current device.
using DeviceBackendMaker =
    c10::intrusive_ptr<c10d::Backend> (*)(const c10::intrusive_ptr<c10d::Store>& store, int rank,
                                          int size, std::chrono::milliseconds timeout);

/// Null in builds without CUDA.
DeviceBackendMaker& device_backend_maker();

}  // namespace radgpt
