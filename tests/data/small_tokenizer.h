#pragma once

#include "libradgpt/data/tokenizer.h"

/// A tokenizer trained on a few made-up sentences; made once, as it takes a moment.
const radgpt::Tokenizer& small_tokenizer();
