// SPDX-License-Identifier: Apache-2.0
// What this thread takes of memory by `new`, for tests of what must not grow with what strangers send. Included by one
// file of a program, whose operators new and delete it replaces.
#pragma once

#include <malloc.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace tailgate::test {

struct CountedMemory {
  std::uint64_t calls = 0, bytes = 0;
  std::int64_t held = 0, most = 0;  // since reset()
};
inline thread_local CountedMemory counted_memory;

inline void* take_memory(std::size_t size) {
  void* const p = std::malloc(std::max<std::size_t>(1, size));
  if (p == nullptr) throw std::bad_alloc();
  const auto bytes = static_cast<std::int64_t>(malloc_usable_size(p));
  CountedMemory& m = counted_memory;
  ++m.calls;
  m.bytes += static_cast<std::uint64_t>(bytes);
  m.held += bytes;
  m.most = std::max(m.most, m.held);
  return p;
}
inline void give_memory_back(void* p) {
  if (p != nullptr) counted_memory.held -= static_cast<std::int64_t>(malloc_usable_size(p));
  std::free(p);
}

template <class Work>
CountedMemory memory_of(Work&& work) {
  counted_memory = {};
  work();
  return counted_memory;
}

}  // namespace tailgate::test

void* operator new(std::size_t size) { return tailgate::test::take_memory(size); }
void* operator new[](std::size_t size) { return tailgate::test::take_memory(size); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return tailgate::test::take_memory(size); }
void operator delete(void* p) noexcept { tailgate::test::give_memory_back(p); }
void operator delete[](void* p) noexcept { tailgate::test::give_memory_back(p); }
void operator delete(void* p, std::size_t) noexcept { tailgate::test::give_memory_back(p); }
void operator delete[](void* p, std::size_t) noexcept { tailgate::test::give_memory_back(p); }
