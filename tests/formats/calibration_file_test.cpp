#include "libradgpt/formats/calibration_file.h"

#include "tests/base/temporary_folder.h"
#include "tests/formats/refusal.h"

namespace radgpt {
namespace {

TEST_CASE("Calibration file: what is written is read, bit for bit") {
  const TemporaryFolder folder;
  const Calibration calibration = {{"adapter", {{"abnormal", 1.0 / 3}, {"疾病", 10}}},
                                   {"base", {{"abnormal", 0.1}}}};
  const std::string path = folder.file("calibration.json");
  write_calibration(path, calibration);
  CHECK(read_calibration(path) == calibration);
  CHECK(folder.entry_count() == 1);
  write_calibration(path, {});
  CHECK(read_calibration(path).empty());
}

TEST_CASE("Calibration file: anything else is refused by its key") {
  const std::vector<BadBytes> table = {
      {"no JSON", "temperatures: 1", {"1:2: must be valid JSON"}},
      {"no object", "[]", {"must be a JSON object"}},
      {"nothing", "{}", {"temperatures", "missing"}},
      {"another key", R"({"temperatures":{},"more":1})", {"more", "must be absent"}},
      {"a list", R"({"temperatures":[]})", {"temperatures", "must be"}},
      {"a system's number", R"({"temperatures":{"adapter":1}})", {"temperatures.adapter"}},
      {"text", R"({"temperatures":{"adapter":{"a":"SECRET7f3a"}}})", {"temperatures.adapter.a"}},
      {"zero", R"({"temperatures":{"adapter":{"a":0}}})", {"temperatures.adapter.a", "got 0"}},
      {"below the range", R"({"temperatures":{"adapter":{"a":0.09}}})", {"adapter.a", "[0.1, 10]"}},
      {"above the range", R"({"temperatures":{"adapter":{"a":10.1}}})", {"adapter.a", "[0.1, 10]"}},
      {"twice", R"({"temperatures":{"adapter":{"a":1,"a":2}}})", {"must not repeat a key"}},
      {"cut off", R"({"temperatures":{"adapter":{"a":1)", {"1:"}},
  };
  const TemporaryFolder folder;
  for (const BadBytes& row : table) {
    INFO(row.name);
    const std::string path = folder.write("calibration.json", row.bytes);
    check_message(refusal([&] { read_calibration(path); }), path, row.said);
  }
  const std::string absent = folder.file("absent.json");
  check_message(refusal([&] { read_calibration(absent); }), absent, {"no such file"});
}

}  // namespace
}  // namespace radgpt
