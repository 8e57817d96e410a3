// SPDX-License-Identifier: Apache-2.0
#include "cluster/members.h"

#include <algorithm>
#include <utility>

namespace tailgate {
namespace {

// Peers are asked each second; what they said longer ago than this is not what they think now.
constexpr Duration kFresh = std::chrono::seconds(3);
// Of a member that dies it is known after that: it is silent, and a question to it runs out.
constexpr Duration kNoticed = kFresh + std::chrono::seconds(1);
constexpr Duration kAgreeFor = std::chrono::seconds(4);  // members ask each other each second

}  // namespace

void Members::list(const std::vector<Member>& all) {
  self_listed_ = false;
  for (auto& [name, peer] : peers_) peer.listed = false;
  for (const Member& member : all) {
    if (member.name == options_.self) {
      self_listed_ = !options_.self.empty();
      continue;
    }
    Peer& peer = peers_[member.name];
    peer.endpoint = member.endpoint;
    peer.listed = true;
  }
}

void Members::heard(std::string_view name, const MemberSays& says, TimePoint now) {
  const auto at = peers_.find(name);
  if (at == peers_.end()) return;
  Peer& peer = at->second;
  peer.heard = now;
  peer.leaving = says.leaving;
  peer.away = says.away;
  peer.names = says.names;
  peer.fresh.clear();
  for (const FreshMember& one : says.fresh) peer.fresh[one.name] = now - std::min(one.age, options_.settle);
  peer.version = Homes(says.names).version();
  peer.error.clear();
}

void Members::not_heard(std::string_view name, std::string_view error) {
  const auto at = peers_.find(name);
  if (at == peers_.end()) return;
  at->second.error = error;
}

// It has what is sent to it, or will have.
bool Members::present(const std::string& name, TimePoint now) const {
  if (name == options_.self) return !leaving_;
  const auto at = peers_.find(name);
  return at != peers_.end() && at->second.heard && !at->second.leaving && now - *at->second.heard <= options_.hold;
}

// What is sent to it waits, or what it took.
bool Members::is_away(const std::string& name, TimePoint now) const {
  if (name == options_.self || !present(name, now)) return false;
  const Peer& peer = peers_.find(name)->second;
  return peer.away || !peer.error.empty() || !answers(peer, now);
}

bool Members::answers(const Peer& peer, TimePoint now) const { return peer.heard && now - *peer.heard <= kFresh; }

bool Members::listed(const std::string& name) const {
  if (name == options_.self) return self_listed_;
  const auto at = peers_.find(name);
  return at != peers_.end() && at->second.listed;
}

bool Members::any_has(const std::string& name, bool has, TimePoint now) const {
  return std::any_of(peers_.begin(), peers_.end(), [&](const auto& entry) {
    const Peer& peer = entry.second;
    if (entry.first == name || !answers(peer, now) || peer.leaving || peer.names.empty()) return false;
    return has == (std::find(peer.names.begin(), peer.names.end(), name) != peer.names.end());
  });
}

std::optional<TimePoint> Members::fresh_since(const std::string& name, TimePoint now) const {
  std::optional<TimePoint> out;
  for (const auto& [of, peer] : peers_) {
    const auto found = peer.fresh.find(name);
    if (!answers(peer, now) || peer.leaving || found == peer.fresh.end()) continue;
    out = out ? std::max(*out, found->second) : found->second;
  }
  return out;
}

MemberSays Members::says(TimePoint now) const {
  MemberSays out{views_.now.names(), leaving_};
  for (const auto& [name, seat] : seats_) {
    if (seat.state == Seat::State::kNew) out.fresh.push_back({name, now - seat.since});
  }
  return out;
}

// Gives a member that is present and listed its place. A change that is running elsewhere is running here too, for as
// long: a daemon that took it for over would send spans past the old homes.
void Members::seat(const std::string& name, TimePoint now) {
  if (begun_ || any_has(name, false, now)) {
    seats_.try_emplace(name, Seat{Seat::State::kNew, now, now});
  } else if (const std::optional<TimePoint> since = fresh_since(name, now)) {
    seats_.try_emplace(name, Seat{Seat::State::kNew, *since, now});
  } else {
    seats_.try_emplace(name, Seat{Seat::State::kSettled, now, now});
  }
}

// One that is present goes on to its next state.
void Members::follow(const std::string& name, Seat& seat, TimePoint now) {
  using State = Seat::State;
  if (!listed(name)) {
    if (seat.state != State::kGoing) seat = {State::kGoing, now, now};
    if (any_has(name, true, now)) seat.since = now;
    return;
  }
  // A peer that does not have it sends its traces to others.
  const bool lacking = any_has(name, false, now);
  if (seat.state == State::kGoing) seat.state = State::kSettled;
  if (lacking) seat = {State::kNew, now, now};
  // It ends at one moment everywhere: when it does for the last of those who have learnt of it. What peers say takes
  // its time to come, so they would put it off for ever if they were asked about it for longer.
  if (seat.state == State::kNew && now - seat.learnt <= kAgreeFor)
    seat.since = std::max(seat.since, fresh_since(name, now).value_or(seat.since));
  if (seat.state == State::kNew && now - seat.since >= options_.settle) seat.state = State::kSettled;
}

bool Members::tick(TimePoint now) {
  using State = Seat::State;
  if (self_listed_ && present(options_.self, now)) seat(options_.self, now);
  for (const auto& [name, peer] : peers_) {
    if (peer.listed && present(name, now)) seat(name, now);
  }
  std::erase_if(seats_, [&](const auto& entry) { return !present(entry.first, now); });
  if (begun_) {
    for (auto& [name, seat] : seats_) follow(name, seat, now);
  }
  std::erase_if(seats_, [&](const auto& entry) {
    return entry.second.state == State::kGoing && now - entry.second.since >= options_.settle;
  });
  begun_ = true;
  // Nobody was there before them.
  const auto is_new = [](const auto& entry) { return entry.second.state == State::kNew; };
  if (std::all_of(seats_.begin(), seats_.end(), is_new)) {
    for (auto& [name, seat] : seats_) seat.state = State::kSettled;
  }
  std::vector<std::string> in_force, before;
  for (const auto& [name, seat] : seats_) {
    if (seat.state != State::kGoing) in_force.push_back(name);
    if (seat.state != State::kNew) before.push_back(name);
  }
  Views next{Homes(std::move(in_force)), Homes(std::move(before))};
  if (next.now.empty()) next.before = {};
  std::erase_if(peers_, [&](const auto& entry) { return !entry.second.listed && !seats_.contains(entry.first); });
  const bool changed = next != views_;
  if (views_.settling()) {
    settling_before_ = views_.before;
    settled_at_ = now;
  }
  if (changed) views_ = std::move(next);
  wait(now);
  return changed;
}

// The time of the change may be over before the member is back, or before it is known that it is away.
void Members::wait(TimePoint now) {
  const Homes none;
  const Homes& before = views_.settling()                               ? views_.before
                        : settled_at_ && now - *settled_at_ <= kNoticed ? settling_before_
                                                                        : none;
  for (const std::string& name : before.names()) {
    if (!is_away(name, now)) continue;
    Wait next{{name, before}, now, now};
    bool known = false;
    for (const Wait& one : waits_) {
      known |= one.by == next.by;
      if (one.by.name == name) next.since = std::min(next.since, one.since);
    }
    if (!known) waits_.push_back(std::move(next));
  }
  for (Wait& one : waits_) {
    if (is_away(one.by.name, now)) one.away = now;
  }
  std::erase_if(waits_, [&](const Wait& one) { return now - one.away > kCatchUp; });
}

// One that stays away is out after `hold`, and what waited for it is routed anew.
std::vector<Awaited> Members::awaited(TimePoint now) const {
  std::vector<Awaited> out;
  for (const Wait& one : waits_) {
    if (now - one.since <= options_.hold + 2 * kCatchUp) out.push_back(one.by);
  }
  return out;
}

bool Members::ends_soon(TimePoint now, Duration before) const {
  return std::any_of(seats_.begin(), seats_.end(), [&](const auto& entry) {
    return entry.second.state != Seat::State::kSettled && now - entry.second.since >= options_.settle - before;
  });
}

Duration Members::until_end(TimePoint now, Duration most) const {
  Duration out = most;
  for (const auto& [name, seat] : seats_) {
    const Duration left = seat.since + options_.settle - now;
    if (seat.state != Seat::State::kSettled && left > Duration::zero()) out = std::min(out, left);
  }
  return out;
}

std::vector<Member> Members::peers() const {
  std::vector<Member> out;
  for (const auto& [name, peer] : peers_) out.push_back({name, peer.endpoint});
  return out;
}

std::vector<MemberState> Members::states(TimePoint now) const {
  std::vector<MemberState> out;
  const std::vector<Awaited> awaited = this->awaited(now);
  const auto is = [](const std::string& name) { return [&](const Awaited& one) { return one.name == name; }; };
  if (!options_.self.empty()) {
    out.push_back({.member = {options_.self, ""},
                   .listed = self_listed_,
                   .answered = true,
                   .in_force = views_.now.has(options_.self),
                   .before = views_.before.has(options_.self),
                   .leaving = leaving_,
                   .awaited = false,
                   .heard = now,
                   .version = views_.now.version(),
                   .error = {}});
  }
  for (const auto& [name, peer] : peers_) {
    out.push_back({.member = {name, peer.endpoint},
                   .listed = peer.listed,
                   .answered = answers(peer, now),
                   .in_force = views_.now.has(name),
                   .before = views_.before.has(name),
                   .leaving = peer.leaving,
                   .awaited = std::any_of(awaited.begin(), awaited.end(), is(name)),
                   .heard = peer.heard,
                   .version = peer.version,
                   .error = peer.error});
  }
  return out;
}

std::size_t Members::disagreeing(TimePoint now) const {
  return static_cast<std::size_t>(std::count_if(peers_.begin(), peers_.end(), [&](const auto& entry) {
    const Peer& peer = entry.second;
    return answers(peer, now) && !peer.leaving && peer.version != views_.now.version();
  }));
}

}  // namespace tailgate
