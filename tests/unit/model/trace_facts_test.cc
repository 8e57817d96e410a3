// SPDX-License-Identifier: Apache-2.0
#include "model/trace_facts.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <vector>

#include "model/verdict.h"

using namespace tailgate;

TEST_CASE("facts of two parts of a trace are merged", "[model]") {
  TraceFacts facts{.start_min_ns = 200, .end_max_ns = 900, .bytes = 50, .spans = 2, .errors = 1};
  facts.merge({.start_min_ns = 100, .end_max_ns = 700, .bytes = 30, .spans = 1, .errors = 0, .root_seen = true});
  CHECK(facts.start_min_ns == 100);
  CHECK(facts.end_max_ns == 900);
  CHECK(facts.bytes == 80);
  CHECK(facts.spans == 3);
  CHECK(facts.errors == 1);
  CHECK(facts.root_seen);
  CHECK(facts.duration_ns() == 800);
}

TEST_CASE("merging with no spans changes nothing", "[model]") {
  TraceFacts facts{.start_min_ns = 200, .end_max_ns = 900, .bytes = 50, .spans = 2, .errors = 1};
  facts.merge({});
  CHECK(facts.duration_ns() == 700);
  CHECK(facts.spans == 2);
  CHECK_FALSE(facts.root_seen);
}

TEST_CASE("an end before the start is a negative duration", "[model]") {
  CHECK(TraceFacts{.start_min_ns = 900, .end_max_ns = 200}.duration_ns() == -700);
}

TEST_CASE("absent and absurd times take no part in the duration, in whatever order they come", "[model]") {
  constexpr std::uint64_t kStart = 1'700'000'000'000'000'000, kEnd = kStart + 20'000'000, kJava = INT64_MAX;
  struct Span {
    std::uint64_t start, end;
  };
  const auto duration_of = [](std::vector<Span> spans) {
    TraceFacts in_order, backward, merged;
    for (const Span& s : spans) in_order.take_times(s.start, s.end);
    std::reverse(spans.begin(), spans.end());
    for (const Span& s : spans) {
      backward.take_times(s.start, s.end);
      TraceFacts one;
      one.take_times(s.start, s.end);
      merged.merge(one);
    }
    CHECK(in_order.duration_ns() == backward.duration_ns());
    CHECK(in_order.duration_ns() == merged.duration_ns());
    CHECK(in_order.first_start_ns() == backward.first_start_ns());
    return in_order.duration_ns();
  };
  const Span good{kStart, kEnd};
  CHECK(duration_of({good, {0, kEnd}}) == 20'000'000);    // a start that is not there
  CHECK(duration_of({good, {0, 20'000}}) == 20'000'000);  // Zipkin's shared server span
  CHECK(duration_of({good, {kStart, 0}}) == 20'000'000);  // an end that is not there
  CHECK(duration_of({good, {kStart, UINT64_MAX}}) == 20'000'000);
  CHECK(duration_of({good, {UINT64_MAX, UINT64_MAX}}) == 20'000'000);
  CHECK(duration_of({good, {kJava, kJava}}) == 20'000'000);
  CHECK(duration_of({{0, kEnd}}) == 0);
  CHECK(duration_of({{kStart, 0}}) == 0);
  CHECK(duration_of({{0, 0}}) == 0);
  CHECK(duration_of({{UINT64_MAX, kEnd}}) == 0);
  CHECK(duration_of({{0, kEnd}, {kEnd + 5, 0}}) == -5);  // of what is there
  CHECK(duration_of({}) == 0);
  CHECK(duration_of({{1, kJava - 1}}) == INT64_MAX - 2);
}

TEST_CASE("a new verdict is not sampled, in time, certain and without a policy", "[model]") {
  const Verdict verdict;
  CHECK(kDecisionNames[static_cast<std::size_t>(verdict.decision)] == "not_sampled");
  CHECK(kCloseReasonNames[static_cast<std::size_t>(verdict.reason)] == "timeout");
  CHECK(verdict.policy == 0);
  CHECK(verdict.threshold == 0);
  CHECK_FALSE(verdict.by_chance());
}

TEST_CASE("every decision and close reason has the name of its label", "[model]") {
  CHECK(kDecisionNames[static_cast<std::size_t>(Decision::kSampled)] == "sampled");
  CHECK(kDecisionNames[static_cast<std::size_t>(Decision::kDropped)] == "dropped");
  CHECK(kCloseReasonNames[static_cast<std::size_t>(CloseReason::kRoot)] == "root");
  CHECK(kCloseReasonNames[static_cast<std::size_t>(CloseReason::kSize)] == "size");
  CHECK(kCloseReasonNames[static_cast<std::size_t>(CloseReason::kTooLarge)] == "too_large");
  CHECK(kCloseReasonNames[static_cast<std::size_t>(CloseReason::kMemory)] == "memory");
  CHECK(kCloseReasonNames[static_cast<std::size_t>(CloseReason::kShutdown)] == "shutdown");
}

TEST_CASE("a verdict holds a close reason and its flags next to each other", "[model]") {
  Verdict verdict;
  verdict.reason = CloseReason::kShutdown;
  verdict.chance = true;
  CHECK(verdict.reason == CloseReason::kShutdown);
  CHECK(verdict.by_chance());
  CHECK_FALSE(verdict.complete);
  CHECK_FALSE(verdict.shed);
}
