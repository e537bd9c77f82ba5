#pragma once

#include <memory>

#include "libradgpt/model/baichuan.h"
#include "tests/base/temporary_folder.h"
#include "tests/device/test_type.h"
#include "tests/model/reference_model.h"

namespace radgpt {

/// A small model and the plain one with the same weights.
struct SmallGenerator {
  ReferenceModel reference;
  std::unique_ptr<Baichuan> model;

  explicit SmallGenerator(PositionKind position, at::ScalarType type = test_type()) {
    const TemporaryFolder folder;
    const ModelConfig config = small_config(position);
    reference = {config, random_weights(config), {}};
    write_model_folder(folder.path(), config, reference.weights);
    model = Baichuan::load(folder.path(), type);
  }
};

}  // namespace radgpt
