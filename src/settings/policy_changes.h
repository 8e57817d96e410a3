// SPDX-License-Identifier: Apache-2.0
// What a reload changed of the policies, for the log: names only, since values may be secrets. Threads: any; plain
// values.
#pragma once

#include <string>
#include <vector>

#include "settings/sampling.h"

namespace tailgate {

// Policies as the configuration has them, variables replaced.
struct WrittenPolicies {
  struct Entry {
    std::string name;  // "slow", or "slow (shadow)"
    std::string file;
    std::string text;  // equal for equal values, wherever they stand
  };
  std::vector<Entry> entries;  // in the order of the configuration, shadow policies last
  bool use_tracestate = false;
  bool sample_on_first_match = false;
};
WrittenPolicies written_policies(const SamplingConfig& sampling);

struct PolicyChanges {
  std::string added, changed, removed;  // "slow, errors"; "" when there are none
  std::string files;                    // in which these stand

  bool any() const { return !added.empty() || !changed.empty() || !removed.empty(); }
};
// Of all policies, another order and the options that a reload takes over count as changed.
PolicyChanges compare(const WrittenPolicies& before, const WrittenPolicies& after);

// "a, b, c", and only the number of those after the first few.
std::string listed(const std::vector<std::string>& names);

}  // namespace tailgate
