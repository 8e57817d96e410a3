// SPDX-License-Identifier: Apache-2.0
// TraceId and SpanId: the plain bytes from the wire. Strangers choose them, so tables hash them with a seed and compare
// them whole.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

namespace tailgate {

template <std::size_t N>
struct IdBytes {
  std::array<char, N> bytes{};

  static IdBytes from(const char* p) {
    IdBytes id;
    std::memcpy(id.bytes.data(), p, N);
    return id;
  }
  // Exactly 2N hex digits of any case; empty otherwise.
  static std::optional<IdBytes> from_hex(std::string_view hex);
  // As people and their tools give one: 1 to 2N hex digits with blanks around them, zeros added on the left. Empty for
  // an id of zeros too, which names nothing.
  static std::optional<IdBytes> from_short_hex(std::string_view hex);

  bool is_zero() const { return *this == IdBytes{}; }
  std::string_view view() const { return {bytes.data(), N}; }
  std::string hex() const;  // 2N lower-case digits
  bool operator==(const IdBytes& other) const {
    return std::memcmp(bytes.data(), other.bytes.data(), N) == 0;
  }  // inlined
  auto operator<=>(const IdBytes&) const = default;
};

using TraceId = IdBytes<16>;
using SpanId = IdBytes<8>;

}  // namespace tailgate
