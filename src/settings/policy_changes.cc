// SPDX-License-Identifier: Apache-2.0
#include "settings/policy_changes.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace tailgate {
namespace {

using Entry = WrittenPolicies::Entry;

constexpr std::size_t kListed = 20;

std::map<std::string, const Entry*> by_name(const WrittenPolicies& policies) {
  std::map<std::string, const Entry*> out;
  for (const Entry& one : policies.entries) out.emplace(one.name, &one);
  return out;
}

// The names that `others` has too, in the order of `policies`.
std::vector<std::string> common(const WrittenPolicies& policies, const std::map<std::string, const Entry*>& others) {
  std::vector<std::string> out;
  for (const Entry& one : policies.entries) {
    if (others.contains(one.name)) out.push_back(one.name);
  }
  return out;
}

}  // namespace

WrittenPolicies written_policies(const SamplingConfig& sampling) {
  WrittenPolicies out{{}, sampling.use_tracestate, sampling.sample_on_first_match};
  for (const ConfigNode& one : sampling.policies) out.entries.push_back({one.text("name"), one.file(), one.yaml()});
  for (const ConfigNode& one : sampling.shadow_policies)
    out.entries.push_back({one.text("name") + " (shadow)", one.file(), one.yaml()});
  return out;
}

PolicyChanges compare(const WrittenPolicies& before, const WrittenPolicies& after) {
  const auto were = by_name(before), are = by_name(after);
  std::vector<std::string> added, changed, removed, files;
  const auto note = [&](std::vector<std::string>& list, const Entry& one) {
    list.push_back(one.name);
    if (std::find(files.begin(), files.end(), one.file) == files.end()) files.push_back(one.file);
  };
  for (const Entry& one : after.entries) {
    const auto was = were.find(one.name);
    if (was == were.end()) {
      note(added, one);
    } else if (was->second->text != one.text) {
      note(changed, one);
    }
  }
  for (const Entry& one : before.entries) {
    if (!are.contains(one.name)) note(removed, one);
  }
  if (common(before, are) != common(after, were)) changed.emplace_back("the order");
  if (before.use_tracestate != after.use_tracestate) changed.emplace_back("use_tracestate");
  if (before.sample_on_first_match != after.sample_on_first_match) changed.emplace_back("sample_on_first_match");
  return {listed(added), listed(changed), listed(removed), listed(files)};
}

std::string listed(const std::vector<std::string>& names) {
  const std::size_t shown = std::min(names.size(), kListed);
  std::string out =
      fmt::format("{}", fmt::join(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(shown), ", "));
  if (names.size() > shown) out += fmt::format(" and {} more", names.size() - shown);
  return out;
}

}  // namespace tailgate
