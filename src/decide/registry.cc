// SPDX-License-Identifier: Apache-2.0
#include "decide/registry.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>

namespace tailgate {

PolicyPtr make_always_sample(const ConfigNode& entry, PolicyBuild& build);      // always_sample.cc
PolicyPtr make_and(const ConfigNode& entry, PolicyBuild& build);                // and.cc
PolicyPtr make_boolean_attribute(const ConfigNode& entry, PolicyBuild& build);  // boolean_attribute.cc
PolicyPtr make_bytes_limiting(const ConfigNode& entry, PolicyBuild& build);     // rate_limiting.cc
PolicyPtr make_composite(const ConfigNode& entry, PolicyBuild& build);          // composite.cc
PolicyPtr make_drop(const ConfigNode& entry, PolicyBuild& build);               // drop.cc
PolicyPtr make_endpoint(const ConfigNode& entry, PolicyBuild& build);           // endpoint.cc
PolicyPtr make_first_match(const ConfigNode& entry, PolicyBuild& build);        // first_match.cc
PolicyPtr make_latency(const ConfigNode& entry, PolicyBuild& build);            // latency.cc
PolicyPtr make_not(const ConfigNode& entry, PolicyBuild& build);                // not.cc
PolicyPtr make_numeric_attribute(const ConfigNode& entry, PolicyBuild& build);  // numeric_attribute.cc
PolicyPtr make_ottl_condition(const ConfigNode& entry, PolicyBuild& build);     // ottl_condition.cc
PolicyPtr make_probabilistic(const ConfigNode& entry, PolicyBuild& build);      // probabilistic.cc
PolicyPtr make_rate_limiting(const ConfigNode& entry, PolicyBuild& build);      // rate_limiting.cc
PolicyPtr make_span_count(const ConfigNode& entry, PolicyBuild& build);         // span_count.cc
PolicyPtr make_status_code(const ConfigNode& entry, PolicyBuild& build);        // status_code.cc
PolicyPtr make_string_attribute(const ConfigNode& entry, PolicyBuild& build);   // string_attribute.cc
PolicyPtr make_trace(const ConfigNode& entry, PolicyBuild& build);              // trace.cc
PolicyPtr make_trace_flags(const ConfigNode& entry, PolicyBuild& build);        // trace_flags.cc
PolicyPtr make_trace_state(const ConfigNode& entry, PolicyBuild& build);        // trace_state.cc

namespace {

constexpr std::array kPolicyTypes = {
    PolicyType{"always_sample", make_always_sample},
    PolicyType{"and", make_and, Nesting::kAnd},
    PolicyType{"boolean_attribute", make_boolean_attribute},
    PolicyType{"bytes_limiting", make_bytes_limiting},
    PolicyType{"composite", make_composite, Nesting::kTopOnly},
    PolicyType{"drop", make_drop, Nesting::kTopOnly},
    PolicyType{"endpoint", make_endpoint},
    PolicyType{"first_match", make_first_match, Nesting::kTopOnly},
    PolicyType{"latency", make_latency},
    PolicyType{"not", make_not, Nesting::kNot},
    PolicyType{"numeric_attribute", make_numeric_attribute},
    PolicyType{"ottl_condition", make_ottl_condition},
    PolicyType{"probabilistic", make_probabilistic},
    PolicyType{"rate_limiting", make_rate_limiting},
    PolicyType{"span_count", make_span_count},
    PolicyType{"status_code", make_status_code},
    PolicyType{"string_attribute", make_string_attribute},
    PolicyType{"trace", make_trace},
    PolicyType{"trace_flags", make_trace_flags},
    PolicyType{"trace_state", make_trace_state},
};

class PredicatePolicy final : public Policy {
 public:
  PredicatePolicy(std::size_t bit, bool invert, std::string attribute, Wanted wanted)
      : bit_(bit), invert_(invert), attribute_(std::move(attribute)), wanted_(std::move(wanted)) {}
  Ballot evaluate(const JudgedTrace& trace) const override { return ballot(trace.bit(bit_) != invert_); }
  int deciding_bit(const JudgedTrace&) const override { return invert_ ? -1 : static_cast<int>(bit_); }
  std::string why(const AskedVote& asked) const override {
    const bool found = asked.trace.bit(bit_);
    const std::string value = attribute_.empty() ? "" : asked.value(bit_, attribute_);
    if (!wanted_.value_of_attribute) {
      std::string out = fmt::format("{} span {}{}", found ? "a" : "no", wanted_.words, invert_ ? ", wanted none" : "");
      return value.empty() ? out : fmt::format("{}; {} {}", out, attribute_, value);
    }
    if (!value.empty())
      return fmt::format("{} {}, wanted {}{}", attribute_, value, invert_ ? "not " : "", wanted_.words);
    return fmt::format("{} span or resource has {} {}{}", found ? "a" : "no", attribute_, wanted_.words,
                       invert_ ? ", wanted none" : "");
  }

 private:
  std::size_t bit_;
  bool invert_;
  std::string attribute_;
  Wanted wanted_;
};

bool fits(Nesting nesting, PolicyPlace place) {
  switch (place) {
    case PolicyPlace::kTop:
      return true;
    case PolicyPlace::kInsideNot:
      return nesting == Nesting::kPlain;
    case PolicyPlace::kInsideList:
      return nesting == Nesting::kPlain || nesting == Nesting::kNot;
    case PolicyPlace::kInsideComposite:
      return nesting == Nesting::kPlain || nesting == Nesting::kAnd;
    case PolicyPlace::kInsideRule:
      return nesting != Nesting::kTopOnly;
  }
  return false;
}

}  // namespace

std::span<const PolicyType> policy_types() { return kPolicyTypes; }

PolicyPtr make_policy(const ConfigNode& entry, PolicyBuild& build, PolicyPlace place) {
  if (!entry.is_map()) {
    entry.error("expected a policy: {name, type, ...}");
    return nullptr;
  }
  const std::string name = entry.text("name");
  std::vector<std::string_view> allowed;
  for (const PolicyType& type : kPolicyTypes) {
    if (fits(type.nesting, place)) allowed.push_back(type.name);
  }
  const std::string wanted = entry.choice("type", "", allowed);
  const auto type =
      std::find_if(kPolicyTypes.begin(), kPolicyTypes.end(), [&](const auto& t) { return t.name == wanted; });
  if (type == kPolicyTypes.end()) {
    if (!entry.has("type")) entry.error("expected a `type`");
    return nullptr;
  }
  const std::string outer = build.path;
  build.path = outer.empty() || name.empty() ? outer + name : outer + "/" + name;
  PolicyPtr policy = type->make(entry, build);
  build.path = outer;
  for (const auto& [key, value] : entry.entries()) {
    if (key == "name" || key == "type" || key == wanted) continue;
    value.error(fmt::format("expected `name`, `type` and, under `{}:`, its settings; no key '{}' here", wanted, key));
  }
  return policy;
}

std::string read_part_name(const ConfigNode& item, std::set<std::string>& names) {
  std::string name = item.text("name");
  if (!name.empty() && !names.insert(name).second) item.error("name", "expected a name that no other of these has");
  return name;
}

std::uint16_t part_number(PolicyBuild& build, const std::string& name) {
  if (name.empty() || build.path != build.top) return 0;
  build.parts.insert(build.top + "/" + name);
  return build.names.number_of_part(build.top, name);
}

PolicyPtr make_listed_policy(const ConfigNode& entry, std::size_t i, std::set<std::string>& names, PolicyBuild& build,
                             PolicyPlace place) {
  const std::string outer = build.path;
  const std::string name = entry.is_map() ? entry.text("name") : "";
  if (name.empty() || !names.insert(name).second) build.path += "/" + std::to_string(i);
  PolicyPtr policy = make_policy(entry, build, place);
  build.path = outer;
  return policy;
}

PolicyPtr policy_of_predicate(PolicyBuild& build, std::unique_ptr<SpanPredicate> predicate, std::string attribute,
                              bool invert, Wanted wanted) {
  const std::size_t bit = build.plan.add(std::move(predicate), attribute);
  return std::make_unique<PredicatePolicy>(bit, invert, std::move(attribute), std::move(wanted));
}

}  // namespace tailgate
