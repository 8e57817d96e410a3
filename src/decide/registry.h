// SPDX-License-Identifier: Apache-2.0
// The policy types that this build knows. The list in registry.cc is the only one.
#pragma once

#include <set>
#include <span>
#include <string>
#include <string_view>

#include "config/config_node.h"
#include "decide/condition_errors.h"
#include "decide/limiter.h"
#include "decide/names_table.h"
#include "decide/policy.h"
#include "wire/otlp/scan_plan.h"

namespace tailgate {

// What policies are made with.
struct PolicyBuild {
  ScanPlan& plan;  // takes predicates
  Limiters& limiters;
  NamesTable& names;
  ConditionErrorTable& condition_errors;
  bool use_tracestate = false;
  std::string top;                   // name of the policy at the top
  std::string path;                  // of the policy being made, by names: "limits/inner". Limiters go by it
  std::set<std::string> parts = {};  // names of parts that verdicts can name, as POLICY/NAME
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

// The `name` of a part of a policy (a rule, an entry): "" or one that none of `names` has, to which it is added.
std::string read_part_name(const ConfigNode& item, std::set<std::string>& names);
// Its number, if verdicts can name it: the policy
// stands at the top and is no shadow; else 0.
std::uint16_t part_number(PolicyBuild& build, const std::string& name);

// What a predicate wants, in words.
struct Wanted {
  std::string words;               // `200 to 299`; or, if it is no value of the attribute, `with status ERROR`
  bool value_of_attribute = true;  // it wants of the attribute that it looks at
};

// The same for the `i`th of a list. Its limits are its own, also when it has no name, or that of an earlier one;
// `names` collects these.
PolicyPtr make_listed_policy(const ConfigNode& entry, std::size_t i, std::set<std::string>& names, PolicyBuild& build,
                             PolicyPlace place);

// The policy that most types are: sampled if one predicate (which looks at `attribute`) is true of some span or
// resource.
PolicyPtr policy_of_predicate(PolicyBuild& build, std::unique_ptr<SpanPredicate> predicate, std::string attribute,
                              bool invert, Wanted wanted);

}  // namespace tailgate
