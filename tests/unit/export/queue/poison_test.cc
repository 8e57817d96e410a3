// SPDX-License-Identifier: Apache-2.0
// No trace that a backend does not like holds up or takes with it another. The queue of every exporter is run by
// simulated time against a backend that goes down now and then, has a size limit, and dislikes some traces in one of
// several ways. Whatever happens, every good trace arrives within a bound, every other one ends where the options say,
// and the counters add up.
#include <catch2/catch.hpp>
#include <map>
#include <numeric>
#include <optional>
#include <random>
#include <set>

#include "export/queue/durable_queue.h"
#include "export/queue/send_queue.h"
#include "support/sanitized.h"

using namespace tailgate;
using namespace std::chrono_literals;

namespace {

enum class Liking : std::uint8_t {
  kGood,
  kRefused,  // for good
  kHeld,     // refused for now, for ever
  kSlow,     // the backend does not answer in time
  kTooWide,  // one of its spans is larger than a request may be
};

std::string len(char tag, std::string_view content) {
  std::string out(1, tag);
  std::size_t n = content.size();
  for (; n >= 0x80; n >>= 7) out += static_cast<char>(n | 0x80);
  out += static_cast<char>(n);
  return out + std::string(content);
}

// `spans` spans whose names have `name` bytes each, as OTLP.
std::string otlp_of(std::uint32_t spans, std::size_t name) {
  std::string scope_spans;
  for (std::uint32_t i = 0; i < spans; ++i) scope_spans += len('\x12', len('\x2a', std::string(name, 'n')));
  return len('\x0a', len('\x12', scope_spans));
}

struct Setup {
  bool durable = false;
  bool itemised = false;  // the exporter tells what became of each trace, as kafka and elasticsearch do
  bool poison = true;     // s3, file and debug have none, and do not divide
  bool busy = true;       // traffic goes on to the end
  Duration max_elapsed{};
  std::uint32_t in_flight = 10;
  std::size_t size_limit = 20'000;
  std::size_t window = 400'000;  // of a durable queue; some traces have 60,000
  Duration bound = 25min;        // for a good trace, counted from the end of the last outage
};

class World {
 public:
  World(const Setup& setup, std::uint64_t seed) : setup_(setup), random_(seed), queue_(options(setup, seed)) {
    if (setup.durable) durable_.emplace(std::vector<DurableOptions>{options(setup, seed).durable});
  }

  // Traffic for some five minutes with outages in the first half, then time for all to arrive.
  void run() {
    const std::uint32_t traces = setup_.busy ? 120 : 40;
    const Duration each = Duration(5min) / traces;
    const bool outages = below(2) == 0;
    const double bad = std::array{0.0, 0.02, 0.05, 0.15}[below(4)];
    for (std::uint32_t i = 0; i < traces; ++i) {
      if (outages && now_ >= down_until_ && now_ < TimePoint{} + 3min && below(50) == 0)
        down_until_ = now_ + std::chrono::seconds(1 + below(40));
      make_trace(bad);
      // In a batch of traffic that is not steady many come at once.
      if (setup_.busy || below(8) == 0) run_until(now_ + each);
    }
    for (int i = 0; i < 600 && !all_settled(); ++i) {
      if (setup_.busy) make_trace(0);
      run_until(now_ + 6s);
    }
    run_until(now_ + 1s);
  }

  void check() const {
    for (const Trace& t : traces_) {
      if (ended_as_wanted(t)) continue;
      FAIL("trace " << t.number << " of " << t.spans << " spans, liking " << static_cast<int>(t.liking)
                    << ", pushed at " << seconds(t.pushed) << " s: arrived " << t.arrived << " at "
                    << seconds(t.last_arrived) << " s, lost " << t.lost << "; the last outage ended at "
                    << seconds(last_down_end_) << " s");
    }
    const QueueStats& s = queue_.stats();
    const auto sum = [](const auto& list) { return std::accumulate(list.begin(), list.end(), std::uint64_t{0}); };
    REQUIRE(s.routed_spans == s.sent_spans + sum(s.failed_spans) + sum(s.dropped_spans) + s.queued_spans);
    REQUIRE(sum(s.dropped_spans) == 0);
    std::uint64_t arrived = 0, lost = 0;
    for (const Trace& t : traces_) {
      arrived += t.arrived;
      lost += t.lost;
    }
    REQUIRE(s.sent_spans == arrived);
    REQUIRE(sum(s.failed_spans) == lost);
    if (durable_) {
      const DurableQueue::Stats d = durable_->stats(0);
      REQUIRE(d.pushed_spans == arrived + lost + s.queued_spans + d.waiting_spans);
    }
  }

 private:
  struct Trace {
    std::size_t number = 0;
    Liking liking = Liking::kGood;
    std::uint32_t spans = 0;
    std::uint64_t arrived = 0, lost = 0;
    TimePoint pushed{}, last_arrived{};
  };
  struct Call {
    BatchPtr batch;
    SendResult result;
  };

  static SendQueueOptions options(const Setup& setup, std::uint64_t seed) {
    SendQueueOptions o;
    o.bytes_max = setup.durable ? SIZE_MAX / 2 : 64 << 20;
    o.batch_bytes = 10'000;
    o.in_flight_max = setup.in_flight;
    o.divide = setup.poison;
    o.seed = seed;
    o.retry.max_elapsed_time = setup.max_elapsed;
    if (setup.durable) {
      o.durable.directory = "in memory";
      o.durable.window_max = setup.window;
    }
    return o;
  }

  static double seconds(TimePoint t) { return std::chrono::duration<double>(t - TimePoint{}).count(); }

  bool ended_as_wanted(const Trace& t) const {
    switch (t.liking) {
      case Liking::kGood:
        return t.lost == 0 && t.arrived == t.spans &&
               t.last_arrived - std::max(t.pushed, last_down_end_) < setup_.bound;
      case Liking::kRefused:
        return t.arrived == 0 && t.lost == t.spans;
      case Liking::kTooWide:  // the span is lost; others of its trace arrive
        return t.lost >= 1 && t.arrived + t.lost == t.spans;
      case Liking::kHeld:
      case Liking::kSlow:
        return t.arrived == 0 &&
               (t.lost == 0 || setup_.max_elapsed > Duration::zero());  // it waits, or its pieces expire
    }
    return false;
  }

  std::uint64_t below(std::uint64_t n) { return random_() % n; }

  void make_trace(double bad) {
    Trace t;
    t.number = traces_.size();
    t.spans = static_cast<std::uint32_t>(1 + below(below(10) == 0 ? 60 : 8));
    if (setup_.poison && static_cast<double>(below(1000)) < bad * 1000) t.liking = static_cast<Liking>(1 + below(4));
    const bool wide = t.liking == Liking::kTooWide;
    auto kept = std::make_shared<KeptTrace>();
    kept->id.bytes[0] = static_cast<char>(t.number);
    kept->root_name = std::to_string(t.number);
    kept->policy = "errors";
    kept->otlp = otlp_of(t.spans, wide ? 90'000 : 100 + below(900));
    if (wide) kept->otlp = otlp_of(t.spans = 1 + static_cast<std::uint32_t>(below(2)), 150'000);
    kept->spans = t.spans;
    t.pushed = now_;
    traces_.push_back(t);
    if (!durable_) {
      queue_.push(kept, now_);
      return;
    }
    durable_->push(kept, 1, 0);
    const bool written = below(10) != 0;
    durable_->end_commit(durable_->begin_commit(), written);
    disk_[kept->root_name] = kept;
  }

  // As the runner does.
  void refill() {
    if (!durable_) return;
    const auto take = [&](DurableQueue::Next next) {
      // What the durable queue has let go of is read from the disk.
      if (next.trace == nullptr) next.trace = disk_.at(std::to_string(next.number - 1));
      numbers_[next.trace.get()] = next.number;
      return next.trace;
    };
    while (const std::size_t bytes = durable_->next_bytes(0)) {
      const std::size_t queued = queue_.stats().queued_bytes - queue_.aside_bytes();
      if (queued != 0 && queued + bytes > setup_.window) break;
      queue_.push(take(*durable_->next(0)), now_);
    }
    while (durable_->has_parked(0) && queue_.aside_bytes() < setup_.window)
      queue_.push_aside(take(*durable_->next_parked(0)), now_, queue_.aside_bytes() < setup_.window / 2);
    queue_.rotate_parked(durable_->has_parked(0));
  }

  void run_until(TimePoint end) {
    while (true) {
      refill();
      while (BatchPtr batch = queue_.next_batch(now_)) send(std::move(batch));
      TimePoint next = end;
      if (const auto due = queue_.next_due()) next = std::min(next, *due);
      if (!calls_.empty()) next = std::min(next, calls_.begin()->first);
      still_ = next > now_ ? 0 : still_ + 1;
      if (still_ > 100'000) FAIL("time stands still");
      now_ = std::max(now_, next);
      if (!calls_.empty() && calls_.begin()->first <= now_) {
        const Call call = calls_.begin()->second;
        calls_.erase(calls_.begin());
        finish(call);
      } else if (now_ >= end) {
        return;
      }
    }
  }

  void send(BatchPtr batch) {
    if (calls_.size() >= setup_.in_flight) FAIL("more calls than there may be");
    SendResult result = SendResult::done();
    Duration takes = std::chrono::milliseconds(1 + below(50));
    if (now_ < down_until_) {
      last_down_end_ = std::max(last_down_end_, down_until_);
      const bool silent = below(2) == 0;
      if (silent) takes = 10s;
      result = SendResult::retry(silent ? FailReason::kTimeout : FailReason::kUnavailable, "down");
    } else if (setup_.poison) {
      result = judge(*batch, takes);
    }
    calls_.emplace(now_ + takes, Call{std::move(batch), std::move(result)});
  }

  SendResult judge(const Batch& batch, Duration& takes) {
    if (batch.bytes > setup_.size_limit)
      return SendResult::permanent(FailReason::kRefused, "too large", SendResult::About::kSize);
    std::vector<RejectedTrace> rejected;
    std::vector<std::size_t> settled;
    std::optional<SendResult> later;
    bool refused = false;
    for (std::size_t i = 0; i < batch.traces.size(); ++i) {
      const Liking liking = trace_of(*batch.traces[i]).liking;
      if (liking == Liking::kRefused) {
        refused = true;
        rejected.push_back({i, batch.traces[i]->spans, "refused"});
      }
      if (liking == Liking::kSlow) takes = 10s;
      if (liking == Liking::kSlow) later = SendResult::retry(FailReason::kTimeout, "slow");
      if (liking == Liking::kHeld) later = SendResult::retry(FailReason::kUnavailable, "held");
      if (liking != Liking::kSlow && liking != Liking::kHeld) settled.push_back(i);
    }
    if (setup_.itemised) {
      if (!later) return SendResult::done_but_for(std::move(rejected));
      later->settled = std::move(settled);
      later->rejected = std::move(rejected);
      return *later;
    }
    if (later) return *later;
    return refused ? SendResult::permanent(FailReason::kPermanent, "refused", SendResult::About::kContent)
                   : SendResult::done();
  }

  void finish(const Call& call) {
    const Finished finished = queue_.finish(call.batch->id, call.result, now_);
    if (finished.batch != nullptr) {
      if (!finished.ended) FAIL("a batch that ended says how");
      const bool all_lost = finished.rejected && finished.rejected_of.empty();
      for (const KeptTracePtr& t : finished.batch->traces) {
        Trace& trace = trace_of(*t);
        (all_lost ? trace.lost : trace.arrived) += t->spans;
        if (!all_lost) trace.last_arrived = now_;
      }
      for (const RejectedTrace& r : finished.rejected_of) {
        Trace& trace = trace_of(*finished.batch->traces.at(r.index));
        trace.lost += r.spans;
        trace.arrived -= r.spans;
      }
    }
    if (!durable_) return;
    for (const KeptTracePtr& t : finished.done) durable_->done(0, numbers_.at(t.get()));
    for (const KeptTracePtr& t : queue_.take_parked()) durable_->park(0, numbers_.at(t.get()));
  }

  Trace& trace_of(const KeptTrace& kept) { return traces_.at(std::stoul(kept.root_name)); }
  // All but those that never end.
  bool all_settled() const {
    return std::all_of(traces_.begin(), traces_.end(), [](const Trace& t) {
      return t.liking == Liking::kHeld || t.liking == Liking::kSlow || t.arrived + t.lost == t.spans;
    });
  }

  const Setup setup_;
  std::mt19937_64 random_;
  SendQueue queue_;
  std::optional<DurableQueue> durable_;
  std::map<std::string, KeptTracePtr> disk_;
  std::map<const KeptTrace*, std::uint64_t> numbers_;
  std::vector<Trace> traces_;
  std::multimap<TimePoint, Call> calls_;
  TimePoint now_{}, down_until_{}, last_down_end_{};
  int still_ = 0;
};

void run_worlds(const Setup& setup, std::uint64_t runs) {
  if (test::kSanitized) runs /= 10;
  for (std::uint64_t seed = 1; seed <= runs; ++seed) {
    INFO("seed " << seed);
    World world(setup, seed);
    world.run();
    world.check();
  }
}

}  // namespace

TEST_CASE("in memory, batches judged whole: otlp, otlphttp, zipkin", "[export]") { run_worlds({}, 2500); }

TEST_CASE("on disk, batches judged whole: otlp, otlphttp, zipkin", "[export]") { run_worlds({.durable = true}, 2500); }

TEST_CASE("in memory, each trace judged: kafka, elasticsearch", "[export]") { run_worlds({.itemised = true}, 1500); }

TEST_CASE("on disk, each trace judged: kafka, elasticsearch", "[export]") {
  run_worlds({.durable = true, .itemised = true}, 1500);
}

TEST_CASE("more is set aside than a durable queue's window holds", "[export]") {
  run_worlds({.durable = true, .window = 130'000, .bound = 60min}, 500);
}

TEST_CASE("little traffic", "[export]") {
  run_worlds({.busy = false, .bound = 60min}, 500);
  run_worlds({.durable = true, .busy = false, .bound = 60min}, 500);
}

TEST_CASE("what keeps failing ends after max_elapsed_time and takes nobody with it", "[export]") {
  run_worlds({.max_elapsed = 15min}, 500);
}

TEST_CASE("one batch at a time, no poison: file, s3, debug", "[export]") {
  run_worlds({.poison = false, .in_flight = 1}, 250);
  run_worlds({.durable = true, .poison = false, .in_flight = 2}, 250);
}
