// SPDX-License-Identifier: Apache-2.0
// Members: who is in the cluster, as this daemon knows it, and which views follow (docs/design/0024).
//
//   present   has answered within `hold`, and does not leave
//   now       listed and present: new traces have their home there
//   before    those of `now` that have been there for `settle`, and those that were taken off the list for less: they
//             have what was open before
//
// The time of a change counts from when no peer was known to lack it. Who leaves or is not heard for `hold` is out of
// both at once: nothing is open there. While a member of `before` is away spans of traces that moved wait for it, so
// their new homes wait too (awaited()).
//
// Threads: one, or the holder of one lock. No clock: time is an argument.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "cluster/homes.h"

namespace tailgate {

// Members try twice a second to send what waits for one that is back, so by then it has come.
inline constexpr Duration kCatchUp = std::chrono::seconds(2);

struct Member {
  std::string name;
  std::string endpoint;  // host:port of its OTLP receiver
  bool operator==(const Member&) const = default;
};

// A member in force that has not been there for `settle`, and for how long it has.
struct FreshMember {
  std::string name;
  Duration age{};
  bool operator==(const FreshMember&) const = default;
};

// What a member says of itself and of others.
struct MemberSays {
  std::vector<std::string> names;  // of its view in force
  bool leaving = false;
  std::vector<FreshMember> fresh = {};
  bool away = false;  // it ends and its successor has what is here, or it is that one and not through with its journal
  bool operator==(const MemberSays&) const = default;
};

struct Views {
  Homes now;
  Homes before;  // empty only with `now`
  bool settling() const { return !(before == now); }
  bool operator==(const Views& other) const { return now == other.now && before == other.before; }
};

// A member that is away, and had by `before` what was open before a change.
struct Awaited {
  std::string name;
  Homes before;
  // Spans of the trace may wait for the member.
  bool concerns(const TraceId& id) const { return before.names()[before.home_of(id)] == name; }
  bool operator==(const Awaited&) const = default;
};

struct MemberState {
  Member member;
  bool listed = false;
  bool answered = false;  // within the last moments
  bool in_force = false, before = false;
  bool leaving = false;
  bool awaited = false;
  std::optional<TimePoint> heard{};  // the last answer
  std::uint64_t version = 0;         // that it said last
  std::string error;                 // of the last question; empty: it was answered
};

class Members {
 public:
  struct Options {
    std::string self;  // empty: a daemon that owns nothing
    Duration settle{}, hold{};
  };
  explicit Members(Options options) : options_(std::move(options)) {}

  // The list has changed, or is known. `self` is a member when it is in there.
  void list(const std::vector<Member>& all);
  void heard(std::string_view name, const MemberSays& says, TimePoint now);
  void not_heard(std::string_view name, std::string_view error);
  void leave() { leaving_ = true; }

  // Draws the conclusions. True: the views have changed. The first call takes those that all peers have in force for
  // members that were there before, or for as long as peers say, and should come when each peer was asked once.
  bool tick(TimePoint now);

  const Views& views() const { return views_; }
  const std::string& self() const { return options_.self; }
  bool leaving() const { return leaving_; }
  MemberSays says(TimePoint now) const;
  // Without this daemon, by name: those listed, and those in a view that are not listed any more.
  std::vector<Member> peers() const;
  std::vector<MemberState> states(TimePoint now) const;
  // Those that are away, or were until a moment ago: what waited for them may be on its way. Each for `hold` and some
  // seconds at most.
  std::vector<Awaited> awaited(TimePoint now) const;
  // Peers that answer and have another view in force.
  std::size_t disagreeing(TimePoint now) const;
  // Until the time of a change is over, `most` at the most.
  Duration until_end(TimePoint now, Duration most) const;
  // The time of a change is over within `before`, if nothing happens.
  bool ends_soon(TimePoint now, Duration before) const;
  bool listed(const std::string& name) const;

 private:
  struct Peer {
    std::string endpoint;
    bool listed = false, leaving = false, away = false;
    std::optional<TimePoint> heard;
    std::vector<std::string> names;
    std::map<std::string, TimePoint, std::less<>> fresh;  // since when
    std::uint64_t version = 0;
    std::string error;
  };
  // Of a member in one of the views.
  struct Seat {
    enum class State : std::uint8_t { kNew, kSettled, kGoing };
    State state = State::kNew;
    TimePoint since{};   // of kNew and kGoing: no peer was known to lack the change
    TimePoint learnt{};  // when this daemon knew no peer to lack it
  };
  struct Wait {
    Awaited by;
    TimePoint since{}, away{};  // the last moment
  };
  bool present(const std::string& name, TimePoint now) const;
  bool is_away(const std::string& name, TimePoint now) const;
  bool answers(const Peer& peer, TimePoint now) const;
  // A peer that answers has, or has not, `name` in force.
  bool any_has(const std::string& name, bool has, TimePoint now) const;
  // Since when it is fresh, as who answers says; the last of several.
  std::optional<TimePoint> fresh_since(const std::string& name, TimePoint now) const;
  void seat(const std::string& name, TimePoint now);
  void follow(const std::string& name, Seat& seat, TimePoint now);
  void wait(TimePoint now);

  const Options options_;
  bool self_listed_ = false, leaving_ = false, begun_ = false;
  std::map<std::string, Peer, std::less<>> peers_;
  std::map<std::string, Seat> seats_;
  std::vector<Wait> waits_;
  Views views_;
  // Of the last change: the old homes, and when it was last going on.
  Homes settling_before_;
  std::optional<TimePoint> settled_at_;
};

}  // namespace tailgate
