// SPDX-License-Identifier: Apache-2.0
// What a fuzz target wants to be true; the process ends when it is not.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace tailgate::test {

inline void demand(bool good, const char* what) {
  if (good) return;
  std::fprintf(stderr, "%s\n", what);
  std::abort();
}

}  // namespace tailgate::test
