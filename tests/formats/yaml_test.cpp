#include "libradgpt/formats/yaml.h"

#include <ctime>
#include <string>
#include <vector>

#include "libradgpt/base/error.h"
#include "tests/catch.h"

namespace radgpt {
namespace {

using Kind = YamlNode::Kind;

template <typename Action>
std::string refusal_of(const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kInput);
    return error.what();
  }
  return "accepted";
}

std::string refusal(const std::string& text) {
  return refusal_of([&] { parse_yaml(text, "r.yaml"); });
}

std::string refusal_of_file(const std::string& path) {
  return refusal_of([&] { read_yaml(path); });
}

std::string repeated(const std::string& part, int times) {
  std::string text;
  for (int i = 0; i < times; ++i) text += part;
  return text;
}

TEST_CASE("Yaml: a tree keeps kinds, values, quotes and places") {
  const YamlNode root = parse_yaml("a: 1\nb: [\"x\", y]\nc:\n  d: ~\n", "r.yaml");
  REQUIRE(root.kind == Kind::kMap);
  REQUIRE(root.entries.size() == 3);
  const YamlNode* a = root.find("a");
  REQUIRE(a != nullptr);
  CHECK(a->value == "1");
  CHECK_FALSE(a->quoted);
  CHECK(a->place() == "r.yaml:1:4");
  const YamlNode* b = root.find("b");
  REQUIRE(b->kind == Kind::kList);
  REQUIRE(b->items.size() == 2);
  CHECK(b->items[0].quoted);
  CHECK_FALSE(b->items[1].quoted);
  CHECK(root.find("c")->find("d")->kind == Kind::kNull);
  CHECK(root.find("e") == nullptr);
}

TEST_CASE("Yaml: scalars stay as they are written") {
  for (const std::string text : {"010", "yes", "1_000", "nan", "true", "1e5", "0x10"}) {
    CHECK(parse_yaml("a: " + text, "r.yaml").find("a")->value == text);
  }
}

TEST_CASE("Yaml: block text and escapes") {
  CHECK(parse_yaml("a: |\n  x\n  y\n", "r").find("a")->value == "x\ny\n");
  CHECK(parse_yaml("a: >-\n  x\n  y\n", "r").find("a")->value == "x y");
  CHECK(parse_yaml("a: |\n  x\n", "r").find("a")->quoted);
  CHECK(parse_yaml(R"(a: "\u4e2d\n")", "r").find("a")->value == "中\n");
}

TEST_CASE("Yaml: columns count characters, not bytes") {
  const YamlNode root = parse_yaml("a: [中文, d]\n", "r");
  CHECK(root.find("a")->items[1].place() == "r:1:9");
  CHECK(refusal("中文: 1\n中文: 2\n") == "r.yaml:2:1: repeats a key of this map");
}

TEST_CASE("Yaml: an empty document is null") {
  CHECK(parse_yaml("", "r").kind == Kind::kNull);
  CHECK(parse_yaml("# nothing\n", "r").kind == Kind::kNull);
}

TEST_CASE("Yaml: a byte order mark and CRLF are accepted") {
  const YamlNode root = parse_yaml(
      "\xEF\xBB\xBF"
      "a: 1\r\nb: 2\r\n",
      "r");
  CHECK(root.find("b")->value == "2");
  CHECK(root.find("b")->place() == "r:2:4");
}

struct Refused {
  std::string text;
  std::string message;
};

TEST_CASE("Yaml: everything beyond maps, lists and scalars is refused with its place") {
  const std::vector<Refused> table = {
      {"a: 1\n---\nb: 2\n", "r.yaml:2:1: must be one document, got a second one"},
      {"a: 1\n...\n---\n", "r.yaml:3:1: must be one document, got a second one"},
      {"[1, 2] foo", "r.yaml:1:8: must be one document, got a second one"},
      {"a: 1\nb: 2\na: 3\n", "r.yaml:3:1: repeats a key of this map"},
      {"{a: 1, \"a\": 2}", "r.yaml:1:8: repeats a key of this map"},
      {"a: !!python/object:os.system x", "r.yaml:1:4: tags are not allowed"},
      {"!!map {a: 1}", "r.yaml:1:1: tags are not allowed"},
      {"a: ! 1", "r.yaml:1:4: tags are not allowed"},
      {"a: &x 1", "r.yaml:1:4: anchors are not allowed"},
      {"a: &x\n  b: 1", "r.yaml:1:4: anchors are not allowed"},
      {"a: &a {b: *a}", "r.yaml:1:4: anchors are not allowed"},
      {"a: *x", "r.yaml:1:4: must be YAML, got the referenced anchor is not defined"},
      {"a: {<<: {b: 1}}", "r.yaml:1:5: merge keys are not allowed"},
      {"? [x]\n: b", "r.yaml:1:3: a key must be text"},
      {"~: b", "r.yaml:1:1: a key must be text"},
      {"%YAML 1.2\n---\na: 1", "r.yaml:1:1: directives are not allowed"},
      {"a:\n\tb: 2", "r.yaml:2:1: indentation must be spaces, got a tab"},
      {"a:\n  \tb: 2", "r.yaml:2:3: indentation must be spaces, got a tab"},
      {"a: \xFF", "r.yaml:1:4: must be UTF-8"},
      {"a: 1\nb: \xC0\xAF", "r.yaml:2:4: must be UTF-8"},
      {std::string("a: x\0y", 6), "r.yaml:1:5: must not contain control characters, got byte 0"},
      {"a: x\x1B[31m", "r.yaml:1:5: must not contain control characters, got byte 27"},
      {"a: 1\rb: 2", "r.yaml:1:5: must not contain control characters, got byte 13"},
      {R"(a: "x\0")", "r.yaml:1:4: must not contain a NUL character"},
      {"a: \"x", "r.yaml:1:6: must be YAML, got illegal EOF in scalar"},
      {"a: \"x\nb: 1\n", "r.yaml:1:4: a quote is opened here and not closed"},
      {"a: \"x\\\"\n", "r.yaml:1:4: a quote is opened here and not closed"},
      {"a: 'x\n", "r.yaml:1:4: a quote is opened here and not closed"},
      {"a: 1\n}", "r.yaml:2:1: must be YAML, got illegal flow end"},
  };
  for (const Refused& row : table) {
    INFO(row.text);
    CHECK(refusal(row.text) == row.message);
  }
}

TEST_CASE("Yaml: sixteen levels are read, seventeen are not") {
  const std::string level16 = repeated("[", 16) + repeated("]", 16);
  CHECK(refusal(level16) == "accepted");
  CHECK(refusal("[" + level16 + "]") == "r.yaml:1:17: must not be nested deeper than 16 levels");
}

TEST_CASE("Yaml: bombs are refused within two seconds") {
  const std::clock_t start = std::clock();  // the load of the machine does not count
  CHECK(refusal(repeated("[", 1000)).find("must not be nested deeper") != std::string::npos);
  for (const char* part : {"[", "{", "{a: ", "- ", "? ", "\"", "&a ", "!", "|\n"}) {
    INFO(part);
    CHECK(refusal(repeated(part, 100000)) != "accepted");
  }
  CHECK(refusal(std::string(2 << 20, 'a')) == "r.yaml: must be at most 1048576 bytes, got 2097152");
  CHECK(std::clock() - start < 2 * CLOCKS_PER_SEC);
}

TEST_CASE("Yaml: a missing file and a folder are named") {
  CHECK(refusal_of_file("no/such.yaml") == "no/such.yaml: no such file");
  CHECK(refusal_of_file("/") == "/: must be a file, got a folder");
}

}  // namespace
}  // namespace radgpt
