// SPDX-License-Identifier: Apache-2.0
// What `and` and `drop` share: a list of policies all of which must say "sampled".
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "decide/registry.h"

namespace tailgate {

struct Nested {
  std::vector<PolicyPtr> policies;
  std::vector<std::string> names;  // of each
};

// Reads the list under `key`; an empty or missing one is an error. Policies with errors are left out.
Nested make_nested(const ConfigNode& node, std::string_view key, PolicyBuild& build);

// Sampled if all are, with the strictest of their thresholds. Stops at the first that is not, as contrib does.
Ballot evaluate_all(const std::vector<PolicyPtr>& policies, const JudgedTrace& trace);

// The same for the parts of a trace that is known to be sampled: the first predicate that decided one of them.
int first_deciding_bit(const std::vector<PolicyPtr>& policies, const JudgedTrace& trace);
bool any_stateful(const std::vector<PolicyPtr>& policies);
// Policy::why of evaluate_all: what all of them saw, or the one that said no.
std::string why_all(const Nested& nested, const AskedVote& asked);

}  // namespace tailgate
