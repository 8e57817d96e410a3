#include "export/server_choice.h"

#include <catch2/catch.hpp>

using namespace tailgate;
using namespace std::chrono_literals;

namespace {

using Targets = std::vector<ServerTarget>;

TimePoint at(Duration d) { return TimePoint{} + 1h + d; }

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
