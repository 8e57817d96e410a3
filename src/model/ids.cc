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
std::string IdBytes<N>::hex() const {
  return to_hex(view());
}

template struct IdBytes<16>;
template struct IdBytes<8>;

}  // namespace tailgate
