#include "kernels/adamw/adamw.h"

#include <cmath>
#include <limits>
#include <vector>

#include "tests/catch.h"
#include "tests/kernels/accuracy.h"
#include "tests/kernels/device_memory.h"
#include "tests/kernels/values.h"

using namespace radgpt;
using namespace radgpt::kernels;

namespace {

/// A tensor and the room for its copy; a stride of zero: no copy.
struct Shape {
  int64_t rows, columns;
  int64_t stride;     ///< of the copy
  int64_t first = 0;  ///< element of the copy's row at which it stands
  CopyType type = CopyType::kBFloat16;
  float scale = 1.0f;
  WeightDecay decay = WeightDecay::kYes;
  float rate_ratio = 1.0f;
};

/// Odd sizes, so that tensors begin at every remainder of four; copies on and off the boundaries of
/// whole stores, and rows that end within one; tensors of several blocks.
const std::vector<Shape> kShapes = {
    {6, 98, 100},
    {1, 1, 0, 0, CopyType::kBFloat16, 1.0f, WeightDecay::kNo},
    {16, 96, 96},
    {7, 5, 24, 11, CopyType::kBFloat16, 2.0f},
    {1, 33, 33, 0, CopyType::kFloat, 1.0f, WeightDecay::kNo, 0.5f},
    {129, 130, 192, 60, CopyType::kBFloat16, 0.37f, WeightDecay::kYes, 16.0f},
    {3, 3000, 3008, 4, CopyType::kFloat, -0.5f},
    {1, 2, 2}};

struct State {
  std::vector<float> master, first, second;
  std::vector<std::vector<BFloat16>> bfloat16_copies;  ///< one for each tensor, mostly empty
  std::vector<std::vector<float>> float_copies;
};

struct Problem {
  std::vector<TrainedTensor> tensors;
  int64_t blocks = 0, count = 0;
  std::vector<float> gradient;
  State state;
  AdamW step{.beta1 = 0.9f,
             .beta2 = 0.99f,
             .epsilon = 1e-8f,
             .keep = 0.999f,
             .rate = 0.02f,
             .second_correction = 30.0f,
             .gradient_scale = 0.7f};

  Problem() {
    for (const Shape& shape : kShapes) {
      const int64_t room = shape.rows * shape.stride;
      const bool is_float = shape.type == CopyType::kFloat;
      tensors.push_back({.begin = count,
                         .rows = shape.rows,
                         .columns = shape.columns,
                         .copy_stride = shape.stride,
                         .copy_type = shape.type,
                         .scale = shape.scale,
                         .decay = shape.decay,
                         .rate_ratio = shape.rate_ratio});
      state.bfloat16_copies.push_back(random_values<BFloat16>(is_float ? 0 : room, 1.0, 9));
      state.float_copies.push_back(random_values<float>(is_float ? room : 0, 1.0, 9));
      count += shape.rows * shape.columns;
    }
    blocks = number_blocks(tensors);
    gradient = random_values<float>(count, 1e-2, 5);
    state.master = random_values<float>(count, 1.0, 6);
    state.first = random_values<float>(count, 1e-2, 7);
    for (const float root : random_values<float>(count, 1e-2, 8)) {
      state.second.push_back(root * root);
    }
  }
};

/// Points the copies of `tensors` to where copy(i, zero of its type) says.
template <typename CopyOf>
void place_copies(std::vector<TrainedTensor>& tensors, const CopyOf& copy) {
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (kShapes[i].stride == 0) continue;
    if (kShapes[i].type == CopyType::kFloat) {
      tensors[i].copy = copy(i, float{}) + kShapes[i].first;
    } else {
      tensors[i].copy = copy(i, BFloat16{}) + kShapes[i].first;
    }
  }
}

std::string copy_name(size_t i) { return "copy " + std::to_string(i); }

/// The update in device memory.
class DeviceRun {
 public:
  explicit DeviceRun(Problem problem) : problem_(std::move(problem)) {
    State& state = problem_.state;
    place_copies(problem_.tensors, [&](size_t i, auto zero) -> decltype(zero)* {
      if constexpr (std::is_same_v<decltype(zero), float>) {
        return memory_.in_place(copy_name(i), state.float_copies[i]);
      } else {
        return memory_.in_place(copy_name(i), state.bfloat16_copies[i]);
      }
    });
    call_ = problem_.step;
    call_.gradient = memory_.input("gradient", problem_.gradient);
    call_.master = memory_.in_place("master", state.master);
    call_.first_moment = memory_.in_place("first", state.first);
    call_.second_moment = memory_.in_place("second", state.second);
    call_.tensors = {.tensors = memory_.input("tensors", problem_.tensors),
                     .count = static_cast<int64_t>(problem_.tensors.size()),
                     .blocks = problem_.blocks};
  }
  State run() {
    adamw_cuda(call_, nullptr);
    State state;
    state.master = memory_.values<float>("master");
    state.first = memory_.values<float>("first");
    state.second = memory_.values<float>("second");
    state.bfloat16_copies.resize(kShapes.size());
    state.float_copies.resize(kShapes.size());
    for (size_t i = 0; i < kShapes.size(); ++i) {
      if (kShapes[i].stride == 0) continue;
      if (kShapes[i].type == CopyType::kFloat) {
        state.float_copies[i] = memory_.values<float>(copy_name(i));
      } else {
        state.bfloat16_copies[i] = memory_.values<BFloat16>(copy_name(i));
      }
    }
    return state;
  }
  const DeviceMemory& memory() const { return memory_; }
  AdamW& call() { return call_; }

 private:
  Problem problem_;
  DeviceMemory memory_;
  AdamW call_;
};

State on_cpu(Problem problem, const Workers& workers) {
  State& state = problem.state;
  place_copies(problem.tensors, [&](size_t i, auto zero) -> decltype(zero)* {
    if constexpr (std::is_same_v<decltype(zero), float>) {
      return state.float_copies[i].data();
    } else {
      return state.bfloat16_copies[i].data();
    }
  });
  AdamW call = problem.step;
  call.gradient = problem.gradient.data();
  call.master = state.master.data();
  call.first_moment = state.first.data();
  call.second_moment = state.second.data();
  call.tensors = {problem.tensors.data(), static_cast<int64_t>(problem.tensors.size()),
                  problem.blocks};
  adamw_cpu(call, workers);
  return state;
}

/// Masters and moments after one update, in S.
template <typename S>
Arrays updated(const Problem& problem) {
  const AdamW& step = problem.step;
  Arrays result;
  for (size_t t = 0; t < kShapes.size(); ++t) {
    const S ratio = kShapes[t].rate_ratio, rate = ratio * S(step.rate);
    const bool decays = kShapes[t].decay == WeightDecay::kYes;
    const S keep = decays ? 1 - ratio * (1 - S(step.keep)) : S(1);
    for (int64_t i = 0; i < kShapes[t].rows * kShapes[t].columns; ++i) {
      const int64_t at = problem.tensors[t].begin + i;
      const S g = S(problem.gradient[at]) * S(step.gradient_scale);
      const S first = S(step.beta1) * problem.state.first[at] + (1 - S(step.beta1)) * g;
      const S second = S(step.beta2) * problem.state.second[at] + (1 - S(step.beta2)) * g * g;
      const S root = std::sqrt(second * S(step.second_correction)) + S(step.epsilon);
      result["first"].push_back(first);
      result["second"].push_back(second);
      result["master"].push_back(S(problem.state.master[at]) * keep - rate * first / root);
    }
  }
  return result;
}

WrittenArrays arrays_of(const State& state) {
  return {{"master", written_array(state.master)},
          {"first", written_array(state.first)},
          {"second", written_array(state.second)}};
}

template <typename T>
std::vector<T> copied(const Shape& shape, const float* master, std::vector<T> copy) {
  if (copy.empty()) return copy;
  for (int64_t row = 0; row < shape.rows; ++row) {
    for (int64_t column = 0; column < shape.columns; ++column) {
      copy[row * shape.stride + shape.first + column] =
          T(shape.scale * master[row * shape.columns + column]);
    }
  }
  return copy;
}

/// The copies are those of the masters, and what stands beside them is as it was.
void expect_published(const Problem& problem, const State& result) {
  for (size_t i = 0; i < kShapes.size(); ++i) {
    INFO("tensor " << i);
    const float* master = result.master.data() + problem.tensors[i].begin;
    CHECK(result.float_copies[i] == copied(kShapes[i], master, problem.state.float_copies[i]));
    CHECK(same_bits(result.bfloat16_copies[i],
                    copied(kShapes[i], master, problem.state.bfloat16_copies[i])));
  }
}

}  // namespace

TEST_CASE("AdamW: the kernel is as accurate as the plain formula, and publishes", "[small]") {
  const Problem problem;
  const State result = DeviceRun(problem).run();
  expect_as_accurate_as(updated<float>(problem), arrays_of(result), updated<double>(problem));
  expect_published(problem, result);
  const DeviceOrder other(5);
  CHECK(arrays_of(DeviceRun(problem).run()) == arrays_of(result));
}

TEST_CASE("AdamW: the CPU is as accurate as the plain formula, and publishes") {
  const Problem problem;
  const State result = on_cpu(problem, OneWorker());
  expect_as_accurate_as(updated<float>(problem), arrays_of(result), updated<double>(problem));
  expect_published(problem, result);
  CHECK(arrays_of(on_cpu(problem, ThreadWorkers(3))) == arrays_of(result));
}

TEST_CASE("AdamW: a first update by hand") {
  // m = 0.1 g, v = 0.01 g^2, both corrected to g and g^2: a step of rate against the sign of g.
  std::vector<TrainedTensor> tensors = {{.rows = 1, .columns = 2, .decay = WeightDecay::kYes}};
  const int64_t blocks = number_blocks(tensors);
  std::vector<float> gradient = {0.5f, -4.0f}, master = {1.0f, 2.0f}, first = {0, 0},
                     second = {0, 0};
  adamw_cpu({.beta1 = 0.9f,
             .beta2 = 0.99f,
             .epsilon = 0.0f,
             .keep = 0.5f,
             .rate = 0.25f / 0.1f,
             .second_correction = 1 / 0.01f,
             .gradient = gradient.data(),
             .master = master.data(),
             .first_moment = first.data(),
             .second_moment = second.data(),
             .tensors = {tensors.data(), 1, blocks}},
            OneWorker());
  CHECK(master[0] == Approx(1.0 * 0.5 - 0.25).epsilon(1e-5));
  CHECK(master[1] == Approx(2.0 * 0.5 + 0.25).epsilon(1e-5));
}

#ifndef RADGPT_TEST_ON_GPU  // which counts no bytes
TEST_CASE("AdamW: reads and writes each element once") {
  const Problem problem;
  DeviceRun device(problem);
  device.run();
  const auto requested = [&](const std::string& name) {
    return device.memory().traffic(name).requested;
  };
  const int64_t bytes = problem.count * 4;
  CHECK(requested("gradient") == simt::Bytes{bytes, 0});
  CHECK(requested("master") == simt::Bytes{bytes, bytes});
  CHECK(requested("first") == simt::Bytes{bytes, bytes});
  CHECK(requested("second") == simt::Bytes{bytes, bytes});
  CHECK(requested(copy_name(5)) == simt::Bytes{0, 129 * 130 * 2});
  CHECK(requested("tensors").read <= problem.blocks * (int64_t{sizeof(TrainedTensor)} + 3 * 4));
}
#endif

TEST_CASE("AdamW: blocks are numbered tensor by tensor") {
  std::vector<TrainedTensor> tensors = {{.rows = 1, .columns = kAdamWBlock},
                                        {.rows = 1, .columns = kAdamWBlock + 1},
                                        {.rows = 2, .columns = 1}};
  CHECK(number_blocks(tensors) == 4);
  CHECK(tensors[1].first_block == 1);
  CHECK(tensors[2].first_block == 3);
  tensors.push_back({.rows = 0, .columns = 3});
  CHECK_THROWS_WITH(number_blocks(tensors),
                    "adamw: a tensor must have 1 to 2^31 - 1 elements, got 0 x 3");
}

TEST_CASE("AdamW: refuses a table that cannot be") {
  DeviceRun device{Problem()};
  device.call().tensors.blocks = 1;
  CHECK_THROWS_WITH(adamw_cuda(device.call(), nullptr), "adamw: 8 tensors cannot have 1 blocks");
}

namespace {

double norm_on_device(const std::vector<float>& values, uint64_t order = 0) {
  const DeviceOrder lanes(order);
  DeviceMemory memory;
  const auto count = static_cast<int64_t>(values.size());
  const size_t bytes = gradient_norm_workspace(count);
  const Workspace workspace{memory.output<unsigned char>("workspace", static_cast<int64_t>(bytes)),
                            bytes};
  gradient_norm_cuda(memory.input("values", values), count, memory.output<double>("norm", 1),
                     workspace, nullptr);
#ifndef RADGPT_TEST_ON_GPU
  CHECK(memory.traffic("values").requested == simt::Bytes{count * 4, 0});
#endif
  return memory.values<double>("norm")[0];
}

}  // namespace

TEST_CASE("Gradient norm: is that of a sum in long double") {
  for (const int64_t count : {0, 1, 3, 4, 1023, 16384, 16385, 32769, 100003}) {
    INFO(count);
    const std::vector<float> values = random_values<float>(count, 3.0, 11);
    long double sum = 0;
    for (const float value : values) sum += static_cast<long double>(value) * value;
    const auto exact = static_cast<double>(std::sqrt(sum));
    CHECK(norm_on_device(values) == Approx(exact).epsilon(1e-14));
    CHECK(norm_on_device(values, 7) == norm_on_device(values, 8));
    const double cpu = gradient_norm_cpu(values.data(), count, OneWorker());
    CHECK(cpu == Approx(exact).epsilon(1e-14));
    CHECK(gradient_norm_cpu(values.data(), count, ThreadWorkers(3)) == cpu);
  }
}

TEST_CASE("Gradient norm: does not overflow, and shows what is not finite", "[small]") {
  CHECK(norm_on_device({3e38f, 0, 0, 0, 3e38f}) == Approx(3e38 * std::sqrt(2.0)));
  std::vector<float> values(50000, 1.0f);
  values[49999] = std::nanf("");
  CHECK(std::isnan(norm_on_device(values)));
  values[49999] = -std::numeric_limits<float>::infinity();
  CHECK(std::isinf(norm_on_device(values)));
}

TEST_CASE("Gradient norm: refuses a workspace that is too small") {
  DeviceMemory memory;
  const std::vector<float> values(20000, 1.0f);
  CHECK_THROWS_WITH(gradient_norm_cuda(memory.input("values", values), 20000, nullptr, {}, nullptr),
                    "gradient_norm: needs a workspace of 16 bytes, got 0");
}
