// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>
#include <numeric>

#include "base/units.h"
#include "settings/assembly.h"

using namespace tailgate;

namespace {

std::size_t share(const ByteBudget::Caps& caps, Holder holder) { return caps[static_cast<std::size_t>(holder)]; }
std::size_t sum(const ByteBudget::Caps& caps) { return std::accumulate(caps.begin(), caps.end(), std::size_t{0}); }

}  // namespace

TEST_CASE("of 560 MiB 48 are the process's own, and the rest is shared out", "[settings]") {
  const auto caps = budget_caps(560 * kMiB, 32 * kMiB, 0);
  CHECK(share(caps, Holder::kQueues) == 128 * kMiB);   // a quarter of 512
  CHECK(share(caps, Holder::kRequests) == 80 * kMiB);  // one request of the largest size, more than an eighth
  CHECK(share(caps, Holder::kCaches) == 32 * kMiB);
  CHECK(share(caps, Holder::kConnections) == 0);  // no receiver has TLS
  CHECK(share(caps, Holder::kTraces) == 272 * kMiB);
  CHECK(sum(caps) == 512 * kMiB);
}

TEST_CASE("of the smallest limit a third is the process's own and requests get a quarter", "[settings]") {
  const auto caps = budget_caps(96 * kMiB, 4 * kMiB, 0);
  CHECK(share(caps, Holder::kQueues) == 16 * kMiB);  // a quarter of 64
  CHECK(share(caps, Holder::kRequests) == 16 * kMiB);
  CHECK(share(caps, Holder::kCaches) == 4 * kMiB);
  CHECK(share(caps, Holder::kTraces) == 28 * kMiB);
  CHECK(sum(caps) == 64 * kMiB);
}

TEST_CASE("of a large limit requests get an eighth, and 512 MiB at most", "[settings]") {
  CHECK(share(budget_caps((1024 + 48) * kMiB, 0, 0), Holder::kRequests) == 128 * kMiB);
  CHECK(share(budget_caps((4096 + 48) * kMiB, 0, 0), Holder::kRequests) == 512 * kMiB);
  CHECK(share(budget_caps((8192 + 48) * kMiB, 0, 0), Holder::kRequests) == 512 * kMiB);
  CHECK(share(budget_caps((8192 + 48) * kMiB, 0, 0), Holder::kQueues) == 2048 * kMiB);
}

TEST_CASE("with TLS each connection takes 40 KiB, all of them an eighth of the budget at most", "[settings]") {
  CHECK(share(budget_caps(560 * kMiB, 0, 100), Holder::kConnections) == 100 * 40 * 1024);
  const auto full = budget_caps(560 * kMiB, 0, 1'000'000);
  CHECK(share(full, Holder::kConnections) == 64 * kMiB);
  CHECK(share(full, Holder::kTraces) == (512 - 128 - 80 - 64) * kMiB);
}

TEST_CASE("with caches larger than what is left, traces get nothing", "[settings]") {
  CHECK(share(budget_caps(96 * kMiB, 40 * kMiB, 0), Holder::kTraces) == 0);
}
