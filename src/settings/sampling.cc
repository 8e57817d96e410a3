// SPDX-License-Identifier: Apache-2.0
#include "settings/sampling.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <thread>

#include "base/units.h"
#include "config/file_watch.h"
#include "export/own_traces.h"  // kOwnPolicy

namespace tailgate {
namespace {

struct Memory {
  std::size_t bytes = 0;
  bool of_cgroup = false;  // or of the whole machine
};

Memory available_memory() {
  Memory out;
  out.bytes = static_cast<std::size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<std::size_t>(sysconf(_SC_PAGE_SIZE));
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
    if (in >> limit && limit != 0 && limit < out.bytes) out = {limit, true};
  }
  return out;
}

void read_memory_limit(const ConfigNode& node, SamplingConfig& out) {
  const Memory memory = available_memory();
  out.memory_limit = node.bytes("memory_limit", std::max(memory.bytes / 4, kMemoryLimitMin));
  out.memory_limit_is = "configured";
  if (node.child("memory_limit").is_null()) {
    const std::string quarter =
        fmt::format("a quarter of the {}'s {}", memory.of_cgroup ? "cgroup" : "machine", format_bytes(memory.bytes));
    out.memory_limit_is = memory.bytes / 4 < kMemoryLimitMin ? "the least there can be: more than " + quarter : quarter;
  }
  if (out.memory_limit < kMemoryLimitMin) {
    node.error("memory_limit", fmt::format("expected at least {}", format_bytes(kMemoryLimitMin)));
    out.memory_limit = kMemoryLimitMin;
  }
}

// The memory that remembers decisions: for late spans, and for people.
void read_memories(const ConfigNode& node, SamplingConfig& out) {
  BufferLimits& limits = out.store.limits;
  const ConfigNode cache = node.child("decision_cache");
  out.cache_bytes = cache.bytes("max_bytes", default_cache_bytes(out.memory_limit));
  if (out.cache_bytes > out.memory_limit / 4) cache.error("max_bytes", "expected at most a quarter of memory_limit");
  cache.without_effect({"sampled_cache_size", "non_sampled_cache_size"});
  cache.finish();
  limits.cache_bytes = out.cache_bytes;
  const ConfigNode explain = node.child("explain");
  out.explain_bytes = explain.bytes("max_bytes", default_explain_bytes(out.memory_limit));
  if (out.explain_bytes > out.memory_limit / 4)
    explain.error("max_bytes", "expected at most a quarter of memory_limit");
  explain.finish();
  limits.explain_bytes = out.explain_bytes;
}

void read_keys(const ConfigNode& node, SamplingConfig& out) {
  BufferLimits& limits = out.store.limits;
  limits.decision_wait = node.duration("decision_wait", limits.decision_wait, std::chrono::milliseconds(1));
  limits.decision_wait_after_root = node.duration("decision_wait_after_root_received", Duration::zero());
  if (limits.decision_wait_after_root > limits.decision_wait)
    node.child("decision_wait_after_root_received").notice("has no effect: decision_wait is shorter and comes first");
  for (const char* wait : {"decision_wait", "decision_wait_after_root_received"}) {
    if (node.duration(wait, Duration::zero()) % std::chrono::seconds(1) == Duration::zero()) continue;
    node.child(wait).notice("is kept to the millisecond; contrib cuts it to whole seconds");
  }
  read_memory_limit(node, out);
  const std::int64_t shards = node.integer("shards", 0, {.min = 0, .max = 1024});
  // Four per core, but not so many that what each keeps to itself counts against a small limit.
  const std::size_t by_cores = 4 * std::max(1u, std::thread::hardware_concurrency());
  out.store.shards = shards != 0 ? static_cast<std::size_t>(shards)
                                 : std::min(by_cores, std::max<std::size_t>(4, out.memory_limit / (32 * kMiB)));
  limits.trace_bytes_max = node.bytes("trace_bytes_max", limits.trace_bytes_max);
  if (limits.trace_bytes_max == 0 || limits.trace_bytes_max > 1024 * kMiB)
    node.error("trace_bytes_max", "expected 1 byte to 1GiB");
  limits.trace_spans_max = static_cast<std::uint32_t>(
      node.integer("trace_spans_max", limits.trace_spans_max, {.min = 1, .max = 10'000'000}));
  limits.maximum_trace_size_bytes = node.bytes("maximum_trace_size_bytes", 0);

  read_memories(node, out);
  out.store.overload_min_wait = node.duration("overload_min_wait", limits.decision_wait / 10);

  if (node.text("sampling_strategy", "trace-complete") != "trace-complete") {
    node.error("sampling_strategy",
               "expected trace-complete: 'span-ingest' would judge each request alone and cut traces apart");
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
        if (document.error().kind == ErrorKind::kIo) {
          sampling.error(files_key, fmt::format("expected files that can be read ({})", document.error().text));
        } else {
          options.issues->errors.push_back({IssueKind::kUnreadable, file, 1, 1, "", document.error().text, ""});
        }
        continue;
      }
      // A file that was cut to nothing must not pass for a file that takes its policies back.
      if (document->root.child("policies").is_null())
        document->root.error("policies", "expected a list of policies; `policies: []` is an empty one");
      for (const ConfigNode& item : document->root.child("policies").items()) out.push_back(item);
      document->root.finish();
    }
  }
}

}  // namespace

std::size_t default_cache_bytes(std::size_t memory_limit) { return std::clamp(memory_limit / 16, 4 * kMiB, 64 * kMiB); }

std::size_t default_explain_bytes(std::size_t memory_limit) { return std::min(memory_limit / 16, 64 * kMiB); }

SamplingConfig read_sampling(const ConfigNode& node, const std::string& path, const LoadOptions& options) {
  SamplingConfig out;
  read_keys(node, out);
  read_policies(node, "policies", "policy_files", path, options, out.policy_patterns, out.policies);
  read_policies(node, "shadow_policies", "shadow_policy_files", path, options, out.policy_patterns,
                out.shadow_policies);
  // Twice the policies there are now: a reload may bring more.
  out.store.limits.explain_policies = std::max<std::size_t>(64, out.policies.size() * 2);
  return out;
}

PolicySetPtr build_policies(const SamplingConfig& sampling, const PolicyContext& context, PolicyTables& tables,
                            std::uint32_t epoch, const ConfigNode& node) {
  PolicySetOptions options;
  options.epoch = epoch;
  options.use_tracestate = sampling.use_tracestate;
  options.sample_on_first_match = sampling.sample_on_first_match;
  options.keep_marked = context.keep_marked;
  options.watched = context.watched;
  options.watched_of_resources = context.watched_of_resources;
  PolicySetPtr policies =
      PolicySet::build(sampling.policies, sampling.shadow_policies, context.routes, tables, options);
  if (policies->plan().words() > kTraceWordsMax) {
    node.error("policies", fmt::format("expected at most {} conditions over spans in all, 64 fewer for each counter "
                                       "(bytes_limiting, use_tracestate, count(...))",
                                       kTraceWordsMax * 64));
  }
  return policies;
}

bool is_policy(const std::string& name, const SamplingConfig& sampling, bool keep_marked) {
  if (name == kDebugPolicy) return keep_marked;
  if (name == kOwnPolicy) return true;
  return std::any_of(sampling.policies.begin(), sampling.policies.end(),
                     [&](const ConfigNode& p) { return p.text("name") == name; });
}

}  // namespace tailgate
