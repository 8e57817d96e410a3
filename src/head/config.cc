// SPDX-License-Identifier: Apache-2.0
#include "head/config.h"

#include <fmt/format.h>

#include <algorithm>

#include "config/file_watch.h"

namespace tailgate {
namespace {

constexpr double kDefaultProbability = 0.001;  // Jaeger's

double read_probability(const ConfigNode& node, const char* key, double otherwise) {
  const double out = node.number(key, otherwise);
  if (out >= 0 && out <= 1) return out;
  node.error(key, "expected a probability from 0 to 1");
  return otherwise;
}

StrategiesPtr read_file(const ConfigNode& node, const RemoteSamplingConfig& config, const std::string& main_file,
                        const LoadOptions& options, double default_probability) {
  const auto nothing = [&] { return std::make_shared<const Strategies>(Strategy{.probability = default_probability}); };
  if (config.strategies_file.empty()) return nothing();
  const std::vector<std::string> files = expand_glob(config.strategies_file, main_file);
  if (files.size() != 1) {
    node.error("strategies_file", fmt::format("expected one file, found {}", files.size()));
    return nothing();
  }
  LoadOptions of_file = options;
  of_file.overrides.clear();
  of_file.references = false;  // names of operations may hold a dollar
  const Result<ConfigDocument> document = load_config_file(files.front(), of_file);
  if (document) return std::make_shared<const Strategies>(read_strategies(document->root, default_probability));
  if (document.error().kind == ErrorKind::kIo) {
    node.error("strategies_file", fmt::format("expected a file that can be read ({})", document.error().text));
  } else {
    options.issues->errors.push_back({IssueKind::kUnreadable, files.front(), 1, 1, "", document.error().text, ""});
  }
  return nothing();
}

double read_rate(const ConfigNode& node, const char* key, double otherwise) {
  const double out = node.number(key, otherwise);
  if (out > 0 && out <= 1e9) return out;
  node.error(key, "expected a number per second over 0, at most 1e9");
  return otherwise;
}

void read_target(const ConfigNode& node, AdaptiveConfig& out) {
  using Target = AdaptiveConfig::Target;
  int targets = 0;
  if (!node.child("spans_per_second").is_null()) {
    out.target = Target::kSpans;
    out.per_second = read_rate(node, "spans_per_second", 1);
    ++targets;
  }
  if (!node.child("traces_per_second").is_null()) {
    out.target = Target::kTraces;
    out.per_second = read_rate(node, "traces_per_second", 1);
    ++targets;
  }
  if (!node.child("kept_traces_per_second").is_null()) {
    out.target = Target::kKept;
    out.per_second = read_rate(node, "kept_traces_per_second", 1);
    ++targets;
  }
  if (targets != 1)
    node.error("expected one of spans_per_second, traces_per_second and kept_traces_per_second as the target");
}

std::optional<AdaptiveConfig> read_adaptive(const ConfigNode& node, double initial_probability) {
  if (!node.present()) return std::nullopt;
  AdaptiveConfig out;
  read_target(node, out);
  out.traces_per_second_max = read_rate(node, "traces_per_second_max", out.traces_per_second_max);
  out.lower_bound_traces_per_second = node.number("lower_bound_traces_per_second", out.lower_bound_traces_per_second);
  if (!(out.lower_bound_traces_per_second >= 0 && out.lower_bound_traces_per_second <= out.traces_per_second_max))
    node.error("lower_bound_traces_per_second", "expected a number from 0 to traces_per_second_max");
  out.min_probability = read_probability(node, "min_probability", out.min_probability);
  if (out.min_probability == 0)
    node.error("min_probability", "expected a probability over 0, so that it can rise again");
  out.initial_probability = std::max(initial_probability, out.min_probability);
  out.poll_interval = node.duration("poll_interval", out.poll_interval, std::chrono::seconds(6));
  if (out.poll_interval > std::chrono::hours(1)) node.error("poll_interval", "expected at most 1h");
  out.slow = node.duration("slow", out.slow, std::chrono::milliseconds(1));
  out.operation_expiration = node.duration("operation_expiration", out.operation_expiration, std::chrono::minutes(1));
  if (out.operation_expiration < 5 * out.poll_interval)
    node.error("operation_expiration", "expected at least five times poll_interval");
  out.services_max = static_cast<std::size_t>(
      node.integer("services_max", static_cast<std::int64_t>(out.services_max), {.min = 1, .max = 100'000}));
  out.operations_max = static_cast<std::size_t>(
      node.integer("operations_max", static_cast<std::int64_t>(out.operations_max), {.min = 1, .max = 1'000'000}));
  out.entries = node.choice("count", "roots", {"roots", "entries"}) == "entries";
  if (out.entries && out.target == AdaptiveConfig::Target::kKept) {
    node.error("count", "expected roots with kept_traces_per_second: what is kept is known by the trace's root only");
  }
  out.directory = node.text("directory");
  node.finish();
  return out;
}

}  // namespace

RemoteSamplingConfig read_remote_sampling(const ConfigNode& node, const std::string& path, const LoadOptions& options) {
  RemoteSamplingConfig out;
  const double default_probability = read_probability(node, "default_sampling_probability", kDefaultProbability);
  out.strategies_file = node.text("strategies_file");
  out.strategies = read_file(node, out, path, options, default_probability);
  out.adaptive = read_adaptive(node.child("adaptive"), default_probability);
  return out;
}

}  // namespace tailgate
