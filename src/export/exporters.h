// SPDX-License-Identifier: Apache-2.0
// Exporters: the fan-out. It hands each kept trace to the exporters its bits name; each has its own queue and thread.
//
//   auto exporters = Exporters::make(config.child("exporters"), budget, {});
//   if (auto started = exporters->start(); !started) ...     // 3: cannot open
//   exporters->push(std::make_shared<const KeptTrace>(...), now);
//   exporters->drain(now + 10s, now);                        // at the end; returns when all are done
//
// Bytes: whoever makes a KeptTrace charges Holder::kQueues for it once (KeptTrace::charge); when that fails,
// make_room() and another try. Threads: make, start and drain by the daemon; push, make_room and collect by any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/byte_budget.h"
#include "base/clock.h"
#include "base/result.h"
#include "config/config_node.h"
#include "export/export_runner.h"
#include "export/registry.h"
#include "telemetry/metrics.h"

namespace tailgate {

inline constexpr std::size_t kExportersMax = 64;  // bits of KeptTrace::exporters
inline constexpr std::size_t kLostSeriesMax = 2000;

struct ExportersOptions {
  std::string version = "0";  // for the User-Agent
  std::uint64_t seed = 0;     // of the retries' jitter; 0: a random one
};

class Exporters {
 public:
  // Reads the map under `exporters:`; never null. Problems are in the document's issues, and then it is not to be
  // started. Opens nothing. The default size of each queue is the budget's cap for queues.
  static std::unique_ptr<Exporters> make(const ConfigNode& node, ByteBudget& budget, const ExportersOptions& options);
  ~Exporters();

  // In the order of the configuration; the index is the bit in KeptTrace::exporters.
  std::size_t size() const { return entries_.size(); }
  std::vector<std::string> names() const;
  // The names under `policies:` of exporter `i`; empty: it gets every kept trace. `policies_node` is for errors.
  const std::vector<std::string>& policies_of(std::size_t i) const { return entries_[i].policies; }
  // Likewise `services:`, and `attributes:` as {key, values}.
  const std::vector<std::string>& services_of(std::size_t i) const { return entries_[i].services; }
  const std::vector<std::pair<std::string, std::vector<std::string>>>& attributes_of(std::size_t i) const {
    return entries_[i].attributes;
  }
  ConfigNode policies_node(std::size_t i) const { return entries_[i].node.child("policies"); }
  // "host:port" it sends to, "" when it sends nowhere; `node` is for errors.
  const std::string& endpoint_of(std::size_t i) const { return entries_[i].endpoint; }
  ConfigNode node_of(std::size_t i) const { return entries_[i].node; }

  // Finds the traces that the first exporter of type `store` has; null when there is none.
  std::shared_ptr<StoreReader> stored() const;

  // Before start(); of every exporter.
  void observe(const ExportObserver& observer);

  // Opens all and starts their threads; the first that cannot be opened is the error.
  Result<void> start();

  void push(const KeptTracePtr& trace, TimePoint now);

  // Files that were renamed or removed are let go of soon, also those of exporters that have nothing to write.
  void follow_paths();

  // The queue of an exporter has less than 1/parts of its room free.
  bool is_short(std::size_t parts) const;
  // Makes room for `bytes` under the budget's cap for queues by dropping waiting traces: first what a full disk
  // refuses, then those of the exporter that has most of them; of both, first those kept by chance. `by_chance`: the
  // room is for a trace kept by chance, and only such traces go. False when there is not enough room even then.
  bool make_room(std::size_t bytes, bool by_chance);

  // Sends what is queued until `deadline`, drops and counts the rest. Later pushes are dropped and counted too.
  void drain(TimePoint deadline, TimePoint now);

  // The start found the file of a durable queue damaged, and set it aside.
  bool found_damaged_queue() const;
  // Before a start, and opening nothing for writing: which durable queues are damaged, a sentence each.
  std::vector<std::string> damaged_queues() const;
  ExportRunner::Stats stats_of(std::size_t i) const { return entries_[i].runner->stats(); }
  // `policies` are those that may have kept a trace. Losses by exporter, policy and reason are written from zero as
  // long as that makes at most kLostSeriesMax series; otherwise only those above zero are.
  void collect(MetricWriter& writer, const std::vector<std::string>& policies) const;
  // Of one that is not among them; `zeros`: losses of each policy from zero.
  static void collect(const ExportRunner& runner, MetricWriter& writer, const std::vector<std::string>& policies,
                      bool zeros);

 private:
  explicit Exporters(ByteBudget& budget) : budget_(budget) {}

  struct SharedStore {  // of the exporters with the same sending_queue.directory
    std::shared_ptr<DurableStore> store;
    std::uint64_t members = 0;           // bits of exporters
    std::vector<std::uint8_t> index_of;  // in the store, by exporter
  };

  struct Entry {
    std::string name;
    ConfigNode node;
    std::vector<std::string> policies, services;
    std::vector<std::pair<std::string, std::vector<std::string>>> attributes;
    std::string endpoint, directory;  // the latter where no other exporter may have the same
    std::unique_ptr<ExportRunner> runner;
  };

  struct Part;
  static std::optional<Part> read(const std::string& name, const ConfigNode& node, const ExporterDefaults& defaults,
                                  Entry& entry);
  // Makes a store for each directory; by exporter, its membership in one.
  std::vector<DurableMembership> make_stores(std::vector<Part>& parts);
  bool evict_one(bool only_chance);

  ByteBudget& budget_;
  std::vector<SharedStore> stores_;
  std::uint64_t durable_ = 0;   // bits of all their members
  std::vector<Entry> entries_;  // runners are made when all are read
};

}  // namespace tailgate
