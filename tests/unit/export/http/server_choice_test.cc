// SPDX-License-Identifier: Apache-2.0
#include "export/http/server_choice.h"

#include <catch2/catch.hpp>

#include "support/times.h"

using namespace tailgate;
using namespace tailgate::test;
using namespace std::chrono_literals;

namespace {

using Targets = std::vector<ServerTarget>;

}  // namespace

TEST_CASE("the addresses of a name are asked in turn, two of them by one call", "[export]") {
  ServerChoice choice(1);
  CHECK(choice.targets(at(0s)) == Targets{{0, ""}});  // nobody has said yet what the name stands for
  choice.resolved(0, {"a", "b", "c"});
  CHECK(choice.targets(at(0s)) == Targets{{0, "a"}, {0, "b"}});
  CHECK(choice.targets(at(0s)) == Targets{{0, "b"}, {0, "c"}});
  CHECK(choice.targets(at(0s)) == Targets{{0, "c"}, {0, "a"}});
  CHECK(choice.targets(at(0s)) == Targets{{0, "a"}, {0, "b"}});
}

TEST_CASE("an address that does not answer is asked last for ten seconds, or until it answers", "[export]") {
  ServerChoice choice(1);
  choice.resolved(0, {"a", "b"});
  choice.failed({0, "a"}, at(0s));
  for (int i = 0; i < 3; ++i) CHECK(choice.targets(at(9s)) == Targets{{0, "b"}, {0, "a"}});
  choice.failed({0, "b"}, at(9s));
  CHECK(choice.targets(at(9s)).size() == 2);  // all are down: better these than none
  choice.answered({0, "b"});
  CHECK(choice.targets(at(9s)) == Targets{{0, "b"}, {0, "a"}});
  CHECK(choice.targets(at(10s)).front() == ServerTarget{0, "a"});
}

TEST_CASE("an address that is silent holds up one call at a time, and ever more seldom", "[export]") {
  ServerChoice choice(1);
  choice.resolved(0, {"a", "b", "b"});
  for (const Duration d : {30s, 31s, 32s}) choice.failed({0, "a"}, at(d));  // calls that were under way together
  std::vector<Duration> asked;
  for (Duration d = 33s; d < 1000s; d += 1s) {
    const ServerTarget first = choice.targets(at(d)).front();
    choice.answered({0, "b"});
    if (first.address != "a") continue;
    asked.push_back(d);
    choice.failed({0, "a"}, at(d + 30s));  // its timeout
  }
  CHECK(asked == std::vector<Duration>{42s, 92s, 162s, 272s, 462s, 792s});
  choice.answered({0, "a"});
  CHECK(choice.targets(at(1000s)).front() != choice.targets(at(1000s)).front());  // in turn again
}

TEST_CASE("a name that stands for others takes those that are new, and forgets those that are not there", "[export]") {
  ServerChoice choice(1);
  choice.resolved(0, {"a", "b"});
  choice.failed({0, "b"}, at(0s));
  choice.resolved(0, {"b", "c"});
  CHECK_FALSE(choice.knows({0, "a"}));
  CHECK(choice.knows({0, "c"}));
  CHECK(choice.targets(at(1s)) == Targets{{0, "c"}, {0, "b"}});  // b is still the one that did not answer
  choice.resolved(0, {});
  CHECK(choice.knows({0, "c"}));  // a resolver that fails changes nothing
  choice.failed({0, "a"}, at(1s));
  choice.answered({0, "a"});
}

TEST_CASE("of several servers the one that answered last is first, and the others come before one that is down",
          "[export]") {
  ServerChoice choice(3);
  CHECK(choice.targets(at(0s)) == Targets{{0, ""}, {1, ""}, {2, ""}});
  choice.failed({0, ""}, at(0s));
  choice.answered({1, ""});
  CHECK(choice.targets(at(0s)) == Targets{{1, ""}, {2, ""}, {0, ""}});
  choice.resolved(1, {"a", "b"});
  choice.failed({1, "a"}, at(0s));
  choice.failed({1, "b"}, at(0s));
  CHECK(choice.targets(at(1s)) == Targets{{2, ""}, {1, "a"}, {1, "b"}, {0, ""}});
}
