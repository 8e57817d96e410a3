// SPDX-License-Identifier: Apache-2.0
// Assembly: the live objects of a configuration, made but not yet started. `tailgate check` makes one too, because
// receivers, exporters and policies read their own sections. Threads: main.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/byte_budget.h"
#include "decide/policy_set.h"
#include "export/exporters.h"
#include "export/own_traces.h"
#include "receive/registry.h"
#include "settings/policy_changes.h"
#include "settings/settings.h"

namespace tailgate {

// Members are made in this order and end in the reverse one.
struct Assembly {
  std::unique_ptr<ByteBudget> budget;
  TraceStoreOptions store;
  std::vector<std::unique_ptr<Receiver>> receivers;
  std::size_t tls_connections = 0;  // of all receivers, as their limits have it
  std::unique_ptr<Exporters> exporters;
  PolicyContext context;
  std::shared_ptr<PolicyTables> tables = std::make_shared<PolicyTables>();
  PolicySetPtr policies;
  OwnTracesOptions own_traces;
};

// Opens nothing and starts no thread. Problems are recorded in `config.issues`; with errors there it must not be used.
Assembly assemble(const DaemonConfig& config);

// The policies for a reload: the files are read again, and the policies checked against the routes of the running
// exporters. Refused is whatever a start with these files would refuse, in any section, and a configuration without
// policies where there were some, unless it says `policies: []`: it may be a part of a file, or the wrong one.
struct ReloadedPolicies {
  PolicySetPtr policies;
  bool any = false;
  WrittenPolicies written;
  std::vector<std::string> patterns;            // DaemonConfig::watched_files(), as they are now
  StrategiesPtr strategies;                     // of remote_sampling; null: the section is not there
  std::vector<Member> members;                  // of cluster.members.static
  std::map<std::string, std::string> at_start;  // as in DaemonConfig, as the file has it now
  std::vector<std::string> notices;
};
struct ReloadOptions {
  const PolicyContext& context;
  PolicyTables& tables;
  std::uint32_t epoch = 0;
  bool had_policies = false;
};
// On failure every problem, one each.
tl::expected<ReloadedPolicies, std::vector<std::string>> reload_policies(const ConfigSource& source,
                                                                         const ReloadOptions& running);

// How a memory_limit is shared out; `cache_bytes` is of all caches. The rest up to the limit is the process itself.
ByteBudget::Caps budget_caps(std::size_t memory_limit, std::size_t cache_bytes, std::size_t tls_connections);

}  // namespace tailgate
