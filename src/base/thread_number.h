// SPDX-License-Identifier: Apache-2.0
// The number of a thread, from 0 in the order in which threads first ask: threads that count in parts of their own
// choose one by it.
#pragma once

#include <atomic>
#include <cstddef>

namespace tailgate {

inline std::size_t number_of_this_thread() {
  static std::atomic<std::size_t> next{0};
  thread_local const std::size_t number = next.fetch_add(1, std::memory_order_relaxed);
  return number;
}

}  // namespace tailgate
