#include <iostream>

#include "libradgpt/base/version.h"
#include "libradgpt/formats/json.h"
#include "libradgpt/formats/jsonl.h"

// Reads a line of JSON with nlohmann's types, which are in the headers of the formats.
int main() {
  const nlohmann::json value = radgpt::parse_json(R"({"rank": 8})", {"adapter_config.json"});
  const int64_t rank = radgpt::JsonObject(value, "adapter_config.json").integer("rank", 1, 64);
  radgpt::write_file_atomically("lines.jsonl", "{\"id\": \"r1\"}\n");
  radgpt::JsonLine line;
  radgpt::JsonlReader reader("lines.jsonl");
  std::cout << "libradgpt " << radgpt::version() << "\n";
  return rank == 8 && reader.next(line) && line.value.at("id") == "r1" ? 0 : 1;
}
