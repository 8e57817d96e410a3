// SPDX-License-Identifier: Apache-2.0
#include "model/ids.h"

#include "codec/hex.h"

namespace tailgate {

template <std::size_t N>
std::optional<IdBytes<N>> IdBytes<N>::from_hex(std::string_view hex) {
  IdBytes id;
  if (hex.size() != 2 * N || !read_hex(hex, id.bytes.data())) return std::nullopt;
  return id;
}

template <std::size_t N>
std::optional<IdBytes<N>> IdBytes<N>::from_short_hex(std::string_view hex) {
  constexpr const char* kBlanks = " \t\r\n";
  const std::size_t first = hex.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return std::nullopt;
  const std::string_view digits = hex.substr(first, hex.find_last_not_of(kBlanks) + 1 - first);
  if (digits.size() > 2 * N) return std::nullopt;
  const std::optional<IdBytes> id = from_hex(std::string(2 * N - digits.size(), '0').append(digits));
  return id && id->is_zero() ? std::nullopt : id;
}

template <std::size_t N>
std::string IdBytes<N>::hex() const {
  return to_hex(view());
}

template struct IdBytes<16>;
template struct IdBytes<8>;

}  // namespace tailgate
