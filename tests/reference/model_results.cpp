// model_results JOB RESULTS MODEL TRAINED_MODEL [ADAPTER TRAINED_ADAPTER]: computes the job of
// results.h with the model and, if given, the adapter of two folders, and writes what it trained.

#include <iostream>

#include "libradgpt/base/error.h"
#include "tests/reference/results.h"

int main(int count, char** words) {
  if (count != 5 && count != 7) {
    std::cerr << "usage: model_results JOB RESULTS MODEL TRAINED_MODEL "
                 "[ADAPTER TRAINED_ADAPTER]\n";
    return 2;
  }
  try {
    radgpt::JobFolders folders{.model = words[3], .trained_model = words[4]};
    if (count == 7) {
      folders.adapter = words[5];
      folders.trained_adapter = words[6];
    }
    radgpt::write_results(words[2], radgpt::compute_results(folders, radgpt::read_job(words[1])));
  } catch (const radgpt::Error& error) {
    std::cerr << "error: " << error.what() << '\n';
    return 1;
  }
}
