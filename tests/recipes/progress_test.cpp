#include "recipes/radgpt/progress.h"

#include <iostream>
#include <limits>
#include <sstream>

#include "tests/catch.h"

namespace radgpt {
namespace {

TEST_CASE("Progress: a skipped step leaves the running loss alone") {
  std::ostringstream shown;
  std::streambuf* const before = std::cerr.rdbuf(shown.rdbuf());
  Progress progress;
  StepRecord record;
  record.steps = 3;
  for (const double loss : {2.0, std::numeric_limits<double>::quiet_NaN(), 2.0}) {
    ++record.step;
    record.loss = loss;
    record.skipped = loss != loss;
    progress.on_step(record);
  }
  std::cerr.rdbuf(before);
  CHECK(shown.str().find("step 3/3  epoch 1  loss 2.0000") != std::string::npos);
}

}  // namespace
}  // namespace radgpt
