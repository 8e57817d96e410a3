// SPDX-License-Identifier: Apache-2.0
// Inflates by zlib: the slower twin of net/http/inflate.h for gzip and deflate. Pure.
#pragma once

#include <zlib.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

#include "net/http/inflate.h"

namespace tailgate::test {

struct ZlibAnswer {
  bool ok = false;
  std::string out;
  // A block's Huffman code is incomplete, or has no end of the block. zlib refuses it at once, ISA-L when a code is met
  // that means nothing.
  bool bad_code = false;
};

inline ZlibAnswer inflate_by_zlib(Coding coding, std::string_view in, std::size_t cap) {
  ZlibAnswer answer;
  z_stream z{};
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(in[i]); };
  const bool zlib_header =
      in.size() >= 2 && (byte(0) & 0x0F) == 8 && byte(0) >> 4 <= 7 && (byte(0) * 256 + byte(1)) % 31 == 0;
  inflateInit2(&z, coding == Coding::kGzip ? 16 + MAX_WBITS : zlib_header ? MAX_WBITS : -MAX_WBITS);
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
  z.avail_in = static_cast<uInt>(in.size());
  char buffer[4096];
  for (int rv = Z_OK; rv == Z_OK && answer.out.size() <= cap;) {
    z.next_out = reinterpret_cast<Bytef*>(buffer);
    z.avail_out = sizeof buffer;
    rv = inflate(&z, Z_NO_FLUSH);
    answer.out.append(buffer, sizeof buffer - z.avail_out);
    if (rv == Z_STREAM_END && z.avail_in == 0) answer.ok = answer.out.size() <= cap;
    if (rv == Z_STREAM_END && z.avail_in != 0 && coding == Coding::kGzip) rv = inflateReset(&z);
  }
  const std::string_view why = z.msg != nullptr ? z.msg : "";
  answer.bad_code = why.ends_with(" set") || why.ends_with("missing end-of-block");
  inflateEnd(&z);
  return answer;
}

// What inflate_body() has found, against the twin's answer. Which of two reasons a refusal gives may differ.
inline bool agrees(const ZlibAnswer& twin, InflateResult result, std::string_view out) {
  if (result == InflateResult::kOk) return twin.ok ? out == twin.out : twin.bad_code;
  return !twin.ok;
}

}  // namespace tailgate::test
