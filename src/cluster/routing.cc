// SPDX-License-Identifier: Apache-2.0
#include "cluster/routing.h"

#include <algorithm>

namespace tailgate {

Routing::Routing(const Views& views, const std::string& self, bool leaving)
    : now_(views.now), before_(views.before), member_(!self.empty()), leaving_(leaving), settled_(!views.settling()) {
  for (const Homes* homes : {&now_, &before_}) {
    for (const std::string& name : homes->names()) {
      if (name != self) names_.push_back(name);
    }
  }
  std::sort(names_.begin(), names_.end());
  names_.erase(std::unique(names_.begin(), names_.end()), names_.end());
  const auto indices = [&](const Homes& homes, std::vector<std::uint16_t>& out) {
    for (const std::string& name : homes.names()) {
      const auto at = std::lower_bound(names_.begin(), names_.end(), name);
      out.push_back(name == self ? kHere : static_cast<std::uint16_t>(at - names_.begin()));
    }
  };
  indices(now_, now_to_);
  indices(before_, before_to_);
}

}  // namespace tailgate
