// SPDX-License-Identifier: Apache-2.0
// Catch2's main, compiled once for every test program (8 s a time otherwise).
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
