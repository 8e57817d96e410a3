// ServerChoice: whom a call goes to, of several servers that stand for one another and of the addresses their names
// have.
//
// The server that answered last is asked first; of its addresses, each in turn, so that what is behind one name shares
// the load. One that did not answer comes last for a while; then one call in each such while asks it first, since a
// call to an address that is silent is held up for all of its timeout. No clock, no sockets, one thread.
#pragma once

#include <compare>
#include <cstddef>
#include <string>
#include <vector>

#include "base/clock.h"

namespace tailgate {

struct ServerTarget {
  std::size_t server = 0;
  std::string address = {};  // a number; "": the name, which is not resolved here yet, or is none

  auto operator<=>(const ServerTarget&) const = default;
};

class ServerChoice {
 public:
  explicit ServerChoice(std::size_t servers) : servers_(servers) {}

  // Whom to ask for one call, the next when one does not answer: of each server two addresses at most.
  std::vector<ServerTarget> targets(TimePoint now);
  void answered(const ServerTarget& target);
  void failed(const ServerTarget& target, TimePoint now);

  // What the name of a server stands for now; empty: nobody could say, and what was known stays.
  void resolved(std::size_t server, const std::vector<std::string>& addresses);
  // False: it is not among the addresses any more.
  bool knows(const ServerTarget& target) { return find(target) != nullptr; }

 private:
  struct Address {
    std::string text;
    TimePoint down_until{};
    Duration down_for{};  // 0: it answered last
  };
  struct Server {
    std::vector<Address> addresses{{}};  // of one whose name is not resolved: ""
    std::size_t next = 0;
  };

  Address* find(const ServerTarget& target);

  std::vector<Server> servers_;
  std::size_t first_ = 0;
};

}  // namespace tailgate
