#pragma once

#include <functional>
#include <utility>

#include "libradgpt/heads/head.h"

namespace radgpt {

/// A head whose outputs a test changes: `change` is given each pack and what the inner head made of
/// it.
class ChangedHead : public Head {
 public:
  using Change = std::function<void(const Pack& pack, HeadOutput& output)>;

  ChangedHead(const Head& inner, Change change) : inner_(inner), change_(std::move(change)) {}
  int64_t terms(const Pack& pack) const override { return inner_.terms(pack); }
  HeadOutput forward(const at::Tensor& hidden, const Pack& pack, double divisor) const override {
    HeadOutput output = inner_.forward(hidden, pack, divisor);
    change_(pack, output);
    return output;
  }

 private:
  const Head& inner_;
  Change change_;
};

}  // namespace radgpt
