#include <fstream>
#include <iterator>
#include <string>

#include "libradgpt/base/error.h"
#include "libradgpt/base/random.h"
#include "libradgpt/config/recipe_file.h"
#include "tests/catch.h"

namespace radgpt {
namespace {

/// `text` with one to four bytes removed, replaced or inserted, or a piece of it doubled.
std::string damaged(std::string text, uint64_t seed) {
  const std::string bytes = "[]{}:,-?&*!|>'\"%@`#\\ \n\t~<0.9eaZ\xE4\xFF";
  Random random(seed, RandomStream::kSimulation);
  const uint32_t changes = 1 + random.next_below(4);
  for (uint32_t i = 0; i < changes; ++i) {
    const size_t place = random.next_below(static_cast<uint32_t>(text.size()));
    const char byte = bytes[random.next_below(static_cast<uint32_t>(bytes.size()))];
    switch (random.next_below(4)) {
      case 0:
        text.erase(place, 1);
        break;
      case 1:
        text[place] = byte;
        break;
      case 2:
        text.insert(place, 1, byte);
        break;
      default:
        text.insert(place, text.substr(place, 1 + random.next_below(40)));
    }
  }
  return text;
}

TEST_CASE(
    "Recipe mutations: four thousand damaged files are refused in our words or read as said") {
  std::ifstream file(RADGPT_SOURCE_DIR "/recipes/tumour_reports.yaml");
  const std::string sound{std::istreambuf_iterator<char>(file), {}};
  // The comments are taken off, so that the damage meets what is read.
  const std::string text = write_recipe(parse_recipe(sound, "sound.yaml"));
  int refused = 0;
  for (uint64_t seed = 0; seed < 4000; ++seed) {
    INFO("seed " << seed);
    try {
      const std::string written = write_recipe(parse_recipe(damaged(text, seed), "r.yaml"));
      REQUIRE(write_recipe(parse_recipe(written, "r.yaml")) == written);
    } catch (const Error& error) {
      REQUIRE(error.kind() == ErrorKind::kInput);
      REQUIRE(std::string(error.what()).starts_with("r.yaml:"));
      ++refused;
    }
  }
  CHECK(refused > 2000);
  CHECK(refused < 4000);
}

}  // namespace
}  // namespace radgpt
