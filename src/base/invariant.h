// INVARIANT(x): x is false only through a bug of our own; prints where and aborts, in every build. Never for input.
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
