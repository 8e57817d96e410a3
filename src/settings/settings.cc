#include "settings/settings.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <thread>

#include "base/units.h"
#include "base/version.h"
#include "config/file_watch.h"
#include "decide/route_filter.h"

namespace tailgate {
namespace {

constexpr std::size_t kMiB = 1 << 20;
// Code, stacks, allocator slack, connections, gRPC: measured at 25 to 40 MiB under load.
constexpr std::size_t kBaseline = 48 * kMiB;
constexpr std::size_t kMemoryLimitMin = 96 * kMiB;

std::size_t machine_memory() {
  std::size_t bytes =
      static_cast<std::size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<std::size_t>(sysconf(_SC_PAGE_SIZE));
  std::vector<std::string> files = {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"};
  // Outside a namespace of its own (a systemd unit) the process's group is further down; each one above it counts too.
  std::ifstream own("/proc/self/cgroup");
  for (std::string line; std::getline(own, line);) {
    if (!line.starts_with("0::/")) continue;
    for (std::string group = line.substr(3); group.size() > 1; group = group.substr(0, group.rfind('/'))) {
      files.push_back("/sys/fs/cgroup" + group + "/memory.max");
    }
  }
  for (const std::string& file : files) {
    std::ifstream in(file);
    std::size_t limit = 0;
    if (in >> limit && limit != 0) bytes = std::min(bytes, limit);
  }
  return bytes;
}

void read_sampling(const ConfigNode& node, SamplingConfig& out) {
  BufferLimits& limits = out.store.limits;
  limits.decision_wait = node.duration("decision_wait", limits.decision_wait, std::chrono::milliseconds(1));
  limits.decision_wait_after_root = node.duration("decision_wait_after_root_received", Duration::zero());
  for (const char* wait : {"decision_wait", "decision_wait_after_root_received"}) {
    if (node.duration(wait, Duration::zero()) % std::chrono::seconds(1) == Duration::zero()) continue;
    node.child(wait).notice("is kept to the millisecond; contrib cuts it to whole seconds");
  }
  out.memory_limit = node.bytes("memory_limit", std::max(machine_memory() / 4, kMemoryLimitMin));
  if (out.memory_limit < kMemoryLimitMin) {
    node.error("memory_limit", fmt::format("want at least {}", format_bytes(kMemoryLimitMin)));
    out.memory_limit = kMemoryLimitMin;
  }
  const std::int64_t shards = node.integer("shards", 0, {.min = 0, .max = 1024});
  // Four per core, but not so many that what each keeps to itself counts against a small limit.
  const std::size_t by_cores = 4 * std::max(1u, std::thread::hardware_concurrency());
  out.store.shards = shards != 0 ? static_cast<std::size_t>(shards)
                                 : std::min(by_cores, std::max<std::size_t>(4, out.memory_limit / (32 * kMiB)));
  limits.trace_bytes_max = node.bytes("trace_bytes_max", limits.trace_bytes_max);
  if (limits.trace_bytes_max == 0 || limits.trace_bytes_max > 1024 * kMiB)
    node.error("trace_bytes_max", "want 1 byte to 1GiB");
  limits.trace_spans_max = static_cast<std::uint32_t>(
      node.integer("trace_spans_max", limits.trace_spans_max, {.min = 1, .max = 10'000'000}));
  limits.maximum_trace_size_bytes = node.bytes("maximum_trace_size_bytes", 0);

  const ConfigNode cache = node.child("decision_cache");
  out.cache_bytes = cache.bytes("max_bytes", std::clamp(out.memory_limit / 16, 4 * kMiB, 64 * kMiB));
  if (out.cache_bytes > out.memory_limit / 4) cache.error("max_bytes", "want at most a quarter of memory_limit");
  cache.without_effect({"sampled_cache_size", "non_sampled_cache_size"});
  cache.finish();
  limits.cache_bytes = out.cache_bytes;
  const ConfigNode explain = node.child("explain");
  out.explain_bytes = explain.bytes("max_bytes", std::min(out.memory_limit / 16, 64 * kMiB));
  if (out.explain_bytes > out.memory_limit / 4) explain.error("max_bytes", "want at most a quarter of memory_limit");
  explain.finish();
  limits.explain_bytes = out.explain_bytes;
  out.store.overload_min_wait = node.duration("overload_min_wait", limits.decision_wait / 10);

  if (node.text("sampling_strategy", "trace-complete") != "trace-complete") {
    node.error("sampling_strategy",
               "want trace-complete: 'span-ingest' would judge each request alone and cut traces apart");
  }
  limits.drop_on_shutdown = node.boolean("drop_pending_traces_on_shutdown", false);
  node.without_effect({"num_traces", "expected_new_traces_per_sec", "num_shards", "block_on_overflow"});
  out.use_tracestate = node.boolean("use_tracestate", false);
  const std::string record = node.choice("record_policy", "false", {"false", "true", "root", "scope"});
  out.store.record_policy = record == "scope"   ? RecordPolicy::kScope
                            : record == "false" ? RecordPolicy::kOff
                                                : RecordPolicy::kRoot;
  out.sample_on_first_match = node.boolean("sample_on_first_match", false);
}

// The policies of the main file's list, then of each file in order of its name.
void read_policies(const ConfigNode& sampling, std::string_view list_key, std::string_view files_key,
                   const std::string& main_file, const LoadOptions& options, std::vector<std::string>& patterns,
                   std::vector<ConfigNode>& out) {
  for (const ConfigNode& item : sampling.child(list_key).items()) out.push_back(item);
  for (const std::string& pattern : sampling.texts(files_key)) {
    patterns.push_back(pattern);
    for (const std::string& file : expand_glob(pattern, main_file)) {
      LoadOptions file_options = options;
      file_options.overrides.clear();
      const Result<ConfigDocument> document = load_config_file(file, file_options);
      if (!document) {
        options.issues->errors.push_back(document.error().text);
        continue;
      }
      for (const ConfigNode& item : document->root.child("policies").items()) out.push_back(item);
      document->root.finish();
    }
  }
}

void read_all_policies(const ConfigNode& node, const std::string& main_file, const LoadOptions& options,
                       SamplingConfig& out) {
  read_policies(node, "policies", "policy_files", main_file, options, out.policy_patterns, out.policies);
  read_policies(node, "shadow_policies", "shadow_policy_files", main_file, options, out.policy_patterns,
                out.shadow_policies);
}

PolicySetPtr build_policies(const SamplingConfig& sampling, const std::vector<RouteRule>& routes, PolicyTables& tables,
                            std::uint32_t epoch, const ConfigNode& node) {
  PolicySetOptions options;
  options.epoch = epoch;
  options.use_tracestate = sampling.use_tracestate;
  options.sample_on_first_match = sampling.sample_on_first_match;
  options.keep_marked = sampling.keep_marked;
  PolicySetPtr policies = PolicySet::build(sampling.policies, sampling.shadow_policies, routes, tables, options);
  if (policies->plan().words() > kTraceWordsMax) {
    node.error("policies", fmt::format("want at most {} conditions over spans in all, 64 fewer for each counter "
                                       "(bytes_limiting, use_tracestate, count(...))",
                                       kTraceWordsMax * 64));
  }
  return policies;
}

// What a reload does not change, by path. Policies and what is said of all of them are live.
std::map<std::string, std::string> read_at_start(const ConfigNode& root) {
  constexpr std::array kLive = {"policies",       "policy_files",         "shadow_policies", "shadow_policy_files",
                                "use_tracestate", "sample_on_first_match"};
  std::map<std::string, std::string> out;
  for (const auto& [key, value] : root.entries()) {
    if (key != "sampling") {
      out[key] = value.yaml();
      continue;
    }
    for (const auto& [inner, of] : value.entries()) {
      if (std::find(kLive.begin(), kLive.end(), inner) == kLive.end()) out["sampling." + inner] = of.yaml();
    }
  }
  return out;
}

struct HostPort {
  std::string host, port;
};

HostPort split(const std::string& endpoint) {
  const auto colon = endpoint.rfind(':');
  if (colon == std::string::npos) return {endpoint, ""};
  return {endpoint.substr(0, colon), endpoint.substr(colon + 1)};
}

bool this_machine(const std::string& host) {
  return host.empty() || host == "localhost" || host.starts_with("127.") || host == "::1" || host == "[::1]" ||
         host == "0.0.0.0" || host == "[::]" || host == "::";
}

void check_loops(const DaemonConfig& config) {
  for (std::size_t i = 0; i < config.exporters->size(); ++i) {
    const HostPort to = split(config.exporters->endpoint_of(i));
    if (to.port.empty() || to.port == "0" || (!this_machine(to.host) && to.host != "unix")) continue;
    for (const auto& receiver : config.receivers) {
      for (const std::string& endpoint : receiver->wanted_endpoints()) {
        const HostPort from = split(endpoint);
        const bool unix_socket = endpoint.starts_with(kUnixScheme) && endpoint == config.exporters->endpoint_of(i);
        if (!unix_socket && (from.port != to.port || !this_machine(from.host))) continue;
        config.exporters->node_of(i).error(
            "endpoint", fmt::format("want an endpoint that is not the receiver '{}' of this daemon", receiver->name()));
      }
    }
  }
}

DaemonConfig::Page read_page(const ConfigNode& node, std::string_view endpoint) {
  DaemonConfig::Page out;
  out.endpoint = read_listen_endpoint(node, endpoint, out.socket_mode);
  out.tls = read_server_tls(node.child("tls"));
  const ConfigNode limits = node.child("limits");
  out.limits = read_server_limits(limits, out.limits);
  limits.finish();
  return out;
}

void read_own_traces(const ConfigNode& node, DaemonConfig& config) {
  OwnTracesOptions& out = config.own_traces;
  const std::vector<std::string> names = config.exporters->names();
  for (const ConfigNode& wanted : node.child("exporters").items()) {
    const auto found = std::find(names.begin(), names.end(), wanted.scalar());
    if (found == names.end()) {
      wanted.error("want the name of an exporter");
    } else {
      out.exporters |= 1ULL << (found - names.begin());
    }
  }
  if (!node.is_null() && node.child("exporters").items().empty())
    node.error("exporters", "want the names of the exporters that get the daemon's own traces");
  out.slow = node.duration("slow", out.slow, std::chrono::milliseconds(1));
  out.spans_per_minute =
      static_cast<std::uint32_t>(node.integer("spans_per_minute", out.spans_per_minute, {.min = 1, .max = 6000}));
  out.version = build_version();
  node.finish();
}

void read_telemetry(const ConfigNode& node, DaemonConfig& config) {
  const ConfigNode metrics = node.child("metrics");
  config.metrics = read_page(metrics, "localhost:8888");
  config.metrics.auth = read_server_auth(metrics.child("auth"));
  metrics.finish();
  const ConfigNode health = node.child("health");
  config.health = read_page(health, "localhost:13133");
  if (health.has("auth")) {
    health.error("auth", "nothing: probes carry no credentials, and the page says no more than alive or ready");
  }
  health.finish();
  const ConfigNode logs = node.child("logs");
  config.logs.level =
      parse_log_level(logs.choice("level", "info", {"debug", "info", "warn", "error"})).value_or(LogLevel::kInfo);
  config.logs.format = logs.choice("format", "text", {"text", "json"}) == "json" ? LogFormat::kJson : LogFormat::kText;
  logs.finish();
  read_own_traces(node.child("traces"), config);
  node.finish();
}

void read_receivers(const ConfigNode& node, DaemonConfig& config) {
  for (const auto& [name, entry] : node.entries()) {
    const ReceiverType* const type = find_receiver_type(name);
    if (type == nullptr) {
      std::string known;
      for (const ReceiverType& t : receiver_types()) known += fmt::format("{}{}", known.empty() ? "" : ", ", t.name);
      entry.error(fmt::format("want a receiver this build knows ({})", known));
      continue;
    }
    config.receivers.push_back(type->make(entry, name));
  }
  if (config.receivers.empty()) node.error("want at least one receiver");
  // Each has up to three formats.
  if (config.receivers.size() > kSourcesMax / 3) node.error(fmt::format("want at most {} receivers", kSourcesMax / 3));
  for (const auto& receiver : config.receivers) config.sampling.keep_marked |= receiver->marks_spans();
}

bool is_policy(const std::string& name, const SamplingConfig& sampling) {
  if (name == kDebugPolicy) return sampling.keep_marked;
  if (name == kOwnPolicy) return true;
  return std::any_of(sampling.policies.begin(), sampling.policies.end(),
                     [&](const ConfigNode& p) { return p.text("name") == name; });
}

void check_routes(const DaemonConfig& config) {
  for (std::size_t i = 0; i < config.exporters->size(); ++i) {
    for (const ConfigNode& wanted : config.exporters->policies_node(i).items()) {
      if (!is_policy(wanted.scalar(), config.sampling)) wanted.error("want the name of a policy");
    }
  }
}

std::string join(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += (text.empty() ? "" : "\n") + line;
  return text;
}

}  // namespace

ByteBudget::Caps budget_caps(std::size_t memory_limit, std::size_t cache_bytes, std::size_t tls_connections) {
  const std::size_t budget = memory_limit - std::min(kBaseline, memory_limit / 3);
  const std::size_t queues = budget / 4;
  // Room for one request of the largest size, compressed and inflated, and some small ones beside it, where the budget
  // allows it.
  const std::size_t requests = std::min(std::max(budget / 8, std::min(80 * kMiB, budget / 4)), 512 * kMiB);
  const std::size_t connections = std::min(tls_connections * kTlsStateBytes, budget / 8);
  const std::size_t taken = queues + requests + cache_bytes + connections;
  return {requests, budget - std::min(budget, taken), queues, cache_bytes, connections};
}

Result<DaemonConfig> load_daemon_config(const ConfigSource& source) {
  DaemonConfig config;
  config.issues = std::make_shared<ConfigIssues>();
  LoadOptions options;
  options.overrides = source.overrides;
  options.issues = config.issues;
  options.environment = source.environment;
  Result<ConfigDocument> document =
      source.text ? load_config_text(*source.text, source.path, options) : load_config_file(source.path, options);
  if (!document) return tl::unexpected(document.error());
  const ConfigNode& root = document->root;

  const ConfigNode sampling = root.child("sampling");
  read_sampling(sampling, config.sampling);
  read_all_policies(sampling, source.path, options, config.sampling);
  sampling.finish();

  read_receivers(root.child("receivers"), config);
  for (const auto& receiver : config.receivers) config.tls_connections += receiver->tls_connections();
  const ByteBudget::Caps caps =
      budget_caps(config.sampling.memory_limit, config.sampling.cache_bytes + config.sampling.explain_bytes,
                  config.tls_connections);
  config.budget = std::make_unique<ByteBudget>(caps);
  config.sampling.store.pool_bytes = caps[static_cast<std::size_t>(Holder::kTraces)];
  config.sampling.store.prefix_bytes = config.sampling.store.pool_bytes / 8;

  const ConfigNode exporters = root.child("exporters");
  config.exporters = Exporters::make(exporters, *config.budget, {.version = std::string(build_version())});
  if (config.exporters->size() == 0) exporters.error("want at least one exporter");
  for (std::size_t i = 0; i < config.exporters->size(); ++i)
    config.routes.push_back(
        {config.exporters->policies_of(i), config.exporters->services_of(i), config.exporters->attributes_of(i)});
  for (std::size_t i = 0; i < config.exporters->size(); ++i) {
    if (!bad_pattern(config.routes[i]).empty()) config.exporters->node_of(i).error("want shorter patterns");
  }
  check_loops(config);
  check_routes(config);
  // Twice the policies there are now: a reload may bring more.
  config.sampling.store.limits.explain_policies = std::max<std::size_t>(64, config.sampling.policies.size() * 2);
  config.policies = build_policies(config.sampling, config.routes, *config.tables, 1, sampling);
  if (config.sampling.policies.empty()) sampling.notice("no policies: nothing will be kept");

  read_telemetry(root.child("telemetry"), config);
  const ConfigNode web = root.child("web");
  config.web = read_page(web, "localhost:16680");
  config.web.auth = read_server_auth(web.child("auth"));
  web.finish();
  config.shutdown_timeout = root.duration("shutdown_timeout", std::chrono::seconds(10));
  config.io_threads = static_cast<std::size_t>(root.integer("io_threads", 0, {.min = 0, .max = 256}));
  root.finish();
  config.at_start = read_at_start(root);
  return config;
}

Result<ReloadedPolicies> reload_policies(const ConfigSource& source, const std::vector<RouteRule>& routes,
                                         PolicyTables& tables, std::uint32_t epoch, bool keep_marked) {
  LoadOptions options;
  options.overrides = source.overrides;
  options.issues = std::make_shared<ConfigIssues>();
  Result<ConfigDocument> document = load_config_file(source.path, options);
  if (!document) return tl::unexpected(document.error());
  SamplingConfig sampling;
  sampling.keep_marked = keep_marked;
  const ConfigNode node = document->root.child("sampling");
  read_sampling(node, sampling);
  read_all_policies(node, source.path, options, sampling);
  node.finish();
  PolicySetPtr policies = build_policies(sampling, routes, tables, epoch, node);
  for (const RouteRule& route : routes) {
    for (const std::string& wanted : route.policies) {
      if (is_policy(wanted, sampling)) continue;
      node.error("policies", fmt::format("want a policy named '{}': an exporter routes by it", wanted));
    }
  }
  if (!options.issues->errors.empty()) return fail(ErrorKind::kConfig, join(options.issues->errors));
  return ReloadedPolicies{std::move(policies), std::move(sampling.policy_patterns), read_at_start(document->root)};
}

}  // namespace tailgate
