// SPDX-License-Identifier: Apache-2.0
#include "journal/commit_gather.h"

#include <catch2/catch.hpp>
#include <functional>
#include <queue>
#include <random>
#include <utility>
#include <vector>

#include "net/http/sender_pace.h"

namespace tailgate {
namespace {

using namespace std::chrono_literals;

constexpr Duration kCommit = 50us;  // how long one takes

// A journal and its senders, in a time of its own. Times between requests vary by a half up and down.
class World {
 public:
  struct Seen {
    std::size_t requests = 0, commits = 0;
    Duration waited{};                  // of all requests, until their commit began
    std::vector<std::size_t> answered;  // of each sender, in the order in which they were added
    Duration mean_wait() const { return waited / requests; }
  };

  // One that sends its next request `turnaround` after its last one was answered.
  void add_waiting(Duration turnaround) { senders_.push_back({turnaround, true}); }
  // One that sends one each `interval`, whatever is answered.
  void add_open(Duration interval) { senders_.push_back({interval, false}); }

  Seen run(Duration length) {
    for (Sender& s : senders_) {
      if (std::exchange(s.begun, true)) continue;
      arrivals_.emplace(ended_ + about(s.time), &s - senders_.data());
    }
    Seen seen;
    seen.answered.resize(senders_.size());
    const TimePoint until = ended_ + length;
    while (ended_ < until) {
      std::vector<std::size_t> pending;
      TimePoint hurry = TimePoint::max(), begins = gather_.begins(ended_, hurry);
      while (!arrivals_.empty() && (pending.empty() || arrivals_.top().first <= begins)) {
        const auto [at, number] = arrivals_.top();
        arrivals_.pop();
        Sender& s = senders_[number];
        hurry = std::min(hurry, s.pace.came(s.unanswered++ == 0, at));
        if (!s.waits) arrivals_.emplace(at + about(s.time), number);
        begins = std::max(at, gather_.begins(ended_, hurry));
        pending.push_back(number);
        seen.waited -= at.time_since_epoch();
      }
      seen.waited += pending.size() * begins.time_since_epoch();
      ended_ = begins + kCommit;
      gather_.committed(pending.size(), ended_);
      for (const std::size_t number : pending) {
        Sender& s = senders_[number];
        --s.unanswered;
        if (s.waits) arrivals_.emplace(ended_ + about(s.time), number);
        ++seen.answered[number];
      }
      seen.requests += pending.size();
      ++seen.commits;
    }
    return seen;
  }

  // All others leave.
  Seen waiting(std::size_t senders, Duration turnaround, Duration length) {
    leave();
    for (std::size_t i = 0; i < senders; ++i) add_waiting(turnaround);
    return run(length);
  }
  Seen open(std::size_t senders, Duration interval, Duration length) {
    leave();
    for (std::size_t i = 0; i < senders; ++i) add_open(interval);
    return run(length);
  }

 private:
  struct Sender {
    Duration time;
    bool waits = false, begun = false;
    std::size_t unanswered = 0;
    SenderPace pace = {};
  };

  void leave() {
    senders_.clear();
    arrivals_ = {};
  }
  Duration about(Duration time) { return time / 2 + Duration(random_() % static_cast<std::uint64_t>(time.count())); }

  using Arrival = std::pair<TimePoint, std::size_t>;

  std::mt19937_64 random_{1};
  CommitGather gather_;
  TimePoint ended_{1h};
  std::vector<Sender> senders_;
  std::priority_queue<Arrival, std::vector<Arrival>, std::greater<>> arrivals_;
};

TEST_CASE("senders that wait for their answers are as fast as if no commit waited") {
  // The last ones lose a quarter when a commit waits.
  for (const auto& [senders, turnaround] : {std::pair(1, 300us), {2, 300us}, {8, 300us}, {8, 1ms}, {20, 5ms}}) {
    CAPTURE(senders, turnaround.count());
    const auto seen = World().waiting(static_cast<std::size_t>(senders), turnaround, 20s);
    const auto at_most = static_cast<std::size_t>(senders * (20s / (turnaround + kCommit)));
    CHECK(seen.requests >= at_most * 90 / 100);
    CHECK(seen.requests <= at_most * 105 / 100);
  }
}

TEST_CASE("a commit waits for more when they come anyway") {
  const auto seen = World().open(4, 1ms, 20s);
  CHECK(seen.requests >= 79'000);
  CHECK(seen.requests > 5 * seen.commits);  // 8 come in 2 ms, but for the trials
  CHECK(seen.mean_wait() < 1100us);
}

TEST_CASE("those that wait for each answer are slowed by an eighth at most among many that do not") {
  World world;
  world.add_waiting(300us);
  world.add_waiting(5ms);
  for (int i = 0; i < 24; ++i) world.add_open(1ms);  // with fewer, the trial of all sees that the first one waits
  const auto seen = world.run(20s);
  CHECK(seen.requests > 3 * seen.commits);  // they do wait
  CHECK(seen.answered[0] >= 20s / (300us + kCommit) * 7 / 8);
  CHECK(seen.answered[1] >= 20s / (5ms + kCommit) * 95 / 100);
}

TEST_CASE("the fewer requests each of many senders has, the more a commit waits for") {
  // 16 of them look as if they waited for their answers: a request each 4 ms, and never two of one on their way.
  const auto some = World().open(16, 4ms, 20s);
  CHECK(some.requests > 2 * some.commits);
  CHECK(some.mean_wait() < 500us);
  const auto many = World().open(1000, 250ms, 20s);
  CHECK(many.requests > 5 * many.commits);
}

TEST_CASE("where few come, no request waits") {
  const auto seen = World().open(8, 10ms, 20s);
  CHECK(seen.requests >= 15'000);
  CHECK(seen.mean_wait() < kCommit);  // for the commit before it
}

TEST_CASE("when other senders come, that is seen at once") {
  World world;
  world.open(4, 1ms, 60s);
  // The first trial afterwards begins with the next window, and takes two.
  const auto seen = world.waiting(1, 300us, 2s);
  CHECK(seen.requests >= static_cast<std::size_t>(1600ms / (300us + kCommit)));
  world.waiting(4, 300us, 60s);
  world.open(4, 1ms, 10s);
  const auto again = world.open(4, 1ms, 10s);
  CHECK(again.requests > 5 * again.commits);
}

TEST_CASE("a commit that hangs in a trial decides nothing") {
  CommitGather gather;
  TimePoint now(1h);
  const auto window = [&](std::size_t requests) { gather.committed(requests, now += 100ms); };
  const auto waits = [&] { return gather.begins(now, TimePoint::max()) > now; };
  window(400);
  window(400);
  CHECK(waits());  // it is tried
  gather.committed(10, now += 1s);
  CHECK(waits());
  window(400);
  CHECK(waits());  // and stays
  window(100);
  CHECK(!waits());  // fewer come: it is tried anew
  window(400);
  window(300);
  CHECK(!waits());  // those that wait for answers
}

}  // namespace
}  // namespace tailgate
