#include "tests/simt/collectives.h"

#include "libradgpt/base/error.h"
#include "tests/simt/sanitizers.h"

namespace simt {
namespace {

float low(uint32_t word) { return __builtin_bit_cast(float, word << 16); }
float high(uint32_t word) { return __builtin_bit_cast(float, word & 0xFFFF0000u); }

void require_kernel(Where where) {
  if (!scheduler.running()) throw Fault("no kernel runs at " + place(where));
}

}  // namespace

void barrier(Where where) {
  require_kernel(where);
  void* const meeting = scheduler.meeting(Wait::kBarrier);
  release(meeting);
  scheduler.wait(Wait::kBarrier, where);
  acquire(meeting);
}

void warp_barrier(Where where) {
  require_kernel(where);
  void* const meeting = scheduler.meeting(Wait::kWarpBarrier);
  release(meeting);
  scheduler.wait(Wait::kWarpBarrier, where);
  acquire(meeting);
}

int lane_number() { return scheduler.lane(); }

// Neither this nor what follows orders accesses to memory, as on the GPU.
uint64_t shuffle(uint64_t value, int lane, Where where) {
  require_kernel(where);
  if (lane < 0 || lane >= kLanes) {
    scheduler.fault("shuffle", radgpt::concat("lanes are 0 to 31, got ", lane), where);
  }
  Warp& warp = scheduler.warp();
  warp.values[warp.side][scheduler.lane()] = value;
  scheduler.wait(Wait::kShuffle, where);
  return warp.values[warp.side ^ 1][lane];
}

uint32_t transpose_8x8(uint32_t word, Where where) {
  require_kernel(where);
  Warp& warp = scheduler.warp();
  const int lane = scheduler.lane();
  warp.values[warp.side][lane] = word;
  scheduler.wait(Wait::kTranspose, where);
  const uint64_t* words = warp.values[warp.side ^ 1];
  const auto element = [&](int row, int column) {
    return static_cast<uint32_t>(words[row * 4 + column / 2] >> (column % 2 * 16)) & 0xFFFF;
  };
  const int row = lane / 4;
  const int column = lane % 4 * 2;
  return element(column, row) | element(column + 1, row) << 16;
}

void multiply_add(float* d, const uint32_t* a, const uint32_t* b, Where where) {
  require_kernel(where);
  scheduler.warp().products[scheduler.lane()] = {d, a, b};
  scheduler.wait(Wait::kMultiplyAdd, where);
}

// Layout: PTX ISA, "Matrix Fragments for mma.m16n8k16 with floating point type". Products of two
// bfloat16 are exact; their sum is taken in the order of k.
void multiply_fragments(MultiplyAdd* lanes) {
  using Row = float __attribute__((vector_size(32)));
  float a[16][16];
  Row b[16];
  Row d[16];
  for (int lane = 0; lane < kLanes; ++lane) {
    const MultiplyAdd& own = lanes[lane];
    const int g = lane / 4;
    const int t = lane % 4 * 2;
    for (int i = 0; i < 4; ++i) {
      const int row = g + i % 2 * 8;
      const int column = t + i / 2 * 8;
      a[row][column] = low(own.a[i]);
      a[row][column + 1] = high(own.a[i]);
      d[g + i / 2 * 8][t + i % 2] = own.d[i];
    }
    for (int i = 0; i < 2; ++i) {
      b[t + i * 8][g] = low(own.b[i]);
      b[t + i * 8 + 1][g] = high(own.b[i]);
    }
  }
  for (int row = 0; row < 16; ++row) {
    for (int k = 0; k < 16; ++k) d[row] += a[row][k] * b[k];
  }
  for (int lane = 0; lane < kLanes; ++lane) {
    for (int i = 0; i < 4; ++i) {
      lanes[lane].d[i] = d[lane / 4 + i / 2 * 8][lane % 4 * 2 + i % 2];
    }
  }
}

}  // namespace simt
