// model_results JOB RESULTS MODEL [ADAPTER TRAINED]: computes results.h's job on the model of a
// folder, with the adapter of a folder if there is one, and writes the adapter that the job trains.

#include <iostream>

#include "libradgpt/base/error.h"
#include "tests/reference/results.h"

int main(int count, char** words) {
  if (count != 4 && count != 6) {
    std::cerr << "usage: model_results JOB RESULTS MODEL [ADAPTER TRAINED]\n";
    return 2;
  }
  try {
    radgpt::JobFolders folders{.model = words[3], .adapter = {}, .trained = {}};
    if (count == 6) {
      folders.adapter = words[4];
      folders.trained = words[5];
    }
    radgpt::write_results(words[2], radgpt::compute_results(folders, radgpt::read_job(words[1])));
  } catch (const radgpt::Error& error) {
    std::cerr << "error: " << error.what() << '\n';
    return 1;
  }
}
