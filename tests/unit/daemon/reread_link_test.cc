// SPDX-License-Identifier: Apache-2.0
// Random runs of a consumer's inside over the partitions of a topic that is a vector: partitions are taken away and
// come back, the process is killed, brokers acknowledge verdicts in any order, exporters deliver late. Time is a
// number.
//
// The slow twin remembers each record with its traces. A committed offset must never pass a record of which a trace is
// open, kept and not delivered, or decided without a verdict in the topic; and in the end each trace is delivered with
// all its spans, or with none.
#include "daemon/reread_link.h"

#include <catch2/catch.hpp>
#include <deque>
#include <map>
#include <random>
#include <set>

#include "daemon/pipeline.h"
#include "decide/verdict_words.h"
#include "receive/kafka/epochs.h"
#include "receive/kafka/offsets.h"
#include "receive/kafka/verdict_record.h"
#include "support/otlp_builder.h"
#include "support/policies.h"
#include "wire/otlp/scan.h"

using namespace tailgate;
using namespace tailgate::test;

namespace {

constexpr int kPartitions = 3;
constexpr std::int64_t kWaitMs = 2000;
constexpr const char* kPolicies = "[{name: errors, type: status_code, status_code: {status_codes: [ERROR]}}]";

TimePoint at(std::int64_t ms) { return TimePoint(std::chrono::hours(100) + std::chrono::milliseconds(ms)); }

struct KafkaRecord {
  std::string otlp;
  std::uint64_t trace = 0;
  std::set<std::uint64_t> spans = {};
};

// What outlives a process: the topics, and what the backend has.
struct World {
  std::vector<KafkaRecord> spans[kPartitions];
  std::int64_t committed[kPartitions] = {};
  std::vector<std::pair<std::string, std::string>> verdicts[kPartitions];  // key, value
  std::map<std::uint64_t, std::set<std::uint64_t>> sent, delivered;        // spans by trace
  std::mt19937_64 random;
};

std::uint64_t trace_of(const TraceId& id) {
  for (std::uint64_t t = 0;; ++t) {
    if (id_of_trace(t) == id) return t;
  }
}

std::set<std::uint64_t> spans_of(const KeptTrace& kept) {
  std::set<std::uint64_t> out;
  SpanBatch batch;
  batch.hash_seed = 1;
  const ScanPlan plan;
  REQUIRE(scan_request(kept.otlp, plan, batch, [](SpanBatch&) { return false; }).ok);
  for (const BatchSpan& span : batch.spans) {
    SpanFields fields;
    ByteView attributes;
    REQUIRE(scan_span({span.data, span.size}, plan, fields, &attributes));
    out.insert(static_cast<std::uint64_t>(fields.span_id.back()));
  }
  return out;
}

struct Process final : KeptSink {
  World& world;
  Policies policies{kPolicies};
  ByteBudget budget{ByteBudget::Caps{64 << 20, 64 << 20, 64 << 20, 8 << 20, 0}};
  std::deque<std::pair<std::uint64_t, KeptTracePtr>> queue;
  std::map<TraceId, std::uint64_t> numbers;
  bool full = false;  // the queue of the exporter
  std::unique_ptr<RereadLink> link;
  std::unique_ptr<TraceStore> store;
  std::unique_ptr<StoreTarget> target;
  Refusals refusals;
  std::unique_ptr<IngestPipeline> ingest;
  std::unique_ptr<Reread> port;
  struct Partition {
    bool mine = false;
    SpanOrigin origin = 0;
    OffsetTracker offsets;
    std::size_t next = 0;
  } partitions[kPartitions];
  Epochs epochs;
  struct Flying {
    int partition;
    std::uint64_t epoch;
    std::string key, value;
  };
  std::vector<Flying> flying;  // verdicts that are not acknowledged
  std::optional<Reread::Decided> decided;
  std::optional<std::uint64_t> epoch;
  std::uint64_t seen = 0;

  Process(World& w, std::int64_t ms) : world(w) {
    TraceStoreOptions options;
    options.shards = 2;
    options.limits.decision_wait = std::chrono::milliseconds(kWaitMs);
    options.limits.cache_bytes = 1 << 20;
    store = std::make_unique<TraceStore>(options, budget, policies.set, *policies.tables, *this, 7, at(ms - 1000));
    target = std::make_unique<StoreTarget>(*store);
    link = std::make_unique<RereadLink>(budget, policies.tables, std::vector<std::string>{"queue"}, *store,
                                        [this](std::size_t) { return full; });
    store->set_decision_log(link.get());
    ingest = std::make_unique<IngestPipeline>(*target, refusals);
    port = link->open(*ingest, true);
    for (Partition& p : partitions) p.origin = port->new_origin();
  }
  ~Process() override {
    for (const auto& [trace, kept] : queue) kept->delivery.lost();
    queue.clear();
    port.reset();
    store.reset();
  }

  void push(KeptTracePtr kept) override {
    kept->delivery.expect(1);
    const std::uint64_t trace = number(kept->id);
    queue.emplace_back(trace, std::move(kept));
  }
  bool make_room(std::size_t, bool) override { return false; }

  std::uint64_t number(const TraceId& id) {
    const auto [found, fresh] = numbers.try_emplace(id, 0);
    if (fresh) found->second = trace_of(id);
    return found->second;
  }

  void assign(int p) {
    if (partitions[p].mine) return;
    for (const auto& [key, value] : world.verdicts[p]) {
      const auto read = read_verdict_record(key, value);
      REQUIRE(read);
      port->remember(read->id, read->verdict, read->words);
    }
    partitions[p].mine = true;
    partitions[p].offsets = {};
    partitions[p].next = static_cast<std::size_t>(world.committed[p]);
  }

  void read(int p, std::int64_t ms) {
    Partition& partition = partitions[p];
    if (!partition.mine || partition.next == world.spans[p].size()) return;
    SpanBatch batch;
    batch.hash_seed = store->hash_seed();
    batch.origin = partition.origin;
    const ScanResult scan =
        scan_request(world.spans[p][partition.next].otlp, *target->plan(), batch, [](SpanBatch&) { return false; });
    REQUIRE(scan.ok);
    REQUIRE(store->accept(batch, 0, at(ms)));
    partition.offsets.handed(static_cast<std::int64_t>(partition.next++), at(ms));
  }

  void deliver(std::size_t most) {
    for (; most != 0 && !queue.empty(); --most) {
      world.delivered[queue.front().first].merge(spans_of(*queue.front().second));
      queue.pop_front();
    }
  }

  void write_verdicts() {
    seen = port->take_verdicts([&](const Reread::Told& one) {
      int p = 0;
      while (partitions[p].origin != one.origin) ++p;
      flying.push_back({p, epochs.send(), one.id.hex(), ""});
      append_verdict_record(flying.back().value, one.verdict, one.words);
    });
  }

  void acknowledge(std::size_t most) {
    for (; most != 0 && !flying.empty(); --most) {
      const std::size_t i = world.random() % flying.size();
      Flying one = flying[i];
      flying.erase(flying.begin() + static_cast<std::ptrdiff_t>(i));
      world.verdicts[one.partition].emplace_back(one.key, one.value);
      epochs.acknowledge(one.epoch);
    }
  }

  // As the consumer's, one step at a time.
  void cycle(std::int64_t ms) {
    if (!decided) {
      decided = port->decided(at(ms));
      epoch.reset();
      return;
    }
    write_verdicts();
    if (!epoch && seen >= decided->verdicts) epoch = epochs.end();
    if (!epoch || !epochs.acknowledged(*epoch)) return;
    const TimePoint before = std::min(decided->before, port->delivered_before(at(ms)));
    decided.reset();
    for (int p = 0; p < kPartitions; ++p) {
      if (!partitions[p].mine) continue;
      partitions[p].offsets.settle(before);
      const std::int64_t offset = partitions[p].offsets.committable().value_or(0);
      REQUIRE(offset <= static_cast<std::int64_t>(partitions[p].next));
      if (offset > world.committed[p]) check_commit(p, offset);
      world.committed[p] = std::max(world.committed[p], offset);
    }
  }

  void check_commit(int p, std::int64_t offset) {
    std::map<std::uint64_t, std::set<std::uint64_t>> undelivered;
    for (const auto& [trace, kept] : queue) undelivered[trace].merge(spans_of(*kept));
    std::set<std::string> written;
    for (const auto& [key, value] : world.verdicts[p]) written.insert(key);
    for (std::int64_t o = world.committed[p]; o < offset; ++o) {
      const KafkaRecord& record = world.spans[p][static_cast<std::size_t>(o)];
      const TraceId id = id_of_trace(record.trace);
      INFO("partition " << p << " offset " << o << " trace " << record.trace);
      REQUIRE(store->fate(id) != Fate::kOpen);
      for (const std::uint64_t span : record.spans) REQUIRE_FALSE(undelivered[record.trace].contains(span));
      REQUIRE(written.contains(id.hex()));
    }
  }

  void revoke(int p) {
    if (!partitions[p].mine) return;
    partitions[p].mine = false;
    port->forget(partitions[p].origin);
  }
};

void produce(World& world, std::uint64_t& traces) {
  // A few traces are busy at a time; each goes to the partition of its number.
  const std::uint64_t first = traces > 12 ? traces - 12 : 1;
  const std::uint64_t trace = world.random() % 4 == 0 ? ++traces : first + world.random() % (traces - first + 1);
  std::vector<SpanSpec> spans;
  KafkaRecord record;
  std::set<std::uint64_t>& sent = world.sent[trace];
  for (std::uint64_t n = 1 + world.random() % 3; n != 0 && sent.size() < 100; --n) {
    // What is read again at another pace must get the same verdict, so the error comes first.
    const std::uint64_t id = sent.size() + 1;
    sent.insert(id);
    record.spans.insert(id);
    spans.push_back({.trace = trace, .id = id, .status = id == 1 && world.random() % 3 == 0 ? 2 : 0});
  }
  if (spans.empty()) return;
  record.trace = trace;
  record.otlp = request(spans);
  world.spans[trace % kPartitions].push_back(std::move(record));
}

void run(std::uint64_t seed) {
  World world;
  world.random.seed(seed);
  std::int64_t ms = 0;
  std::uint64_t traces = 1;
  auto process = std::make_unique<Process>(world, ms);
  for (int p = 0; p < kPartitions; ++p) process->assign(p);
  auto& random = world.random;
  for (int step = 0; step < 1200; ++step) {
    ms += static_cast<std::int64_t>(random() % 60);
    const int p = static_cast<int>(random() % kPartitions);
    switch (random() % 12) {
      case 0:
      case 1:
      case 2:
        produce(world, traces);
        break;
      case 3:
      case 4:
      case 5:
        process->read(p, ms);
        break;
      case 6:
        process->store->sweep(at(ms));
        break;
      case 7:
        process->deliver(random() % 4);
        break;
      case 8:
        process->write_verdicts();
        process->acknowledge(random() % 6);
        break;
      case 9:
      case 10:
        process->cycle(ms);
        break;
      case 11:
        if (random() % 12 == 0) process->revoke(p);
        if (random() % 4 == 0) process->assign(p);
        if (random() % 60 == 0) {
          if (random() % 2 == 0) process->acknowledge(random() % 3);  // written, and nobody heard of it
          process = std::make_unique<Process>(world, ms);
          for (int q = 0; q < kPartitions; ++q) process->assign(q);
        }
        break;
    }
  }
  for (int p = 0; p < kPartitions; ++p) process->assign(p);
  for (int step = 0; step < 600; ++step) {
    ms += 50;
    for (int p = 0; p < kPartitions; ++p) {
      for (int n = 0; n < 10; ++n) process->read(p, ms);
    }
    process->store->sweep(at(ms));
    process->deliver(SIZE_MAX);
    process->write_verdicts();
    process->acknowledge(SIZE_MAX);
    process->cycle(ms);
  }
  std::size_t kept = 0;
  for (int p = 0; p < kPartitions; ++p)
    CHECK(world.committed[p] == static_cast<std::int64_t>(world.spans[p].size()));  // nothing waits for ever
  for (const auto& [trace, spans] : world.delivered) {
    INFO("trace " << trace);
    CHECK(spans == world.sent[trace]);
    ++kept;
  }
  CHECK(kept > 0);
  CHECK(kept < world.sent.size());
}

}  // namespace

TEST_CASE("a committed offset never passes an undecided trace, and kept traces are whole, whatever happens",
          "[daemon][kafka]") {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    INFO("seed " << seed);
    run(seed);
  }
}

TEST_CASE("verdicts count as told up to the first that is still on its way", "[daemon][kafka]") {
  World world;
  Process process(world, 0);
  DecidedTrace traces[3];
  for (DecidedTrace& one : traces) {
    one.order = process.link->next_order();
    one.origin = process.partitions[0].origin;
  }
  traces[2].verdict.policy = process.policies.tables->names.number_of("errors");
  std::vector<std::string> words;
  const auto take = [&](const Reread::Told& one) { words.emplace_back(policy_in_words(one.words)); };
  process.link->decided({traces + 1, 2});
  CHECK(process.port->take_verdicts(take) == 0);
  CHECK(words == std::vector<std::string>{"none", "errors"});
  process.link->decided({traces, 1});
  CHECK(process.port->take_verdicts(take) == 3);
  CHECK(words == std::vector<std::string>{"none", "errors", "none"});
}

TEST_CASE("a kept trace that a full queue pushed out is not settled before it is read again", "[daemon][kafka]") {
  World world;
  world.random.seed(1);
  Process process(world, 0);
  const std::unique_ptr<Reread> other = process.link->open(*process.ingest, false);
  world.spans[0].push_back({request({{.trace = 3, .id = 1, .status = 2}}), 3, {1}});
  process.assign(0);
  process.read(0, 0);
  process.store->sweep(at(kWaitMs + 100));
  REQUIRE(process.queue.size() == 1);
  CHECK_FALSE(process.port->memory_is_short());
  process.full = true;
  CHECK(process.port->memory_is_short());
  process.queue.front().second->delivery.pushed_out();
  process.queue.clear();
  CHECK(process.port->delivered_before(at(9000)) < at(1000));
  CHECK_FALSE(process.port->should_read_again());  // there is no room
  process.full = false;
  CHECK(process.port->should_read_again());
  CHECK(process.port->memory_is_short());
  process.port->reads_again();
  CHECK_FALSE(process.port->memory_is_short());
  CHECK(process.port->delivered_before(at(9000)) < at(1000));  // the other may have been the one that read it
  CHECK(other->should_read_again());
  other->reads_again();
  CHECK(process.port->delivered_before(at(9000)) == at(9000));
  CHECK_FALSE(process.port->should_read_again());
}

TEST_CASE("of records that are handed in at once the first is the first that is not settled", "[daemon][kafka]") {
  OffsetTracker offsets;
  offsets.handed(9, at(0), 5);
  REQUIRE(offsets.undecided());
  CHECK(offsets.undecided()->offset == 5);
  offsets.handed(12, at(1000), 10);
  offsets.settle(at(500));
  CHECK(offsets.committable() == 10);
  CHECK(offsets.undecided()->offset == 10);
}

TEST_CASE("the oldest of what began is the second in which it did", "[daemon][kafka]") {
  OldestBegin began;
  CHECK(began.oldest(at(5000)) == at(5000));
  const std::int64_t a = began.begin(at(1500)), b = began.begin(at(1999)), c = began.begin(at(3000));
  CHECK(began.oldest(at(5000)) == at(1000));
  began.end(a);
  CHECK(began.oldest(at(5000)) == at(1000));
  began.end(b);
  CHECK(began.oldest(at(5000)) == at(3000));
  CHECK(began.oldest(at(2500)) == at(2500));
  began.end(c);
  CHECK(began.oldest(at(5000)) == at(5000));
}
