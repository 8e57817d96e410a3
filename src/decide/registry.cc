#include "decide/registry.h"

#include <algorithm>
#include <array>
#include <string>

namespace tailgate {

PolicyPtr make_always_sample(const ConfigNode& entry, ScanPlan& plan);     // always_sample.cc
PolicyPtr make_and(const ConfigNode& entry, ScanPlan& plan);               // and.cc
PolicyPtr make_drop(const ConfigNode& entry, ScanPlan& plan);              // drop.cc
PolicyPtr make_latency(const ConfigNode& entry, ScanPlan& plan);           // latency.cc
PolicyPtr make_not(const ConfigNode& entry, ScanPlan& plan);               // not.cc
PolicyPtr make_probabilistic(const ConfigNode& entry, ScanPlan& plan);     // probabilistic.cc
PolicyPtr make_span_count(const ConfigNode& entry, ScanPlan& plan);        // span_count.cc
PolicyPtr make_status_code(const ConfigNode& entry, ScanPlan& plan);       // status_code.cc
PolicyPtr make_string_attribute(const ConfigNode& entry, ScanPlan& plan);  // string_attribute.cc

namespace {

constexpr std::array kPolicyTypes = {
    PolicyType{"always_sample", make_always_sample},
    PolicyType{"and", make_and, true},
    PolicyType{"drop", make_drop, true},
    PolicyType{"latency", make_latency},
    PolicyType{"not", make_not, true},
    PolicyType{"probabilistic", make_probabilistic},
    PolicyType{"span_count", make_span_count},
    PolicyType{"status_code", make_status_code},
    PolicyType{"string_attribute", make_string_attribute},
};

}  // namespace

std::span<const PolicyType> policy_types() { return kPolicyTypes; }

PolicyPtr make_policy(const ConfigNode& entry, ScanPlan& plan, PolicyPlace place) {
  if (!entry.is_map()) {
    entry.error("want a policy: {name, type, ...}");
    return nullptr;
  }
  entry.text("name");
  std::vector<std::string_view> allowed;
  for (const PolicyType& type : kPolicyTypes) {
    const bool fits = place == PolicyPlace::kTop || !type.nests || (place == PolicyPlace::kInside && type.name == "not");
    if (fits) allowed.push_back(type.name);
  }
  const std::string wanted = entry.choice("type", "", allowed);
  const auto type = std::find_if(kPolicyTypes.begin(), kPolicyTypes.end(), [&](const auto& t) { return t.name == wanted; });
  if (type == kPolicyTypes.end()) {
    if (!entry.has("type")) entry.error("want a `type`");
    return nullptr;
  }
  PolicyPtr policy = type->make(entry, plan);
  entry.finish();
  return policy;
}

}  // namespace tailgate
