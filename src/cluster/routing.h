// SPDX-License-Identifier: Apache-2.0
// Routing: where the spans of a trace go, by the views in force and how often they have been forwarded. The rules are
// those of docs/design/0024. Immutable; any thread.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "cluster/members.h"
#include "receive/forward.h"

namespace tailgate {

class Routing {
 public:
  static constexpr std::uint16_t kHere = UINT16_MAX;
  static constexpr std::uint16_t kNowhere = UINT16_MAX - 1;  // no member is there to take it
  static constexpr std::uint16_t kUnsure = UINT16_MAX - 2;   // for who splits a request: it cannot be told yet

  struct Way {
    std::uint16_t to = kNowhere;  // kHere, kNowhere, or an index in names()
    Hop hop = Hop::kStart;        // with which it goes there
  };

  Routing() = default;
  Routing(const Views& views, const std::string& self, bool leaving);

  // The members that spans may go to, sorted; without this daemon.
  const std::vector<std::string>& names() const { return names_; }
  // A trace that is open here should be elsewhere.
  bool misplaced(const TraceId& id) const {
    if (now_.empty()) return false;
    if (leaving_) return true;
    return now_to_[now_.home_of(id)] != kHere && before_to_[before_.home_of(id)] != kHere;
  }

  // `knows(id)`: the trace is open or remembered here. It is asked about few: traces whose home was here, and those
  // that others believe to be at home here.
  template <class Knows>
  Way way_of(const TraceId& id, Hop hop, Knows&& knows) const {
    if (now_.empty()) return {member_ ? kHere : kNowhere, hop};
    if (hop == Hop::kLast && !leaving_) return {kHere, hop};
    const std::uint16_t old = before_to_[before_.home_of(id)];
    if (leaving_) return {old, settled_ ? Hop::kLast : next(hop)};
    const std::uint16_t home = settled_ ? old : now_to_[now_.home_of(id)];
    // The old home says whose it is.
    if (hop == Hop::kStart && old != kHere) return {old, Hop::kFirst};
    if (home == kHere || (member_ && knows(id))) return {kHere, hop};
    return {home, next(hop)};
  }

 private:
  static Hop next(Hop hop) { return hop == Hop::kLast ? hop : static_cast<Hop>(static_cast<int>(hop) + 1); }

  Homes now_, before_;
  std::vector<std::uint16_t> now_to_, before_to_;  // in names_, or kHere
  std::vector<std::string> names_;
  bool member_ = false, leaving_ = false, settled_ = true;
};

}  // namespace tailgate
