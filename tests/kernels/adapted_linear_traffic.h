#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "tests/simt/memory.h"

namespace radgpt::kernels {

/// What makes the input of a linear layer.
enum class LinearInput { kRmsNorm, kSwiglu, kPlain };

struct LinearShape {
  LinearInput input = LinearInput::kRmsNorm;
  int64_t rows = 0;
  int64_t in = 0;
  int64_t out = 0;
  int64_t rank = 0;  ///< 0: a frozen layer, no adapter
  double dropout = 0.0;
};

/// Bytes of one pass through global memory, as the executor counts them.
struct PassTraffic {
  /// Arrays of rows x in and rows x out elements: sectors of 32 bytes, once for each launch.
  int64_t activations = 0;
  /// The same with every load counted: what lies above `activations` comes from the cache.
  int64_t activation_requests = 0;
  /// A, B, S, dS, dA, dB and partial sums: terms in rank x rows, in or out. The norm's weight and
  /// 1 / rms too.
  int64_t adapter = 0;

  PassTraffic& operator-=(const PassTraffic& other);
};

struct LinearTraffic {
  PassTraffic forward;
  PassTraffic backward;
};

/// Runs all our kernels of one linear layer, forward and backward, through the executor. The matrix
/// products between them are those of the frozen layer, with up to 64 columns more, and not in it.
LinearTraffic linear_traffic(const LinearShape& shape);

/// What the adapter of the layer adds to a frozen one. S stands behind X in the same rows, but is
/// the adapter's here.
LinearTraffic adapter_traffic(const LinearShape& shape);

struct AdapterBytes {
  int64_t forward;
  int64_t backward;
};

/// PassTraffic::adapter of adapter_traffic by formula.
AdapterBytes adapter_formula(const LinearShape& shape);

}  // namespace radgpt::kernels
