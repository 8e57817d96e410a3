// SPDX-License-Identifier: Apache-2.0
// The policy types that this build knows. The list in registry.cc is the only one.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "config/config_node.h"
#include "decide/condition_errors.h"
#include "decide/limiter.h"
#include "decide/policy.h"
#include "wire/otlp/scan_plan.h"

namespace tailgate {

// What policies are made with.
struct PolicyBuild {
  ScanPlan& plan;  // takes predicates
  Limiters& limiters;
  ConditionErrorTable& condition_errors;
  bool use_tracestate = false;
  std::string top;   // name of the policy at the top
  std::string path;  // of the policy being made, by names: "limits/inner". Limiters go by it
};

// Reads one entry of `policies:`. `entry` is the whole entry. Null after recording an error.
using PolicyFactory = PolicyPtr (*)(const ConfigNode& entry, PolicyBuild& build);

// Where a type may stand.
enum class Nesting : std::uint8_t {
  kPlain,    // anywhere
  kNot,      // `not`: in a list of `and`, `drop`, `first_match`, not in itself or `composite`
  kAnd,      // `and`: in `composite` and `first_match`
  kTopOnly,  // holds others
};

struct PolicyType {
  std::string_view name;
  PolicyFactory make;
  Nesting nesting = Nesting::kPlain;
};

std::span<const PolicyType> policy_types();

// Where a policy stands decides what it may be: any type at the top, contrib's shared ones inside others.
enum class PolicyPlace { kTop, kInsideNot, kInsideList, kInsideComposite, kInsideRule };

// Finds the type named by entry.type and makes the policy. Null after recording an error.
PolicyPtr make_policy(const ConfigNode& entry, PolicyBuild& build, PolicyPlace place);

// The policy that most types are: sampled if one predicate (which looks at `attribute`) is true of some span or
// resource.
PolicyPtr policy_of_predicate(PolicyBuild& build, std::unique_ptr<SpanPredicate> predicate, std::string attribute,
                              bool invert);

}  // namespace tailgate
