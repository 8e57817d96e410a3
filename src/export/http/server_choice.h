// SPDX-License-Identifier: Apache-2.0
// ServerChoice: whom a call goes to, of several servers that stand for one another and of the addresses their names
// have.
//
// The server that answered last comes first, and its addresses take turns, so that the backends behind one name share
// the load. An address that did not answer comes last for a while. After that, one call in each such while asks it
// first, and no more than one, because a call to a silent address lasts for all of its timeout. No clock, no sockets,
// one thread.
#pragma once

#include <compare>
#include <cstddef>
#include <string>
#include <vector>

#include "base/clock.h"

namespace tailgate {

struct ServerTarget {
  std::size_t server = 0;
  std::string address = {};  // an IP address; "": the name itself, which is not resolved yet or need not be

  auto operator<=>(const ServerTarget&) const = default;
};

class ServerChoice {
 public:
  explicit ServerChoice(std::size_t servers) : servers_(servers) {}

  // Whom one call may ask, in this order until one answers: at most two addresses of each server.
  std::vector<ServerTarget> targets(TimePoint now);
  void answered(const ServerTarget& target);
  void failed(const ServerTarget& target, TimePoint now);

  // The addresses that a server's name has now. Empty: the look-up failed, and the known ones stay.
  void resolved(std::size_t server, const std::vector<std::string>& addresses);
  // False when the address is no longer one of the server's.
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
