// SPDX-License-Identifier: Apache-2.0
// Assembly: the live objects of a configuration, made but not yet started. `tailgate check` makes one too, because
// receivers, exporters and policies read their own sections. Threads: main.
#pragma once

#include <memory>
#include <vector>

#include "base/byte_budget.h"
#include "decide/policy_set.h"
#include "export/exporters.h"
#include "export/own_traces.h"
#include "receive/registry.h"
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

// How a memory_limit is shared out; `cache_bytes` is of all caches. The rest up to the limit is the process itself.
ByteBudget::Caps budget_caps(std::size_t memory_limit, std::size_t cache_bytes, std::size_t tls_connections);

}  // namespace tailgate
