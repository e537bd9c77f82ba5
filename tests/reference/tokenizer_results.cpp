// What compare_tokenizer.py compares with the sentencepiece library:
//
//   tokenizer_results train MODEL              writes a small tokenizer
//   tokenizer_results encode MODEL TEXTS OUT   TEXTS is a JSON list of texts; OUT gets a JSON line
//                                              {"ids", "decoded"} for each
//   tokenizer_results decode MODEL IDS OUT     IDS is a JSON list of lists; OUT a JSON line, the
//                                              text, for each

#include <iostream>
#include <nlohmann/json.hpp>

#include "libradgpt/base/error.h"
#include "libradgpt/base/files.h"
#include "libradgpt/formats/json.h"
#include "tests/data/small_tokenizer.h"

namespace {

constexpr uint64_t kLargestFile = 256 << 20;
constexpr radgpt::JsonLimits kLimits = {.depth = 4, .values = 40'000'000};

nlohmann::json encoded(const radgpt::Tokenizer& tokenizer, const nlohmann::json& text) {
  const auto ids = tokenizer.encode(text.get_ref<const std::string&>());
  return {{"ids", ids}, {"decoded", tokenizer.decode(ids)}};
}

nlohmann::json decoded(const radgpt::Tokenizer& tokenizer, const nlohmann::json& ids) {
  return tokenizer.decode(ids.get<std::vector<int32_t>>());
}

void run(const std::vector<std::string>& words) {
  if (words[0] == "train") {
    small_tokenizer().save(words[1]);
    return;
  }
  const radgpt::Tokenizer tokenizer = radgpt::Tokenizer::load(words[1]);
  const auto answer = words[0] == "encode" ? encoded : decoded;
  std::string lines;
  for (const auto& question : radgpt::read_json_file(words[2], kLargestFile, kLimits)) {
    lines += answer(tokenizer, question).dump() + "\n";
  }
  radgpt::write_file_atomically(words[3], lines);
}

}  // namespace

int main(int count, char** words) {
  if (count != 3 && count != 5) {
    std::cerr << "usage: tokenizer_results train MODEL | encode|decode MODEL QUESTIONS ANSWERS\n";
    return 2;
  }
  try {
    run({words + 1, words + count});
  } catch (const radgpt::Error& error) {
    std::cerr << "error: " << error.what() << '\n';
    return 1;
  }
}
