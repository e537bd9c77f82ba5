#include "libradgpt/formats/json.h"

#include <string>
#include <vector>

#include "tests/base/temporary_folder.h"
#include "tests/formats/refusal.h"

namespace radgpt {
namespace {

using nlohmann::json;

std::string refusal_of(const std::string& text, JsonLimits limits = {}) {
  return refusal([&] { parse_json(text, {"x.json"}, limits); });
}

TEST_CASE("Json: every kind of value is read") {
  const json value = parse_json(
      R"( {"a": [1, -2, 2.5e1, true, false, null], "": {}, "s": "双\u80ba\uD83E\uDEC1\n\u0000"} )",
      {"x.json"});
  CHECK(value["a"] == json::array({1, -2, 25.0, true, false, nullptr}));
  CHECK(value["a"][0].is_number_unsigned());
  CHECK(value["a"][2].is_number_float());
  CHECK(value[""].is_object());
  CHECK(value["s"].get<std::string>() == std::string("双肺\U0001FAC1\n\0", 12));
  CHECK(parse_json("9223372036854775807", {"x"}).get<int64_t>() == INT64_MAX);
  CHECK(parse_json("-9223372036854775808", {"x"}).get<int64_t>() == INT64_MIN);
}

TEST_CASE("Json: refuses text that is not strict JSON, at its line and column") {
  const std::string quoted = "\"" + kSecret + "\"";
  const std::vector<BadBytes> rows{
      {"empty", "", {":1:1:", "end of input"}},
      {"only a space", " ", {":1:2:", "end of input"}},
      {"unclosed object", "{\"a\": " + quoted, {":1:19:", "end of input", "'}'"}},
      {"unclosed string", "\"" + kSecret, {":1:12:", "missing closing quote"}},
      {"a word", "[" + kSecret + "]", {":1:2:", "invalid literal"}},
      {"NaN", "[NaN]", {":1:2:", "invalid literal"}},
      {"Infinity", "[-Infinity]", {":1:3:", "invalid number"}},
      {"a number beyond double", "[1e400]", {":1:", "beyond the range of double"}},
      {"leading zero", "[010]", {":1:4:", "valid JSON"}},
      {"trailing comma", "[" + quoted + ",]", {":1:15:", "valid JSON"}},
      {"two values", quoted + " " + quoted, {":1:", "end of input"}},
      {"a comment", "{} // " + kSecret, {":1:4:", "valid JSON"}},
      {"single quotes", "{'" + kSecret + "': 1}", {":1:2:", "valid JSON"}},
      {"key twice", "{\"a\": 1,\n \"a\": " + quoted + "}", {":2:2:", "must not repeat a key"}},
      {"key twice, with a quote inside",
       "{\"a\\\"b\": 1, \"a\\\"b\": 2}",
       {":1:13:", "must not repeat a key"}},
      {"key twice, written differently",
       "{\"\\\"\": 1, \"\\u0022\": 2}",
       {":1:11:", "must not repeat a key"}},
      {"overlong UTF-8", "{\"双\":\n \"肺\xC0\xAF\"}", {":2:4:", "valid UTF-8"}},
      {"UTF-8 cut short", "[\"肺\xE8\x82\"]", {":1:4:", "valid UTF-8"}},
      {"lone surrogate", "[\"\\uD83E" + kSecret + "\"]", {":1:", "surrogate"}},
      {"low surrogate first", "[\"\\uDEC1\"]", {":1:", "surrogate"}},
      {"raw control character", "[\"" + kSecret + "\t\"]", {":1:13:", "control character"}},
      {"NUL in a string", std::string("[\"\0\"]", 5), {":1:3:", "NUL"}},
      {"NUL after the value", std::string("{}\0", 3) + kSecret, {":1:3:", "NUL"}},
      {"byte-order mark", "\xEF\xBB\xBF{}", {":1:1:", "byte-order mark"}},
      {"bad escape", "[\"\\x" + kSecret + "\"]", {":1:4:", "forbidden character"}},
  };
  for (const BadBytes& row : rows) {
    INFO(row.name);
    check_message(refusal_of(row.bytes), "x.json", row.said);
  }
}

TEST_CASE("Json: a refusal is our own sentence") {
  CHECK(refusal_of("[x]") == "x.json:1:2: must be valid JSON, got invalid literal");
  CHECK(refusal_of("[1") == "x.json:1:3: must be valid JSON, got end of input; expected ']'");
}

TEST_CASE("Json: refuses what is nested too deeply, however deep it is") {
  constexpr size_t kDeep = 100'000;
  const JsonLimits four{4, 100};
  CHECK(parse_json("[[[[1]]]]", {"x"}, four).is_array());
  CHECK(refusal_of("[[[[[1]]]]]", four) == "x.json:1:5: must be nested at most 4 levels deep");
  CHECK(refusal_of(repeated("{\"a\":", kDeep)).find("at most 16") != std::string::npos);
  CHECK(refusal_of(std::string(kDeep, '[')).find("at most 16") != std::string::npos);
}

TEST_CASE("Json: a deep value is read and destroyed without recursion") {
  constexpr int kDeep = 100'000;
  const std::string text = std::string(kDeep, '[') + std::string(kDeep, ']');
  CHECK(parse_json(text, {"x"}, {kDeep, 1'000'000}).size() == 1);
}

TEST_CASE("Json: refuses more values than the limit") {
  CHECK(parse_json("[1,2,3]", {"x"}, {16, 4}).size() == 3);
  CHECK(refusal_of("[1,2,3,4]", {16, 4}) == "x.json:1:9: must have at most 4 JSON values");
}

TEST_CASE("Json: a file is refused by its size before it is read") {
  const TemporaryFolder folder;
  CHECK(read_json_file(folder.write("a", "{}"), 2).is_object());
  const std::string path = folder.write("b", "{} ");
  CHECK(refusal([&] { read_json_file(path, 2); }) == path + ": must have at most 2 bytes, got 3");
}

TEST_CASE("Json: typed access gives what is there, or the default") {
  const json root = parse_json(
      R"({"i": -3, "n": 2, "x": 0.5, "b": true, "s": "t", "l": ["u", "v"], "o": {"k": 7}})",
      {"x.json"});
  const JsonObject object(root, "x.json");
  CHECK(object.integer("i", -3, 5) == -3);
  CHECK(object.number("n", 0, 2) == 2);
  CHECK(object.number("x", 0, 1) == 0.5);
  CHECK(object.boolean("b"));
  CHECK(object.text("s") == "t");
  CHECK(object.texts("l") == std::vector<std::string>{"u", "v"});
  CHECK(object.array("l").size() == 2);
  CHECK(object.object("o").integer("k", 0, 9) == 7);
  CHECK(object.integer_or("none", 0, 9, 4) == 4);
  CHECK(object.number_or("none", 0, 9, 0.25) == 0.25);
  CHECK(object.boolean_or("none", true));
  CHECK(object.text_or("none", "d") == "d");
}

TEST_CASE("Json: typed access names file, key, rule and what came") {
  const json root = parse_json(R"({"i": 10, "f": 4.0, "big": 18446744073709551615, "t": true,
      "s": "SECRET7f3a", "z": null, "l": [1], "o": {"k": "SECRET7f3a"}})",
                               {"x.json"});
  const JsonObject object(root, "x.json");
  const auto integer = [&](const std::string& key) {
    return refusal([&] { object.integer(key, 1, 9); });
  };
  CHECK(integer("i") == "x.json: i: must be an integer in [1, 9], got 10");
  CHECK(integer("f") == "x.json: f: must be an integer in [1, 9], got 4.0");
  CHECK(integer("big") == "x.json: big: must be an integer in [1, 9], got 18446744073709551615");
  CHECK(refusal([&] { object.integer("big", -5, 5); }).find("in [-5, 5]") != std::string::npos);
  CHECK(integer("t") == "x.json: t: must be an integer in [1, 9], got true or false");
  CHECK(integer("s") == "x.json: s: must be an integer in [1, 9], got a string of 10 bytes");
  CHECK(integer("none") == "x.json: none: must be an integer, but is missing");
  CHECK(refusal([&] { object.number("i", 0, 0.5); }) ==
        "x.json: i: must be a number in [0, 0.5], got 10");
  CHECK(refusal([&] { object.number("z", 0, 1); }) ==
        "x.json: z: must be a number in [0, 1], got null");
  CHECK(refusal([&] { object.boolean("i"); }) ==
        "x.json: i: must be true or false, got an integer");
  CHECK(refusal([&] { object.text("f"); }) ==
        "x.json: f: must be a string, got a number that is no integer");
  CHECK(refusal([&] { object.texts("l"); }) ==
        "x.json: l: must be an array of strings, got an array of 1 values");
  CHECK(refusal([&] { object.array("o"); }) ==
        "x.json: o: must be an array, got an object of 1 keys");
  CHECK(refusal([&] { object.object("l"); }) ==
        "x.json: l: must be a JSON object, got an array of 1 values");
  CHECK(refusal([&] { object.object("o").integer("k", 0, 1); }) ==
        "x.json: o.k: must be an integer in [0, 1], got a string of 10 bytes");
  CHECK(refusal([&] { JsonObject(root["l"], "x.json"); }) ==
        "x.json: must be a JSON object, got an array of 1 values");
}

}  // namespace
}  // namespace radgpt
