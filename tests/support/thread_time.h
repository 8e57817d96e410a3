// SPDX-License-Identifier: Apache-2.0
// The time that this thread has worked, for component tests of what must not be costly.
#pragma once

#include <ctime>

namespace tailgate::test {

template <class Work>
double cpu_seconds_of(Work&& work) {
  const auto now = [] {
    timespec t{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
  };
  const double begin = now();
  work();
  return now() - begin;
}

}  // namespace tailgate::test
