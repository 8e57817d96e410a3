// SPDX-License-Identifier: Apache-2.0
#include "settings/hopeless.h"

#include <fmt/format.h>

#include "base/units.h"

namespace tailgate {
namespace {

// Routes, spans and services of `endpoint` are globs.
void notice_endpoints(const ConfigNode& entries) {
  for (const ConfigNode& entry : entries.items()) {
    if (!entry.is_map()) continue;
    for (const char* key : {"service", "route", "span"}) {
      const std::string text = entry.child(key).scalar();
      if (text.find(".*") != std::string::npos || text.starts_with('^') || text.ends_with('$'))
        entry.child(key).notice("is a glob, not a regular expression: `*` is anything but '/', `**` anything");
    }
  }
}

// Limits that a policy can ask too much of, in the policy and in those inside it.
void notice_limits(const ConfigNode& node, const BufferLimits& limits) {
  if (node.is_list()) {
    for (const ConfigNode& item : node.items()) notice_limits(item, limits);
  }
  if (!node.is_map()) return;
  for (const auto& [key, value] : node.entries()) notice_limits(value, limits);
  const std::string type = node.child("type").scalar();
  const ConfigNode settings = node.child(type);
  if (type == "latency" && settings.is_map()) {
    const Duration threshold =
        std::chrono::milliseconds(settings.integer("threshold_ms", 0, {.min = 0, .max = std::int64_t{1} << 40}));
    if (threshold > limits.decision_wait) {
      settings.child("threshold_ms")
          .notice(fmt::format("is more than decision_wait ({}): a trace is decided that long after its first span "
                              "came, mostly before it has lasted longer",
                              format_duration(limits.decision_wait)));
    }
  }
  if (type == "probabilistic" && settings.number("sampling_percentage", 0) == 0)
    settings.notice("keeps nothing: sampling_percentage is 0");
  if (type == "string_attribute" && settings.is_map() && !settings.boolean("enabled_regex_matching", false)) {
    for (const ConfigNode& value : settings.child("values").items()) {
      const std::string text = value.scalar();
      if (text.find('*') != std::string::npos || text.starts_with('^') || text.ends_with('$'))
        value.notice("is compared as it is; enabled_regex_matching: true makes it a pattern, of RE2");
    }
  }
  const bool no_threshold = settings.is_map() && (settings.entries().empty() || settings.has("threshold_ms")) &&
                            settings.integer("threshold_ms", 0, {.min = 0}) == 0;
  if (type == "latency" && no_threshold && settings.child("upper_threshold_ms").is_null())
    settings.notice("keeps every trace that lasts a millisecond: threshold_ms is 0");
  if (type == "endpoint") notice_endpoints(settings);
  if (type == "span_count" && settings.is_map() &&
      settings.integer("min_spans", 0) > static_cast<std::int64_t>(limits.trace_spans_max)) {
    settings.child("min_spans")
        .notice(fmt::format("is more than trace_spans_max ({}), at which a trace is decided", limits.trace_spans_max));
  }
}

bool keeps_everything(const ConfigNode& policy) {
  const std::string type = policy.child("type").scalar();
  return type == "always_sample" ||
         (type == "probabilistic" && policy.child(type).number("sampling_percentage", 0) >= 100) ||
         (type == "span_count" && policy.child(type).integer("min_spans", 0) <= 1 &&
          policy.child(type).child("max_spans").is_null());
}

// The rules of a `first_match`: the first whose policy keeps a trace decides.
void notice_rules(const ConfigNode& policy) {
  const std::vector<ConfigNode> rules = policy.child("first_match").items();
  for (std::size_t i = 0; i + 1 < rules.size(); ++i) {
    if (!keeps_everything(rules[i].child("policy"))) continue;
    rules[i + 1].notice("is never asked: the rule before it takes every trace");
    return;
  }
}

}  // namespace

void notice_hopeless_policies(const SamplingConfig& sampling) {
  const BufferLimits& limits = sampling.store.limits;
  for (const auto* list : {&sampling.policies, &sampling.shadow_policies}) {
    for (const ConfigNode& policy : *list) {
      if (!policy.is_map()) continue;
      notice_limits(policy, limits);
      if (policy.child("type").scalar() == "first_match") notice_rules(policy);
    }
  }
  if (!sampling.sample_on_first_match) return;
  std::string all;  // the name of one that keeps everything
  for (const ConfigNode& policy : sampling.policies) {
    const bool drops = policy.is_map() && policy.child("type").scalar() == "drop";  // asked before all others
    if (!policy.is_map() || drops) continue;
    if (!all.empty()) {
      policy.notice(fmt::format("is never asked: with sample_on_first_match '{}' before it keeps every trace", all));
    } else if (keeps_everything(policy)) {
      all = policy.text("name");
    }
  }
}

}  // namespace tailgate
