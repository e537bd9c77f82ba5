#include <iostream>

#include "libradgpt/base/version.h"

int main() { std::cout << "libradgpt " << radgpt::version() << "\n"; }
