// SPDX-License-Identifier: Apache-2.0
#include "buffer/trace_table.h"

#include <catch2/catch.hpp>
#include <map>
#include <random>

using namespace tailgate;

// Hashes of 4 bits in the place that decides make long runs, which wrap around the end of the table.
TEST_CASE("a table of traces does what a map does, whatever the hashes are", "[buffer]") {
  for (const std::uint64_t hash_mask : {0xffffffffffffffffULL, 0xf0000003ULL, 0xffffff00f0000000ULL, 0ULL}) {
    CAPTURE(hash_mask);
    std::mt19937_64 random(7);
    TraceTable table;
    std::map<ChunkRef, std::uint64_t> open;
    ChunkRef next = 0;
    for (int i = 0; i < 6'000; ++i) {
      if (open.empty() || random() % 16 < (i < 3'000 ? 10u : 5u)) {
        const std::uint64_t hash = (hash_mask == 0 ? ~0ULL : random()) & (hash_mask == 0 ? ~0ULL : hash_mask);
        table.insert(hash, next);
        open[next++] = hash;
      } else {
        auto it = open.lower_bound(static_cast<ChunkRef>(random() % next));
        if (it == open.end()) it = open.begin();
        table.erase(it->second, it->first);
        CHECK(table.find(it->second, [&](ChunkRef ref) { return ref == it->first; }) == kNoChunk);
        open.erase(it);
      }
      table.prefetch(random());
      REQUIRE(table.size() == open.size());
      if (i % 500 != 0) continue;
      for (const auto& [ref, hash] : open) {
        const ChunkRef wanted = ref;
        REQUIRE(table.find(hash, [&](ChunkRef other) { return other == wanted; }) == ref);
      }
    }
  }
}
