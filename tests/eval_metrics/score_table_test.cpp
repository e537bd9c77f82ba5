#include "libradgpt/eval/metrics/score_table.h"

#include <cmath>
#include <string>

#include "libradgpt/base/error.h"
#include "tests/catch.h"

using namespace radgpt;

namespace {

ScoreTable small_table() {
  ScoreTable table;
  table.headers = {"task", "中心", "base", "adapter"};
  table.rows = {
      {{{"摘要", {}}, {"甲院", {}}, score_cell(0.5, 3), score_cell(0.75, 0.7, 0.8, 3)}},
      {{{"abnormal", {}}, {"B", {}}, score_cell(0.25, 2), {"-", {}}}},
      {{{"error", {}}, {"B", {}}, score_cell(0.1, 2), score_cell(0.2, 2)}, Better::kLower},
  };
  return table;
}

}  // namespace

TEST_CASE("Score table: aligns columns on a terminal, Chinese characters two wide") {
  CHECK(small_table().as_text() ==
        "task      中心   base                adapter\n"
        "--------  ----  ------  ---------------------\n"
        "摘要      甲院  0.500   0.750 [0.700, 0.800]*\n"
        "abnormal  B      0.25                      -\n"
        "error     B      0.10*                  0.20\n");
}

TEST_CASE("Score table: Markdown has the best in bold") {
  CHECK(small_table().as_markdown() ==
        "| task | 中心 | base | adapter |\n"
        "|:---|:---|---:|---:|\n"
        "| 摘要 | 甲院 | 0.500 | **0.750 [0.700, 0.800]** |\n"
        "| abnormal | B | 0.25 | - |\n"
        "| error | B | **0.10** | 0.20 |\n");
}

TEST_CASE("Score table: equal values are all best, a value that is not finite never") {
  ScoreTable table;
  table.headers = {"a", "b", "c"};
  table.rows = {{{score_cell(1, 0), score_cell(1, 0), score_cell(std::nan(""), 0)}}};
  CHECK(table.as_markdown().find("| **1** | **1** | nan |") != std::string::npos);
}

TEST_CASE("Score table: a lone value is not marked, short rows are filled up") {
  ScoreTable table;
  table.headers = {"a", "b"};
  table.rows = {{{score_cell(1, 0)}}};
  CHECK(table.as_markdown().find("| 1 |  |\n") != std::string::npos);
  table.rows = {{{{"x", {}}, {"y", {}}, {"z", {}}}}};
  CHECK_THROWS_AS(table.as_text(), Error);
}

TEST_CASE("Score table: text cannot break the table") {
  ScoreTable table;
  table.headers = {"a"};
  table.rows = {{{{"x|y\nz*", {}}}}};
  CHECK(table.as_markdown().find("| x\\|y z\\* |\n") != std::string::npos);
  CHECK(table.as_text() == "a\n------\nx|y z*\n");
}
