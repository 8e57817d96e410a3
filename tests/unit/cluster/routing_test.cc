// SPDX-License-Identifier: Apache-2.0
#include "cluster/routing.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <deque>
#include <map>
#include <set>

#include "base/hash.h"

using namespace tailgate;

namespace {

using Names = std::vector<std::string>;

TraceId id_of(std::uint64_t i) {
  TraceId id;
  std::uint64_t state = i;
  for (const std::size_t at : {0u, 8u}) {
    const std::uint64_t half = next_random(state);
    std::memcpy(id.bytes.data() + at, &half, 8);
  }
  return id;
}

// Some daemons of a cluster, each with views of its own, and what is open in each. Spans travel at once, or wait.
struct Fleet {
  struct Daemon {
    std::string name;  // "" of one that owns nothing
    Routing routing;
    std::set<std::uint64_t> open;
  };
  std::deque<Daemon> daemons;

  Daemon& add(const std::string& name, const Names& now, const Names& before = {}, bool leaving = false) {
    daemons.push_back({name, {}, {}});
    set(daemons.back(), now, before, leaving);
    return daemons.back();
  }
  static void set(Daemon& d, const Names& now, const Names& before = {}, bool leaving = false) {
    d.routing = Routing({Homes(now), Homes(before.empty() ? now : before)}, d.name, leaving);
  }
  Daemon& of(const std::string& name) {
    for (Daemon& d : daemons) {
      if (d.name == name) return d;
    }
    throw std::runtime_error("no such member: " + name);
  }

  // A span comes to `d`. Returns who takes it; counts hops.
  std::string span(Daemon& d, std::uint64_t trace) {
    Daemon* at = &d;
    Hop hop = Hop::kStart;
    for (int hops = 0;; ++hops) {
      REQUIRE(hops <= hops_max);
      const Routing::Way way = at->routing.way_of(id_of(trace), hop, [&](const TraceId& id) {
        CHECK(id == id_of(trace));
        return at->open.contains(trace);
      });
      REQUIRE(way.to != Routing::kNowhere);
      if (way.to == Routing::kHere) break;
      hop = way.hop;
      at = &of(at->routing.names().at(way.to));
    }
    at->open.insert(trace);
    return at->name;
  }

  int hops_max = 2;
};

}  // namespace

TEST_CASE("with one view a span takes one hop at most, whoever gets it", "[cluster]") {
  Fleet fleet;
  for (const char* name : {"a", "b", "c", ""}) fleet.add(name, {"a", "b", "c"});
  fleet.hops_max = 1;
  const Homes homes({"a", "b", "c"});
  for (std::uint64_t t = 0; t < 1000; ++t) {
    for (Fleet::Daemon& d : fleet.daemons) CHECK(fleet.span(d, t) == homes.names()[homes.home_of(id_of(t))]);
  }
}

TEST_CASE("a member comes, daemons learn of it in any order, and no trace has two homes", "[cluster]") {
  const Names three = {"a", "b", "c"}, four = {"a", "b", "c", "d"};
  std::uint64_t random = 1, traces = 0;
  for (int run = 0; run < 200; ++run) {
    Fleet fleet;
    for (const char* name : {"a", "b", "c", ""}) fleet.add(name, three);
    fleet.add("d", four, three);
    std::set<std::size_t> behind = {0, 1, 2, 3};
    const std::uint64_t first = traces;
    std::map<std::uint64_t, std::string> taken_by;
    while (!behind.empty()) {
      for (int i = 0; i < 20; ++i) {
        // Half of them of traces that are open.
        const std::uint64_t t =
            next_random(random) % 2 != 0 || traces == first ? traces++ : first + next_random(random) % (traces - first);
        const std::string by = fleet.span(fleet.daemons[next_random(random) % fleet.daemons.size()], t);
        CHECK(taken_by.try_emplace(t, by).first->second == by);
      }
      auto one = behind.begin();
      std::advance(one, static_cast<std::ptrdiff_t>(next_random(random) % behind.size()));
      Fleet::set(fleet.daemons[*one], four, three);
      behind.erase(one);
    }
  }
}

TEST_CASE("new traces of a member that came are its own from the moment on in which their old home knows it",
          "[cluster]") {
  const Names three = {"a", "b", "c"}, four = {"a", "b", "c", "d"};
  Fleet fleet;
  for (const char* name : {"a", "b", "c", "", "d"}) fleet.add(name, four, three);
  const Homes homes(four);
  for (std::uint64_t t = 0; t < 1000; ++t)
    CHECK(fleet.span(fleet.daemons[t % 5], t) == homes.names()[homes.home_of(id_of(t))]);
}

TEST_CASE("a member that leaves keeps nothing, also of those that do not know it yet", "[cluster]") {
  const Names three = {"a", "b", "c"}, two = {"a", "b"};
  Fleet fleet;
  for (const char* name : {"a", "b", ""}) fleet.add(name, three);
  fleet.add("c", two, {}, true);
  const Homes homes(two);
  fleet.hops_max = 2;
  for (std::uint64_t t = 0; t < 1000; ++t)
    CHECK(fleet.span(fleet.daemons[t % 4], t) == homes.names()[homes.home_of(id_of(t))]);
}

TEST_CASE("members come and go while others are new, and what is open stays whole", "[cluster]") {
  // Each daemon learns of a change in its own time; in between spans go on. A member that leaves hands over what it has
  // when it knows, and what becomes misplaced by a change goes to where it belongs.
  std::uint64_t random = 7, traces = 0;
  for (int run = 0; run < 300; ++run) {
    Fleet fleet;
    fleet.hops_max = 6;
    const Names old = {"a", "b", "c"};
    for (const char* name : {"a", "b", "c", ""}) fleet.add(name, old);
    fleet.add("d", {"a", "b", "c", "d"}, old);
    fleet.add("e", {"a", "b", "c", "d", "e"}, old);
    Names now = old, before = old;
    const std::uint64_t first = traces;
    const auto some_spans = [&](const std::string& without) {
      for (int i = 0; i < 10; ++i) {
        const std::uint64_t t =
            next_random(random) % 2 != 0 || traces == first ? traces++ : first + next_random(random) % (traces - first);
        Fleet::Daemon& at = fleet.daemons[next_random(random) % fleet.daemons.size()];
        if (at.name != without) fleet.span(at, t);
      }
    };
    const auto change = [&](const std::string& leaver) {
      std::vector<std::size_t> order(fleet.daemons.size());
      for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
      for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[next_random(random) % i]);
      if (!leaver.empty()) {  // it is the first to know
        const auto is_it = [&](std::size_t i) { return fleet.daemons[i].name == leaver; };
        std::iter_swap(order.begin(), std::find_if(order.begin(), order.end(), is_it));
      }
      for (const std::size_t i : order) {
        Fleet::Daemon& d = fleet.daemons[i];
        Fleet::set(d, now, before, d.name == leaver);
        const std::set<std::uint64_t> open = d.open;
        for (const std::uint64_t t : open) {
          if (!d.routing.misplaced(id_of(t))) continue;
          d.open.erase(t);
          fleet.span(d, t);
        }
        some_spans(leaver);
      }
    };
    now = {"a", "b", "c", "d"};
    change("");
    now = {"a", "b", "c", "d", "e"};
    change("");
    const std::string leaver(1, static_cast<char>('a' + next_random(random) % 4));
    std::erase(now, leaver);
    std::erase(before, leaver);
    change(leaver);
    std::map<std::uint64_t, int> places;
    for (const Fleet::Daemon& d : fleet.daemons) {
      for (const std::uint64_t t : d.open) ++places[t];
    }
    int broken = 0;
    for (const auto& [t, n] : places) broken += n > 1 ? 1 : 0;
    CHECK(broken == 0);
  }
}

TEST_CASE("a member that was taken off the lists ends what it has", "[cluster]") {
  const Names three = {"a", "b", "c"}, two = {"a", "b"};
  Fleet fleet;
  for (const char* name : {"a", "b", "c", ""}) fleet.add(name, three);
  std::map<std::uint64_t, std::string> taken_by;
  for (std::uint64_t t = 0; t < 300; ++t) taken_by[t] = fleet.span(fleet.daemons[t % 4], t);
  for (Fleet::Daemon& d : fleet.daemons) Fleet::set(d, two, three);
  const Homes homes(two);
  for (std::uint64_t t = 0; t < 600; ++t) {
    const std::string by = fleet.span(fleet.daemons[t % 4], t);
    CHECK(by == (t < 300 ? taken_by[t] : homes.names()[homes.home_of(id_of(t))]));
  }
}

TEST_CASE("without members a member keeps everything, and one that owns nothing has nowhere to send it", "[cluster]") {
  const auto no = [](const TraceId&) { return false; };
  CHECK(Routing({}, "a", true).way_of(id_of(1), Hop::kStart, no).to == Routing::kHere);
  CHECK(Routing({}, "", false).way_of(id_of(1), Hop::kStart, no).to == Routing::kNowhere);
}
