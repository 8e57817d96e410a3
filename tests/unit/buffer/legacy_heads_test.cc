// SPDX-License-Identifier: Apache-2.0
// Heads that keep low ids in front of a tail that decides by randomness, simulated.
#include <catch2/catch.hpp>

#include "support/buffer_fixture.h"
#include "support/legacy_ids.h"

using namespace tailgate;
using namespace tailgate::test;
using namespace std::chrono_literals;

namespace {

struct Tail {
  explicit Tail(double percentage)
      : fixture({.decision_wait = 1s, .explain_bytes = 1 << 20},
                "[{name: baseline, type: probabilistic, probabilistic: {sampling_percentage: " +
                    std::to_string(percentage) + "}}]",
                PolicySetOptions{.use_tracestate = true}) {}

  // Shares of the traces of each of so many seconds that are kept, and whether a threshold is told.
  double kept_share(HeadIds& ids, int seconds, const std::string& state = "") {
    std::size_t kept = 0, sent = 0;
    for (int end = second + seconds; second < end; ++second) {
      std::vector<SpanSpec> specs;
      for (std::uint64_t i = 0; i < 100; ++i) specs.push_back({.trace = i + 1, .id = 1, .trace_state = state});
      twin::TracesData data = traces(specs, "shop");
      for (auto& span : *data.mutable_resource_spans(0)->mutable_scope_spans(0)->mutable_spans()) {
        span.set_trace_id(std::string(ids.next().view()));
        ++sent;
      }
      fixture.add_request(data.SerializeAsString(), std::chrono::seconds(second));
      kept += fixture.close_due(std::chrono::seconds(second));
      for (const ClosedTrace& one : fixture.closed) {
        told += one.verdict.threshold != ThresholdTable::kCertainCode &&
                one.verdict.threshold != ThresholdTable::kUnknownCode;
      }
      fixture.settle_all();
      fixture.requests.clear();
    }
    return static_cast<double>(kept) / static_cast<double>(sent);
  }

  BufferFixture fixture;
  int second = 0;
  std::size_t told = 0;  // kept traces with a threshold that is told
};

}  // namespace

TEST_CASE("behind a legacy head a policy keeps its share, once the head is found", "[buffer]") {
  for (const Head head : {Head::kLowWord, Head::kJava}) {
    for (const double percentage : {50.0, 10.0, 1.0}) {
      INFO(static_cast<int>(head) << ", tail " << percentage << " %");
      Tail tail(percentage);
      HeadIds ids(head, 0.001);
      const double before = tail.kept_share(ids, 55);
      if (head == Head::kLowWord) CHECK(before == 0);
      if (head == Head::kJava && percentage == 10) CHECK(before == Approx(0.39).epsilon(0.1));
      tail.kept_share(ids, 10);
      tail.told = 0;
      CHECK(tail.kept_share(ids, 300) == Approx(percentage / 100).epsilon(percentage == 1 ? 0.2 : 0.05));
      CHECK(tail.told == 0);
      CHECK(tail.fixture.policies.tables->legacy_heads.stats().services == 1);
    }
  }
}

TEST_CASE("an even head, and one whose traces carry rv, are judged by their randomness", "[buffer]") {
  Tail even(10);
  HeadIds all(Head::kNone, 1);
  CHECK(even.kept_share(all, 200) == Approx(0.1).epsilon(0.1));
  CHECK(even.told > 1000);
  CHECK(even.fixture.policies.tables->legacy_heads.stats().traces == 0);

  Tail explicit_random(10);
  HeadIds low(Head::kLowWord, 0.001);
  CHECK(explicit_random.kept_share(low, 200, "ot=rv:fffffffffffff0") == Approx(0.995).epsilon(0.01));
  CHECK(explicit_random.fixture.policies.tables->legacy_heads.stats().traces == 0);
}

TEST_CASE("what is kept with certainty behind a legacy head stays certain", "[buffer]") {
  Tail all(100);
  HeadIds ids(Head::kLowWord, 0.001);
  all.kept_share(ids, 65);
  CHECK(all.kept_share(ids, 10) == 1);
  CHECK(all.told == 0);
  CHECK(all.fixture.policies.tables->legacy_heads.stats().services == 1);
}
