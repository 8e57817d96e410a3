// SPDX-License-Identifier: Apache-2.0
// What AdaptiveSampler says of itself.
#include <cmath>

#include "codec/json_text.h"
#include "head/adaptive.h"

namespace tailgate {
namespace {

constexpr int kDigits = 4;  // enough for people

}  // namespace

std::string AdaptiveSampler::explain(std::string_view only) const {
  std::string out = R"({"services":[)";
  bool first_service = true;
  for (const auto& [name, service] : services_) {
    if (!only.empty() && only != name) continue;
    out += first_service ? R"({"service":)" : R"(,{"service":)";
    first_service = false;
    append_json_string(out, name);
    std::uint32_t polls = 0;
    for (std::size_t i = 1; i <= kTicksPerPoll; ++i) polls += service.polls[slot(tick_ - i)];
    append_member(out, "polls_in_interval", polls);
    out += R"(,"operations":[)";
    bool first = true;
    const auto put = [&](std::string_view operation, const Operation& one) {
      out += first ? R"({"operation":)" : R"(,{"operation":)";
      first = false;
      if (operation.empty()) {
        out += "null";  // all others
      } else {
        append_json_string(out, operation);
      }
      append_member(out, "seen_per_second", one.seen_per_second, kDigits);
      append_member(out, "demand_per_second", one.demand(), kDigits);
      if (config_.target == AdaptiveConfig::Target::kKept) {
        append_member(out, "kept_per_second", one.kept_demand() * one.effective[slot(tick_ - 1)], kDigits);
      }
      append_member(out, "errors", one.recent_roots > 0 ? one.recent_errors / one.recent_roots : 0, kDigits);
      append_member(out, "errors_usual", one.usual_errors, kDigits);
      append_member(out, "slow", one.recent_roots > 0 ? one.recent_slow / one.recent_roots : 0, kDigits);
      append_member(out, "slow_usual", one.usual_slow, kDigits);
      append_member(out, "wanted", one.wanted, kDigits);
      append_member(out, "given", one.probability, kDigits);
      append_member(out, "in_use", one.effective[slot(tick_ - 1)], kDigits);
      out += R"(,"why":")";
      out += kWhyNames[static_cast<std::size_t>(one.why)];
      out += "\"}";
    };
    for (const auto& [operation, one] : service.operations) put(operation, one);
    put("", service.others);
    out += "]}";
  }
  out += "]}";
  return out;
}

}  // namespace tailgate
