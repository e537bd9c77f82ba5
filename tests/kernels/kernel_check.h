#pragma once

#include "tests/catch.h"
#include "tests/kernels/cases.h"
#include "tests/kernels/reference.h"
#include "tests/kernels/written.h"

namespace radgpt::kernels {

/// Passes if first() runs the call so that it writes every element of its outputs and nothing else,
/// as accurately as the plain chain, and second() gives the same bits.
template <typename Call, typename First, typename Second>
void expect_right_twice(CallMemory& memory, const Call& call, const First& first,
                        const Second& second) {
  // Before a result may take the place of an input.
  const Arrays plain = reference(call, Arithmetic::kPlain);
  const Arrays exact = reference(call, Arithmetic::kExact);
  first();
  memory.expect_written();
  expect_as_accurate_as(plain, written(call), exact);
  const std::vector<unsigned char> outputs = memory.outputs();
  memory.reset();
  second();
  CHECK((memory.outputs() == outputs));  // bytes are not worth printing
}

/// The call of make(memory), run with run(call, workers) by one worker and by three.
template <typename Make, typename Run>
void expect_kernel(const Make& make, const Run& run) {
  CallMemory memory(1);
  const auto call = make(memory);
  expect_right_twice(
      memory, call, [&] { run(call, OneWorker()); }, [&] { run(call, ThreadWorkers(3)); });
}

/// Shapes that no tile divides, all ranks and masks of interest.
inline std::vector<InputShape> odd_input_shapes() {
  std::vector<InputShape> shapes = {
      {.rows = 1, .columns = 2, .adapters = {{1, 0.0}}, .border = 1},
      {.rows = 3, .columns = 130, .adapters = {{4, 0.5}}, .border = 16, .padding = 3},
      {.rows = 389, .columns = 13, .adapters = {{2, 0.1}}, .border = 2},
      {.rows = 19, .columns = 31, .adapters = {}},
      {.rows = 17, .columns = 515, .adapters = {}, .border = 16, .padding = 1},
      {.rows = 150, .columns = 96, .adapters = {{8, 0.1}, {4, 0.0}, {16, 0.5}}, .border = 32}};
  for (const int64_t rank : {1, 4, 8, 16, 64}) {
    for (const double dropout : {0.0, 0.1, 0.5}) {
      shapes.push_back({.rows = 37,
                        .columns = 67,
                        .adapters = {{rank, dropout}},
                        .border = (rank + 15) / 16 * 16,
                        .padding = 5});
    }
  }
  return shapes;
}

inline std::string text_of(const InputShape& shape) {
  std::string text = std::to_string(shape.rows) + " x " + std::to_string(shape.columns);
  for (const AdapterShape& adapter : shape.adapters) {
    text +=
        ", rank " + std::to_string(adapter.rank) + " dropout " + std::to_string(adapter.dropout);
  }
  return text;
}

}  // namespace radgpt::kernels
