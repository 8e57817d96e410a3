// SPDX-License-Identifier: Apache-2.0
#include <bit>
#include <catch2/catch.hpp>

#include "buffer/explain_log.h"
#include "support/buffer_fixture.h"
#include "support/random_otlp.h"

using namespace tailgate;
using namespace tailgate::test;
using namespace std::chrono_literals;

namespace {

TraceId random_id(Random& random) {
  TraceId id;
  for (char& c : id.bytes) c = static_cast<char>(random.next());
  return id;
}

BufferLimits with_explain() {
  BufferLimits limits;
  limits.decision_wait = 1s;
  limits.cache_bytes = 1 << 16;
  limits.explain_bytes = 1 << 20;
  limits.wall_at_origin_ns = 1'000'000'000'000;
  return limits;
}

}  // namespace

TEST_CASE("the log finds the last traces put and forgets the oldest", "[buffer]") {
  ExplainLog log(1 << 20, 64, 2, 7);
  Random random(1);
  std::vector<TraceId> ids;
  const std::vector<Ballot> ballots = {
      {Vote::kSampled, 0}, {Vote::kNotAsked, 0}, {Vote::kDropped, 0}, {Vote::kNotSampled, 0}, {Vote::kSampled, 0}};
  for (int i = 0; i < 20'000; ++i) {
    ids.push_back(random_id(random));
    log.put(ids.back(), ballots).spans = static_cast<std::uint32_t>(i);
  }
  const std::size_t size = log.size();
  CHECK(size > 4'500);  // 64 MiB hold some 300,000
  CHECK(size < 20'000);
  for (std::size_t i = 0; i < size; ++i) {
    const std::size_t n = ids.size() - 1 - i;
    const ExplainRecord* const record = log.find(ids[n]);
    REQUIRE(record != nullptr);
    CHECK(record->spans == n);
    CHECK(log.recent(i) == record);
    CHECK(log.vote(*record, 2) == Vote::kDropped);
    CHECK(log.vote(*record, 4) == Vote::kSampled);
  }
  CHECK(log.find(ids[ids.size() - 1 - size]) == nullptr);
  CHECK(log.recent(size) == nullptr);
  CHECK(log.find(random_id(random)) == nullptr);
}

TEST_CASE("a list read in parts repeats nothing that was there, whatever is written meanwhile", "[buffer]") {
  ExplainLog log(1 << 20, 64, 2, 7);
  Random random(3);
  for (std::uint32_t i = 0; i < 10'000; ++i) log.put(random_id(random), {}).spans = i;
  const std::uint64_t written = log.written();
  std::uint32_t next = 9'999;
  std::uint64_t age = 0;
  for (; const ExplainRecord* const record = log.recent(age, written); ++age) {
    REQUIRE(record->spans == next--);
    if (age % 100 == 99) log.put(random_id(random), {}).spans = 1'000'000;
  }
  CHECK(age > log.size() - log.size() / 50);  // to the oldest that has not been written over
}

TEST_CASE("details go to the record that asked and to no other", "[buffer]") {
  ExplainLog log(1 << 20, 64, 2, 7);
  Random random(2);
  for (int round = 0; round < 30'000; ++round) {
    const TraceId id = random_id(random);
    ExplainRecord& record = log.put(id, {});
    CHECK(log.find_detail(record) == nullptr);
    if (round % 3 != 0) continue;
    ExplainDetail& detail = log.detail(record);
    REQUIRE(detail.missing_count == 0);
    detail.missing[detail.missing_count++] = static_cast<std::uint64_t>(round);
    REQUIRE(log.find_detail(record)->missing[0] == static_cast<std::uint64_t>(round));
  }
  std::size_t with = 0;
  for (std::size_t age = 0; age < log.size(); ++age) with += log.find_detail(*log.recent(age)) != nullptr;
  CHECK(with == log.size() / 12);  // as many as there is room for, the newest
}

TEST_CASE("without memory for decisions only the verdict is known, and without a cache nothing", "[buffer]") {
  CHECK_FALSE(ExplainLog(0, 64, 2, 1).on());
  BufferLimits limits = with_explain();
  limits.explain_bytes = 0;
  for (const std::size_t cache : {limits.cache_bytes, std::size_t{0}}) {
    limits.cache_bytes = cache;
    BufferFixture f(limits);
    f.add({{.trace = 1, .status = 2}}, 0s);
    f.close_due(2s);
    const auto what = f.buffer.explain(id_of_trace(1));
    REQUIRE(what.has_value() == (cache != 0));
    if (!what) continue;
    CHECK(what->verdict_only);
    CHECK_FALSE(what->open);
    CHECK(what->record.id == id_of_trace(1));
    CHECK(what->record.verdict.decision == Decision::kSampled);
    CHECK(what->votes.empty());
  }
}

TEST_CASE("of a trace that another process decided the verdict is known", "[buffer]") {
  BufferFixture f(with_explain());
  f.buffer.remember(id_of_trace(1), Verdict{.decision = Decision::kDropped, .reason = CloseReason::kRoot});
  const auto what = f.buffer.explain(id_of_trace(1));
  REQUIRE(what);
  CHECK(what->verdict_only);
  CHECK(what->record.verdict.decision == Decision::kDropped);
  CHECK(what->record.verdict.reason == CloseReason::kRoot);
  CHECK(f.buffer.records_written() == 0);  // it is in no list
}

TEST_CASE("a dropped trace is explained", "[buffer]") {
  BufferFixture f(with_explain());
  f.add({{.trace = 1, .id = 2, .parent = 1, .start_ms = 5, .end_ms = 30}, {.trace = 1, .id = 3, .parent = 9}}, 0s,
        "db");
  f.add({{.trace = 1, .id = 1, .start_ms = 0, .end_ms = 40, .name = "GET /"}}, 300ms, "web");
  const auto open = f.buffer.explain(id_of_trace(1));
  REQUIRE(open);
  CHECK(open->open);
  CHECK(open->record.spans == 3);
  f.close_due(2s);
  const auto what = f.buffer.explain(id_of_trace(1));
  REQUIRE(what);
  CHECK_FALSE(what->open);
  CHECK(what->record.verdict.decision == Decision::kNotSampled);
  CHECK(what->record.verdict.reason == CloseReason::kTimeout);
  CHECK_FALSE(what->record.verdict.complete);
  CHECK(what->record.missing == 1);
  REQUIRE(what->detail);
  std::uint64_t missing = 0;
  std::memcpy(&missing, span_id(9).data(), 8);
  CHECK(what->detail->missing[0] == missing);
  CHECK(what->record.duration_ns == 40'000'000);
  CHECK(what->service == "web");
  CHECK(what->name == "GET /");
  CHECK(what->votes == std::vector<Vote>{Vote::kNotSampled});
  CHECK(f.buffer.wall_ns(what->record.first_ms) == 1'000'000'000'000);
  f.add({{.trace = 1, .id = 4}}, 3s);
  CHECK(f.buffer.explain(id_of_trace(1))->record.late_spans == 1);
  CHECK_FALSE(f.buffer.explain(id_of_trace(2)));
}

TEST_CASE("errors that come after a trace was not sampled are counted by why it was judged", "[buffer]") {
  BufferLimits limits = with_explain();
  limits.trace_spans_max = 2;
  BufferFixture f(limits);
  const auto count = [&](CloseReason reason) {
    return f.buffer.counters().late_errors[static_cast<std::size_t>(reason)];
  };
  f.add({{.trace = 1, .id = 1}}, 0s);
  f.close_due(2s);
  f.add({{.trace = 1, .id = 2, .status = 2}, {.trace = 1, .id = 3}}, 3s);
  CHECK(count(CloseReason::kTimeout) == 1);
  CHECK(f.buffer.explain(id_of_trace(1))->record.late_errors == 1);
  CHECK(f.buffer.explain(id_of_trace(1))->record.late_spans == 2);
  f.add({{.trace = 2, .id = 1}, {.trace = 2, .id = 2}}, 3s);  // two spans are all that a trace may have here
  f.add({{.trace = 2, .id = 3, .status = 2}, {.trace = 2, .id = 4, .status = 2}}, 3s);
  CHECK(count(CloseReason::kSize) == 2);
  CHECK(count(CloseReason::kTimeout) == 1);
  f.add({{.trace = 3, .id = 1, .status = 2}}, 3s);  // sampled: its late errors go on
  f.close_due(6s);
  f.add({{.trace = 3, .id = 2, .status = 2}}, 7s);
  CHECK(count(CloseReason::kTimeout) == 1);
  CHECK(f.buffer.explain(id_of_trace(3))->record.late_errors == 1);
}

TEST_CASE("a moment by the wall clock does not move with the time it is asked for", "[buffer]") {
  BufferFixture f(with_explain());
  f.add({{.trace = 1}}, 100'400us);
  const std::uint64_t first = f.buffer.wall_ns(f.buffer.explain(id_of_trace(1))->record.first_ms);
  CHECK(first == 1'000'100'000'000);
  f.add({{.trace = 2}}, 200'900us);
  CHECK(f.buffer.wall_ns(f.buffer.explain(id_of_trace(1))->record.first_ms) == first);
}

TEST_CASE("names of roots are counted by the traces that have them, and paid for", "[buffer]") {
  BufferFixture f(with_explain());
  const std::size_t before = f.budget.used(Holder::kTraces);
  for (std::uint64_t t = 1; t <= 50; ++t) f.add({{.trace = t, .name = "op " + std::to_string(t % 5)}}, 0s);
  f.close_due(2s);
  CHECK(f.budget.used(Holder::kTraces) == before);
  CHECK(f.buffer.explain(id_of_trace(7))->name == "op 2");
  f.add({{.trace = 100, .name = std::string(1000, 'n')}}, 3s, std::string(100, 's'));
  f.close_due(5s);
  CHECK(f.buffer.explain(id_of_trace(100))->service == std::string(32, 's'));
  CHECK(f.buffer.explain(id_of_trace(100))->name == std::string(36, 'n'));
}

TEST_CASE("new traces are shed by their randomness, whole, and counted", "[buffer]") {
  BufferFixture f(with_explain());
  f.add({{.trace = 1}}, 0s);  // its id ends in zeros but for the last byte: the lowest randomness there is
  f.buffer.set_shed_step(1);
  f.add({{.trace = 2, .status = 2}, {.trace = 1, .id = 5, .status = 2}, {.trace = 1ULL << 50, .status = 2}}, 100ms);
  CHECK(f.buffer.counters().shed[static_cast<std::size_t>(Shed::kOverload)] == 1);
  CHECK(f.buffer.traces_held() == 2);  // the one that was open, and the one above the threshold
  f.buffer.set_shed_step(0);
  f.add({{.trace = 2, .id = 2}}, 200ms);  // the rest of a trace that was shed follows it
  CHECK(f.buffer.counters().shed[static_cast<std::size_t>(Shed::kOverload)] == 2);
  CHECK(f.buffer.counters().shed_traces == 1);
  CHECK(f.close_due(3s) == 2);
  CHECK(f.accounted() == f.received());
  const auto what = f.buffer.explain(id_of_trace(2));
  REQUIRE(what);
  CHECK(what->record.verdict.shed);
  CHECK(what->record.shed_step == 1);
  CHECK(what->record.late_spans == 1);
  f.settle_all();
}

TEST_CASE("values of attributes are noted in little room and told in words", "[buffer]") {
  using Kind = AttributeValue::Kind;
  ExplainValues values;
  values.whole = true;
  CHECK(values.words(0) == "on no span");
  for (int i = 0; i < 2; ++i) {
    values.add(0, {Kind::kString, 0, "/cart"});
    values.add(1, {Kind::kInt, static_cast<std::uint64_t>(-5), {}});
  }
  values.add(0, {Kind::kString, 0, "/home"});
  CHECK(values.words(0) == R"("/cart", "/home")");
  values.add(0, {Kind::kString, 0, "/third"});
  values.add(0, {Kind::kString, 0, "/fourth"});
  CHECK(values.words(0) == R"("/cart", "/home" and others)");
  CHECK(values.words(1) == "-5");
  values.add(2, {Kind::kBool, 1, {}});
  values.add(3, {Kind::kDouble, std::bit_cast<std::uint64_t>(0.00001), {}});
  values.add(4, {Kind::kArray, 0, "xyz"});
  values.add(5, {Kind::kString, 0, std::string(300, 'x')});
  CHECK(values.words(2) == "true");
  CHECK(values.words(3) == "0.00001");
  CHECK(values.words(4) == "a list");
  CHECK(values.words(5) == '"' + std::string(39, 'x') + "...\"");
  CHECK(values.whole);
  for (std::size_t slot = 6; slot < 300; ++slot) values.add(slot, {Kind::kString, 0, std::string(30, 'y')});
  CHECK(values.words(299).empty());  // no room: not known
}

TEST_CASE("what policies looked for in vain is noted of a few traces a second", "[buffer]") {
  BufferFixture f(with_explain(),
                  "[{name: pay, type: string_attribute, string_attribute: {key: http.route, values: [/pay]}}, "
                  "{name: bank, type: string_attribute, string_attribute: {key: service.name, values: [bank]}}]");
  const auto noted = [&](std::uint64_t trace) { return f.buffer.explain(id_of_trace(trace))->values; };
  f.add({{.trace = 1, .id = 1, .attributes = {{"http.route", "/cart"}}}, {.trace = 1, .id = 2, .parent = 1}}, 0s,
        "web");
  f.close_due(2s);
  REQUIRE(noted(1));
  CHECK(noted(1)->words(0) == "\"/cart\"");
  CHECK(noted(1)->words(1) == "\"web\"");
  for (std::uint64_t t = 2; t < 102; ++t) f.add({{.trace = t}}, 5s);
  f.close_due(7s);
  std::size_t with_values = 0;
  for (std::uint64_t t = 2; t < 102; ++t) with_values += noted(t).has_value();
  CHECK(with_values == 16);
}
