// SPDX-License-Identifier: Apache-2.0
#include "receive/ingest.h"

#include <catch2/catch.hpp>
#include <utility>

#include "otlp_twin.pb.h"
#include "support/otlp_builder.h"

using namespace tailgate;
using namespace tailgate::test;

namespace {

struct CountingTarget final : IngestTarget {
  bool could_take(const SpanBatch&) const override { return true; }
  std::shared_ptr<const ScanPlan> plan() const override { return std::make_shared<const ScanPlan>(); }
  bool take(const SpanBatch& batch, SourceId, TimePoint) override {
    if (delivered + batch.spans.size() > refuse_after) return false;
    delivered += batch.spans.size();
    return true;
  }
  std::uint64_t hash_seed() const override { return 1; }

  std::size_t delivered = 0;
  std::size_t refuse_after = SIZE_MAX;  // spans
};

struct Fixture {
  Refusals refusals;
  CountingTarget target;
  IngestPipeline pipeline{target, refusals};

  std::uint64_t refused(const std::string& reason) { return refusals.snapshot().spans[{SourceId{0}, reason}]; }
};

std::string many(std::size_t spans) {
  std::vector<SpanSpec> specs;
  for (std::uint64_t i = 0; i < spans; ++i) specs.push_back({.trace = i % 50, .id = i + 1});
  return request(specs);
}

}  // namespace

TEST_CASE("a request is taken whole, and an empty one is fine", "[receive]") {
  Fixture f;
  CHECK(f.pipeline.accept(0, many(3)).kind == IngestResult::Kind::kAccepted);
  CHECK(f.target.delivered == 3);
  CHECK(f.pipeline.accept(0, "").kind == IngestResult::Kind::kAccepted);
  CHECK(f.refusals.snapshot().received.empty());
}

TEST_CASE("a request that holds something and no span is told from an empty one", "[receive]") {
  Fixture f;
  twin::TracesData data;
  data.add_resource_spans()->add_scope_spans();
  CHECK(f.pipeline.accept(0, data.SerializeAsString()).no_spans);
  CHECK_FALSE(f.pipeline.accept(0, "").no_spans);
  CHECK_FALSE(f.pipeline.accept(0, many(1)).no_spans);
}

TEST_CASE("metrics read as spans without ids, and the result says so", "[receive]") {
  Fixture f;
  // resource_metrics { scope_metrics { metrics { name: "requests" } } }
  const std::string metrics("\x0A\x0E\x12\x0C\x12\x0A\x0A\x08requests", 16);
  const IngestResult result = f.pipeline.accept(0, metrics);
  CHECK(result.kind == IngestResult::Kind::kAccepted);
  CHECK(result.rejected_spans == 1);
  CHECK(result.all_bad_ids);
  CHECK(f.refused("bad_id") == 1);
}

TEST_CASE("oddities are zeros before the first one", "[receive]") {
  Oddities oddities;
  oddities.begin(1);
  oddities.add(2, Oddity::kRepairedTexts, 0);
  CHECK(oddities.snapshot().size() == 1);
  CHECK(oddities.snapshot().at(1).repaired_texts == 0);
  oddities.add(1, Oddity::kRepairedTexts, 3);
  oddities.add(1, Oddity::kWithoutSpans, 1);
  CHECK(oddities.snapshot().at(1).repaired_texts == 3);
  CHECK(oddities.snapshot().at(1).requests_without_spans == 1);
}

TEST_CASE("a source's refusals are zeros before the first one", "[receive]") {
  Fixture f;
  CHECK(f.refusals.snapshot().spans.empty());
  f.refusals.begin(0);
  f.refusals.request(0, RefuseWhy::kTooLarge);
  const Refusals::Snapshot counts = f.refusals.snapshot();
  CHECK(counts.spans.size() == 3);
  CHECK(counts.spans.at({SourceId{0}, "bad_id"}) == 0);
  CHECK(counts.requests.size() == 18);
  CHECK(counts.requests.at({SourceId{0}, "limit"}) == 1);
  CHECK(counts.requests.at({SourceId{0}, "malformed"}) == 0);
}

TEST_CASE("spans with bad ids are received and refused, the others delivered", "[receive]") {
  Fixture f;
  auto data = traces({{.id = 1}, {.id = 2}});
  data.mutable_resource_spans(0)->mutable_scope_spans(0)->mutable_spans(0)->set_span_id("123");
  const IngestResult result = f.pipeline.accept(0, data.SerializeAsString());
  CHECK(result.kind == IngestResult::Kind::kAccepted);
  CHECK(result.rejected_spans == 1);
  CHECK(result.message ==
        "1 span rejected, first: resource_spans[0].scope_spans[0].spans[0].span_id: expected 8 bytes, got 3 bytes");
  CHECK(f.target.delivered == 1);
  CHECK(f.refused("bad_id") == 1);
  CHECK(f.refusals.snapshot().received[0] == 1);
}

TEST_CASE("a malformed request is refused and none of its spans counted", "[receive]") {
  Fixture f;
  const std::string bytes = many(3);
  const IngestResult result = f.pipeline.accept(0, bytes.substr(0, bytes.size() - 1));
  CHECK(result.kind == IngestResult::Kind::kMalformed);
  CHECK_FALSE(result.message.empty());
  CHECK(f.target.delivered == 0);
  CHECK(f.refusals.snapshot().received.empty());
}

TEST_CASE("a client over its spans a second is refused whole, and told when to come back", "[receive]") {
  Fixture f;
  ClientLimits limits;
  limits.spans_per_second = 1000;
  limits.burst = Duration::zero();
  Client client(limits), other(limits);
  CHECK(f.pipeline.accept(0, many(20'000), &client).kind ==
        IngestResult::Kind::kAccepted);  // three slices, taken whole
  CHECK(f.target.delivered == 20'000);
  const IngestResult result = f.pipeline.accept(0, many(30), &client);
  CHECK(result.kind == IngestResult::Kind::kClientSpans);
  CHECK(result.retry_seconds >= 19);
  CHECK(f.refused("client_spans") == 30);
  CHECK(f.refusals.snapshot().received[0] == 30);
  CHECK(f.pipeline.accept(0, many(3), &other).kind == IngestResult::Kind::kAccepted);
  CHECK(f.pipeline.accept(0, many(3)).kind == IngestResult::Kind::kAccepted);
}

TEST_CASE("a request without room is refused and its spans are received and refused", "[receive]") {
  Fixture f;
  f.target.refuse_after = 2;
  CHECK(f.pipeline.accept(0, many(3)).kind == IngestResult::Kind::kNoMemory);
  CHECK(f.refused("no_memory") == 3);
  CHECK(f.refusals.snapshot().received[0] == 3);
}

TEST_CASE("every span of a request of several slices is accounted for when room runs out in the middle", "[receive]") {
  const std::size_t total = 8192 * 3 + 100;
  for (const std::size_t limit : {std::size_t{0}, std::size_t{8192}, std::size_t{8192 * 2}, std::size_t{8192 * 3}}) {
    Fixture f;
    f.target.refuse_after = limit;
    CHECK(f.pipeline.accept(0, many(total)).kind == IngestResult::Kind::kNoMemory);
    CHECK(f.target.delivered == limit);
    CHECK(f.refused("no_memory") == total - limit);
  }
}

TEST_CASE("after stop everything is sent elsewhere", "[receive]") {
  Fixture f;
  f.pipeline.stop();
  CHECK(f.pipeline.accept(0, many(1)).kind == IngestResult::Kind::kShuttingDown);
  CHECK(f.target.delivered == 0);
}

namespace {

// Writes down what it is told.
struct WatchLog final : SpanWatch, SpanWatcher {
  SpanWatcher& begin(const ScanPlan&) override { return seen = 0, *this; }
  void on_resource(const ByteView*) override { ++resources; }
  void on_span(const SpanFields&, std::uint64_t) override { ++seen; }
  void taken(TimePoint) override { taken_spans += std::exchange(seen, 0); }
  void refused() override { refused_spans += std::exchange(seen, 0); }

  std::size_t seen = 0, resources = 0, taken_spans = 0, refused_spans = 0;
};

// A log that is told which way requests go.
struct ToldLog final : RequestLog {
  Way begin() override {
    ++begun;
    return way;
  }
  void end(Way) override { ++ended; }
  std::uint64_t next_number() override { return ++numbers; }
  bool wants_traces() const override { return true; }
  std::shared_ptr<Receipt> write(Way, std::uint64_t number, SourceId, std::uint64_t, ByteView otlp,
                                 std::span<const TraceId> traces) override {
    written.emplace_back(number, std::string(otlp));
    ids = traces.size();
    return receipt = std::make_shared<Receipt>(1, nullptr, [this](TimePoint by) { hurried = by; });
  }
  std::shared_ptr<Receipt> write_part(SourceId, std::uint64_t, const std::shared_ptr<KeptTrace>&, bool) override {
    return nullptr;
  }

  Way way = Way::kWrite;
  int begun = 0, ended = 0;
  std::uint64_t numbers = 0;
  std::size_t ids = 0;
  std::vector<std::pair<std::uint64_t, std::string>> written;
  std::shared_ptr<Receipt> receipt;
  TimePoint hurried = TimePoint::max();
};

}  // namespace

TEST_CASE("a watch is told of every span that is taken, slice by slice, and of no other", "[receive]") {
  Refusals refusals;
  CountingTarget target;
  WatchLog watch;
  IngestPipeline pipeline(target, refusals, &watch);
  CHECK(pipeline.accept(0, many(20'000)).kind == IngestResult::Kind::kAccepted);
  CHECK(watch.taken_spans == 20'000);
  CHECK(pipeline.accept(0, request({{.id = 0}, {.id = 1}})).rejected_spans == 1);  // an id of zeros
  CHECK(watch.taken_spans == 20'001);
  CHECK(watch.refused_spans == 0);

  target.refuse_after = 20'001 + 10'000;
  CHECK(pipeline.accept(0, many(20'000)).kind == IngestResult::Kind::kNoMemory);
  CHECK(watch.taken_spans == target.delivered);
  CHECK(watch.taken_spans == 20'001 + 8192);
  CHECK(pipeline.accept(0, many(3) + "\x0a\xff").kind == IngestResult::Kind::kMalformed);
  CHECK(watch.taken_spans == 20'001 + 8192);
  CHECK(watch.seen == 0);
}

TEST_CASE("a request is written when its spans are taken, and its answer waits", "[receive]") {
  Refusals refusals;
  CountingTarget target;
  ToldLog log;
  IngestPipeline pipeline(target, refusals, nullptr, &log);
  const std::string otlp = many(100);
  const IngestResult result = pipeline.accept(0, otlp);
  CHECK(result.kind == IngestResult::Kind::kAccepted);
  CHECK(target.delivered == 100);
  CHECK(log.written == std::vector<std::pair<std::uint64_t, std::string>>{{1, otlp}});
  CHECK(log.ids == 50);
  REQUIRE(result.receipt != nullptr);
  int safe = 0;
  const TimePoint by(std::chrono::seconds(7));
  result.receipt->then([&](bool good) { safe += good ? 1 : 100; }, by);
  CHECK(safe == 0);
  CHECK(log.hurried == by);
  log.receipt->settle(true);
  CHECK(safe == 1);
  result.receipt->then([&](bool good) { safe += good ? 1 : 100; });  // it is known by now
  CHECK(safe == 2);

  target.refuse_after = 150;
  CHECK(pipeline.accept(0, otlp).kind == IngestResult::Kind::kNoMemory);
  CHECK(pipeline.accept(0, "no OTLP").kind == IngestResult::Kind::kMalformed);
  CHECK(log.written.size() == 1);
  CHECK(log.begun == log.ended);
}

TEST_CASE("the log says whether spans are taken now, later, without it, or not at all", "[receive]") {
  Refusals refusals;
  CountingTarget target;
  ToldLog log;
  IngestPipeline pipeline(target, refusals, nullptr, &log);
  log.way = RequestLog::Way::kWriteAlone;
  CHECK(pipeline.accept(0, many(10)).receipt != nullptr);
  CHECK(target.delivered == 0);
  log.way = RequestLog::Way::kPassBy;
  CHECK(pipeline.accept(0, many(10)).receipt == nullptr);
  CHECK(target.delivered == 10);
  log.way = RequestLog::Way::kRefuse;
  CHECK(pipeline.accept(0, many(10)).kind == IngestResult::Kind::kJournal);
  CHECK(target.delivered == 10);
  CHECK(log.written.size() == 1);
  CHECK(log.begun == log.ended);
}

namespace {

// Traces with an even id are somebody else's.
struct EvenElsewhere final : SpanForwarder {
  void begin() override { ++turns; }
  void end() override { --turns; }
  Split split(SpanBatch& slice, Hop hop, Known known) override {
    CHECK(turns == 1);
    hops.push_back(hop);
    knowns.push_back(known);
    if (full) return Split::kNoRoom;
    const std::size_t before = slice.traces.size();
    waiting = 0;
    for (const BatchTrace& trace : slice.traces) waiting += is_even(trace.id) ? trace.facts.spans : 0;
    slice.remove_traces(is_even);
    return slice.traces.size() == before ? Split::kAllHere : Split::kSome;
  }
  std::uint64_t send(TimePoint, const WritePart& write) override {
    sent += waiting;
    if (write) write(std::make_shared<KeptTrace>(), false);
    return waiting;
  }
  void cancel() override { ++cancelled; }
  static bool is_even(const TraceId& id) { return id.view().back() % 2 == 0; }

  int turns = 0, cancelled = 0;
  bool full = false;
  std::uint64_t waiting = 0, sent = 0;
  std::vector<Hop> hops;
  std::vector<Known> knowns;
};

struct WritingLog final : RequestLog {
  Way begin() override { return way; }
  void end(Way) override {}
  std::uint64_t next_number() override { return ++numbers; }
  bool wants_traces() const override { return true; }
  std::shared_ptr<Receipt> write(Way, std::uint64_t, SourceId, std::uint64_t, ByteView otlp,
                                 std::span<const TraceId> of) override {
    written.emplace_back(otlp);
    traces.assign(of.begin(), of.end());
    return receipts.emplace_back(std::make_shared<Receipt>(1, nullptr, [this](TimePoint by) { hurried = by; }));
  }
  std::shared_ptr<Receipt> write_part(SourceId, std::uint64_t, const std::shared_ptr<KeptTrace>&,
                                      bool unsure) override {
    ++(unsure ? unsure_parts : parts);
    return receipts.emplace_back(std::make_shared<Receipt>(1, nullptr, [this](TimePoint by) { hurried = by; }));
  }
  Way way = Way::kWrite;
  std::uint64_t numbers = 0;
  std::vector<std::string> written;
  std::vector<TraceId> traces;
  int parts = 0, unsure_parts = 0;
  std::vector<std::shared_ptr<Receipt>> receipts;
  TimePoint hurried = TimePoint::max();
};

struct ForwardingFixture {
  Refusals refusals;
  CountingTarget target;
  EvenElsewhere forwarder;
  WritingLog log;
  IngestPipeline pipeline{target, refusals, nullptr, &log, &forwarder};
};

std::string of_traces(const std::vector<std::uint64_t>& traces) {
  std::vector<SpanSpec> specs;
  for (std::uint64_t i = 0; i < traces.size(); ++i) specs.push_back({.trace = traces[i], .id = i + 1});
  return request(specs);
}

std::size_t spans_of(const std::string& otlp) {
  twin::TracesData data;
  REQUIRE(data.ParseFromString(otlp));
  std::size_t out = 0;
  for (const auto& resource : data.resource_spans()) {
    for (const auto& scope : resource.scope_spans()) out += static_cast<std::size_t>(scope.spans_size());
  }
  return out;
}

}  // namespace

TEST_CASE("what is another member's is sent and counted as received, the rest is taken", "[receive]") {
  ForwardingFixture f;
  CHECK(f.pipeline.accept(3, of_traces({1, 2, 2, 3})).kind == IngestResult::Kind::kAccepted);
  CHECK(f.forwarder.sent == 2);
  CHECK(f.forwarder.turns == 0);
  const Refusals::Snapshot counts = f.refusals.snapshot();
  CHECK(counts.sent_to_members == 2);
  CHECK(counts.received.at(3) == 2);
  f.pipeline.accept(3, of_traces({2}), nullptr, {Hop::kSecond, true});
  CHECK(f.forwarder.hops == std::vector{Hop::kStart, Hop::kSecond});
}

TEST_CASE("without room for what is another member's nothing is taken", "[receive]") {
  ForwardingFixture f;
  f.forwarder.full = true;
  CHECK(f.pipeline.accept(0, of_traces({1, 2})).kind == IngestResult::Kind::kNoMemory);
  CHECK(f.target.delivered == 0);
  CHECK(f.refusals.snapshot().spans[{SourceId{0}, "no_memory"}] == 2);
  CHECK(f.log.written.empty());
}

TEST_CASE("without room for what stays nothing is sent", "[receive]") {
  ForwardingFixture f;
  f.target.refuse_after = 0;
  CHECK(f.pipeline.accept(0, of_traces({1, 2})).kind == IngestResult::Kind::kNoMemory);
  CHECK(f.forwarder.cancelled == 1);
  CHECK(f.forwarder.sent == 0);
  CHECK(f.refusals.snapshot().sent_to_members == 0);
}

TEST_CASE("the log gets what stays, and nothing where nothing does", "[receive]") {
  ForwardingFixture f;
  const std::string whole = of_traces({1, 3});
  CHECK(f.pipeline.accept(0, whole).receipt != nullptr);
  CHECK(f.log.written.back() == whole);
  CHECK(f.pipeline.accept(0, of_traces({1, 2, 3})).receipt != nullptr);
  CHECK(spans_of(f.log.written.back()) == 2);
  CHECK(f.log.traces.size() == 2);
  CHECK(f.pipeline.accept(0, of_traces({2, 4})).receipt != nullptr);  // of what goes
  CHECK(f.log.written.size() == 2);
  std::vector<std::uint64_t> many_traces(20'000);  // slices
  for (std::size_t i = 0; i < many_traces.size(); ++i) many_traces[i] = i < 10'000 ? 1 : i % 2 + 1;
  CHECK(f.pipeline.accept(0, of_traces(many_traces)).receipt != nullptr);
  CHECK(spans_of(f.log.written.back()) == 15'000);
}

TEST_CASE("an answer waits for what goes to others too", "[receive]") {
  ForwardingFixture f;
  const IngestResult result = f.pipeline.accept(0, of_traces({1, 2}));
  CHECK(f.log.parts == 1);
  REQUIRE(f.log.receipts.size() == 2);
  int answers = 0;
  bool safe = true;
  const TimePoint by(std::chrono::seconds(7));
  result.receipt->then([&](bool all) { ++answers, safe = all; }, by);
  CHECK(f.log.hurried == by);
  f.log.receipts[1]->settle(true);
  CHECK(answers == 0);
  f.log.receipts[0]->settle(false);
  CHECK(answers == 1);
  CHECK_FALSE(safe);
  f.log.way = RequestLog::Way::kPassBy;
  CHECK(f.pipeline.accept(0, of_traces({1, 2})).receipt == nullptr);
  CHECK(f.log.parts == 1);
}

TEST_CASE("while not all is known here the forwarder is told so", "[receive]") {
  ForwardingFixture f;
  f.pipeline.accept(0, of_traces({1, 2}));
  f.log.way = RequestLog::Way::kWriteAlone;
  f.pipeline.accept(0, of_traces({1, 2}));
  CHECK(f.forwarder.knowns == std::vector{Known::kAll, Known::kNotYet});
}
