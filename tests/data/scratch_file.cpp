#include "tests/data/scratch_file.h"

#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <stdexcept>

ScratchFile::ScratchFile(std::string_view content)
    : path_(std::filesystem::temp_directory_path() / "radgpt_data_test_XXXXXX") {
  const int descriptor = mkstemp(path_.data());
  if (descriptor < 0) throw std::runtime_error("cannot make " + path_);
  const auto written = write(descriptor, content.data(), content.size());
  close(descriptor);
  if (written != static_cast<ssize_t>(content.size())) throw std::runtime_error("cannot write");
}

ScratchFile::~ScratchFile() { std::filesystem::remove(path_); }
