// DaemonConfig: the whole configuration, read and checked, nothing opened yet. `check` stops here; `run` goes on.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/byte_budget.h"
#include "base/clock.h"
#include "base/result.h"
#include "buffer/trace_store.h"
#include "config/config_file.h"
#include "decide/policy_set.h"
#include "export/exporters.h"
#include "export/own_traces.h"
#include "net/auth/auth.h"
#include "net/endpoint.h"
#include "net/tls/tls.h"
#include "receive/registry.h"
#include "telemetry/log.h"

namespace tailgate {

struct SamplingConfig {
  std::size_t memory_limit = 0;   // bytes of RSS
  std::size_t cache_bytes = 0;    // decision cache
  std::size_t explain_bytes = 0;  // what /explain remembers
  TraceStoreOptions store;
  bool use_tracestate = false;
  bool sample_on_first_match = false;
  bool keep_marked = false;                 // some receiver's senders can ask for a trace to be kept: the policy _debug
  std::vector<ConfigNode> policies;         // of the main file and of the policy files, in order
  std::vector<ConfigNode> shadow_policies;  // the same of shadow_policies and shadow_policy_files
  std::vector<std::string> policy_patterns;  // of both kinds of files, as written, relative to the main file
};

struct DaemonConfig {
  std::shared_ptr<ConfigIssues> issues;  // errors here: not to be started
  SamplingConfig sampling;
  std::vector<std::unique_ptr<Receiver>> receivers;
  std::size_t tls_connections = 0;  // of all receivers, as their limits have it
  std::unique_ptr<ByteBudget> budget;
  std::unique_ptr<Exporters> exporters;
  std::vector<RouteRule> routes;  // of the exporters, by index
  std::shared_ptr<PolicyTables> tables = std::make_shared<PolicyTables>();
  PolicySetPtr policies;
  std::map<std::string, std::string> at_start;  // path and text of what is read at the start only
  struct Page {
    std::string endpoint;
    unsigned socket_mode = kSocketModeDefault;
    std::optional<TlsOptions> tls;
    std::optional<AuthOptions> auth = {};
    // A scraper, probes, a few people. They are in no account of memory: probes have to be answered when it is full.
    ServerLimits limits{.connections = 256, .connections_per_address = 64, .streams = 8};
  };
  Page metrics, health, web;
  LogOptions logs;
  OwnTracesOptions own_traces;
  Duration shutdown_timeout{};
  std::size_t io_threads = 0;  // 0: one per core
};

struct ConfigSource {
  std::string path;
  std::vector<std::string> overrides;
  std::optional<std::string> text = std::nullopt;  // instead of what is at `path`
  Environment environment = nullptr;               // the process's when empty
};

// Fails only when a file cannot be read or is no YAML; everything else is in `issues`.
Result<DaemonConfig> load_daemon_config(const ConfigSource& source);

// The policies alone, for a reload: read again from the files, checked against the routes of the running exporters.
// Errors (kConfig) hold every problem, a line each.
struct ReloadedPolicies {
  PolicySetPtr policies;
  std::vector<std::string> patterns;            // of policy_files, as they are now
  std::map<std::string, std::string> at_start;  // as in DaemonConfig, as the file has it now
};
Result<ReloadedPolicies> reload_policies(const ConfigSource& source, const std::vector<RouteRule>& routes,
                                         PolicyTables& tables, std::uint32_t epoch, bool keep_marked);

// How a memory_limit is shared out; `cache_bytes` is of all caches. The rest up to the limit is the process itself.
ByteBudget::Caps budget_caps(std::size_t memory_limit, std::size_t cache_bytes, std::size_t tls_connections);

}  // namespace tailgate
