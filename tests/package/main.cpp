#include <ATen/core/Tensor.h>

#include <iostream>

#include "libradgpt/base/version.h"

int main() { std::cout << "radgpt::radgpt " << radgpt::version() << "\n"; }
