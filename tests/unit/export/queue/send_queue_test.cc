// SPDX-License-Identifier: Apache-2.0
#include "export/queue/send_queue.h"

#include <catch2/catch.hpp>
#include <numeric>
#include <random>

#include "support/kept_trace.h"
#include "support/times.h"

using namespace tailgate;
using namespace tailgate::test;
using namespace std::chrono_literals;

namespace {

const std::size_t kExtra = kept_trace(0)->bytes() - std::string().capacity();  // a short text lies inside

template <class A>
std::uint64_t sum(const A& a) {
  return std::accumulate(a.begin(), a.end(), std::uint64_t{0});
}

bool balanced(const SendQueue& q) {
  const QueueStats& s = q.stats();
  return s.routed_spans == s.sent_spans + sum(s.failed_spans) + sum(s.dropped_spans) + s.queued_spans;
}

std::uint64_t dropped(const SendQueue& q, DropReason r) { return q.stats().dropped_spans[static_cast<std::size_t>(r)]; }
std::uint64_t failed(const SendQueue& q, FailReason r) { return q.stats().failed_spans[static_cast<std::size_t>(r)]; }

KeptTracePtr kept_by(const char* policy, std::uint32_t spans) { return kept_trace(100, false, spans, policy); }

}  // namespace

TEST_CASE("a batch leaves when it is full or its oldest trace has waited 200 ms", "[export]") {
  SendQueue q({.batch_bytes = 1000});
  CHECK(q.push(kept_trace(400), at(0ms)));         // the runner must wake to set its timer
  CHECK_FALSE(q.push(kept_trace(400), at(10ms)));  // the timer runs already
  CHECK(q.next_batch(at(199ms)) == nullptr);
  CHECK(q.next_due() == at(200ms));
  CHECK(q.push(kept_trace(400), at(199ms)));  // full
  const BatchPtr full = q.next_batch(at(199ms));
  REQUIRE(full != nullptr);
  CHECK(full->traces.size() == 2);  // the third would pass 1000 bytes
  CHECK(full->bytes == 800);
  CHECK(q.next_batch(at(199ms)) == nullptr);
  CHECK(q.next_due() == at(399ms));
  CHECK(q.next_batch(at(399ms))->traces.size() == 1);
  CHECK_FALSE(q.next_due());
}

TEST_CASE("the first trace of a batch wakes nobody when the runner looks in time by itself", "[export]") {
  SendQueue q({.batch_bytes = 1000});
  q.will_look(at(200ms));
  CHECK_FALSE(q.push(kept_trace(400), at(0ms)));  // due at 200 ms
  CHECK(q.push(kept_trace(700), at(1ms)));        // full
  CHECK(q.next_batch(at(1ms))->bytes == 400);
  CHECK(q.next_batch(at(201ms))->bytes == 700);
  q.will_look(at(600ms));
  CHECK(q.push(kept_trace(400), at(399ms)));  // due at 599 ms
  CHECK(q.next_batch(at(599ms))->bytes == 400);
  q.begin_drain(at(600ms));
  q.will_look(at(600ms));
  CHECK(q.push(kept_trace(400), at(600ms)));  // due at once
}

TEST_CASE("a trace larger than a batch goes alone", "[export]") {
  SendQueue q({.batch_bytes = 100});
  q.push(kept_trace(50), at(0s));
  q.push(kept_trace(5000), at(0s));
  q.push(kept_trace(50), at(0s));
  CHECK(q.next_batch(at(0s))->bytes == 50);
  CHECK(q.next_batch(at(0s))->bytes == 5000);
  CHECK(q.next_batch(at(0s)) == nullptr);
  CHECK(q.next_batch(at(200ms))->bytes == 50);
}

TEST_CASE("no more batches are out than there are slots, and a retry keeps its slot", "[export]") {
  SendQueue q({.batch_bytes = 1, .in_flight_max = 2});
  for (int i = 0; i < 3; ++i) q.push(kept_trace(10), at(0s));
  const BatchPtr a = q.next_batch(at(0s));
  const BatchPtr b = q.next_batch(at(0s));
  REQUIRE(b != nullptr);
  CHECK(q.next_batch(at(0s)) == nullptr);
  CHECK_FALSE(q.next_due());  // only a finish can help
  q.finish(a->id, SendResult::retry(FailReason::kUnavailable, ""), at(0s));
  CHECK(q.next_batch(at(1s)) == nullptr);
  q.finish(b->id, SendResult::done(), at(1s));
  CHECK(q.next_batch(at(1s)) != nullptr);
}

TEST_CASE("retries back off 5 s, 7.5 s, ... 30 s with half of it as jitter", "[export]") {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    SendQueue q({.batch_bytes = 1, .seed = seed});
    q.push(kept_trace(10), at(0s));
    BatchPtr batch = q.next_batch(at(0s));
    TimePoint now = at(0s);
    double interval = 5;
    for (int attempt = 0; attempt < 10; ++attempt) {
      const auto delay = q.finish(batch->id, SendResult::retry(FailReason::kUnavailable, ""), now).retry_in;
      REQUIRE(delay);
      const double seconds = std::chrono::duration<double>(*delay).count();
      CHECK(seconds >= interval * 0.5);
      CHECK(seconds <= interval * 1.5);
      CHECK(q.next_due() == now + *delay);
      CHECK(q.next_batch(now + *delay - 1ns) == nullptr);
      now += *delay;
      CHECK(q.next_batch(now) == batch);
      interval = std::min(interval * 1.5, 30.0);
    }
    CHECK(q.stats().failures[static_cast<std::size_t>(FailReason::kUnavailable)] == 10);
    CHECK(balanced(q));
  }
}

TEST_CASE("the jitter spreads", "[export]") {
  double low = 99;
  double high = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    SendQueue q({.batch_bytes = 1, .seed = seed});
    q.push(kept_trace(10), at(0s));
    const auto delay = q.finish(q.next_batch(at(0s))->id, SendResult::retry(FailReason::kIo, ""), at(0s)).retry_in;
    low = std::min(low, std::chrono::duration<double>(*delay).count());
    high = std::max(high, std::chrono::duration<double>(*delay).count());
  }
  CHECK(low < 2.7);
  CHECK(high > 7.3);
}

TEST_CASE("the backend's own retry time is honoured, up to an hour", "[export]") {
  SendQueue q({.batch_bytes = 1});
  q.push(kept_trace(10), at(0s));
  const BatchPtr b = q.next_batch(at(0s));
  CHECK(q.finish(b->id, SendResult::retry(FailReason::kRefused, "", 90s), at(0s)).retry_in == Duration(90s));
  CHECK(q.next_batch(at(90s)) == b);
  CHECK(q.finish(b->id, SendResult::retry(FailReason::kRefused, "", 9000h), at(90s)).retry_in == Duration(1h));
}

TEST_CASE("a permanent error, a partial success and an expired retry are counted as failed by reason", "[export]") {
  RetryOptions retry;
  retry.max_elapsed_time = 10s;
  retry.randomization_factor = 0;
  SendQueue q({.batch_bytes = 1, .retry = retry});
  for (int i = 0; i < 3; ++i) q.push(kept_trace(10, false, 100), at(0s));
  q.finish(q.next_batch(at(0s))->id, SendResult::permanent(FailReason::kPermanent, "no"), at(0s));
  q.finish(q.next_batch(at(0s))->id, SendResult::done(30), at(0s));
  const BatchPtr b = q.next_batch(at(0s));
  CHECK(q.finish(b->id, SendResult::retry(FailReason::kTimeout, ""), at(1s)).retry_in == Duration(5s));
  REQUIRE(q.next_batch(at(6s)) == b);
  CHECK_FALSE(q.finish(b->id, SendResult::retry(FailReason::kTimeout, ""), at(6s)).retry_in);  // 6 s + 7.5 s > 10 s
  CHECK(failed(q, FailReason::kPermanent) == 100);
  CHECK(failed(q, FailReason::kPartial) == 30);
  CHECK(failed(q, FailReason::kExpired) == 100);
  CHECK(q.stats().sent_spans == 70);
  CHECK(q.stats().queued_bytes == 0);
  CHECK(q.empty());
  CHECK(balanced(q));
}

TEST_CASE("with retries off a retryable failure is final", "[export]") {
  RetryOptions retry;
  retry.enabled = false;
  SendQueue q({.batch_bytes = 1, .retry = retry});
  q.push(kept_trace(10), at(0s));
  CHECK_FALSE(q.finish(q.next_batch(at(0s))->id, SendResult::retry(FailReason::kTimeout, ""), at(0s)).retry_in);
  CHECK(failed(q, FailReason::kTimeout) == 1);
}

TEST_CASE("when full, the oldest kept by chance go first, then the oldest of the rest", "[export]") {
  SendQueue q({.bytes_max = 4 * (100 + kExtra)});
  q.push(kept_trace(100, false, 1), at(0s));
  q.push(kept_trace(100, true, 10), at(0s));
  q.push(kept_trace(100, true, 100), at(0s));
  q.push(kept_trace(100, false, 1000), at(0s));
  CHECK(dropped(q, DropReason::kQueueFull) == 0);
  q.push(kept_trace(100), at(0s));
  CHECK(dropped(q, DropReason::kQueueFull) == 10);
  q.push(kept_trace(100), at(0s));
  CHECK(dropped(q, DropReason::kQueueFull) == 110);
  q.push(kept_trace(100), at(0s));
  CHECK(dropped(q, DropReason::kQueueFull) == 111);
  q.push(kept_trace(100, true, 5000), at(0s));  // by chance, and only certain ones are here: it goes itself
  CHECK(dropped(q, DropReason::kQueueFull) == 5111);
  CHECK(q.stats().queued_bytes == 4 * (100 + kExtra));
  CHECK(balanced(q));
}

TEST_CASE("a trace larger than the queue pushes nothing out", "[export]") {
  SendQueue q({.bytes_max = 2 * (100 + kExtra)});
  q.push(kept_trace(100), at(0s));
  CHECK_FALSE(q.push(kept_trace(10'000, false, 7), at(0s)));
  CHECK(dropped(q, DropReason::kQueueFull) == 7);
  CHECK(q.stats().queued_spans == 1);
}

TEST_CASE("batches that wait for a retry go when nothing else is left, batches in flight never", "[export]") {
  SendQueue q({.bytes_max = 2 * (100 + kExtra)});
  q.push(kept_trace(100), at(0s));
  q.push(kept_trace(100), at(0s));
  const BatchPtr a = q.next_batch(at(1s));
  const BatchPtr b = q.next_batch(at(1s));
  REQUIRE(b != nullptr);
  q.push(kept_trace(100, false, 9), at(1s));
  CHECK(dropped(q, DropReason::kQueueFull) == 9);
  q.finish(a->id, SendResult::retry(FailReason::kUnavailable, ""), at(1s));
  q.push(kept_trace(100, false, 9), at(1s));
  CHECK(dropped(q, DropReason::kQueueFull) == 10);
  CHECK(q.stats().queued_spans == 10);
  CHECK(balanced(q));
}

TEST_CASE("a drain sends at once, retries soon, and what is left at the end is dropped as shutdown", "[export]") {
  SendQueue q({.batch_bytes = 100});
  q.push(kept_trace(60), at(0s));
  const BatchPtr a = q.next_batch(at(1s));
  q.finish(a->id, SendResult::retry(FailReason::kUnavailable, ""), at(1s));
  q.push(kept_trace(60), at(1s));
  q.push(kept_trace(60), at(1s));
  q.begin_drain(at(1s));
  CHECK(q.next_batch(at(1s)) == a);
  const BatchPtr b = q.next_batch(at(1s));
  const BatchPtr c = q.next_batch(at(1s));
  REQUIRE(c != nullptr);
  const auto delay = q.finish(a->id, SendResult::retry(FailReason::kUnavailable, ""), at(1s)).retry_in;
  REQUIRE(delay);
  CHECK(*delay <= 1s);
  q.finish(b->id, SendResult::done(), at(1s));
  CHECK_FALSE(q.empty());
  q.abandon();
  CHECK(q.empty());
  CHECK(dropped(q, DropReason::kShutdown) == 2);
  q.finish(c->id, SendResult::done(), at(2s));  // came after: no longer ours
  CHECK(q.stats().sent_spans == 1);
  CHECK(balanced(q));
}

TEST_CASE(
    "a backend that failed five times in a row is probed by one call at a time, and its first answer sets all going",
    "[export]") {
  SendQueue q({.batch_bytes = 1, .in_flight_max = 4, .retry = {.randomization_factor = 0}});
  for (int i = 0; i < 6; ++i) q.push(kept_trace(10), at(0s));
  std::vector<BatchPtr> out;
  while (BatchPtr b = q.next_batch(at(0s))) out.push_back(b);
  REQUIRE(out.size() == 4);
  for (const BatchPtr& b : out) q.finish(b->id, SendResult::retry(FailReason::kUnavailable, ""), at(0s));
  CHECK_FALSE(q.limit().open());
  const BatchPtr fifth = q.next_batch(at(5s));
  REQUIRE(fifth != nullptr);
  CHECK(q.finish(fifth->id, SendResult::retry(FailReason::kUnavailable, ""), at(5s)).retry_in == Duration(7500ms));
  CHECK(q.limit().open());
  CHECK(q.next_batch(at(10s)) == nullptr);  // three others are due since 5 s
  CHECK(q.next_due() == at(12500ms));
  const BatchPtr probe = q.next_batch(at(12500ms));
  REQUIRE(probe != nullptr);
  CHECK(q.next_batch(at(12500ms)) == nullptr);
  CHECK_FALSE(q.next_due());
  q.finish(probe->id, SendResult::done(), at(12600ms));
  CHECK_FALSE(q.limit().open());
  int going = 0;
  while (q.next_batch(at(12600ms)) != nullptr) ++going;
  CHECK(going == 4);
  CHECK(balanced(q));
}

TEST_CASE("calls at a time grow while latency is flat, shrink when it grows, and halve when it is too much",
          "[export]") {
  SendLimit limit(50);
  CHECK(limit.limit() == 4);
  TimePoint now = at(1s);
  const auto answer = [&](Duration latency, int calls) {
    for (int i = 0; i < calls; ++i) {
      now += latency;
      limit.answered(now - latency, now, limit.limit());
    }
  };
  answer(10ms, 4000);
  CHECK(limit.limit() == 50);
  answer(500ms, 500);
  CHECK(limit.limit() < 45);
  answer(10ms, 4000);
  CHECK(limit.limit() == 50);
  limit.failed(true, now, now, now + 5s, true);
  CHECK(limit.limit() == 25);
  limit.failed(true, now - 1ms, now, now + 5s, true);  // sent before that
  CHECK(limit.limit() == 25);
  limit.failed(true, now, now + 1s, now + 5s, false);
  CHECK(limit.limit() == 25);
  // A call that is not one of as many as may be in flight says nothing about more of them.
  SendLimit idle(50);
  for (int i = 0; i < 1000; ++i) idle.answered(at(1s), at(1s) + 10ms, 1);
  CHECK(idle.limit() == 4);
}

TEST_CASE("what is lost is counted by the policy that kept it, and what waits has an age", "[export]") {
  SendQueue q({.bytes_max = 2 * (100 + kExtra), .batch_bytes = 1});
  CHECK_FALSE(q.oldest_since());
  q.push(kept_by("errors", 3), at(1s));
  q.push(kept_by("slow", 5), at(2s));
  q.push(kept_by("errors", 7), at(3s));  // pushes the first one out
  CHECK(q.oldest_since() == at(2s));
  const BatchPtr refused = q.next_batch(at(4s));
  CHECK(q.oldest_since() == at(2s));
  const Finished finished = q.finish(refused->id, SendResult::permanent(FailReason::kPermanent, "no"), at(4s));
  CHECK(finished.batch == refused);
  CHECK(finished.rejected);
  CHECK(q.oldest_since() == at(3s));
  const auto full = kFailReasonNames.size() + static_cast<std::size_t>(DropReason::kQueueFull);
  CHECK(q.stats().lost_spans.at("errors")[full] == 3);
  CHECK(q.stats().lost_spans.at("slow")[static_cast<std::size_t>(FailReason::kPermanent)] == 5);
  const BatchPtr partial = q.next_batch(at(5s));
  CHECK(q.finish(partial->id, SendResult::done(2), at(5s)).rejected);
  CHECK_FALSE(q.oldest_since());
}

TEST_CASE("spans are accounted for and bytes bounded under random operations", "[export]") {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    std::mt19937_64 random(seed);
    SendQueueOptions options{.bytes_max = 20'000, .batch_bytes = 3'000, .in_flight_max = 3, .seed = seed};
    SendQueue q(options);
    TimePoint now{};
    std::vector<BatchPtr> out;
    std::vector<std::weak_ptr<const KeptTrace>> all;
    for (int step = 0; step < 3000; ++step) {
      now += Duration(static_cast<std::int64_t>(random() % 300'000'000));
      switch (random() % 6) {
        case 0:
        case 1:
        case 2: {
          const KeptTracePtr t =
              kept_trace(random() % 4000, random() % 2 == 0, static_cast<std::uint32_t>(random() % 50));
          all.push_back(t);
          q.push(t, now);
          break;
        }
        case 3:
          if (BatchPtr b = q.next_batch(now)) out.push_back(b);
          break;
        case 4:
          if (!out.empty()) {
            const std::size_t i = random() % out.size();
            const auto kind = random() % 4;
            q.finish(out[i]->id,
                     kind == 0   ? SendResult::retry(FailReason::kTimeout, "")
                     : kind == 1 ? SendResult::permanent(FailReason::kPermanent, "")
                                 : SendResult::done(random() % 60),
                     now);
            out.erase(out.begin() + static_cast<std::ptrdiff_t>(i));
          }
          break;
        case 5:
          if (random() % 20 == 0) q.evict_one();
          break;
      }
      REQUIRE(balanced(q));
      REQUIRE(q.stats().queued_bytes <= options.bytes_max);
      REQUIRE(out.size() <= 3);
    }
    q.abandon();
    out.clear();
    REQUIRE(q.empty());
    REQUIRE(q.stats().queued_bytes == 0);
    REQUIRE(balanced(q));
    for (const auto& t : all) REQUIRE(t.expired());
  }
}

TEST_CASE("how a batch ended is told once, with its attempts, and whether own traces are in it", "[export]") {
  SendQueue q({.retry = {.initial_interval = 1s, .randomization_factor = 0}});
  q.push(kept_trace(100, false, 5), at(0s));
  BatchPtr batch = q.next_batch(at(1s));
  CHECK_FALSE(q.finish(batch->id, SendResult::retry(FailReason::kTimeout, ""), at(2s)).ended);
  batch = q.next_batch(at(3s));
  std::optional<BatchEnd> end = q.finish(batch->id, SendResult::done(2), at(4s)).ended;
  REQUIRE(end);
  CHECK(end->first_try == at(1s));
  CHECK(end->attempts == 2);
  CHECK(end->spans == 5);
  CHECK(end->failed == FailReason::kPartial);
  CHECK_FALSE(end->own);

  auto own = std::make_shared<KeptTrace>();
  own->own = true;
  q.push(kept_trace(100), at(5s));
  q.push(own, at(5s));
  batch = q.next_batch(at(6s));
  end = q.finish(batch->id, SendResult::permanent(FailReason::kPermanent, ""), at(6s)).ended;
  REQUIRE(end);
  CHECK(end->failed == FailReason::kPermanent);
  CHECK(end->own);
}

TEST_CASE("what a backend names as rejected is lost to its own policy and no other", "[export]") {
  SendQueue q({.batch_bytes = 200});
  q.push(kept_by("errors", 3), at(0s));
  q.push(kept_by("slow", 5), at(0s));
  const BatchPtr batch = q.next_batch(at(1s));
  REQUIRE(batch->traces.size() == 2);
  const Finished finished = q.finish(batch->id, SendResult::done_but_for({{1, 4, "mapping"}}), at(1s));
  CHECK(finished.rejected);
  CHECK(failed(q, FailReason::kPartial) == 4);
  CHECK(q.stats().sent_spans == 4);
  CHECK(q.stats().lost_spans.size() == 1);
  CHECK(q.stats().lost_spans.at("slow")[static_cast<std::size_t>(FailReason::kPartial)] == 4);
  CHECK(balanced(q));
}

TEST_CASE("a queue that collects for a minute sends before small traces fill it", "[export]") {
  SendQueue q({.bytes_max = 100'000, .batch_bytes = 90'000, .flush_timeout = 60s, .in_flight_max = 1});
  // Each takes several times its 20 bytes of OTLP, which alone would never make a batch.
  while (q.next_batch(at(0s)) == nullptr) {
    q.push(kept_trace(20), at(0s));
    REQUIRE(sum(q.stats().dropped_spans) == 0);
  }
  CHECK(q.stats().queued_bytes >= 50'000);
  CHECK(q.stats().queued_bytes < 50'000 + 2 * (kExtra + 40));
}

TEST_CASE("a durable queue that collects sends when half its window waits", "[export]") {
  SendQueueOptions options{.bytes_max = SIZE_MAX / 2, .batch_bytes = 1 << 20, .flush_timeout = 60s, .in_flight_max = 2};
  options.durable.directory = "somewhere";
  options.durable.window_max = 20'000;
  SendQueue q(options);
  q.push(kept_trace(9'000), at(0s));
  CHECK(q.next_batch(at(0s)) == nullptr);
  q.push(kept_trace(1'000), at(0s));
  CHECK(q.next_due() == at(0s));
  CHECK(q.next_batch(at(0s))->traces.size() == 2);
}

TEST_CASE("a batch that the backend refuses for one of its traces is divided until that one is alone", "[export]") {
  SendQueue q({.batch_bytes = 10'000});
  for (std::uint32_t i = 0; i < 20; ++i) q.push(kept_by(i == 13 ? "bad" : "good", 1), at(0s));
  int calls = 0;
  while (BatchPtr batch = q.next_batch(at(1s))) {
    ++calls;
    const bool bad =
        std::any_of(batch->traces.begin(), batch->traces.end(), [](const auto& t) { return t->policy == "bad"; });
    const Finished f = q.finish(
        batch->id,
        bad ? SendResult::permanent(FailReason::kPermanent, "no", SendResult::About::kContent) : SendResult::done(),
        at(1s));
    if (f.rejected) CHECK(f.batch->traces.size() == 1);
  }
  CHECK(calls <= 11);  // the batch, and two for each time that it was halved
  CHECK(q.stats().sent_spans == 19);
  CHECK(failed(q, FailReason::kPermanent) == 1);
  CHECK(q.stats().divided_batches == 4);
  CHECK(q.empty());
}

TEST_CASE("a refusal of the whole connection divides nothing, and one of every content soon no more", "[export]") {
  SendQueue q({.batch_bytes = 10'000});
  const auto refuse_all = [&](SendResult::About about) {
    for (int i = 0; i < 1000; ++i) q.push(kept_trace(10), at(0s));
    int calls = 0;
    while (BatchPtr batch = q.next_batch(at(1s))) {
      ++calls;
      q.finish(batch->id, SendResult::permanent(FailReason::kPermanent, "no", about), at(1s));
    }
    return calls;
  };
  CHECK(refuse_all(SendResult::About::kAll) == 1);
  CHECK(refuse_all(SendResult::About::kContent) < 100);
  CHECK(refuse_all(SendResult::About::kContent) == 1);
  q.push(kept_trace(10), at(2s));
  q.finish(q.next_batch(at(3s))->id, SendResult::done(), at(3s));  // it takes something: batches are divided again
  CHECK(refuse_all(SendResult::About::kContent) > 10);
  CHECK(balanced(q));
}

TEST_CASE("the size that a backend refuses is learned, and after ten minutes twice as much is tried", "[export]") {
  SendQueue q({.batch_bytes = 1 << 20});
  const auto push = [&] {
    for (int i = 0; i < 10; ++i) q.push(kept_trace(100'000), at(0s));
  };
  const auto send = [&](TimePoint now, std::size_t most) {
    std::size_t largest = 0;
    while (BatchPtr batch = q.next_batch(now)) {
      largest = std::max(largest, batch->bytes);
      q.finish(batch->id,
               batch->bytes > most ? SendResult::permanent(FailReason::kRefused, "large", SendResult::About::kSize)
                                   : SendResult::done(),
               now);
    }
    return largest;
  };
  push();
  CHECK(send(at(1s), 300'000) == 1'000'000);
  CHECK(q.request_bytes_max() == 250'000);
  CHECK(q.stats().sent_spans == 10);
  push();
  CHECK(send(at(2s), 300'000) == 200'000);
  push();
  CHECK(send(at(11min), 600'000) == 500'000);
  CHECK(q.request_bytes_max() == 500'000);
  CHECK(sum(q.stats().failed_spans) == 0);
}

TEST_CASE("no batch has more than max_size, and a trace that has goes in pieces", "[export]") {
  std::string scope_spans;
  for (int i = 0; i < 10; ++i) {
    const std::string span = "\x2a\x80\x08" + std::string(1024, 'n');
    scope_spans += std::string("\x12\x83\x08") + span;
  }
  const auto head = [](char tag, std::size_t n) {
    return std::string{tag, static_cast<char>((n & 0x7f) | 0x80), static_cast<char>((n >> 7 & 0x7f) | 0x80),
                       static_cast<char>(n >> 14)};
  };
  const std::string scope = head('\x12', scope_spans.size()) + scope_spans;
  auto large = std::make_shared<KeptTrace>();
  large->otlp = head('\x0a', scope.size()) + scope;
  large->spans = 10;
  SendQueue q({.batch_bytes = 1 << 20, .request_bytes_max = 4000});
  q.push(large, at(0s));
  q.push(kept_trace(5000), at(0s));  // one span: it goes alone
  std::uint64_t spans = 0;
  int batches = 0;
  while (BatchPtr batch = q.next_batch(at(1s))) {
    ++batches;
    spans += batch->spans;
    CHECK((batch->bytes <= 4000 || batch->spans == 1));
    q.finish(batch->id, SendResult::done(), at(1s));
  }
  CHECK(spans == 11);
  CHECK(batches == 5);
  CHECK(q.stats().queued_bytes == 0);
  CHECK(q.empty());
}

TEST_CASE("one batch that is refused for now, for ever, stops nobody", "[export]") {
  SendQueue q({.batch_bytes = 10'000, .retry = {.initial_interval = 1s}});
  q.push(kept_by("bad", 1), at(0s));
  std::uint64_t arrived = 0;
  for (int second = 1; second <= 200; ++second) {
    const TimePoint now = at(std::chrono::seconds(second));
    if (second >= 60 && second % 10 == 0) q.push(kept_by("good", 1), now - 500ms);  // long after five failures
    while (BatchPtr batch = q.next_batch(now)) {
      const bool bad = batch->traces[0]->policy == "bad";
      if (!bad) arrived += batch->spans;
      q.finish(batch->id, bad ? SendResult::retry(FailReason::kUnavailable, "503") : SendResult::done(), now);
    }
  }
  CHECK(arrived == 15);
  CHECK_FALSE(q.limit().open());
  CHECK(q.aside_spans() == 1);
}

TEST_CASE("what is not in flight can be taken back, as if it had never been pushed", "[export]") {
  SendQueue q({.batch_bytes = 1000, .in_flight_max = 2});
  for (int i = 0; i < 5; ++i) q.push(kept_trace(600, i % 2 == 0, 3), at(0ms));
  const BatchPtr flying = q.next_batch(at(0ms)), failing = q.next_batch(at(0ms));
  REQUIRE(failing != nullptr);
  q.finish(failing->id, SendResult::retry(FailReason::kUnavailable, "gone"), at(1ms));
  CHECK(q.take_waiting().size() == 4);  // three that waited, and one that waits for a retry
  CHECK(q.stats().routed_spans == 3);
  CHECK(q.stats().queued_spans == 3);
  CHECK(q.take_waiting().empty());
  CHECK(balanced(q));
  q.finish(flying->id, SendResult::retry(FailReason::kUnavailable, "gone"), at(2ms));
  CHECK(q.take_waiting().size() == 1);
  CHECK(q.empty());
  CHECK(q.stats().queued_bytes == 0);
  CHECK(q.stats().routed_spans == 0);
  CHECK(balanced(q));
}
