#pragma once

#include <cfloat>

namespace radgpt::kernels {

// What a quantisation does with one number, on the CPU and on the device.

/// The code of x in [-1, 1]: how many of the middles between neighbouring values lie below it.
constexpr int nf4_code(float x) {
  constexpr float kMiddles[15] = {
      -0.8480964004993439f,  -0.6106329262256622f,  -0.4599952697753906f,   -0.33967943489551544f,
      -0.23460740596055984f, -0.13791173323988914f, -0.045525018125772476f, 0.03979014977812767f,
      0.1202552504837513f,   0.2035212516784668f,   0.2920137718319893f,    0.3893125355243683f,
      0.5016634166240692f,   0.6427869200706482f,   0.8614784181118011f};
  int code = 0;
  for (const float middle : kMiddles) code += x > middle ? 1 : 0;
  return code;
}

/// The place of the entry of the ascending `map` [256] that is nearest to x, the lower of two.
constexpr int nearest_of_256(const float* map, float x) {
  int low = 0, high = 255;
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    if (map[middle] <= x) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return x - map[low] <= map[high] - x ? low : high;
}

/// Multiplies by 1 / largest as bitsandbytes does, which a denormal `largest` would turn into
/// infinity: those are lifted first. All zeros stay zero.
class Normaliser {
 public:
  explicit constexpr Normaliser(float largest)
      : lift_(largest < FLT_MIN ? 0x1p64f : 1.0f),
        inverse_(largest > 0.0f ? 1.0f / (largest * lift_) : 0.0f) {}
  constexpr float operator()(float value) const { return value * lift_ * inverse_; }

 private:
  float lift_;
  float inverse_;
};

}  // namespace radgpt::kernels
