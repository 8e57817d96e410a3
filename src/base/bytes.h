// SPDX-License-Identifier: Apache-2.0
// ByteView: bytes that another object owns; not necessarily text. Helpers to read little-endian numbers from unaligned
// memory.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace tailgate {

using ByteView = std::string_view;

// The swap is compiled away on little-endian machines; protobuf's fixed fields are little-endian on every machine.
template <class T>
inline T load_le(const char* p) {
  T v;
  std::memcpy(&v, p, sizeof v);
  if constexpr (std::endian::native == std::endian::big) {
    if constexpr (sizeof(T) == 8) v = static_cast<T>(__builtin_bswap64(static_cast<std::uint64_t>(v)));
    if constexpr (sizeof(T) == 4) v = static_cast<T>(__builtin_bswap32(static_cast<std::uint32_t>(v)));
  }
  return v;
}

}  // namespace tailgate
