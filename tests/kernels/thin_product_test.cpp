#include "kernels/primitives/thin_product.h"

#include <vector>

#include "tests/catch.h"
#include "tests/kernels/accuracy.h"
#include "tests/kernels/call_memory.h"

namespace radgpt::kernels {
namespace {

struct Shape {
  int64_t rows, columns, rank;
};

const std::vector<Shape> kShapes = {{1, 1, 1},   {2, 31, 4},    {3, 32, 8},    {7, 67, 16},
                                    {32, 15, 5}, {32, 600, 64}, {19, 513, 70}, {4, 1024, 8}};

/// Random rows x [rows, columns], s [rows, rank] and a [rank, columns], and the bits of a mask.
template <typename T>
struct Operands {
  static constexpr int64_t kPadding = 3;

  Shape shape;
  const T *x, *s, *a;
  std::vector<uint64_t> bits;

  Operands(CallMemory& memory, const Shape& given)
      : shape(given),
        x(memory.input<T>(shape.rows, shape.columns, shape.columns + kPadding)),
        s(memory.input<T>(shape.rows, shape.rank, shape.rank + kPadding)),
        a(memory.input<T>(shape.rank, shape.columns, shape.columns)),
        bits(shape.rows * mask_words(shape.columns)) {
    DropoutMask mask;
    mask.drop(0.375);
    mask_bits(mask, 0, shape.rows, shape.columns, bits.data());
  }
  KeptBits kept(bool masked) const { return masked ? bits.data() : nullptr; }
  ThinRows<T> x_rows(bool masked) const {
    return {x, shape.rows, shape.columns, shape.columns + kPadding, kept(masked)};
  }
  ThinRows<T> s_rows() const { return {s, shape.rows, shape.rank, shape.rank + kPadding}; }
  ThinMatrix<T> matrix() const { return {a, shape.rank, shape.columns, shape.columns, 1}; }

  double x_at(int64_t i, int64_t k, bool masked) const {
    return !masked || keeps(i, k) ? x[i * (shape.columns + kPadding) + k] : 0.0;
  }
  double s_at(int64_t i, int64_t r) const { return s[i * (shape.rank + kPadding) + r]; }
  double a_at(int64_t r, int64_t k) const { return a[r * shape.columns + k]; }
  bool keeps(int64_t i, int64_t k) const {
    return bits[i * mask_words(shape.columns) + k / 64] >> (k % 64) & 1;
  }
};

/// Sums of `terms` products of values below 1 in the arithmetic of C.
template <typename C>
void expect_near(double value, double exact, int64_t terms) {
  const double rounding = sizeof(C) == sizeof(float) ? 0x1p-23 : 0x1p-52;
  if (!(std::abs(value - exact) <= static_cast<double>(terms + 2) * rounding)) {
    CHECK(value == exact);
  }
}

TEMPLATE_TEST_CASE("Thin product: rows times the transposed matrix", "", float, double, BFloat16) {
  using T = TestType;
  using C = Compute<T>;
  for (const Shape& shape : kShapes) {
    for (const bool masked : {false, true}) {
      CallMemory memory(1);
      const Operands<T> operands(memory, shape);
      const ThinMatrix<T> matrix = operands.matrix();
      std::vector<C> result(shape.rows * matrix.padded_rank());
      matrix.multiply_by_transpose(operands.x_rows(masked), result.data());
      for (int64_t i = 0; i < shape.rows; ++i) {
        for (int64_t r = 0; r < shape.rank; ++r) {
          double sum = 0;
          for (int64_t k = 0; k < shape.columns; ++k) {
            sum += operands.x_at(i, k, masked) * operands.a_at(r, k);
          }
          expect_near<C>(result[i * matrix.padded_rank() + r], sum, shape.columns);
        }
      }
      memory.expect_written();
    }
  }
}

TEMPLATE_TEST_CASE("Thin product: added to rows where they are kept", "", float, double, BFloat16) {
  using T = TestType;
  using C = Compute<T>;
  for (const Shape& shape : kShapes) {
    for (const bool masked : {false, true}) {
      CallMemory memory(2);
      const Operands<T> operands(memory, shape);
      const int64_t stride = shape.columns + 5;
      C* y = memory.output<C>(shape.rows, shape.columns, stride);
      for (int64_t i = 0; i < shape.rows; ++i) std::fill_n(y + i * stride, shape.columns, C{1});
      operands.matrix().add_product(operands.s_rows(), operands.kept(masked), C{2}, y, stride);
      for (int64_t i = 0; i < shape.rows; ++i) {
        for (int64_t k = 0; k < shape.columns; ++k) {
          double sum = 0;
          for (int64_t r = 0; r < shape.rank; ++r) {
            sum += operands.s_at(i, r) * operands.a_at(r, k);
          }
          const bool added = !masked || operands.keeps(i, k);
          expect_near<C>(y[i * stride + k], added ? 1 + 2 * sum : 1.0, 2 * shape.rank);
        }
      }
      memory.expect_written();
    }
  }
}

TEMPLATE_TEST_CASE("Thin product: sums of the transposed product go on from call to call", "",
                   float, double, BFloat16) {
  using T = TestType;
  using C = Compute<T>;
  for (const Shape& shape : kShapes) {
    for (const bool masked : {false, true}) {
      CallMemory memory(3);
      const Operands<T> operands(memory, shape);
      ThinSums<C> sums(shape.rank, shape.columns);
      sums.add(operands.s_rows(), operands.x_rows(masked));
      sums.add(operands.s_rows(), operands.x_rows(false));
      for (int64_t r = 0; r < shape.rank; ++r) {
        for (int64_t k = 0; k < shape.columns; ++k) {
          double sum = 0;
          for (int64_t i = 0; i < shape.rows; ++i) {
            sum += operands.s_at(i, r) * (operands.x_at(i, k, masked) + operands.x_at(i, k, false));
          }
          expect_near<C>(sums.row(r)[k], sum, 2 * shape.rows);
        }
      }
      memory.expect_written();
    }
  }
}

}  // namespace
}  // namespace radgpt::kernels
