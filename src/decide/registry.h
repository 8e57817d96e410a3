// Every policy type this build knows; registry.cc holds the list, and it is the only list.
#pragma once

#include <span>
#include <string_view>

#include "config/config_node.h"
#include "decide/policy.h"
#include "wire/scan_plan.h"

namespace tailgate {

// Reads one entry of `policies:`. `entry` is the whole entry, `plan` takes the predicates. Null after recording an error.
using PolicyFactory = PolicyPtr (*)(const ConfigNode& entry, ScanPlan& plan);

struct PolicyType {
  std::string_view name;
  PolicyFactory make;
  bool nests = false;  // holds other policies, so it may not stand inside `and`, `not`, `drop` (but `not` may)
};

std::span<const PolicyType> policy_types();

// Where a policy stands decides what it may be: any type at the top, the shared ones inside others.
enum class PolicyPlace { kTop, kInsideNot, kInside };

// Finds the type named by entry.type and makes the policy. Null after recording an error.
PolicyPtr make_policy(const ConfigNode& entry, ScanPlan& plan, PolicyPlace place);

}  // namespace tailgate
