#include "export/durable_queue.h"

#include <catch2/catch.hpp>
#include <random>

#include "export/kept_record.h"

using namespace tailgate;
using namespace std::chrono_literals;

namespace {

KeptTracePtr trace(std::size_t wire, bool by_chance = false, std::uint32_t spans = 1, const char* policy = "errors") {
  auto t = std::make_shared<KeptTrace>();
  t->otlp.assign(wire, 'x');
  t->spans = spans;
  t->policy = policy;
  t->verdict.chance = by_chance;
  return t;
}

const std::size_t kSize = trace(1000)->bytes();

void commit(DurableQueue& q, bool written = true) { q.end_commit(q.begin_commit(), written); }

std::uint64_t dropped(const DurableQueue& q, DropReason reason) {
  return q.stats().dropped_spans[static_cast<std::size_t>(reason)];
}

}  // namespace

TEST_CASE("what the backend has before the first commit is never written", "[export]") {
  DurableQueue q({});
  q.push(trace(1000), 1);
  const auto next = q.next();
  REQUIRE(next);
  CHECK(next->trace != nullptr);
  q.done(next->number);
  CHECK(q.begin_commit().empty());
  CHECK(q.stats().bytes == 0);
}

TEST_CASE("what is handed out and not done is written; what is done is removed by the next commit", "[export]") {
  DurableQueue q({});
  q.push(trace(1000), 1);
  q.push(trace(1000), 2);
  const auto first = q.next();
  DurableQueue::Plan plan = q.begin_commit();
  REQUIRE(plan.puts.size() == 2);
  CHECK(plan.puts[0].number == first->number);
  CHECK(plan.puts[0].pushed_unix_ns == 1);
  q.done(first->number);  // while it is being written
  q.end_commit(std::move(plan), true);
  plan = q.begin_commit();
  CHECK(plan.puts.empty());
  CHECK(plan.removes == std::vector<std::uint64_t>{first->number});
  q.end_commit(std::move(plan), true);
  CHECK(q.begin_commit().empty());
  CHECK(q.stats().oldest_unix_ns == 2);
}

TEST_CASE("a commit that failed is made again, and nothing of it is lost", "[export]") {
  DurableQueue q({});
  q.push(trace(1000), 1);
  commit(q);
  const auto first = q.next();
  q.done(first->number);
  q.push(trace(1000), 2);
  q.push(trace(1000), 3);
  commit(q, false);
  const auto second = q.next();
  q.done(second->number);
  DurableQueue::Plan plan = q.begin_commit();
  REQUIRE(plan.puts.size() == 1);
  CHECK(plan.puts[0].pushed_unix_ns == 3);
  CHECK(plan.removes == std::vector<std::uint64_t>{first->number});
  q.end_commit(std::move(plan), true);
}

TEST_CASE("memory lets go of the newest that are on disk; they come back as numbers, in order", "[export]") {
  DurableQueue q({.memory_max = 2 * kSize});
  for (std::uint64_t n = 1; n <= 5; ++n) q.push(trace(1000), n);
  CHECK(q.memory_bytes() == 5 * kSize);  // not on disk yet
  commit(q);
  CHECK(q.memory_bytes() == 2 * kSize);
  std::uint64_t last = 0;
  for (int n = 1; n <= 5; ++n) {
    const auto next = q.next();
    REQUIRE(next);
    CHECK((next->trace != nullptr) == (n <= 2));
    CHECK(next->number > last);
    last = next->number;
  }
  CHECK_FALSE(q.next());
  q.put_back(last);
  CHECK(q.next()->number == last);
  CHECK(q.memory_bytes() == 0);
}

TEST_CASE("when full, the oldest kept by chance go first, and those handed out never", "[export]") {
  DurableQueue q({.bytes_max = 4 * kSize});
  q.push(trace(1000, true, 1, "baseline"), 1);
  q.push(trace(1000, false, 10), 2);
  q.push(trace(1000, true, 100, "baseline"), 3);
  q.push(trace(1000, false, 1000), 4);
  REQUIRE(q.next());  // the first
  q.push(trace(1000, false, 2), 5);
  CHECK(dropped(q, DropReason::kQueueFull) == 100);
  q.push(trace(1000, true, 5, "baseline"), 6);  // only certain ones wait
  CHECK(dropped(q, DropReason::kQueueFull) == 105);
  q.push(trace(1000, false, 3), 7);
  CHECK(dropped(q, DropReason::kQueueFull) == 115);
  q.push(trace(9000, false, 7), 8);  // larger than all of it: pushes nothing out
  CHECK(dropped(q, DropReason::kQueueFull) == 122);
  const auto stats = q.stats();
  CHECK(stats.dropped_by_policy.at("baseline")[static_cast<std::size_t>(DropReason::kQueueFull)] == 105);
  CHECK(stats.dropped_by_policy.at("errors")[static_cast<std::size_t>(DropReason::kQueueFull)] == 17);
  CHECK(stats.bytes == 4 * kSize);
}

TEST_CASE("what is too old goes", "[export]") {
  DurableQueue q({.age_max = 10s});
  const std::uint64_t second = 1'000'000'000;
  q.push(trace(1000, false, 1), 1 * second);
  q.push(trace(1000, true, 2), 5 * second);
  q.push(trace(1000, false, 4), 9 * second);
  q.expire(11 * second);
  CHECK(dropped(q, DropReason::kTooOld) == 0);
  q.expire(16 * second);
  CHECK(dropped(q, DropReason::kTooOld) == 3);
  CHECK(q.stats().waiting_spans == 4);
}

TEST_CASE("what was found at the start is sent first, and new numbers follow", "[export]") {
  DurableQueue q({});
  q.restore(17, 1000, *trace(0, true, 3), 500);
  q.restore(40, 2000, *trace(0, false, 4), 600);
  q.push(trace(1000, false, 5), 3000);
  CHECK(q.stats().restored_spans == 7);
  CHECK(q.stats().waiting_spans == 12);
  CHECK(q.stats().oldest_unix_ns == 1000);
  const auto a = q.next(), b = q.next(), c = q.next();
  CHECK(a->number == 17);
  CHECK(a->trace == nullptr);
  CHECK(b->number == 40);
  CHECK(c->number == 41);
  q.done(17);
  CHECK(q.begin_commit().removes == std::vector<std::uint64_t>{17});
}

// A model of the disk: what a crash would find there.
TEST_CASE("under random operations nothing is lost that was not counted, whenever the process dies", "[export]") {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    std::mt19937_64 r(seed);
    std::map<std::uint64_t, std::string> disk;
    DurableQueue q({.bytes_max = 40 * kSize, .memory_max = 3 * kSize});
    std::map<std::uint64_t, std::string> out;
    std::uint64_t pushed = 0, done = 0;
    const auto write = [&](const DurableQueue::Plan& plan) {
      for (const auto& put : plan.puts) disk[put.number] = write_kept_record(*put.trace, put.pushed_unix_ns);
      for (const std::uint64_t n : plan.removes) REQUIRE(disk.erase(n) == 1);
    };
    for (int step = 0; step < 400; ++step) {
      switch (r() % 5) {
        case 0:
        case 1:
          q.push(trace(1000, r() % 2 == 0), pushed++ + 1);
          break;
        case 2:
          if (const auto next = q.next()) {
            REQUIRE((next->trace != nullptr || disk.contains(next->number)));
            out[next->number] = "";
          }
          break;
        case 3:
          if (!out.empty()) {
            q.done(out.begin()->first);
            out.erase(out.begin());
            ++done;
          }
          break;
        case 4: {
          DurableQueue::Plan plan = q.begin_commit();
          if (r() % 3 == 0 && !out.empty()) {
            q.done(out.begin()->first);
            out.erase(out.begin());
            ++done;
          }
          const bool written = r() % 4 != 0;
          if (written) write(plan);
          q.end_commit(std::move(plan), written);
          break;
        }
      }
      const auto stats = q.stats();
      REQUIRE(stats.bytes <= 40 * kSize);
      REQUIRE(pushed == done + stats.dropped_spans[0] + stats.waiting_spans + out.size());
    }
    // After one more commit the disk holds exactly what is neither done nor dropped.
    DurableQueue::Plan plan = q.begin_commit();
    write(plan);
    q.end_commit(std::move(plan), true);
    plan = q.begin_commit();
    write(plan);
    REQUIRE(disk.size() == q.stats().waiting_spans + out.size());
    for (const auto& [number, unused] : out) REQUIRE(disk.contains(number));
  }
}

TEST_CASE("a record carries all of a kept trace, and a damaged one is told", "[export]") {
  KeptTrace t;
  t.id.bytes.fill('\x42');
  t.start_ns = 1;
  t.end_ns = 1ULL << 60;
  t.errors = 3;
  t.root_service = "shop";
  t.root_name = std::string("GET \0/", 6);
  t.has_root = true;
  t.late = true;
  t.own = true;
  t.verdict.reason = CloseReason::kMemory;
  t.verdict.complete = true;
  t.verdict.chance = true;
  t.policy = "baseline";
  t.part = 1;
  t.parts = 3;
  t.spans = 70'000;
  t.otlp = std::string(300, '\xff');
  const std::string bytes = write_kept_record(t, 1'790'000'000'000'000'000);
  const auto whole = read_kept_record(bytes, true);
  REQUIRE(whole);
  const KeptTrace& u = *whole->trace;
  CHECK(whole->pushed_unix_ns == 1'790'000'000'000'000'000);
  CHECK(u.id == t.id);
  CHECK(std::tuple(u.start_ns, u.end_ns, u.errors, u.root_service, u.root_name, u.has_root, u.late, u.policy, u.part,
                   u.parts, u.spans, u.otlp) == std::tuple(t.start_ns, t.end_ns, t.errors, t.root_service, t.root_name,
                                                           t.has_root, t.late, t.policy, t.part, t.parts, t.spans,
                                                           t.otlp));
  CHECK(u.own);
  CHECK(u.verdict.decision == Decision::kSampled);
  CHECK(u.verdict.reason == CloseReason::kMemory);
  CHECK((u.verdict.complete && u.verdict.by_chance()));
  CHECK(read_kept_record(bytes, false)->trace->otlp.empty());
  CHECK(read_kept_record(bytes + std::string("\xc2\x3e\x02zz", 5), true));  // a field of a later version
  for (std::size_t n = 0; n < bytes.size(); ++n) {
    const auto cut = read_kept_record(ByteView(bytes).substr(0, n), true);
    CHECK((!cut || cut->trace->otlp != t.otlp));
  }
}
