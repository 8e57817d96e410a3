// SPDX-License-Identifier: Apache-2.0
// INVARIANT(x): aborts the process with the place in the source if x is false, in every build. Use it for what only a
// bug of our own can break, never for input.
#pragma once

#include <cstdio>
#include <cstdlib>

#define INVARIANT(x)                                                                 \
  do {                                                                               \
    if (!(x)) [[unlikely]] {                                                         \
      std::fprintf(stderr, "%s:%d: invariant broken: %s\n", __FILE__, __LINE__, #x); \
      std::abort();                                                                  \
    }                                                                                \
  } while (false)
