// SPDX-License-Identifier: Apache-2.0
#include "base/hash.h"

#include <xxhash.h>

#include <catch2/catch.hpp>
#include <string>

using namespace tailgate;

TEST_CASE("a hash is XXH3's on every processor, since files have it", "[base]") {
  std::string bytes;
  std::uint64_t state = 1;
  for (std::size_t size = 0; size <= 3000; ++size) {
    CAPTURE(size);
    for (const std::uint64_t seed : {std::uint64_t{0}, std::uint64_t{3}, next_random(state)}) {
      REQUIRE(hash_bytes(bytes, seed) == XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed));
    }
    bytes.push_back(static_cast<char>(next_random(state)));
  }
  CHECK(hash_bytes("", 0) == 0x2d06800538d394c2);
}
