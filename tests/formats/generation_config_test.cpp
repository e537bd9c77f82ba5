#include "libradgpt/formats/generation_config.h"

#include "tests/base/temporary_folder.h"
#include "tests/formats/refusal.h"

namespace radgpt {
namespace {

TEST_CASE("Generation config: what is written is read") {
  const TemporaryFolder folder;
  const std::string path = folder.file("generation_config.json");
  GenerationConfig config;
  write_generation_config(path, config);
  CHECK(read_generation_config(path) == config);
  config = {.max_new_tokens = 7,
            .do_sample = false,
            .temperature = 1.0 / 3,
            .top_k = 0,
            .top_p = 1,
            .repetition_penalty = 1.1,
            .pad_token_id = 3,
            .bos_token_id = 4,
            .eos_token_ids = {2, 195}};
  write_generation_config(path, config);
  CHECK(read_generation_config(path) == config);
  CHECK(folder.entry_count() == 1);
}

TEST_CASE("Generation config: what the official file says is read, other keys pass") {
  const TemporaryFolder folder;
  const std::string path = folder.write(
      "generation_config.json",
      R"({"pad_token_id":0,"bos_token_id":1,"eos_token_id":2,"user_token_id":195,)"
      R"("assistant_token_id":196,"max_new_tokens":2048,"temperature":0.3,"top_k":5,"top_p":0.85,)"
      R"("repetition_penalty":1.05,"do_sample":true,"transformers_version":"4.29.2"})");
  CHECK(read_generation_config(path) == GenerationConfig{});
}

TEST_CASE("Generation config: keys that are missing mean what Hugging Face takes for them") {
  const TemporaryFolder folder;
  const GenerationConfig config = read_generation_config(folder.write("g.json", "{}"));
  CHECK(!config.do_sample);
  CHECK(config.temperature == 1);
  CHECK(config.top_k == 50);
  CHECK(config.top_p == 1);
  CHECK(config.repetition_penalty == 1);
}

TEST_CASE("Generation config: anything else is refused by its key") {
  const std::vector<BadBytes> table = {
      {"no JSON", "{", {"1:"}},
      {"no object", "[1]", {"must be a JSON object"}},
      {"no flag", R"({"do_sample":"SECRET7f3a"})", {"do_sample", "true or false"}},
      {"cold", R"({"temperature":-0.1})", {"temperature", "[0, 100]", "-0.1"}},
      {"text", R"({"temperature":"SECRET7f3a"})", {"temperature", "a string of 10 bytes"}},
      {"too many", R"({"top_k":-1})", {"top_k", "got -1"}},
      {"half a token", R"({"top_k":1.5})", {"top_k", "got 1.5"}},
      {"nothing left", R"({"top_p":0})", {"top_p", "got 0"}},
      {"penalty", R"({"repetition_penalty":0})", {"repetition_penalty", "got 0"}},
      {"no tokens", R"({"max_new_tokens":0})", {"max_new_tokens", "got 0"}},
      {"beams", R"({"num_beams":4})", {"num_beams", "must be 1"}},
      {"contrast", R"({"penalty_alpha":0.6})", {"penalty_alpha", "absent or 0"}},
      {"no end", R"({"eos_token_id":[]})", {"eos_token_id", "at least one"}},
      {"a word as end", R"({"eos_token_id":[2,"SECRET7f3a"]})", {"eos_token_id", "an integer"}},
      {"an id below 0", R"({"eos_token_id":-1})", {"eos_token_id", "got -1"}},
      {"twice", R"({"top_k":1,"top_k":1})", {"must not repeat a key"}},
  };
  const TemporaryFolder folder;
  for (const BadBytes& row : table) {
    INFO(row.name);
    const std::string path = folder.write("generation_config.json", row.bytes);
    check_message(refusal([&] { read_generation_config(path); }), path, row.said);
  }
}

}  // namespace
}  // namespace radgpt
