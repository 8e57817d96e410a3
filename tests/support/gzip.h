// SPDX-License-Identifier: Apache-2.0
// Compresses, as senders do. Pure functions.
#pragma once

#include <zlib.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

namespace tailgate::test {

// `zeros` bytes of zero and then `in`, in zlib's terms for `window_bits`: gzip, zlib (MAX_WBITS) or raw deflate
// (negative).
inline std::string deflated(std::string_view in, int window_bits, std::size_t zeros = 0) {
  z_stream z{};
  deflateInit2(&z, 6, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY);
  std::string out;
  char buffer[65536];
  const auto put = [&](std::string_view part, int flush) {
    z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(part.data()));
    z.avail_in = static_cast<uInt>(part.size());
    do {
      z.next_out = reinterpret_cast<Bytef*>(buffer);
      z.avail_out = sizeof buffer;
      deflate(&z, flush);
      out.append(buffer, sizeof buffer - z.avail_out);
    } while (z.avail_out == 0);
  };
  const std::string block(std::min<std::size_t>(zeros, 1 << 20), '\0');
  for (std::size_t left = zeros; left > 0; left -= std::min(left, block.size()))
    put(std::string_view(block).substr(0, left), Z_NO_FLUSH);
  put(in, Z_FINISH);
  deflateEnd(&z);
  return out;
}

inline std::string gzip(std::string_view in, std::size_t zeros = 0) { return deflated(in, 16 + MAX_WBITS, zeros); }

}  // namespace tailgate::test
