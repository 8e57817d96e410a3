// SPDX-License-Identifier: Apache-2.0
// Gives the memory of strings and vectors back that are used again. `x = {}` does not: to a string or vector itself it
// assigns an empty list of elements, and as a member of what is assigned to, a short string leaves the long one its
// memory.
#pragma once

#include <cstddef>

namespace tailgate {

template <class Container>
void free_memory(Container& container) {
  Container().swap(container);
}

// For what is filled again and again: empties it and gives its memory back if that is more than `kept` bytes; else
// leaves it as it is.
template <class Container>
void limit_memory(Container& container, std::size_t kept) {
  if (container.capacity() * sizeof(typename Container::value_type) > kept) free_memory(container);
}

}  // namespace tailgate
