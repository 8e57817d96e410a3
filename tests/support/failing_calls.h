// SPDX-License-Identifier: Apache-2.0
// Calls of the C library that fail in turn, for a program that defines some of its functions itself (pwrite, fsync,
// ...) and asks here what becomes of each call. The thread of the test alone uses it.
#pragma once

#include <dlfcn.h>
#include <sys/types.h>

#include <cerrno>
#include <cstddef>

namespace tailgate::test {

// The C library's own.
template <class F>
F* real(const char* name) {
  return reinterpret_cast<F*>(::dlsym(RTLD_NEXT, name));
}

struct FailingCalls {
  long left = -1;     // calls until one fails; negative: none does
  long fails = 1;     // so many calls in a row
  bool half = false;  // of a write that fails half is done, and the rest fails
  long calls = 0;

  // Whether this call fails, as on a full disk.
  bool next() {
    ++calls;
    if (left < 0) return false;
    if (left-- > 0) return false;
    if (--fails > 0) left = 0;
    errno = ENOSPC;
    return true;
  }

  // A write of `size` bytes, which `put(n)` does for the first n of them.
  template <class Put>
  ssize_t write(std::size_t size, const Put& put) {
    if (!next()) return put(size);
    if (!half || size < 2) return -1;
    half = false;
    left = 0;
    fails = 1;
    return put(size / 2);
  }
};

}  // namespace tailgate::test
