// SPDX-License-Identifier: Apache-2.0
#include "export/queue/durable_queue.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <random>

#include "export/queue/kept_record.h"
#include "support/kept_trace.h"

using namespace tailgate;
using namespace tailgate::test;
using namespace std::chrono_literals;

namespace {

using Options = std::vector<DurableOptions>;

const std::size_t kSize = kept_trace(1000)->bytes();

void commit(DurableQueue& q, bool written = true) { q.end_commit(q.begin_commit(), written); }

std::uint64_t dropped(const DurableQueue& q, DropReason reason) {
  return q.stats(0).dropped_spans[static_cast<std::size_t>(reason)];
}

}  // namespace

TEST_CASE("nothing is handed out before it is on disk, unless the disk refuses it", "[export]") {
  DurableQueue q(Options{{}});
  q.push(kept_trace(1000), 1, 1);
  CHECK_FALSE(q.next(0));
  CHECK(q.next_bytes(0) == 0);
  CHECK(q.waits(0));
  DurableQueue::Plan plan = q.begin_commit();
  CHECK_FALSE(q.next(0));
  const bool written = GENERATE(false, true);
  q.end_commit(std::move(plan), written);
  const auto next = q.next(0);
  REQUIRE(next);
  CHECK(next->trace != nullptr);
  CHECK_FALSE(q.waits(0));
  q.done(0, next->number);
  plan = q.begin_commit();
  CHECK(plan.puts.empty());
  CHECK(plan.removes.size() == (written ? 1 : 0));
  CHECK(q.stats(0).bytes == 0);
  CHECK(q.memory_bytes() == 0);
}

TEST_CASE("while the disk is full, a backend that is well gets everything from memory, however much waits for another",
          "[export]") {
  DurableQueue q(Options{{}, {}});
  for (int n = 0; n < 100; ++n) q.push(kept_trace(1000), 0b11, 1);
  q.end_commit(q.begin_commit(2 * kSize), false);  // two of them
  CHECK(q.disk_refuses());
  for (std::uint64_t n = 1; n <= 100; ++n) {
    const auto next = q.next(1);
    REQUIRE(next);
    CHECK((next->number == n && next->trace != nullptr));
    q.done(1, n);
  }
  DurableQueue::Plan plan = q.begin_commit(2 * kSize);  // the same two
  CHECK(plan.puts.front().number == 1);
  CHECK(plan.puts.front().wanted == 0b01);
  q.push(kept_trace(1000), 0b10, 2);
  CHECK(q.next(1)->number == 101);  // during a commit too
  q.end_commit(std::move(plan), false);
  q.push(kept_trace(1000), 0b10, 3);
  CHECK(q.next(1)->number == 102);
  q.end_commit(q.begin_commit(2 * kSize), true);
  CHECK_FALSE(q.disk_refuses());
  q.push(kept_trace(1000), 0b10, 4);
  CHECK_FALSE(q.next(1));  // first to the disk again
  CHECK(q.next(0)->number == 1);
}

TEST_CASE("what a full disk refuses goes when memory is short: the oldest that waits, those kept by chance first",
          "[export]") {
  DurableQueue q(Options{{}, {}});
  q.push(kept_trace(1000, true, 1), 0b01, 1);
  commit(q);
  for (const bool by_chance : {false, true, false}) q.push(kept_trace(1000, by_chance, 10), 0b01, 2);
  CHECK_FALSE(q.evict_unwritten(false));  // the disk takes them soon
  commit(q, false);
  q.push(kept_trace(1000, false, 100), 0b11, 3);
  for (int n = 2; n <= 5; ++n) {
    if (n == 5) q.done(1, q.next(1)->number);
  }
  CHECK(q.memory_bytes() == 5 * kSize);
  CHECK(q.evict_unwritten(true));
  CHECK_FALSE(q.evict_unwritten(true));
  CHECK(dropped(q, DropReason::kQueueFull) == 10);
  CHECK(q.evict_unwritten(false));
  CHECK(q.evict_unwritten(false));
  CHECK(dropped(q, DropReason::kQueueFull) == 30);
  CHECK(q.evict_unwritten(false));
  CHECK_FALSE(q.evict_unwritten(false));  // the first is on disk
  CHECK(q.memory_bytes() == kSize);
  CHECK(q.stats(0).waiting_spans == 1);
  CHECK(q.stats(1).dropped_spans[static_cast<std::size_t>(DropReason::kQueueFull)] == 0);
}

TEST_CASE("an exporter knows whether a restart would find all that waits for it", "[export]") {
  DurableQueue q(Options{{}, {}});
  CHECK(q.all_on_disk(0));
  q.push(kept_trace(1000), 0b01, 1);
  CHECK_FALSE(q.all_on_disk(0));
  CHECK(q.all_on_disk(1));
  DurableQueue::Plan plan = q.begin_commit();
  CHECK_FALSE(q.all_on_disk(0));
  q.end_commit(std::move(plan), false);
  REQUIRE(q.next(0));
  CHECK_FALSE(q.all_on_disk(0));  // handed out, and not on disk
  commit(q);
  CHECK(q.all_on_disk(0));
  q.push(kept_trace(1000), 0b10, 1);
  CHECK(q.all_on_disk(0));
  CHECK_FALSE(q.all_on_disk(1));
}

TEST_CASE("what is done while it is being written is removed by the next commit", "[export]") {
  DurableQueue q(Options{{}});
  q.push(kept_trace(1000), 1, 1);
  q.push(kept_trace(1000), 1, 2);
  commit(q, false);
  const auto first = q.next(0);
  REQUIRE(first);
  DurableQueue::Plan plan = q.begin_commit();
  REQUIRE(plan.puts.size() == 2);
  CHECK(plan.puts[0].number == first->number);
  CHECK(plan.puts[0].pushed_unix_ns == 1);
  q.done(0, first->number);
  q.end_commit(std::move(plan), true);
  plan = q.begin_commit();
  CHECK(plan.puts.empty());
  CHECK(plan.removes == std::vector<std::uint64_t>{first->number});
  q.end_commit(std::move(plan), true);
  CHECK(q.begin_commit().empty());
  CHECK(q.stats(0).oldest_unix_ns == 2);
}

TEST_CASE("a commit that failed is made again, and nothing of it is lost", "[export]") {
  DurableQueue q(Options{{}});
  q.push(kept_trace(1000), 1, 1);
  commit(q);
  const auto first = q.next(0);
  q.done(0, first->number);
  q.push(kept_trace(1000), 1, 2);
  q.push(kept_trace(1000), 1, 3);
  commit(q, false);
  const auto second = q.next(0);
  q.done(0, second->number);
  DurableQueue::Plan plan = q.begin_commit();
  REQUIRE(plan.puts.size() == 1);
  CHECK(plan.puts[0].pushed_unix_ns == 3);
  CHECK(plan.removes == std::vector<std::uint64_t>{first->number});
  q.end_commit(std::move(plan), true);
}

TEST_CASE("memory lets go of the newest that are on disk, those just written excepted; they come back in order",
          "[export]") {
  DurableQueue q(Options{{.memory_max = 2 * kSize}});
  for (std::uint64_t n = 1; n <= 5; ++n) q.push(kept_trace(1000), 1, n);
  commit(q);
  CHECK(q.memory_bytes() == 5 * kSize);  // whoever is not behind takes them now
  q.push(kept_trace(1000), 1, 6);
  commit(q);
  CHECK(q.memory_bytes() == 2 * kSize);
  std::uint64_t last = 0;
  for (int n = 1; n <= 6; ++n) {
    const auto next = q.next(0);
    REQUIRE(next);
    CHECK((next->trace != nullptr) == (n == 1 || n == 6));
    CHECK(next->number > last);
    last = next->number;
  }
  CHECK_FALSE(q.next(0));
  q.put_back(0, last);
  CHECK(q.next(0)->number == last);
  CHECK(q.memory_bytes() == 0);
}

TEST_CASE("when full, the oldest kept by chance go first, and those handed out never", "[export]") {
  DurableQueue q(Options{{.bytes_max = 4 * kSize}});
  q.push(kept_trace(1000, true, 1, "baseline"), 1, 1);
  q.push(kept_trace(1000, false, 10), 1, 2);
  q.push(kept_trace(1000, true, 100, "baseline"), 1, 3);
  q.push(kept_trace(1000, false, 1000), 1, 4);
  commit(q);
  REQUIRE(q.next(0));  // the first
  q.push(kept_trace(1000, false, 2), 1, 5);
  CHECK(dropped(q, DropReason::kQueueFull) == 100);
  q.push(kept_trace(1000, true, 5, "baseline"), 1, 6);  // only certain ones wait
  CHECK(dropped(q, DropReason::kQueueFull) == 105);
  q.push(kept_trace(1000, false, 3), 1, 7);
  CHECK(dropped(q, DropReason::kQueueFull) == 115);
  q.push(kept_trace(9000, false, 7), 1, 8);  // larger than all of it: pushes nothing out
  CHECK(dropped(q, DropReason::kQueueFull) == 122);
  const auto stats = q.stats(0);
  CHECK(stats.dropped_by_policy.at("baseline")[static_cast<std::size_t>(DropReason::kQueueFull)] == 105);
  CHECK(stats.dropped_by_policy.at("errors")[static_cast<std::size_t>(DropReason::kQueueFull)] == 17);
  CHECK(stats.bytes == 4 * kSize);
}

TEST_CASE("one exporter's full share costs another nothing", "[export]") {
  DurableQueue q(Options{{.bytes_max = 2 * kSize}, {}});
  for (std::uint64_t n = 1; n <= 5; ++n) q.push(kept_trace(1000), 3, n);
  CHECK(q.stats(0).waiting_spans == 2);
  CHECK(dropped(q, DropReason::kQueueFull) == 3);
  CHECK(q.stats(1).waiting_spans == 5);
  CHECK(q.stats(1).dropped_spans[0] == 0);
  const DurableQueue::Plan plan = q.begin_commit();
  REQUIRE(plan.puts.size() == 5);
  CHECK(plan.puts[0].wanted == 2);
  CHECK(plan.puts[4].wanted == 3);
}

TEST_CASE("a record stays until all who want it are done, and says who is", "[export]") {
  DurableQueue q(Options{{}, {}});
  q.push(kept_trace(1000), 3, 1);
  commit(q);
  const auto a = q.next(0), b = q.next(1);
  REQUIRE((a && b));
  CHECK(q.memory_bytes() == 0);
  q.done(1, b->number);
  DurableQueue::Plan plan = q.begin_commit();
  REQUIRE(plan.marks.size() == 1);
  CHECK(plan.marks[0].number == a->number);
  CHECK(plan.marks[0].exporter == 1);
  CHECK(plan.removes.empty());
  q.end_commit(std::move(plan), false);
  q.done(0, a->number);
  plan = q.begin_commit();
  CHECK(plan.marks.size() == 1);  // made before it is removed
  CHECK(plan.removes.size() == 1);
}

TEST_CASE("the parts of a trace go in together", "[export]") {
  DurableQueue q(Options{{}});
  const auto part = [](char id, std::uint32_t n) {
    KeptTrace t = {};
    t.id.bytes.fill(id);
    t.part = n;
    t.parts = 2;
    t.spans = 1;
    return std::make_shared<const KeptTrace>(std::move(t));
  };
  q.push(part('a', 0), 1, 1);
  q.push(part('b', 0), 1, 1);
  CHECK(q.begin_commit().empty());
  q.push(part('b', 1), 1, 1);
  const DurableQueue::Plan plan = q.begin_commit();
  REQUIRE(plan.puts.size() == 2);
  CHECK(plan.puts[0].trace->part == 0);
  CHECK(plan.puts[1].trace->part == 1);
  CHECK(plan.puts[0].trace->id.bytes[0] == 'b');
}

TEST_CASE("a commit takes some of what waits, and never a part without the others", "[export]") {
  DurableQueue q(Options{{}});
  for (int n = 0; n < 3; ++n) q.push(kept_trace(1000), 1, 1);
  for (std::uint32_t n = 0; n < 3; ++n) {
    KeptTrace t = {};
    t.part = n;
    t.parts = 3;
    t.spans = 1;
    t.otlp.assign(1000, 'x');
    q.push(std::make_shared<const KeptTrace>(std::move(t)), 1, 1);
  }
  q.push(kept_trace(1000), 1, 1);
  DurableQueue::Plan plan = q.begin_commit(2 * kSize);
  CHECK(plan.puts.size() == 2);
  q.end_commit(std::move(plan), true);
  plan = q.begin_commit(2 * kSize);
  CHECK(plan.puts.size() == 4);  // one, and three parts
  q.end_commit(std::move(plan), true);
  const auto first = q.next(0);
  q.done(0, first->number);
  plan = q.begin_giving_back(100);
  CHECK(plan.puts.empty());
  CHECK(plan.removes.size() == 1);
  q.end_commit(std::move(plan), true);
  CHECK(q.anything_to_write());
  CHECK(q.begin_commit(2 * kSize).puts.size() == 1);
}

TEST_CASE("room is given back in pieces, marks before removals, and again after a failure", "[export]") {
  DurableQueue q(Options{{}, {}});
  for (int i = 0; i < 3; ++i) q.push(kept_trace(1000), 0b11, 1);
  commit(q);
  for (std::uint64_t n = 1; n <= 3; ++n) {
    REQUIRE(q.next(0)->number == n);
    q.done(0, n);
  }
  REQUIRE(q.next(1)->number == 1);
  q.done(1, 1);  // both have the first: it goes
  for (const bool written : {false, true}) {
    DurableQueue::Plan plan = q.begin_giving_back(2);
    REQUIRE(plan.marks.size() == 2);
    CHECK((plan.marks[0].number == 1 && plan.marks[1].number == 2));
    CHECK(plan.removes.empty());
    q.end_commit(std::move(plan), written);
    CHECK(q.anything_to_give_back());
  }
  DurableQueue::Plan plan = q.begin_giving_back(2);
  REQUIRE(plan.marks.size() == 1);
  CHECK(plan.marks[0].number == 3);
  CHECK(plan.removes == std::vector<std::uint64_t>{1});
  q.end_commit(std::move(plan), true);
  CHECK_FALSE(q.anything_to_give_back());
}

TEST_CASE("late spans in parts of their own do not keep a trace's parts", "[export]") {
  DurableQueue q(Options{{}});
  const auto push = [&](std::uint32_t part, std::uint32_t parts) {
    KeptTrace t = {};
    t.part = part;
    t.parts = parts;
    t.spans = 1;
    q.push(std::make_shared<const KeptTrace>(std::move(t)), 1, 1);
  };
  push(0, 2);
  push(0, 3);
  push(1, 2);
  push(1, 3);
  push(2, 3);
  CHECK(q.stats(0).waiting_spans == 5);
  CHECK(q.stats(0).pushed_spans == 5);
}

TEST_CASE("what the disk never took is dropped at the end, and counted", "[export]") {
  DurableQueue q(Options{{}, {}});
  q.push(kept_trace(1000, false, 3), 3, 1);
  commit(q);
  q.push(kept_trace(1000, false, 5), 3, 1);
  q.push(kept_trace(1000, false, 7), 1, 1);
  commit(q, false);
  CHECK(q.drop_unwritten() == 17);
  CHECK(dropped(q, DropReason::kShutdown) == 12);
  CHECK(q.stats(1).dropped_spans[static_cast<std::size_t>(DropReason::kShutdown)] == 5);
  CHECK(q.stats(0).waiting_spans == 3);
  CHECK(q.begin_commit().empty());

  q.push(kept_trace(1000, false, 9), 1, 1);
  commit(q, false);
  REQUIRE(q.next(0));
  REQUIRE(q.next(0));
  CHECK(q.drop_unwritten() == 9);  // handed out, and its backend never had it
}

TEST_CASE("what is too old goes", "[export]") {
  DurableQueue q(Options{{.age_max = 10s}});
  const std::uint64_t second = 1'000'000'000;
  q.push(kept_trace(1000, false, 1), 1, 1 * second);
  q.push(kept_trace(1000, true, 2), 1, 5 * second);
  q.push(kept_trace(1000, false, 4), 1, 9 * second);
  q.expire(11 * second);
  CHECK(dropped(q, DropReason::kTooOld) == 0);
  q.expire(16 * second);
  CHECK(dropped(q, DropReason::kTooOld) == 3);
  CHECK(q.stats(0).waiting_spans == 4);
}

TEST_CASE("what was found at the start is sent first, and new numbers follow", "[export]") {
  DurableQueue q(Options{{}});
  q.restore(17, 1000, *kept_trace(0, true, 3), 500, 1, false);
  q.restore(40, 2000, *kept_trace(0, false, 4), 600, 1, true);
  q.restore(50, 2000, *kept_trace(0, false, 7), 600, 0, true);   // another's, which is not here
  q.restore(51, 2000, *kept_trace(0, false, 7), 600, 0, false);  // nobody's any more
  q.push(kept_trace(1000, false, 5), 1, 3000);
  CHECK(q.stats(0).restored_spans == 7);
  CHECK(q.stats(0).waiting_spans == 12);
  CHECK(q.stats(0).oldest_unix_ns == 1000);
  DurableQueue::Plan plan = q.begin_commit();
  CHECK(plan.removes == std::vector<std::uint64_t>{51});
  q.end_commit(std::move(plan), true);
  const auto a = q.next(0), b = q.next(0), c = q.next(0);
  CHECK(a->number == 17);
  CHECK(a->trace == nullptr);
  CHECK(b->number == 40);
  CHECK(c->number == 52);
  q.done(0, 17);
  q.done(0, 40);
  plan = q.begin_commit();
  CHECK(plan.removes == std::vector<std::uint64_t>{17});
  REQUIRE(plan.marks.size() == 1);  // another wants it too
  CHECK(plan.marks[0].number == 40);
}

// A model of the disk: what a crash would find there.
TEST_CASE("under random operations nothing is lost that was not counted, whenever the process dies", "[export]") {
  struct OnDisk {
    std::uint64_t wanted;
  };
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    std::mt19937_64 r(seed);
    std::map<std::uint64_t, OnDisk> disk;
    DurableQueue q(Options{{.bytes_max = 40 * kSize, .memory_max = 3 * kSize},
                           {.bytes_max = 25 * kSize, .memory_max = 3 * kSize}});
    std::array<std::set<std::uint64_t>, 2> out;
    std::array<std::uint64_t, 2> pushed{}, done{};
    bool refused = false;  // the disk said no at least once: what is not on it may have been sent
    const auto write = [&](const DurableQueue::Plan& plan) {
      for (const auto& mark : plan.marks) disk.at(mark.number).wanted &= ~(1ULL << mark.exporter);
      for (const std::uint64_t n : plan.removes) REQUIRE(disk.erase(n) == 1);
      for (const auto& put : plan.puts) {
        REQUIRE(put.trace != nullptr);
        disk[put.number] = {put.wanted};
      }
    };
    const auto finish_one = [&](std::size_t e) {
      if (out[e].empty()) return;
      q.done(e, *out[e].begin());
      out[e].erase(out[e].begin());
      ++done[e];
    };
    for (int step = 0; step < 400; ++step) {
      const std::size_t e = r() % 2;
      switch (r() % 5) {
        case 0:
        case 1: {
          const std::uint64_t wanted = 1 + r() % 3;
          q.push(kept_trace(1000, r() % 2 == 0), wanted, static_cast<std::uint64_t>(step) + 1);
          for (std::size_t i = 0; i < 2; ++i) pushed[i] += wanted >> i & 1;
          break;
        }
        case 2:
          if (const auto next = q.next(e)) {
            // On disk for all who want it, so that a crash loses it for none.
            REQUIRE((disk.contains(next->number) || refused));
            REQUIRE((next->trace != nullptr || disk.contains(next->number)));
            if (disk.contains(next->number)) REQUIRE((disk[next->number].wanted >> e & 1) == 1);
            REQUIRE(out[e].insert(next->number).second);
            if (r() % 8 == 0) {
              q.put_back(e, next->number);
              out[e].erase(next->number);
            }
          }
          break;
        case 3:
          finish_one(e);
          break;
        case 4: {
          DurableQueue::Plan plan = q.begin_commit();
          if (r() % 3 == 0) finish_one(e);
          const bool written = r() % 4 != 0;
          if (written) write(plan);
          refused |= !written;
          const std::size_t puts = plan.puts.size();
          q.end_commit(std::move(plan), written);
          if (written) REQUIRE(q.memory_bytes() <= (3 + puts) * kSize);  // what was just written is wanted at once
          break;
        }
      }
      for (std::size_t i = 0; i < 2; ++i) {
        const auto stats = q.stats(i);
        REQUIRE(stats.bytes <= (i == 0 ? 40 : 25) * kSize);
        REQUIRE(pushed[i] == done[i] + stats.dropped_spans[0] + stats.waiting_spans + out[i].size());
      }
    }
    // After two more commits the disk holds exactly what is neither done nor dropped.
    for (int i = 0; i < 2; ++i) {
      DurableQueue::Plan plan = q.begin_commit();
      write(plan);
      q.end_commit(std::move(plan), true);
    }
    for (std::size_t i = 0; i < 2; ++i) {
      const auto wanted =
          std::count_if(disk.begin(), disk.end(), [&](const auto& d) { return d.second.wanted >> i & 1; });
      REQUIRE(static_cast<std::size_t>(wanted) == q.stats(i).waiting_spans + out[i].size());
      for (const std::uint64_t number : out[i]) REQUIRE(disk.contains(number));
    }
    for (const auto& [number, record] : disk) REQUIRE(record.wanted != 0);
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
  const std::string bytes = write_kept_record(t, 1'790'000'000'000'000'000, {"otlp/jaeger", "file"});
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
  CHECK(whole->exporters == std::vector<std::string>{"otlp/jaeger", "file"});
  CHECK(u.verdict.decision == Decision::kSampled);
  CHECK(u.verdict.reason == CloseReason::kMemory);
  CHECK((u.verdict.complete && u.verdict.by_chance()));
  CHECK(read_kept_record(bytes, false)->trace->otlp.empty());
  CHECK(read_kept_record(bytes + std::string("\xc2\x3e\x02zz", 5), true));  // a field of a later version
  for (std::size_t n = 0; n < bytes.size(); ++n) {
    const auto cut = read_kept_record(ByteView(bytes).substr(0, n), true);
    CHECK((!cut || cut->trace->otlp != t.otlp));
  }
  // A bit that changed is noticed: in the head at a start, in the OTLP when it is read.
  for (std::size_t n = 0; n < bytes.size() * 8; ++n) {
    std::string other = bytes;
    other[n / 8] = static_cast<char>(other[n / 8] ^ 1 << n % 8);
    CAPTURE(n);
    const auto changed = read_kept_record(other, true);
    CHECK((!changed || changed->trace->otlp == t.otlp));
    if (n / 8 < bytes.size() - 400) CHECK_FALSE(read_kept_record(other, false));
  }
}
