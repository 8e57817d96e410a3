// SPDX-License-Identifier: Apache-2.0
// A daemon's inside from the request to the queue, with a journal or without, that a test starts, kills and replays.
// Time is a number of milliseconds.
#pragma once

#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <map>
#include <mutex>
#include <set>

#include "daemon/journal/journal_replay.h"
#include "daemon/pipeline.h"
#include "support/otlp_builder.h"
#include "support/policies.h"
#include "support/random_otlp.h"
#include "telemetry/log.h"
#include "wire/otlp/scan.h"
#include "wire/otlp/span_view.h"

namespace tailgate::test {

namespace fs = std::filesystem;

inline constexpr const char* kPolicies =
    "[{name: errors, type: status_code, status_code: {status_codes: [ERROR]}},"
    " {name: never, type: drop, drop: {drop_sub_policy: [{name: health, type: string_attribute, string_attribute:"
    " {key: http.route, values: [/health]}}]}},"
    " {name: some, type: probabilistic, probabilistic: {sampling_percentage: 20}}]";

inline TimePoint at(std::int64_t ms) { return TimePoint(std::chrono::hours(100) + std::chrono::milliseconds(ms)); }
inline std::uint64_t wall(std::int64_t ms) {
  return 1'700'000'000'000'000'000ULL + static_cast<std::uint64_t>(ms) * 1'000'000;
}

struct Sent {
  std::int64_t ms = 0;
  std::string otlp;
};

// What one backend has, over all processes.
struct Backend {
  std::map<std::string, std::multiset<std::string>> spans;  // by trace and policy
  std::string all;                                          // bytes
  bool dead = false;
  void take(const KeptTrace& kept) {
    if (dead) return;
    all += kept.otlp;
    SpanBatch batch;
    batch.hash_seed = 1;
    const ScanPlan plan;
    const ScanResult scan = scan_request(kept.otlp, plan, batch, [](SpanBatch&) { return true; });
    REQUIRE(scan.ok);
    for (const BatchSpan& span : batch.spans) spans[kept.id.hex() + " " + kept.policy].emplace(span.data, span.size);
  }
};

// Holds kept traces a while, as a queue in memory does.
class Queue final : public KeptSink {
 public:
  explicit Queue(Backend& backend) : backend_(backend) {}
  void push(KeptTracePtr kept) override {
    const std::lock_guard lock(mutex_);
    kept->delivery.expect(1);
    waiting_.push_back(std::move(kept));
  }
  bool make_room(std::size_t, bool) override { return false; }
  void send(std::size_t most) {
    const std::lock_guard lock(mutex_);
    for (; most != 0 && !waiting_.empty(); --most) {
      backend_.take(*waiting_.front());
      waiting_.pop_front();
    }
  }
  void lose() {
    for (const KeptTracePtr& kept : waiting_) kept->delivery.lost();
    waiting_.clear();
  }

 private:
  Backend& backend_;
  std::mutex mutex_;  // jobs push from a thread of their own
  std::deque<KeptTracePtr> waiting_;
};

// A process: everything from the request to the queue. Without a folder it has no journal.
struct Process {
  std::shared_ptr<Policies> policies = std::make_shared<Policies>(kPolicies);
  ByteBudget budget{ByteBudget::Caps{64 << 20, 64 << 20, 64 << 20, 8 << 20, 0}};
  Queue queue;
  std::unique_ptr<Journal> journal;
  std::unique_ptr<JournalLink> link;
  std::unique_ptr<TraceStore> store;
  std::unique_ptr<StoreTarget> target;

  Process(Backend& backend, const fs::path& folder, std::int64_t ms, const TraceStoreOptions& options, bool live = true,
          JournalOptions with = {})
      : queue(backend) {
    store = std::make_unique<TraceStore>(options, budget, policies->set, *policies->tables, queue, 7, at(-1000));
    target = std::make_unique<StoreTarget>(*store);
    if (folder.empty()) return;
    with.directory = folder;
    with.hold = options.limits.decision_wait + std::chrono::milliseconds(1500);
    with.segment_bytes = 6000;
    std::vector<std::string> notices;
    auto opened = Journal::open(with, nullptr, at(ms), wall(ms), notices);
    REQUIRE(opened);
    CHECK(notices.empty());
    journal = std::move(*opened);
    link = std::make_unique<JournalLink>(*journal, policies->tables, std::vector<std::string>{"queue"}, live);
    link->add_source(0, {"otlp", "otlp_proto"});
    journal->use(*link);
    store->set_decision_log(link.get());
  }
  ~Process() {
    queue.lose();
    store.reset();  // before the journal that its traces report to
    if (journal) journal->stop();
  }

  void take(const Sent& sent) {
    store->sweep(at(sent.ms));
    SpanBatch batch;
    batch.hash_seed = store->hash_seed();
    batch.now_unix_ns = wall(sent.ms);
    if (journal) batch.request = journal->next_order();
    const ScanResult scan = scan_request(sent.otlp, *target->plan(), batch, [](SpanBatch&) { return false; });
    REQUIRE(scan.ok);
    REQUIRE(store->accept(batch, 0, at(sent.ms)));
    if (!journal) return;
    JournalRequest request;
    request.number = batch.request;
    request.order = journal->next_order();
    request.arrival_unix_ns = batch.now_unix_ns;
    request.receiver = "otlp";
    request.format = "otlp_proto";
    request.otlp = sent.otlp;
    std::vector<TraceId> traces;
    for (const BatchTrace& trace : batch.traces) traces.push_back(trace.id);
    request.traces = traces;
    journal->append(request, at(sent.ms), {});
  }
  void commit(std::int64_t ms) const {
    if (journal) journal->commit(at(ms), wall(ms));
  }
};

// Takes spans for a store that is being replayed into, and calls first.
class Watched final : public IngestTarget {
 public:
  Watched(StoreTarget& target, std::function<void()> before) : target_(target), before_(std::move(before)) {}
  long refuses = 0;  // so many batches
  TimePoint latest{};
  std::map<std::string, int> seen;  // spans, by their bytes
  std::shared_ptr<const ScanPlan> plan() const override { return target_.plan(); }
  bool take(const SpanBatch& batch, SourceId source, TimePoint now) override {
    before_();
    if (refuses-- > 0) return false;
    latest = std::max(latest, now);
    for (const BatchSpan& span : batch.spans) ++seen[std::string(span.data, span.size)];
    return target_.take(batch, source, now);
  }
  bool could_take(const SpanBatch& batch) const override { return target_.could_take(batch); }
  std::uint64_t hash_seed() const override { return target_.hash_seed(); }

 private:
  StoreTarget& target_;
  const std::function<void()> before_;
};

inline constexpr std::int64_t kThen = 5000;

inline TraceStoreOptions small_store() {
  TraceStoreOptions options;
  options.shards = 2;
  options.limits.decision_wait = std::chrono::seconds(2);
  options.limits.cache_bytes = 1 << 20;
  options.pool_bytes = 64 << 20;
  return options;
}

struct Folder {
  fs::path path = fs::temp_directory_path() / ("tailgate-replay-" + std::to_string(::getpid()));
  Folder() {
    fs::remove_all(path);
    fs::create_directories(path);
    setup_log({.level = LogLevel::kError, .sink = [](std::string_view) {}});
  }
  ~Folder() { fs::remove_all(path); }
};

inline std::string request_of(std::uint64_t trace, std::uint64_t first_span, std::uint64_t spans = 1, int status = 0) {
  std::vector<SpanSpec> specs(spans);
  for (SpanSpec& s : specs) {
    s.trace = trace;
    s.id = first_span++;
    s.status = status;
    s.attributes = {{"text", std::to_string(s.id) + std::string(400, static_cast<char>('a' + s.id % 26))}};
  }
  return request(specs);
}

// A process that took so many requests of a span each and was killed. The folder of the next.
inline fs::path after_kill(const fs::path& root, int requests, std::int64_t ahead_ms = 0) {
  Backend nobody;
  nobody.dead = true;
  Process p(nobody, root / "0", 0, small_store());
  for (int n = 0; n != requests; ++n) {
    p.take({ahead_ms + n, request_of(1 + static_cast<std::uint64_t>(n), 1 + static_cast<std::uint64_t>(n))});
    p.commit(ahead_ms + n);
  }
  fs::copy(root / "0", root / "1", fs::copy_options::recursive);
  return root / "1";
}

}  // namespace tailgate::test
