// SPDX-License-Identifier: Apache-2.0
#include "export/http/server_choice.h"

#include <algorithm>
#include <utility>

namespace tailgate {
namespace {

constexpr Duration kDownFor = std::chrono::seconds(10);  // doubled each time it is asked again
constexpr Duration kDownMost = std::chrono::minutes(5);
constexpr std::size_t kAddressesPerCall = 2;  // a call to one that is silent takes all of its timeout

}  // namespace

std::vector<ServerTarget> ServerChoice::targets(TimePoint now) {
  std::vector<ServerTarget> up, down;
  for (std::size_t k = 0; k < servers_.size(); ++k) {
    const std::size_t s = (first_ + k) % servers_.size();
    std::vector<Address>& addresses = servers_[s].addresses;
    const std::size_t begin = servers_[s].next;
    std::vector<ServerTarget> of_it, silent;
    for (std::size_t i = 0; i < addresses.size(); ++i) {
      Address& address = addresses[(begin + i) % addresses.size()];
      if (address.down_until > now) {
        silent.push_back({s, address.text});
      } else {
        // The next call begins behind the one that this call asks first.
        if (of_it.empty()) {
          if (k == 0) servers_[s].next = (begin + i + 1) % addresses.size();
          if (address.down_for != Duration{}) {  // this call finds out for the others
            address.down_for = std::min(2 * address.down_for, kDownMost);
            address.down_until = now + address.down_for;
          }
        }
        of_it.push_back({s, address.text});
      }
    }
    of_it.resize(std::min(of_it.size(), kAddressesPerCall));
    silent.resize(std::min(silent.size(), kAddressesPerCall - of_it.size()));
    up.insert(up.end(), of_it.begin(), of_it.end());
    down.insert(down.end(), silent.begin(), silent.end());
  }
  up.insert(up.end(), down.begin(), down.end());
  return up;
}

ServerChoice::Address* ServerChoice::find(const ServerTarget& target) {
  for (Address& address : servers_[target.server].addresses) {
    if (address.text == target.address) return &address;
  }
  return nullptr;
}

void ServerChoice::answered(const ServerTarget& target) {
  first_ = target.server;
  if (Address* address = find(target)) {
    address->down_until = TimePoint{};
    address->down_for = Duration{};
  }
}

void ServerChoice::failed(const ServerTarget& target, TimePoint now) {
  Address* const address = find(target);
  if (address == nullptr) return;
  if (address->down_for == Duration{}) address->down_for = kDownFor;
  address->down_until = std::max(address->down_until, now + address->down_for);
}

void ServerChoice::resolved(std::size_t server, const std::vector<std::string>& addresses) {
  if (addresses.empty()) return;
  std::vector<Address> fresh;
  for (const std::string& text : addresses) {
    if (std::any_of(fresh.begin(), fresh.end(), [&](const Address& one) { return one.text == text; })) continue;
    const Address* known = find({server, text});
    fresh.push_back(known != nullptr ? *known : Address{text, {}});
  }
  servers_[server].addresses = std::move(fresh);
}

}  // namespace tailgate
