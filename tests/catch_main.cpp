// The main function of every test executable, compiled once. Version 3 of Catch2 brings its own.
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
