// SPDX-License-Identifier: Apache-2.0
#include "cluster/members.h"

#include <catch2/catch.hpp>
#include <chrono>

using namespace tailgate;
using namespace std::chrono_literals;

namespace {

using Names = std::vector<std::string>;

const TimePoint kStart = TimePoint{} + 1h;

std::vector<Member> listed(const Names& names) {
  std::vector<Member> out;
  for (const std::string& name : names) out.push_back({name, name + ":4317"});
  return out;
}

// One daemon, and what its peers say each second.
struct One {
  explicit One(const std::string& self, const Names& list) : members({.self = self, .settle = 10s, .hold = 30s}) {
    members.list(listed(list));
  }

  // Every peer in `say` answers with the names there; a second goes by.
  bool second(const std::map<std::string, MemberSays>& say) {
    for (const auto& [name, says] : say) members.heard(name, says, now);
    const bool changed = members.tick(now);
    now += 1s;
    return changed;
  }
  void seconds(int n, const std::map<std::string, MemberSays>& say) {
    for (int i = 0; i < n; ++i) second(say);
  }
  const Names& in_force() { return members.views().now.names(); }
  const Names& before() { return members.views().before.names(); }

  Members members;
  TimePoint now = kStart;
};

MemberSays view(Names names, std::vector<FreshMember> fresh = {}) {
  return {std::move(names), false, std::move(fresh)};
}

}  // namespace

TEST_CASE("a daemon that starts takes the view of its peers for the one before", "[cluster]") {
  One d("d", {"a", "b", "d"});
  CHECK(d.second({{"a", view({"a", "b"})}, {"b", view({"a", "b"})}}));
  CHECK(d.in_force() == Names{"a", "b", "d"});
  CHECK(d.before() == Names{"a", "b"});
  const auto all = view({"a", "b", "d"});
  d.seconds(9, {{"a", all}, {"b", all}});
  CHECK(d.members.views().settling());
  d.seconds(2, {{"a", all}, {"b", all}});
  CHECK_FALSE(d.members.views().settling());
}

TEST_CASE("a daemon that comes back before it was missed changes nothing", "[cluster]") {
  One d("d", {"a", "d"});
  CHECK(d.second({{"a", view({"a", "d"})}}));
  CHECK(d.in_force() == Names{"a", "d"});
  CHECK_FALSE(d.members.views().settling());
}

TEST_CASE("nobody is a member before it has answered", "[cluster]") {
  One a("a", {"a", "b"});
  a.second({});
  CHECK(a.in_force() == Names{"a"});
  a.members.not_heard("b", "refused");
  CHECK_FALSE(a.second({}));
  CHECK(a.second({{"b", view({})}}));  // it starts, and has no view yet
  CHECK(a.in_force() == Names{"a", "b"});
  CHECK(a.before() == Names{"a"});
}

TEST_CASE("the window begins anew while a peer does not know of the change", "[cluster]") {
  One a("a", {"a", "b"});
  a.second({{"b", view({"a", "b"})}});
  a.members.list(listed({"a", "b", "c"}));
  const auto old = view({"a", "b"}), all = view({"a", "b", "c"});
  CHECK(a.second({{"b", old}, {"c", all}}));
  CHECK(a.before() == Names{"a", "b"});
  a.seconds(25, {{"b", old}, {"c", all}});  // its list is 25 s behind
  CHECK(a.members.views().settling());
  CHECK(a.members.disagreeing(a.now) == 1);
  a.seconds(9, {{"b", all}, {"c", all}});
  CHECK(a.members.disagreeing(a.now) == 0);
  CHECK(a.members.views().settling());
  a.seconds(2, {{"b", all}, {"c", all}});
  CHECK_FALSE(a.members.views().settling());
  CHECK(a.in_force() == Names{"a", "b", "c"});
}

TEST_CASE("changes overlap: each member has its own time", "[cluster]") {
  One a("a", {"a", "b", "c", "d"});
  a.second({{"b", view({"a", "b"})}});
  const auto three = view({"a", "b", "c"}), four = view({"a", "b", "c", "d"});
  a.second({{"b", three}, {"c", three}});
  a.seconds(5, {{"b", three}, {"c", three}});
  a.second({{"b", four}, {"c", four}, {"d", four}});
  CHECK(a.in_force() == Names{"a", "b", "c", "d"});
  CHECK(a.before() == Names{"a", "b"});
  a.seconds(5, {{"b", four}, {"c", four}, {"d", four}});
  CHECK(a.before() == Names{"a", "b", "c"});
  CHECK(a.members.ends_soon(a.now, 6s));
  CHECK_FALSE(a.members.ends_soon(a.now, 1s));
  a.seconds(6, {{"b", four}, {"c", four}, {"d", four}});
  CHECK_FALSE(a.members.views().settling());
}

TEST_CASE("when all that were there before have left, those that are new have everything", "[cluster]") {
  One b("b", {"a", "b", "c"});
  b.second({{"a", view({"a"})}});
  b.second({{"a", view({"a", "b", "c"})}, {"c", view({"a", "b", "c"})}});
  CHECK(b.before() == Names{"a"});
  b.second({{"a", {{"b", "c"}, true}}, {"c", view({"b", "c"})}});
  CHECK(b.in_force() == Names{"b", "c"});
  CHECK(b.before() == Names{"b", "c"});
}

TEST_CASE("a member that was taken off the list and is back has its place at once", "[cluster]") {
  One a("a", {"a", "b"});
  const auto all = view({"a", "b"});
  a.second({{"b", all}});
  a.members.list(listed({"a"}));
  a.second({{"b", all}});
  CHECK(a.in_force() == Names{"a"});
  CHECK(a.before() == Names{"a", "b"});
  a.members.list(listed({"a", "b"}));
  a.second({{"b", all}});
  CHECK(a.in_force() == Names{"a", "b"});
  CHECK_FALSE(a.members.views().settling());
}

TEST_CASE("who leaves is out at once, of both views, and back when it answers", "[cluster]") {
  One a("a", {"a", "b", "c"});
  const auto all = view({"a", "b", "c"});
  a.second({{"b", all}, {"c", all}});
  CHECK(a.second({{"b", {{"a", "c"}, true}}, {"c", view({"a", "c"})}}));
  CHECK(a.in_force() == Names{"a", "c"});
  CHECK_FALSE(a.members.views().settling());
  a.members.not_heard("b", "refused");
  CHECK_FALSE(a.second({{"c", view({"a", "c"})}}));
  CHECK(a.second({{"b", view({})}, {"c", view({"a", "c"})}}));
  CHECK(a.in_force() == Names{"a", "b", "c"});
  CHECK(a.before() == Names{"a", "c"});
}

TEST_CASE("who is not heard is held for a while, then out", "[cluster]") {
  One a("a", {"a", "b"});
  const auto all = view({"a", "b"});
  a.second({{"b", all}});
  a.seconds(29, {});
  CHECK(a.in_force() == Names{"a", "b"});
  a.seconds(3, {});
  CHECK(a.in_force() == Names{"a"});
  CHECK_FALSE(a.members.views().settling());
}

TEST_CASE("a member that is taken off the list has what is open for a window", "[cluster]") {
  One a("a", {"a", "b", "c"});
  const auto all = view({"a", "b", "c"}), rest = view({"a", "b"});
  a.second({{"b", all}, {"c", all}});
  a.members.list(listed({"a", "b"}));
  CHECK(a.second({{"b", rest}, {"c", rest}}));
  CHECK(a.in_force() == Names{"a", "b"});
  CHECK(a.before() == Names{"a", "b", "c"});
  CHECK(a.members.peers().size() == 2);
  a.seconds(12, {{"b", rest}, {"c", rest}});
  CHECK_FALSE(a.members.views().settling());
  CHECK(a.members.peers().size() == 1);
}

TEST_CASE("a daemon that is taken off its own list stays the old home for a window", "[cluster]") {
  One c("c", {"a", "c"});
  c.second({{"a", view({"a", "c"})}});
  c.members.list(listed({"a"}));
  c.second({{"a", view({"a"})}});
  CHECK(c.in_force() == Names{"a"});
  CHECK(c.before() == Names{"a", "c"});
}

namespace {

// As `c`, which is new: b had the traces of before.
One new_beside_b() {
  One c("c", {"b", "c"});
  c.second({{"b", view({"b"})}});
  return c;
}

Names awaited(const One& one) {
  Names out;
  for (const Awaited& by : one.members.awaited(one.now)) out.push_back(by.name);
  return out;
}

}  // namespace

TEST_CASE("what moved from a member that is away waits until it is back and a moment longer", "[cluster]") {
  const auto all = view({"b", "c"});
  One c = new_beside_b();
  CHECK(c.before() == Names{"b"});
  CHECK(awaited(c).empty());
  SECTION("it does not answer") { c.members.not_heard("b", "refused"); }
  SECTION("it is not asked, and says nothing for some seconds") { c.seconds(4, {}); }
  SECTION("it says that it goes away") { c.second({{"b", {{"b", "c"}, false, {}, true}}}); }
  c.second({});
  CHECK(awaited(c) == Names{"b"});
  c.seconds(9, {});
  CHECK(c.members.states(c.now).back().awaited);
  MemberSays replaying = all;
  replaying.away = true;
  c.seconds(3, {{"b", replaying}});
  CHECK_FALSE(c.members.views().settling());  // the change is over, and what waits is not there yet
  CHECK(awaited(c) == Names{"b"});
  const Homes before({"b"});
  CHECK(c.members.awaited(c.now).front() == Awaited{"b", before});
  c.seconds(2, {{"b", all}});
  CHECK(awaited(c) == Names{"b"});
  c.seconds(1, {{"b", all}});
  CHECK(awaited(c).empty());
  CHECK_FALSE(c.members.states(c.now).back().awaited);
}

TEST_CASE("nothing waits for a member that is away while nothing moves, nor for one that leaves", "[cluster]") {
  One a("a", {"a", "b"});
  a.second({{"b", view({"a", "b"})}});
  a.members.not_heard("b", "refused");
  a.seconds(9, {});
  CHECK(awaited(a).empty());

  One c = new_beside_b();
  c.second({{"b", {{"b", "c"}, true}}});
  c.members.not_heard("b", "refused");
  c.seconds(2, {});
  CHECK(awaited(c).empty());
}

TEST_CASE("a member that dies at the end of a change is waited for, though it is noticed when the change is over",
          "[cluster]") {
  One c = new_beside_b();
  const auto all = view({"b", "c"});
  while (c.members.views().settling()) c.second({{"b", all}});
  CHECK(awaited(c).empty());
  SECTION("soon") {
    c.seconds(2, {});
    c.members.not_heard("b", "refused");
    c.second({});
    CHECK(c.members.awaited(c.now) == std::vector<Awaited>{{"b", Homes({"b"})}});
    c.seconds(4, {{"b", all}});
  }
  SECTION("long after") {
    c.seconds(6, {{"b", all}});
    c.members.not_heard("b", "refused");
    c.second({});
  }
  CHECK(awaited(c).empty());
}

TEST_CASE("nobody waits for a member for ever", "[cluster]") {
  One c = new_beside_b();
  SECTION("it does not come back") {
    c.seconds(30, {});
    CHECK(c.in_force() == Names{"b", "c"});
    CHECK(awaited(c) == Names{"b"});
    c.seconds(2, {});
    CHECK(c.in_force() == Names{"c"});
    CHECK(awaited(c) == Names{"b"});  // what waited for it is routed anew
    c.seconds(1, {});
  }
  SECTION("it comes to no end with its journal") {
    const MemberSays replaying{{"b", "c"}, false, {}, true};
    c.seconds(20, {{"b", replaying}});
    c.members.list(listed({"b", "c", "d"}));  // another change does not prolong it
    c.seconds(14, {{"b", replaying}, {"d", view({"b", "c", "d"})}});
    CHECK(awaited(c) == Names{"b", "b"});
    CHECK(c.members.awaited(c.now).back().before == Homes({"b", "c"}));
    c.seconds(2, {{"b", replaying}, {"d", view({"b", "c", "d"})}});
  }
  CHECK(awaited(c).empty());
}

TEST_CASE("a daemon that owns nothing has all the others", "[cluster]") {
  One front("", {"a", "b"});
  front.second({{"a", view({"a", "b"})}, {"b", view({"a", "b"})}});
  CHECK(front.in_force() == Names{"a", "b"});
  CHECK_FALSE(front.members.views().settling());
  CHECK(front.members.states(front.now).size() == 2);
}

TEST_CASE("what a peer does not have in force may be open elsewhere", "[cluster]") {
  One a("a", {"a", "b", "c"});
  const auto all = view({"a", "b", "c"});
  a.second({{"b", all}, {"c", all}});
  a.second({{"b", view({"a", "b"})}, {"c", all}});  // b cannot reach c
  CHECK(a.in_force() == Names{"a", "b", "c"});
  CHECK(a.before() == Names{"a", "b"});
}

TEST_CASE("who comes back while another change is running takes part in it, for as long as the others", "[cluster]") {
  One a("a", {"a", "b", "c", "d"});
  const auto running = [](Duration age) { return view({"a", "b", "c", "d"}, {{"d", age}}); };
  a.second({{"b", running(6s)}, {"c", view({"a", "b", "c", "d"})}, {"d", running(7s)}});
  CHECK(a.in_force() == Names{"a", "b", "c", "d"});
  CHECK(a.before() == Names{"a", "b", "c"});
  CHECK(a.members.says(a.now).fresh == std::vector<FreshMember>{{"d", 7s}});
  const auto over = view({"a", "b", "c", "d"});
  a.seconds(3, {{"b", over}, {"c", over}, {"d", over}});
  CHECK(a.members.views().settling());
  a.seconds(1, {{"b", over}, {"c", over}, {"d", over}});
  CHECK(a.before() == Names{"a", "b", "c", "d"});
  CHECK(a.members.says(a.now).fresh.empty());
}

TEST_CASE("a member that is new to its peers is new to itself when it comes back", "[cluster]") {
  One d("d", {"a", "b", "d"});
  const auto running = view({"a", "b", "d"}, {{"d", 2s}});
  d.second({{"a", running}, {"b", running}});
  CHECK(d.before() == Names{"a", "b"});
}

TEST_CASE("a change is over for all when it is for the last who learnt of it", "[cluster]") {
  One a("a", {"a", "b", "c"});
  a.second({{"b", view({"a", "b"})}});
  const auto all = [](Duration age) { return view({"a", "b", "c"}, {{"c", age}}); };
  a.second({{"b", view({"a", "b"})}, {"c", all(0s)}});
  const TimePoint learnt = a.now;
  a.second({{"b", all(0s)}, {"c", all(0s)}});
  for (int n = 1; n != 5; ++n) a.second({{"b", all(1s * n - 2s)}, {"c", all(1s * n)}});  // b learnt two seconds later
  CHECK(a.members.until_end(a.now, 1min) == learnt + 12s - a.now);
  // What comes late, and ever later, does not put it off.
  for (int n = 5; n != 12; ++n) {
    CHECK(a.members.views().settling());
    a.second({{"b", all(0s)}, {"c", all(0s)}});
  }
  a.seconds(1, {{"b", view({"a", "b", "c"})}, {"c", view({"a", "b", "c"})}});
  CHECK_FALSE(a.members.views().settling());
  CHECK(a.members.until_end(a.now, 1min) == 1min);
}
