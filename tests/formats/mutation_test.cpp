// Damaged files of text and of the tokenizer, the same ones in every run: see mutations.h. Those of
// tensors are in tensor_mutation_test.cpp.

#include <string>

#include "libradgpt/formats/calibration_file.h"
#include "libradgpt/formats/generation_config.h"
#include "libradgpt/formats/json.h"
#include "libradgpt/formats/jsonl.h"
#include "libradgpt/formats/model_config.h"
#include "libradgpt/formats/sentencepiece_model.h"
#include "tests/base/temporary_folder.h"
#include "tests/formats/mutations.h"
#include "tests/formats/sentencepiece_bytes.h"

namespace radgpt {
namespace {

TEST_CASE("Mutations: JSON, its typed access and the model's config") {
  const TemporaryFolder folder;
  const MemoryFile memory;
  write_model_config(folder.file("good"), ModelConfig{});
  survive(folder.read("good"), {.count = 4'000},
          [&](const std::string& bytes) { read_model_config(memory.write(bytes)); });
  const std::string nested =
      R"({"a":[[1,-2.5e3],{"b":"双肺\u80ba\ud83e\udec1\n"}],"c":null,"d":true})";
  survive(nested, {.count = 20'000}, [](const std::string& bytes) { parse_json(bytes, {"x"}); });
}

TEST_CASE("Mutations: calibration files") {
  const MemoryFile memory;
  survive(R"({"temperatures":{"adapter":{"abnormal":1.5},"base":{"abnormal":2}}})",
          {.count = 4'000},
          [&](const std::string& bytes) { read_calibration(memory.write(bytes)); });
}

TEST_CASE("Mutations: generation configs") {
  const MemoryFile memory;
  survive(R"({"do_sample":true,"temperature":0.3,"top_k":5,"top_p":0.85,"eos_token_id":[2,195]})",
          {.count = 4'000},
          [&](const std::string& bytes) { read_generation_config(memory.write(bytes)); });
}

TEST_CASE("Mutations: JSON lines") {
  const MemoryFile memory;
  const std::string good = "\xEF\xBB\xBF{\"text\":\"双肺纹理\"}\r\n{\"a\":[1,2]}\n{\"b\":{}}\n\n";
  survive(good, {.count = 4'000}, [&](const std::string& bytes) {
    JsonlReader reader(memory.write(bytes));
    for (JsonLine line; reader.next(line);) REQUIRE(line.value.is_object());
  });
}

TEST_CASE("Mutations: tokenizer models") {
  std::string good = piece("<unk>", 2) + piece("<s>", 3) + piece("双肺", 1, -1) + piece("a", 4);
  good += trainer(2, number_field(40, 0) + number_field(41, 1) + bytes_field(30, "unused"));
  good += normalizer(bytes_field(1, "identity") + number_field(3, 0));
  survive(good + number_field(42, 2), {.count = 20'000}, [](const std::string& bytes) {
    const SentencePieceModel model = parse_tokenizer_model(bytes, "x");
    const SentencePieceModel again = parse_tokenizer_model(serialize_tokenizer_model(model), "x");
    REQUIRE(again.pieces.size() == model.pieces.size());
  });
}

}  // namespace
}  // namespace radgpt
