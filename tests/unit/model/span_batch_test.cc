// SPDX-License-Identifier: Apache-2.0
#include "model/span_batch.h"

#include <catch2/catch.hpp>

using namespace tailgate;

namespace {

TraceId trace(std::uint32_t n) {
  TraceId id;
  std::memcpy(id.bytes.data() + 12, &n, sizeof n);
  return id;
}

}  // namespace

TEST_CASE("a trace id gets an entry when it is new and the same entry afterwards", "[model]") {
  SpanBatch batch;
  CHECK(batch.trace_index(trace(7)) == 0);
  CHECK(batch.trace_index(trace(9)) == 1);
  CHECK(batch.trace_index(trace(7)) == 0);
  REQUIRE(batch.traces.size() == 2);
  CHECK(batch.traces[1].id == trace(9));
  CHECK(batch.traces[1].first == kNoIndex);
  CHECK(batch.traces[1].facts.spans == 0);
}

TEST_CASE("1,000 traces keep their entries while the table grows", "[model]") {
  SpanBatch batch;
  batch.hash_seed = 42;
  for (std::uint32_t n = 0; n < 1000; ++n) REQUIRE(batch.trace_index(trace(n)) == n);
  for (std::uint32_t n = 0; n < 1000; ++n) REQUIRE(batch.trace_index(trace(n)) == n);
  CHECK(batch.traces.size() == 1000);
}

TEST_CASE("each trace has its own words of bits, zero at first", "[model]") {
  SpanBatch batch;
  batch.words_per_trace = 3;
  const std::uint32_t a = batch.trace_index(trace(1));
  batch.words_of(a)[2] = 5;
  const std::uint32_t b = batch.trace_index(trace(2));
  CHECK(batch.words.size() == 6);
  CHECK(batch.words_of(a)[2] == 5);
  for (std::size_t word = 0; word < 3; ++word) CHECK(batch.words_of(b)[word] == 0);
}

TEST_CASE("a cleared batch knows no trace of before, whether it held few or many", "[model]") {
  for (const std::uint32_t held : {1U, 10U, 120U, 1000U}) {
    INFO(held);
    SpanBatch batch;
    batch.words_per_trace = 1;
    for (std::uint32_t n = 0; n < held; ++n) *batch.words_of(batch.trace_index(trace(n))) = 1;
    batch.clear();
    CHECK(batch.traces.empty());
    CHECK(batch.words.empty());
    for (std::uint32_t n = held; n-- > 0;) REQUIRE(batch.trace_index(trace(n)) == held - 1 - n);
    CHECK(*batch.words_of(0) == 0);
  }
}
