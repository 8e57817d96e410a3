// What `and` and `drop` share: a list of policies all of which must say "sampled".
#pragma once

#include <string_view>
#include <vector>

#include "decide/registry.h"

namespace tailgate {

// Reads the list under `key`; an empty or missing one is an error. Policies with errors are left out.
std::vector<PolicyPtr> make_nested(const ConfigNode& node, std::string_view key, ScanPlan& plan);

// Sampled if all are; by chance if any of them went by chance.
Ballot evaluate_all(const std::vector<PolicyPtr>& policies, const JudgedTrace& trace);

}  // namespace tailgate
