#pragma once

#include <span>
#include <string>
#include <vector>

namespace radgpt {

/// The words that rouge_chinese 1.0.3 counts when it is given these tokens joined by single
/// spaces: the text is cut after sentence ends and at line feeds, each line is split by white
/// space, and a line of white space alone leaves one empty word. Empty if the tokens hold nothing
/// but white space.
std::vector<std::u32string> sentence_words(std::span<const std::string> tokens);

}  // namespace radgpt
