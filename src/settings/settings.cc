// SPDX-License-Identifier: Apache-2.0
#include "settings/settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <thread>

#include "base/units.h"
#include "head/root_watch.h"

namespace tailgate {
namespace {

// What a reload does not change, by path. Policies and what is said of all of them are live, and so is a list of
// members.
std::map<std::string, std::string> read_at_start(const ConfigNode& root) {
  constexpr std::array kLive = {"policies",       "policy_files",         "shadow_policies", "shadow_policy_files",
                                "use_tracestate", "sample_on_first_match"};
  std::map<std::string, std::string> out;
  const auto all_but = [&](const std::string& section, const ConfigNode& of, const auto& live) {
    for (const auto& [inner, value] : of.entries()) {
      if (std::find(live.begin(), live.end(), inner) == live.end())
        out[fmt::format("{}.{}", section, inner)] = value.yaml();
    }
  };
  for (const auto& [key, value] : root.entries()) {
    if (key == "sampling") {
      all_but(key, value, kLive);
    } else if (key == "cluster" && value.is_map()) {
      all_but(key, value, std::array{"members"});
      if (value.child("members").has("dns")) out["cluster.members"] = value.child("members").yaml();
    } else {
      out[key] = value.yaml();
    }
  }
  return out;
}

PageConfig read_page(const ConfigNode& node, std::string_view endpoint) {
  PageConfig out;
  out.endpoint = read_listen_endpoint(node, endpoint, out.socket_mode);
  out.tls = read_server_tls(node.child("tls"));
  const ConfigNode limits = node.child("limits");
  out.limits = read_server_limits(limits, out.limits);
  limits.finish();
  return out;
}

PageConfig read_guarded_page(const ConfigNode& node, std::string_view endpoint) {
  PageConfig out = read_page(node, endpoint);
  out.auth = read_server_auth(node.child("auth"));
  node.finish();
  return out;
}

QueriesConfig read_queries(const ConfigNode& node) {
  QueriesConfig out;
  out.threads = static_cast<std::size_t>(node.integer("threads", 2, {.min = 1, .max = 64}));
  out.waiting_max = static_cast<std::size_t>(node.integer("max_waiting", 64, {.min = 1, .max = 10'000}));
  out.dependencies_max = static_cast<std::size_t>(node.integer("max_dependencies", 10'000, {.min = 1, .max = 100'000}));
  out.timeout = node.duration("timeout", std::chrono::seconds(10), std::chrono::milliseconds(100));
  out.bytes_max = node.bytes("max_bytes", std::uint64_t{1} << 30);
  out.trial_bytes_max = node.bytes("trial_bytes", std::uint64_t{64} << 20);
  node.finish();
  return out;
}

std::vector<std::string> read_web_hosts(const ConfigNode& web) {
  std::vector<std::string> out = web.texts("hosts");
  for (std::string& host : out) {
    if (host.empty() || host.find_first_of(":/ ") != std::string::npos) {
      web.error("hosts", fmt::format("names of hosts without scheme and port, got '{}'", host));
    }
    std::transform(host.begin(), host.end(), host.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; });
  }
  return out;
}

PageConfig read_health(const ConfigNode& node) {
  PageConfig out = read_page(node, "localhost:13133");
  if (node.has("auth")) {
    node.error("auth", "nothing: probes carry no credentials, and the page says no more than alive or ready");
  }
  node.finish();
  return out;
}

// What the receivers count in. Threads share parts where memory is short, as they share shards.
SignalsConfig read_signals(const ConfigNode& root, std::size_t io_threads, SamplingConfig& sampling) {
  SignalsConfig out;
  out.span_metrics = read_span_metrics(root.child("span_metrics"));
  out.service_graph = read_service_graph(root.child("service_graph"));
  const std::size_t threads = io_threads != 0 ? io_threads : std::max(1u, std::thread::hardware_concurrency());
  out.parts = std::clamp<std::size_t>(sampling.memory_limit / (std::size_t{32} << 20), 1, threads);
  // Where series_max is not given, span metrics take an eighth of the memory at most.
  if (out.span_metrics && root.child("span_metrics").child("series_max").is_null()) {
    const std::size_t bytes = out.span_metrics->bytes_max(out.parts), room = sampling.memory_limit / 8;
    if (bytes > room) out.span_metrics->series_max = out.span_metrics->series_max * room / bytes;
  }
  sampling.signal_bytes = out.bytes_max();
  if (sampling.signal_bytes > sampling.memory_limit / 4) {
    root.error(out.span_metrics ? "span_metrics" : "service_graph",
               fmt::format("expected span metrics and a service graph that fit a quarter of memory_limit; these can "
                           "take {}",
                           format_bytes(sampling.signal_bytes)));
  }
  return out;
}

void read_remote_sampling(const ConfigNode& node, const std::string& path, const LoadOptions& options,
                          DaemonConfig& out) {
  if (!node.present()) return;
  out.remote_sampling = read_remote_sampling(node, path, options);
  if (std::optional<AdaptiveConfig>& adaptive = out.remote_sampling->adaptive) {
    // What a trace's root leads to is known that long after it came.
    const BufferLimits& waits = out.sampling.store.limits;
    adaptive->decision_wait = waits.decision_wait_after_root > Duration::zero()
                                  ? std::min(waits.decision_wait, waits.decision_wait_after_root)
                                  : waits.decision_wait;
    if (adaptive->target == AdaptiveConfig::Target::kKept &&
        adaptive->decision_wait > AdaptiveSampler::kPollsOfDecisionWait * adaptive->poll_interval) {
      node.child("adaptive")
          .error("poll_interval", fmt::format("expected at least a fifth of the time until a decision ({}) with "
                                              "kept_traces_per_second",
                                              format_duration(adaptive->decision_wait)));
    }
    const std::size_t bytes = adaptive->bytes_max() + RootWatch::bytes_max(*adaptive, out.signals.parts);
    out.sampling.signal_bytes += bytes;
    if (bytes > out.sampling.memory_limit / 8) {
      node.error("adaptive", fmt::format("expected services_max and operations_max that fit an eighth of memory_limit; "
                                         "these can take {}",
                                         format_bytes(bytes)));
    }
  }
  out.remote_sampling_http = read_guarded_page(node.child("http"), "localhost:5778");
  node.finish();
}

LogOptions read_logs(const ConfigNode& node) {
  LogOptions out;
  out.level = parse_log_level(node.choice("level", "info", {kLogLevelNames.begin(), kLogLevelNames.end()}))
                  .value_or(LogLevel::kInfo);
  out.format = node.choice("format", "text", {"text", "json"}) == "json" ? LogFormat::kJson : LogFormat::kText;
  node.finish();
  return out;
}

LoadOptions load_options(const ConfigSource& source) {
  LoadOptions options;
  options.overrides = source.overrides;
  options.issues = std::make_shared<ConfigIssues>();
  options.environment = source.environment;
  return options;
}

Result<ConfigDocument> load(const ConfigSource& source, const LoadOptions& options) {
  return source.text ? load_config_text(*source.text, source.path, options) : load_config_file(source.path, options);
}

}  // namespace

std::vector<std::string> DaemonConfig::watched_files() const {
  std::vector<std::string> out = sampling.policy_patterns;
  if (remote_sampling && !remote_sampling->strategies_file.empty()) out.push_back(remote_sampling->strategies_file);
  return out;
}

Result<DaemonConfig> read_daemon_config(const ConfigSource& source) {
  const LoadOptions options = load_options(source);
  const Result<ConfigDocument> document = load(source, options);
  if (!document) return tl::unexpected(document.error());
  const ConfigNode& root = document->root;
  DaemonConfig config;
  config.issues = options.issues;

  config.sampling_node = root.child("sampling");
  config.sampling = read_sampling(config.sampling_node, source.path, options);
  config.sampling_node.finish();
  config.receivers = root.child("receivers");
  config.exporters = root.child("exporters");
  const ConfigNode telemetry = root.child("telemetry");
  config.metrics = read_guarded_page(telemetry.child("metrics"), "localhost:8888");
  config.health = read_health(telemetry.child("health"));
  config.logs = read_logs(telemetry.child("logs"));
  config.own_traces = telemetry.child("traces");
  telemetry.finish();
  config.queries = read_queries(root.child("web").child("queries"));
  config.web_hosts = read_web_hosts(root.child("web"));
  config.web = read_guarded_page(root.child("web"), "localhost:16680");
  config.shutdown_timeout = root.duration("shutdown_timeout", std::chrono::seconds(10));
  config.io_threads = static_cast<std::size_t>(root.integer("io_threads", 0, {.min = 0, .max = 256}));
  config.signals = read_signals(root, config.io_threads, config.sampling);
  config.journal = read_journal(root.child("journal"), config.sampling.store.limits.decision_wait);
  config.keep = read_keep(root.child("keep"), root.child("keep_around"), config.journal,
                          [&](const std::string& name) { return is_policy(name, config.sampling, false); });
  config.hand_over = read_hand_over(root.child("shutdown"), !config.journal.directory.empty());
  read_remote_sampling(root.child("remote_sampling"), source.path, options, config);
  config.cluster = read_cluster(root.child("cluster"), config.sampling.store.limits.decision_wait);
  if (config.cluster && config.cluster->self.empty() && (config.signals.any() || config.remote_sampling))
    root.child("cluster").error("self",
                                "expected the name of a member: a daemon without one passes all spans on, and members "
                                "count for span_metrics, service_graph and remote_sampling");
  root.finish();
  const auto entries = root.entries();
  if (std::any_of(entries.begin(), entries.end(), [](const auto& e) { return e.first == "service"; }))
    root.error(
        "expected a configuration of Tailgate: this looks like one of the OpenTelemetry Collector, which "
        "`tailgate migrate` translates");
  config.at_start = read_at_start(root);
  return config;
}

}  // namespace tailgate
