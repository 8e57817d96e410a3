// SPDX-License-Identifier: Apache-2.0
#include "signals/half_edges.h"

#include <catch2/catch.hpp>
#include <deque>

#include "support/random_otlp.h"

using namespace tailgate;
using namespace tailgate::test;
using Added = HalfEdges::Added;

TEST_CASE("random sides wait, pair and end as in a list that is searched from the front", "[signals]") {
  constexpr std::size_t kMax = 10;
  HalfEdges halves(kMax);
  std::deque<std::pair<HalfEdge, std::uint32_t>> twin;
  Random r(4);
  std::uint32_t now = UINT32_MAX - 500;  // it wraps around
  std::size_t counts[4] = {};
  for (int i = 0; i < 50'000; ++i) {
    now += static_cast<std::uint32_t>(r.below(2));
    if (r.one_in(3)) {
      const std::uint32_t until = now - 30;
      const auto got = halves.take_old(until);
      const bool due = !twin.empty() && static_cast<std::int32_t>(until - twin.front().second) >= 0;
      REQUIRE(got.has_value() == due);
      if (due) {
        REQUIRE(got->duration_ns == twin.front().first.duration_ns);
        twin.pop_front();
      }
      continue;
    }
    HalfEdge half;
    half.key = r.below(60) * 0x100000001ULL;
    half.duration_ns = r.next();
    half.client = r.one_in(2);
    auto it = twin.begin();
    while (it != twin.end() && it->first.key != half.key) ++it;
    Added expected = Added::kWaits;
    std::uint64_t other_ns = 0;
    if (it != twin.end() && it->first.client == half.client) {
      it->first = half;
      expected = Added::kReplaced;
    } else if (it != twin.end()) {
      other_ns = it->first.duration_ns;
      twin.erase(it);
      expected = Added::kPaired;
    } else if (twin.size() == kMax) {
      expected = Added::kFull;
    } else {
      twin.emplace_back(half, now);
    }
    const HalfEdge* other = nullptr;
    REQUIRE(halves.add(half, now, other) == expected);
    if (expected == Added::kPaired) REQUIRE(other->duration_ns == other_ns);
    REQUIRE(halves.size() == twin.size());
    ++counts[static_cast<std::size_t>(expected)];
  }
  for (const std::size_t count : counts) CHECK(count > 100);
}
