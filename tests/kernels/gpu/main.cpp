// The test cases of kernels on a real GPU, where there is one.

#include <cuda_runtime.h>

#include <cstdio>

#define CATCH_CONFIG_RUNNER
#include "tests/catch.h"

int main(int argc, char** argv) {
  int devices = 0;
  if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
    const auto& cases = Catch::getRegistryHub().getTestCaseRegistry().getAllTests();
    std::printf("skipped: no GPU; %zu test cases\n", cases.size());
    return 0;
  }
  return Catch::Session().run(argc, argv);
}
