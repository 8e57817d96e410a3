// PolicySet: the loaded policies as one immutable thing. Its plan tells the scanner what to look for; decide() turns what
// the scanner found into a Verdict. Swapped whole on reload; threads share it by pointer. NamesTable and RouteTable live as
// long as the process, so that numbers in caches and counters keep their meaning over reloads.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "config/config_node.h"
#include "decide/policy.h"
#include "model/verdict.h"
#include "wire/scan_plan.h"

namespace tailgate {

// Policy names by number; number 0 is "none". Grows by names never seen before, at most 65,535. Threads: any.
class NamesTable {
 public:
  NamesTable() : names_{"none"} {}
  std::uint16_t number_of(std::string_view name);  // a full table gives 0
  std::string name_of(std::uint16_t number) const;
  std::size_t size() const;

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> names_;  // guarded by mutex_
};

// Sets of exporters (bit i: exporter i) by number, so that a cached verdict can name one in 16 bits. Number 0 is the empty
// set. Threads: any; asked per kept trace.
class RouteTable {
 public:
  RouteTable() : routes_{0} {}
  std::uint16_t number_of(std::uint64_t exporters);  // past 65,535 different sets: the last one holding all of them
  std::uint64_t exporters_of(std::uint16_t number) const;

 private:
  mutable std::mutex mutex_;
  std::vector<std::uint64_t> routes_;  // guarded by mutex_
};

// An exporter as routing sees it.
struct RouteRule {
  std::vector<std::string> policies;  // empty: every kept trace
};

// Plain counters of one shard, indexed by policy number. Guarded by the shard's lock.
struct PolicyTally {
  struct Row {
    std::uint64_t sampled = 0, not_sampled = 0, dropped = 0;
    std::uint64_t kept_traces = 0, kept_spans = 0, kept_bytes = 0;
  };
  std::vector<Row> rows;

  Row& row(std::uint16_t policy) {
    if (rows.size() <= policy) rows.resize(policy + 1u);
    return rows[policy];
  }
};

class PolicySet {
 public:
  // Compiles `policies` (the entries of the main file's list and of the policy files). Errors are recorded at the nodes;
  // look at the document's issues before using the result. `routes[i].policies` must all exist.
  static std::shared_ptr<const PolicySet> build(const std::vector<ConfigNode>& policies, const std::vector<RouteRule>& routes,
                                                NamesTable& names, RouteTable& route_table, std::uint32_t epoch);

  const ScanPlan& plan() const { return plan_; }
  std::uint32_t epoch() const { return plan_.epoch; }
  bool empty() const { return policies_.empty(); }

  // Dropped > sampled > not sampled; the first that sampled gives the name. Counts votes in `tally`. The verdict's reason
  // is left to the caller. Cost: some nanoseconds per policy; no allocation.
  Verdict decide(const JudgedTrace& trace, PolicyTally& tally) const;

 private:
  struct Entry {
    PolicyPtr policy;
    std::uint16_t number;
    std::uint64_t exporters;  // those that named this policy
  };

  std::vector<Entry> policies_;  // drop policies first, otherwise in order
  std::uint64_t always_ = 0;     // exporters that take every kept trace
  ScanPlan plan_;
  RouteTable* routes_ = nullptr;
};

using PolicySetPtr = std::shared_ptr<const PolicySet>;

}  // namespace tailgate
