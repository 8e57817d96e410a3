// SPDX-License-Identifier: Apache-2.0
// DigestKey: HMAC-SHA256 under a random key of this object. Equal secrets have equal digests, and nobody outside can
// predict the digest of a text, so digests may be keys of hash tables. About 1 us. Threads: any.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace tailgate {

using Digest = std::array<std::uint8_t, 32>;

struct DigestHash {
  std::size_t operator()(const Digest& digest) const {
    std::size_t out = 0;
    std::memcpy(&out, digest.data(), sizeof out);
    return out;
  }
};

struct DigestEqual {
  bool operator()(const Digest& a, const Digest& b) const;  // in constant time
};

class DigestKey {
 public:
  DigestKey();
  ~DigestKey();
  DigestKey(const DigestKey&) = delete;
  DigestKey& operator=(const DigestKey&) = delete;

  Digest of(std::string_view text) const;

 private:
  std::array<std::uint8_t, 32> key_;
};

}  // namespace tailgate
