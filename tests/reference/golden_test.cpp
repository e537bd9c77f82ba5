#include <torch/types.h>

#include "tests/base/temporary_folder.h"
#include "tests/catch.h"
#include "tests/reference/results.h"

// What write_golden.py's reference computed on tiny models, for machines without Python.

namespace radgpt {

namespace {

const std::string kGolden = RADGPT_SOURCE_DIR "/tests/reference/golden/";

bool opens_with(const std::string& text, const std::string& start) {
  return text.rfind(start, 0) == 0;
}

// fp32 sums in other orders. As in reference_results.py, gradients relative to the largest element.
double tolerance(const std::string& name) {
  return opens_with(name, "logits") || opens_with(name, "decoded") ? 1e-4 : 1e-5;
}

void check_results(const Results& got, const Results& expected) {
  for (const auto& [name, values] : expected) {
    INFO(name);
    REQUIRE(got.count(name) == 1);
    REQUIRE(got.at(name).sizes() == values.sizes());
    if (opens_with(name, "generated")) {
      CHECK(at::equal(got.at(name), values));
      continue;
    }
    const double largest = opens_with(name, "gradient") ? values.abs().max().item<double>() : 1.0;
    CHECK((got.at(name) - values).abs().max().item<double>() <= tolerance(name) * largest);
  }
}

}  // namespace

TEST_CASE("Golden files: the model computes, learns and answers as the reference does") {
  const std::string folder = kGolden + GENERATE("rope", "alibi");
  const Results expected = read_results(folder + "/expected.safetensors");
  REQUIRE(expected.size() == 23);
  const TemporaryFolder trained;
  check_results(compute_results({.model = folder, .trained_model = trained.path()},
                                read_job(folder + "/job.json")),
                expected);
}

TEST_CASE("Golden files: an adapter of PEFT computes and learns as it does there") {
  const std::string folder = kGolden + GENERATE("rope", "alibi");
  const TemporaryFolder trained;
  const Results expected = read_results(folder + "/expected_with_adapter.safetensors");
  REQUIRE(expected.size() == 15);
  const JobFolders folders{.model = folder,
                           .adapter = folder + "/adapter",
                           .trained_model = trained.file("model"),
                           .trained_adapter = trained.file("adapter")};
  check_results(compute_results(folders, read_job(folder + "/job.json")), expected);
}

}  // namespace radgpt
