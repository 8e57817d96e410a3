// SPDX-License-Identifier: Apache-2.0
#include "buffer/chunk_pool.h"

#include <catch2/catch.hpp>
#include <deque>
#include <vector>

#include "base/units.h"
#include "support/random_otlp.h"

using namespace tailgate;

namespace {

constexpr SizeClass kLargest = kClassUnits.size() - 1;

std::vector<Chunk> take_bytes(LocalChunks& chunks, std::size_t bytes, SizeClass size) {
  std::vector<Chunk> pieces;
  for (std::size_t taken = 0; taken < bytes; taken += class_bytes(pieces.back().size)) {
    pieces.push_back(chunks.take(size));
    REQUIRE(pieces.back().ref != kNoChunk);
  }
  return pieces;
}

void give_all(LocalChunks& chunks, const std::vector<Chunk>& pieces) {
  for (const Chunk piece : pieces) chunks.give(piece);
}

}  // namespace

TEST_CASE("pieces for so many bytes leave less than a unit unused", "[buffer]") {
  for (std::size_t bytes = kChunkMin; bytes < 3 * kChunkMax; ++bytes) {
    std::size_t left = bytes, taken = 0;
    while (left != 0) {
      const std::size_t piece = class_bytes(class_for(std::min(left, kChunkMax)));
      taken += piece;
      left -= std::min(left, piece);
    }
    // Beyond the largest piece the rest is not known in advance, and may be shorter than the smallest one.
    CHECK(taken - bytes < (bytes <= kChunkMax ? kChunkUnit : kChunkMin));
  }
  CHECK(class_bytes(class_for(1)) == kChunkMin);
}

TEST_CASE("no two owners have the same memory, and all of it can be used in any size", "[buffer]") {
  test::Random r(11);
  ChunkPool pool(8 * kMiB);
  LocalChunks shards[2] = {LocalChunks(pool), LocalChunks(pool)};
  std::vector<bool> owned(8 * kMiB / kChunkUnit);
  struct Held {
    Chunk piece;
    std::size_t shard;
  };
  std::vector<Held> held;
  std::size_t bytes_held = 0;
  const auto free_one = [&] {
    std::swap(held[r.below(held.size())], held.back());
    const Held last = held.back();
    held.pop_back();
    for (std::size_t u = 0; u < kClassUnits[last.piece.size]; ++u) owned[last.piece.ref + u] = false;
    bytes_held -= class_bytes(last.piece.size);
    shards[last.shard].give(last.piece);
  };
  std::size_t times_full = 0;
  for (int round = 0; round < 200'000; ++round) {
    // Sizes come in fashion and go out of it, so that pieces of the wrong size lie about.
    const auto size = static_cast<SizeClass>(r.below(3) == 0 ? r.below(kClassUnits.size())
                                                             : static_cast<std::size_t>(round / 20'000 % 9));
    const std::size_t shard = r.below(2);
    const Chunk piece = shards[shard].take(size);
    if (piece.ref == kNoChunk) {
      ++times_full;
      // What is not held lies in the other shard, or is the end of the region, too short for a piece.
      REQUIRE(shards[shard].bytes_free() == 0);
      REQUIRE(bytes_held + shards[1 - shard].bytes_free() + kChunkMin > 8 * kMiB);
      for (std::size_t n = held.size() / 2; n-- != 0;) free_one();
      continue;
    }
    for (std::size_t u = 0; u < kClassUnits[piece.size]; ++u) {
      REQUIRE_FALSE(owned[piece.ref + u]);
      owned[piece.ref + u] = true;
    }
    bytes_held += class_bytes(piece.size);
    held.push_back({piece, shard});
    if (!held.empty() && r.below(4) == 0) free_one();
  }
  CHECK(times_full > 10);
}

TEST_CASE("a shard does not keep the memory of a giant trace for itself", "[buffer]") {
  ChunkPool pool(16 * kMiB);
  LocalChunks one(pool), other(pool);
  for (int i = 0; i < 3; ++i) give_all(one, take_bytes(one, 4 * kMiB, kLargest));
  CHECK(one.bytes_free() <= kMiB);
  take_bytes(other, 15 * kMiB, 0);  // cut from the large ones
}

TEST_CASE("a shard does not keep what it cuts off, when nobody there wants that size", "[buffer]") {
  ChunkPool pool(16 * kMiB);
  LocalChunks one(pool), other(pool);
  give_all(one, take_bytes(one, 15 * kMiB, 5));
  // Instead of 2 KiB the pool gives 512 bytes several times, which are cut for 192 bytes and leave 320.
  for (std::size_t taken = 0; taken < 8 * kMiB;) {
    for (const SizeClass size : {SizeClass{7}, SizeClass{0}}) {
      const Chunk piece = other.take(size);
      REQUIRE(piece.ref != kNoChunk);
      taken += class_bytes(piece.size);
    }
    REQUIRE(other.bytes_free() <= LocalChunks::kBytesMax);
  }
}

TEST_CASE("a region too full for a large piece gives small ones", "[buffer]") {
  ChunkPool pool(2 * kMiB);
  LocalChunks chunks(pool);
  take_bytes(chunks, 2 * kMiB - 3 * kChunkMin, 0);
  std::size_t got = 0;
  for (Chunk piece = chunks.take(kLargest); piece.ref != kNoChunk; piece = chunks.take(kLargest)) {
    CHECK(class_bytes(piece.size) < kChunkMax);
    got += class_bytes(piece.size);
  }
  CHECK(got >= 2 * kChunkMin);
}

TEST_CASE("pieces of other sizes are used before fresh memory", "[buffer]") {
  ChunkPool pool(64 * kMiB);
  LocalChunks chunks(pool);
  const std::vector<Chunk> small = take_bytes(chunks, 20 * kMiB, 0);
  give_all(chunks, small);
  const std::size_t before = pool.bytes_committed();
  const std::vector<Chunk> large = take_bytes(chunks, 17 * kMiB, kLargest);
  CHECK(pool.bytes_committed() == before);
  give_all(chunks, large);
  take_bytes(chunks, 17 * kMiB, 3);
  CHECK(pool.bytes_committed() == before);
}

TEST_CASE("traces of all sizes may come and go for long: the region does not grow, and pieces stay large", "[buffer]") {
  test::Random r(3);
  ChunkPool pool(256 * kMiB);
  LocalChunks chunks(pool);
  std::deque<std::vector<Chunk>> held;
  std::size_t pieces = 0, pieces_at_first = 0, committed_at_first = 0;
  for (int turn = 0; turn < 40; ++turn) {  // all of it is replaced in about two
    for (std::size_t taken = 0; taken < 40 * kMiB;) {
      std::vector<Chunk>& trace = held.emplace_back();
      for (std::size_t left = 300u << r.below(9); left != 0; left -= std::min(left, class_bytes(trace.back().size))) {
        trace.push_back(chunks.take(class_for(std::min(left + r.below(200), kChunkMax))));
        taken += class_bytes(trace.back().size);
      }
      pieces += trace.size();
      for (std::size_t n = r.below(3); held.size() > 4000 && n-- != 0;) {
        // Mostly the oldest.
        if (r.below(5) == 0) std::swap(held.front(), held[r.below(held.size())]);
        pieces -= held.front().size();
        give_all(chunks, held.front());
        held.pop_front();
      }
    }
    if (turn == 5) pieces_at_first = pieces, committed_at_first = pool.bytes_committed();
  }
  CHECK(pool.bytes_committed() < committed_at_first * 5 / 4);
  CHECK(pieces < pieces_at_first * 5 / 4);
}
