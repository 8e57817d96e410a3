// SPDX-License-Identifier: Apache-2.0
#include "signals/config.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <array>
#include <set>

#include "base/clock.h"
#include "signals/series_config.h"

namespace tailgate {
namespace {

// The Collector's, in milliseconds.
constexpr std::array<std::uint64_t, 16> kJaegerBounds = {2,   4,   6,    8,    10,   50,   100,   200,
                                                         400, 800, 1000, 1400, 2000, 5000, 10000, 15000};

std::vector<std::uint64_t> default_bounds(SpanMetricNames names) {
  std::vector<std::uint64_t> out;
  if (names == SpanMetricNames::kJaeger) {
    for (const std::uint64_t ms : kJaegerBounds) out.push_back(ms * kNsPerMs);
  } else {
    for (std::uint64_t i = 0; i < 14; ++i) out.push_back(2 * kNsPerMs << i);  // 2 ms to 16.384 s
  }
  return out;
}

std::vector<std::uint64_t> read_exponential(const ConfigNode& node) {
  const Duration start = node.duration("start", std::chrono::milliseconds(2), std::chrono::microseconds(1));
  const double factor = node.number("factor", 2);
  const auto count = static_cast<std::size_t>(
      node.integer("count", 14, {.min = 1, .max = static_cast<std::int64_t>(SpanMetricsConfig::kBucketsMax)}));
  if (!(factor >= 1.01 && factor <= 100)) {
    node.error("factor", "expected 1.01 to 100");
    return {};
  }
  std::vector<std::uint64_t> out;
  double bound = static_cast<double>(start.count());
  for (std::size_t i = 0; i < count; ++i, bound *= factor) {
    if (bound > 9.2e18) {
      node.error("count", "expected buckets that end within 292 years");
      return {};
    }
    out.push_back(static_cast<std::uint64_t>(bound));
  }
  return out;
}

// What the Collector's connector has other keys for. Those that would not mean the same are errors.
void refuse_others(const ConfigNode& node, std::initializer_list<std::pair<const char*, const char*>> others) {
  for (const auto& [key, want] : others) {
    if (node.has(key)) node.error(key, want);
  }
}

void read_collectors_keys(const ConfigNode& node) {
  node.without_effect({"metrics_flush_interval", "dimensions_cache_size", "resource_metrics_cache_size",
                       "resource_metrics_key_attributes", "add_resource_attributes"});
  node.choice("aggregation_temporality", "AGGREGATION_TEMPORALITY_CUMULATIVE", {"AGGREGATION_TEMPORALITY_CUMULATIVE"});
  refuse_others(
      node,
      {{"aggregation_cardinality_limit", "expected `series_max`: a bound of all series, not of those of a resource"},
       {"metrics_expiration", "expected `series_expiration`: a series goes by itself, not with its resource"},
       {"calls_dimensions", "expected `dimensions`: all metrics have the same labels"},
       {"events", "expected no such key: events of spans are not counted"}});
}

// The Collector's prefix is Jaeger's family by another name.
void read_namespace(const ConfigNode& node, SpanMetricsConfig& out) {
  if (!node.has("namespace")) return;
  if (node.text("namespace") != "traces.span.metrics") {
    node.error("namespace", "expected traces.span.metrics, which is `names: jaeger`; no other prefix is written");
  } else if (!node.has("names")) {
    out.names = {SpanMetricNames::kJaeger};
  } else if (!out.has(SpanMetricNames::kJaeger)) {
    node.error("namespace", "expected `names` with jaeger among them, whose prefix this is");
  }
}

// One family, or a list.
void read_names(const ConfigNode& node, SpanMetricsConfig& out) {
  const ConfigNode names = node.child("names");
  if (!names.is_list()) {
    if (node.choice("names", "tempo", {"tempo", "jaeger"}) == "jaeger") out.names = {SpanMetricNames::kJaeger};
    return;
  }
  out.names.clear();
  for (const ConfigNode& item : names.items()) {
    const std::string name = item.scalar();
    const SpanMetricNames family = name == "jaeger" ? SpanMetricNames::kJaeger : SpanMetricNames::kTempo;
    if ((name != "jaeger" && name != "tempo") || out.has(family)) {
      item.error("expected tempo or jaeger, each once");
    } else {
      out.names.push_back(family);
    }
  }
  if (!out.names.empty()) return;
  if (names.items().empty()) names.error("expected tempo, jaeger, or a list of both");
  out.names = {SpanMetricNames::kTempo};
}

void read_histogram(const ConfigNode& node, SpanMetricsConfig& out) {
  out.durations = !node.boolean("disable", false);
  const bool jaeger = out.has(SpanMetricNames::kJaeger);
  out.milliseconds = node.choice("unit", jaeger ? "ms" : "s", {"s", "ms"}) == "ms";
  if (!jaeger && out.milliseconds)
    node.error("unit", "expected s: with `names: tempo` whoever asks reckons in seconds");
  out.bounds_ns = default_bounds(out.names.front());
  const ConfigNode by_hand = node.child("explicit"), by_factor = node.child("exponential");
  refuse_others(node, {{"dimensions", "expected `dimensions` of span_metrics: all metrics have the same labels"}});
  refuse_others(by_factor, {{"max_size",
                             "expected `start`, `factor` and `count` of ordinary buckets: the page has no "
                             "place for native histograms"}});
  if (by_hand.present() && by_factor.present())
    node.error("exponential", "expected one of `explicit` and `exponential`");
  if (by_factor.present()) {
    out.bounds_ns = read_exponential(by_factor);
  } else if (by_hand.present()) {
    if (by_hand.has("buckets")) out.bounds_ns = read_buckets(by_hand, "buckets", SpanMetricsConfig::kBucketsMax);
  }
  by_hand.finish();
  by_factor.finish();
  if (!out.durations) out.bounds_ns.clear();
  node.finish();
}

// In the Collector's names.
void read_excluded(const ConfigNode& node, SpanMetricsConfig& out) {
  for (const ConfigNode& item : node.child("exclude_dimensions").items()) {
    const std::string name = item.scalar();
    bool* const label = name == "service.name"  ? &out.service
                        : name == "span.name"   ? &out.span_name
                        : name == "span.kind"   ? &out.span_kind
                        : name == "status.code" ? &out.status_code
                                                : nullptr;
    if (label == nullptr) {
      if (name == "collector.instance.id") continue;  // a label that we do not have
      item.error("expected one of service.name, span.name, span.kind, status.code");
      continue;
    }
    *label = false;
  }
}

void read_dimensions(const ConfigNode& node, SpanMetricsConfig& out) {
  std::set<std::string> labels = {"service",     "service_name", "span_name",           "span_kind",
                                  "status_code", "le",           "otel_metric_overflow"};
  for (const ConfigNode& item : node.child("dimensions").items()) {
    Dimension one;
    one.attribute = item.is_map() ? item.text("name") : item.scalar();
    if (item.is_map()) {
      if (item.has("default")) one.otherwise = item.text("default");
      item.finish();
    }
    if (one.attribute.empty()) {
      item.error("expected the name of an attribute, or {name: ..., default: ...}");
      continue;
    }
    one.label = label_name(one.attribute);
    if (one.label.starts_with("__"))
      item.error(fmt::format("expected an attribute whose label does not begin with __, as Prometheus' own; `{}` does",
                             one.label));
    if (!labels.insert(one.label).second) {
      item.error(fmt::format("expected an attribute whose label no other has; `{}` is taken", one.label));
    }
    out.dimensions.push_back(std::move(one));
  }
  if (out.dimensions.size() > SpanMetricsConfig::kDimensionsMax)
    node.error("dimensions", fmt::format("expected at most {}", SpanMetricsConfig::kDimensionsMax));
}

void read_name_rules(const ConfigNode& node, SpanMetricsConfig& out) {
  for (const ConfigNode& item : node.child("span_names").items()) {
    RE2::Options options(RE2::Latin1);  // bytes: what comes need not be UTF-8
    options.set_log_errors(false);
    NameRule rule{std::make_shared<const RE2>(item.text("pattern"), options), item.text("replacement")};
    std::string why;
    if (!rule.pattern->ok()) {
      item.error("pattern", "expected a regular expression as RE2 reads it (" + rule.pattern->error() + ")");
    } else if (item.text("pattern").empty()) {
      item.error("pattern", "expected a regular expression");
    } else if (!rule.pattern->CheckRewriteString(rule.replacement, &why)) {
      item.error("replacement", "expected a text whose \\1 to \\9 the pattern has (" + why + ")");
    }
    item.finish();
    out.name_rules.push_back(std::move(rule));
  }
  if (out.name_rules.size() > 32) node.error("span_names", "expected at most 32 patterns");
}

void read_exemplars(const ConfigNode& node, ExemplarsConfig& out) {
  out.enabled = node.boolean("enabled", false);
  out.max =
      static_cast<std::size_t>(node.integer("max", static_cast<std::int64_t>(out.max), {.min = 1, .max = 1'000'000}));
  out.age_max = node.duration("max_age", out.age_max, std::chrono::seconds(1));
  out.traces_per_second = static_cast<std::size_t>(
      node.integer("traces_per_second", static_cast<std::int64_t>(out.traces_per_second), {.min = 1, .max = 100'000}));
  node.without_effect({"max_per_data_point"});
  node.finish();
}

}  // namespace

std::string label_name(std::string_view attribute) {
  std::string out(attribute);
  for (char& c : out) {
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))) c = '_';
  }
  if (!out.empty() && out[0] >= '0' && out[0] <= '9') out.insert(0, "key_");  // as the Collector does
  return out;
}

std::optional<SpanMetricsConfig> read_span_metrics(const ConfigNode& node) {
  if (!node.present()) return std::nullopt;
  SpanMetricsConfig out;
  read_collectors_keys(node);
  read_names(node, out);
  read_namespace(node, out);
  read_histogram(node.child("histogram"), out);
  read_excluded(node, out);
  read_dimensions(node, out);
  if (!out.service && !out.span_name && !out.span_kind && !out.status_code && out.dimensions.empty())
    node.error("exclude_dimensions", "expected a label to be left");
  read_name_rules(node, out);
  read_exemplars(node.child("exemplars"), out.exemplars);
  if (out.exemplars.enabled && !out.durations)
    node.error("exemplars", "expected a histogram, whose buckets have them: histogram.disable is true");
  out.sizes = node.boolean("sizes", false);
  out.series_max = static_cast<std::size_t>(node.integer("series_max", 10'000, {.min = 1, .max = 1'000'000}));
  out.life = read_series_life(node, "series_expiration");
  node.finish();
  return out;
}

}  // namespace tailgate
