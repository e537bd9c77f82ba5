#include "libradgpt/distributed/ordered_sum.h"

#include <torch/types.h>

#include <vector>

#include "libradgpt/base/error.h"
#include "tests/catch.h"

namespace radgpt {
namespace {

at::Tensor sum_of(const std::vector<at::Tensor>& buffers) {
  OrderedSum sum;
  for (const at::Tensor& buffer : buffers) sum.add(buffer);
  at::Tensor result = at::empty_like(buffers.front());
  sum.finish(result);
  return result;
}

std::vector<at::Tensor> random_buffers(int64_t count) {
  at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(7);
  std::vector<at::Tensor> buffers;
  for (int64_t i = 0; i < count; ++i) buffers.push_back(at::randn({257}, generator));
  return buffers;
}

/// The tree written as a recursion: complete subtrees of the largest power of two first.
at::Tensor tree(const std::vector<at::Tensor>& buffers, size_t begin, size_t count) {
  if (count == 1) return buffers[begin];
  size_t left = 1;
  while (left * 2 < count) left *= 2;
  return tree(buffers, begin, left) + tree(buffers, begin + left, count - left);
}

TEST_CASE("Ordered sum: adds in the binary tree over the index, for every count") {
  for (const int64_t count : {1, 2, 3, 4, 5, 7, 8, 13, 16, 31}) {
    const std::vector<at::Tensor> buffers = random_buffers(count);
    CHECK(at::equal(sum_of(buffers), tree(buffers, 0, buffers.size())));
  }
}

TEST_CASE("Ordered sum: halves computed apart and joined give the same bits") {
  const std::vector<at::Tensor> buffers = random_buffers(8);
  const at::Tensor left = sum_of({buffers.begin(), buffers.begin() + 4});
  const at::Tensor right = sum_of({buffers.begin() + 4, buffers.end()});
  CHECK(at::equal(left + right, sum_of(buffers)));
}

TEST_CASE("Ordered sum: starts anew after finish and needs a buffer") {
  OrderedSum sum;
  at::Tensor result = at::empty({2});
  CHECK_THROWS_AS(sum.finish(result), Error);
  sum.add(at::ones({2}));
  sum.finish(result);
  sum.add(at::ones({2}) * 5);
  sum.finish(result);
  CHECK(at::equal(result, at::ones({2}) * 5));
}

}  // namespace
}  // namespace radgpt
