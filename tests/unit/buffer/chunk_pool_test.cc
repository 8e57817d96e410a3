// SPDX-License-Identifier: Apache-2.0
#include "buffer/chunk_pool.h"

#include <catch2/catch.hpp>
#include <cstring>
#include <vector>

using namespace tailgate;

namespace {

constexpr std::size_t kMiB = 1 << 20;

// Takes `count` pieces as one chain, as a trace holds them.
ChunkChain take_chain(LocalChunks& chunks, bool large, std::uint32_t count) {
  ChunkChain chain;
  for (std::uint32_t i = 0; i < count; ++i) {
    bool got_large = false;
    const ChunkRef piece = large ? chunks.take(true, got_large) : chunks.take_small();
    REQUIRE(piece != kNoChunk);
    REQUIRE(got_large == large);
    if (chain.count++ == 0) {
      chain.head = piece;
    } else {
      std::memcpy(chunks.at(chain.tail) + (large ? kLargeChunk : kChunkUnit) - 4, &piece, 4);
    }
    chain.tail = piece;
  }
  return chain;
}

}  // namespace

TEST_CASE("a shard does not keep the memory of a giant trace for itself", "[buffer]") {
  ChunkPool pool(16 * kMiB);
  LocalChunks one(pool), other(pool);
  for (int i = 0; i < 3; ++i) one.give(true, take_chain(one, true, 2 * kMiB / kLargeChunk));
  constexpr std::uint32_t kGiant = 4 * kMiB / kLargeChunk;
  const ChunkChain a = take_chain(one, true, kGiant), b = take_chain(one, true, kGiant),
                   c = take_chain(one, true, kGiant);
  for (const ChunkChain& chain : {a, b, c}) one.give(true, chain);
  CHECK(one.bytes_free() <= kMiB);
  take_chain(other, false, 15 * kMiB / kChunkUnit);  // cut from the large ones
}

TEST_CASE("a region too full for a large piece says so", "[buffer]") {
  ChunkPool pool(2 * kMiB);
  LocalChunks small(pool), large(pool);
  bool got_large = true;
  for (std::size_t i = 0; i < 2 * kMiB / kChunkUnit / 64 - 1; ++i) {
    std::vector<ChunkChain> chains;
    REQUIRE(pool.take(false, 64, chains));
  }
  std::vector<ChunkChain> chains;
  REQUIRE(pool.take(false, 62, chains));  // 512 bytes are left
  REQUIRE(large.take(true, got_large) != kNoChunk);
  CHECK_FALSE(got_large);
  REQUIRE(large.take(true, got_large) != kNoChunk);
  CHECK(large.take(true, got_large) == kNoChunk);
}
