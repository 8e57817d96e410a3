// SPDX-License-Identifier: Apache-2.0
// Reads the section `sampling:` to values. Threads: main.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/result.h"
#include "buffer/store/trace_store.h"
#include "config/config_file.h"
#include "decide/policy_set.h"

namespace tailgate {

inline constexpr std::size_t kMemoryLimitMin = 96 << 20;
// Where `decision_cache.max_bytes` and `explain.max_bytes` are not set.
std::size_t default_cache_bytes(std::size_t memory_limit);
std::size_t default_explain_bytes(std::size_t memory_limit);

struct SamplingConfig {
  std::size_t memory_limit = 0;   // bytes of RSS
  std::string memory_limit_is;    // "configured", or what it follows from: "a quarter of the machine's 16GiB"
  std::size_t cache_bytes = 0;    // decision cache
  std::size_t explain_bytes = 0;  // what /explain remembers
  std::size_t signal_bytes = 0;   // span metrics and the like; set by those who read their sections
  TraceStoreOptions store;        // all but what follows from the budget: pool_bytes and prefix_bytes
  bool use_tracestate = false;
  bool sample_on_first_match = false;
  std::vector<ConfigNode> policies;          // of the main file and of the policy files, in order
  std::vector<ConfigNode> shadow_policies;   // the same of shadow_policies and shadow_policy_files
  std::vector<std::string> policy_patterns;  // of both kinds of files, as written, relative to the main file
};

// Reads the section and the policy files that it names; `options` are those of the main file at `path`.
SamplingConfig read_sampling(const ConfigNode& node, const std::string& path, const LoadOptions& options);

// What of the rest of a configuration the policies depend on.
struct PolicyContext {
  std::vector<RouteRule> routes;  // of the exporters, by index
  bool keep_marked = false;       // some receiver's senders can ask for a trace to be kept: the policy _debug
  std::vector<std::string> watched, watched_of_resources;  // attributes, as in PolicySetOptions
};

// Errors are recorded at `node`, the section, and at the policies; the result is not to be used then.
PolicySetPtr build_policies(const SamplingConfig& sampling, const PolicyContext& context, PolicyTables& tables,
                            std::uint32_t epoch, const ConfigNode& node);

// Whether an exporter may route by `name`.
bool is_policy(const std::string& name, const SamplingConfig& sampling, bool keep_marked);

}  // namespace tailgate
