// SPDX-License-Identifier: Apache-2.0
// Members: who is in the cluster, as this daemon knows it, and which views follow: the one in force, and for a while
// after a change the one before, whose members have what is open (docs/design/0024).
//
//   listed     by the configuration or DNS
//   in force   listed, has answered within `hold`, and does not leave
//
// Who leaves or is not heard for `hold` is out of both views at once: nothing is open there. Other changes begin a
// window of `settle`, and wait for the end of a window that is open. The window begins anew as long as a peer says a
// view in which the change is missing.
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

struct Member {
  std::string name;
  std::string endpoint;  // host:port of its OTLP receiver
  bool operator==(const Member&) const = default;
};

// What a member says of itself and of others.
struct MemberSays {
  std::vector<std::string> names;  // of its view in force
  bool leaving = false;
};

struct Views {
  Homes now;
  Homes before;  // empty: the same
  bool settling() const { return !before.empty(); }
};

struct MemberState {
  Member member;
  bool listed = false;
  bool answered = false;  // within the last moments
  bool in_force = false, before = false;
  bool leaving = false;
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

  // Draws the conclusions. True: the views have changed. The first call takes over what peers have in force for the
  // view before, and should come when each of them was asked once.
  bool tick(TimePoint now);

  const Views& views() const { return views_; }
  const std::string& self() const { return options_.self; }
  bool leaving() const { return leaving_; }
  MemberSays says() const { return {views_.now.names(), leaving_}; }
  // Without this daemon, by name: those listed, and those in a view that are not listed any more.
  std::vector<Member> peers() const;
  std::vector<MemberState> states(TimePoint now) const;
  // Peers that answer and have another view in force.
  std::size_t disagreeing(TimePoint now) const;
  // The window ends within `before`, if nothing happens.
  bool ends_soon(TimePoint now, Duration before) const {
    return views_.settling() && now - agreed_ >= options_.settle - before;
  }
  // A change waits for the end of the window.
  bool waits() const { return waits_; }

 private:
  struct Peer {
    std::string endpoint;
    bool listed = false, leaving = false;
    std::optional<TimePoint> heard;
    std::vector<std::string> names;
    std::uint64_t version = 0;
    std::string error;
  };
  bool present(const std::string& name, TimePoint now) const;
  bool answers(const Peer& peer, TimePoint now) const;
  std::vector<std::string> wanted(TimePoint now) const;
  std::vector<std::string> agreed_before(const Homes& now_in_force, TimePoint now) const;
  bool lacks_change(const Peer& peer) const;
  void forget_unlisted();

  const Options options_;
  bool self_listed_ = false, leaving_ = false, begun_ = false, waits_ = false;
  std::map<std::string, Peer, std::less<>> peers_;
  Views views_;
  TimePoint began_{};   // the window
  TimePoint agreed_{};  // since then no peer was known to lack the change
};

}  // namespace tailgate
