// SPDX-License-Identifier: Apache-2.0
// FleetLimits: what part of each rate limit this member may use, so that the limit holds for all members together
// (docs/design/0024). Each tells the others every second what was asked of its limits, and divides by what it has
// heard:
//
//   all that is asked for has room     to each what it needs, and an equal part of the rest
//   it has not                         to each in proportion to what it needs
//
// But for a fiftieth, of which each has an equal part: whoever needed nothing may begin to.
//
// Whoever was not heard for kHeardFor keeps an equal part of the limit: nobody else touches that. So a member that
// hears nobody has the limit divided by the members, and the parts add up whatever the network does.
//
// Threads: one, or the holder of one lock. No clock: time is an argument.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "cluster/message.h"

namespace tailgate {

// One limit of this member: what was asked of it lately, and what all members together may have of it in a second.
struct FleetLimit {
  std::string name;  // the same on all members
  double asked = 0;
  double rate = 0;
};

class FleetLimits {
 public:
  static constexpr Duration kHeardFor = std::chrono::seconds(5);

  // What was asked since the last call; about once a second.
  void asked(std::vector<FleetLimit> limits, TimePoint now);
  // As the other members are to know it.
  std::vector<LimitNeed> needs() const;
  void heard(std::string_view member, const std::vector<LimitNeed>& needs, TimePoint now);

  struct Share {
    double need = 0, fleet_need = 0;  // a second; of those that were heard
    double share = 1;                 // of the rate
  };
  // One for each limit of the last asked(), in its order. `others`: the members but this one.
  std::vector<Share> shares(const std::vector<std::string>& others, TimePoint now) const;
  // How many of them were heard of late.
  std::size_t heard_of(const std::vector<std::string>& others, TimePoint now) const;
  const std::vector<FleetLimit>& limits() const { return limits_; }

 private:
  struct Peer {
    std::map<std::uint64_t, double> needs;
    TimePoint at{};
  };
  const Peer* peer(const std::string& name, TimePoint now) const;

  std::vector<FleetLimit> limits_;
  std::map<std::uint64_t, double> own_;  // needs, smoothed
  TimePoint asked_at_{};
  bool begun_ = false;
  std::map<std::string, Peer, std::less<>> peers_;
};

}  // namespace tailgate
