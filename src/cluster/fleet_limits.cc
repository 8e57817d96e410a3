// SPDX-License-Identifier: Apache-2.0
#include "cluster/fleet_limits.h"

#include <algorithm>
#include <utility>

#include "base/hash.h"

namespace tailgate {
namespace {

constexpr double kNew = 0.5;     // weight of the last second in a need
constexpr double kLeast = 0.02;  // is divided equally: whoever needed nothing may still begin to

// The same in every process.
std::uint64_t number_of(const std::string& name) { return fnv1a(name); }

double need_in(const std::map<std::uint64_t, double>& needs, std::uint64_t limit) {
  const auto found = needs.find(limit);
  return found != needs.end() ? found->second : 0;
}

}  // namespace

void FleetLimits::asked(std::vector<FleetLimit> limits, TimePoint now) {
  const double seconds = std::chrono::duration<double>(now - asked_at_).count();
  if (begun_ && seconds > 0) {
    std::map<std::uint64_t, double> needs;
    for (const FleetLimit& one : limits) {
      const std::uint64_t limit = number_of(one.name);
      const auto before = own_.find(limit);
      const double last = one.asked / seconds;
      needs[limit] = before != own_.end() ? before->second + kNew * (last - before->second) : last;
    }
    own_ = std::move(needs);
  }
  begun_ = true;
  asked_at_ = now;
  limits_ = std::move(limits);
}

std::vector<LimitNeed> FleetLimits::needs() const {
  std::vector<LimitNeed> out;
  for (const auto& [limit, need] : own_) {
    if (need > 0 && out.size() < kLimitNeedsMax) out.push_back({limit, need});
  }
  return out;
}

void FleetLimits::heard(std::string_view member, const std::vector<LimitNeed>& needs, TimePoint now) {
  Peer peer{{}, now};
  for (const LimitNeed& one : needs) peer.needs[one.limit] = one.per_second;
  peers_[std::string(member)] = std::move(peer);
  std::erase_if(peers_, [&](const auto& one) { return now - one.second.at > kHeardFor; });
}

const FleetLimits::Peer* FleetLimits::peer(const std::string& name, TimePoint now) const {
  const auto found = peers_.find(name);
  return found != peers_.end() && now - found->second.at <= kHeardFor ? &found->second : nullptr;
}

std::size_t FleetLimits::heard_of(const std::vector<std::string>& others, TimePoint now) const {
  return static_cast<std::size_t>(
      std::count_if(others.begin(), others.end(), [&](const std::string& name) { return peer(name, now) != nullptr; }));
}

std::vector<FleetLimits::Share> FleetLimits::shares(const std::vector<std::string>& others, TimePoint now) const {
  const auto here = static_cast<double>(1 + heard_of(others, now));  // members that divide among themselves
  const double part = here / static_cast<double>(1 + others.size());
  std::vector<Share> out;
  for (const FleetLimit& limit : limits_) {
    const std::uint64_t number = number_of(limit.name);
    const double least = kLeast * limit.rate * part / here, room = (1 - kLeast) * limit.rate * part;
    Share one{need_in(own_, number), 0, 0};
    one.fleet_need = one.need;
    for (const std::string& name : others) {
      const Peer* const other = peer(name, now);
      if (other != nullptr) one.fleet_need += need_in(other->needs, number);
    }
    if (limit.rate <= 0) {
      one.share = 1;  // nothing to divide
    } else if (one.fleet_need <= room) {
      one.share = (least + one.need + (room - one.fleet_need) / here) / limit.rate;
    } else {
      one.share = (least + room * one.need / one.fleet_need) / limit.rate;
    }
    out.push_back(one);
  }
  return out;
}

}  // namespace tailgate
