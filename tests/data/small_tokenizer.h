#pragma once

#include "libradgpt/data/tokenizer.h"
#include "libradgpt/data/tokenizer_training.h"

/// A tokenizer trained on a few made-up sentences; made once, as it takes a moment.
inline const radgpt::Tokenizer& small_tokenizer() {
  static const radgpt::Tokenizer tokenizer = radgpt::train_tokenizer(
      {"双肺纹理增多，右肺上叶见磨玻璃结节，大小约8mm×6mm。", "左肺下叶见实性结节，大小约12mm。",
       "双肺清晰，未见明显异常。", "甲状腺左叶见低回声结节，边界清。",
       "请根据影像所见，给出影像诊断。", "影像所见：双肺清晰。", "右肺上叶结节，建议随访。",
       "T2WI high signal, no mass effect"},
      1430);
  return tokenizer;
}
