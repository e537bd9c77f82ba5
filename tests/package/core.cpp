#include <iostream>

#include "libradgpt/base/version.h"

int main() { std::cout << "radgpt::core " << radgpt::version() << "\n"; }
