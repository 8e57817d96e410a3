// SPDX-License-Identifier: Apache-2.0
#include "cluster/members.h"

#include <algorithm>
#include <utility>

namespace tailgate {
namespace {

// Peers are asked each second; what they said longer ago than this is not what they think now.
constexpr Duration kFresh = std::chrono::seconds(3);

template <class F>
std::vector<std::string> only(const Homes& homes, F&& keep) {
  std::vector<std::string> out;
  for (const std::string& name : homes.names()) {
    if (keep(name)) out.push_back(name);
  }
  return out;
}

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
  forget_unlisted();
}

void Members::heard(std::string_view name, const MemberSays& says, TimePoint now) {
  const auto at = peers_.find(name);
  if (at == peers_.end()) return;
  Peer& peer = at->second;
  peer.heard = now;
  peer.leaving = says.leaving;
  peer.names = says.names;
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

bool Members::answers(const Peer& peer, TimePoint now) const { return peer.heard && now - *peer.heard <= kFresh; }

std::vector<std::string> Members::wanted(TimePoint now) const {
  std::vector<std::string> out;
  if (self_listed_ && !leaving_) out.push_back(options_.self);
  for (const auto& [name, peer] : peers_) {
    if (peer.listed && present(name, now)) out.push_back(name);
  }
  return out;
}

// Of a view that has just come into force, those that every peer has in force too.
std::vector<std::string> Members::agreed_before(const Homes& now_in_force, TimePoint now) const {
  std::vector<std::string> out = now_in_force.names();
  for (const auto& [name, peer] : peers_) {
    if (!answers(peer, now) || peer.leaving || peer.names.empty()) continue;
    std::erase_if(out, [&](const std::string& one) {
      return std::find(peer.names.begin(), peer.names.end(), one) == peer.names.end();
    });
  }
  return out;
}

bool Members::lacks_change(const Peer& peer) const {
  const auto has = [&](const std::string& name) {
    return std::find(peer.names.begin(), peer.names.end(), name) != peer.names.end();
  };
  const std::vector<std::string>& now = views_.now.names();
  const std::vector<std::string>& before = views_.before.names();
  return std::any_of(now.begin(), now.end(), [&](const auto& n) { return !views_.before.has(n) && !has(n); }) ||
         std::any_of(before.begin(), before.end(), [&](const auto& n) { return !views_.now.has(n) && has(n); });
}

void Members::forget_unlisted() {
  std::erase_if(peers_, [&](const auto& entry) {
    return !entry.second.listed && !views_.now.has(entry.first) && !views_.before.has(entry.first);
  });
}

bool Members::tick(TimePoint now) {
  const Views had = views_;
  const auto here = [&](const std::string& name) { return present(name, now); };
  views_.now = Homes(only(views_.now, here));
  views_.before = Homes(only(views_.before, here));
  if (views_.settling()) {
    bool lacking = false;
    for (const auto& [name, peer] : peers_)
      lacking |= answers(peer, now) && !peer.leaving && !peer.names.empty() && lacks_change(peer);
    if (lacking) agreed_ = now;
    // Two changes that peers have made in different orders would wait for each other.
    const bool stuck = waits_ && now - began_ > 3 * options_.settle;
    if (now - agreed_ >= options_.settle || stuck || views_.before == views_.now) views_.before = {};
  }
  const Homes next(wanted(now));
  waits_ = views_.settling() && !(next == views_.now);
  if (!views_.settling()) {
    Homes before = std::exchange(views_.now, next);
    // Also later, when a peer does not have one of us: it may have what is open.
    if (!begun_ || before == views_.now) before = Homes(agreed_before(views_.now, now));
    if (!(before == views_.now)) views_.before = std::move(before);
    waits_ = false;
    began_ = agreed_ = now;
  }
  begun_ = true;
  forget_unlisted();
  return !(had.now == views_.now) || !(had.before == views_.before);
}

std::vector<Member> Members::peers() const {
  std::vector<Member> out;
  for (const auto& [name, peer] : peers_) out.push_back({name, peer.endpoint});
  return out;
}

std::vector<MemberState> Members::states(TimePoint now) const {
  std::vector<MemberState> out;
  if (!options_.self.empty()) {
    out.push_back({.member = {options_.self, ""},
                   .listed = self_listed_,
                   .answered = true,
                   .in_force = views_.now.has(options_.self),
                   .before = views_.before.has(options_.self),
                   .leaving = leaving_,
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
