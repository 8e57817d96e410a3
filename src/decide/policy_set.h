// SPDX-License-Identifier: Apache-2.0
// PolicySet: the loaded policies. Its plan tells the scanner what to look for; decide() turns what the scanner found
// into a Verdict. PolicyTables: the names and numbers that outlive a set; they live as long as the process.
//
// Threads: any; a set never changes. A reload replaces it as a whole, and threads share it by pointer.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "config/config_node.h"
#include "decide/condition_errors.h"
#include "decide/legacy_heads.h"
#include "decide/limiter.h"
#include "decide/names_table.h"
#include "decide/policy.h"
#include "model/threshold.h"
#include "model/verdict.h"
#include "wire/otlp/scan_plan.h"

namespace tailgate {

// Sets of exporters (bit i: exporter i) by number, so that a cached verdict can name one in 16 bits. Number 0 is the
// empty set. Threads: any; asked per kept trace.
class RouteTable {
 public:
  RouteTable() : routes_{0} {}
  std::uint16_t number_of(std::uint64_t exporters);  // past 65,535 different sets: the last one holding all of them
  std::uint64_t exporters_of(std::uint16_t number) const;

 private:
  mutable Mutex mutex_;
  std::vector<std::uint64_t> routes_ TAILGATE_GUARDED_BY(mutex_);
};

// An exporter as routing sees it. It gets a kept trace if one of `policies` voted to keep it, a resource of it is one
// of `services`, and, for each of `attributes`, a resource or span has one of the values. Empty: no such condition.
struct RouteRule {
  std::vector<std::string> policies = {};
  std::vector<std::string> services = {};  // patterns (glob.h), as are the values
  std::vector<std::pair<std::string, std::vector<std::string>>> attributes = {};
};

// What outlives any one PolicySet: numbers in caches and counters keep their meaning over reloads. Threads: any.
struct PolicyTables {
  NamesTable names;
  RouteTable routes;
  ThresholdTable thresholds;
  Limiters limiters;
  ConditionErrorTable condition_errors;
  LegacyHeads legacy_heads;
};

// Plain counters of one shard, indexed by policy number. Guarded by the shard's lock.
struct PolicyTally {
  struct Row {
    std::uint64_t sampled = 0, not_sampled = 0, dropped = 0;
    std::uint64_t kept_traces = 0, kept_spans = 0, kept_bytes = 0;
  };
  // What a shadow policy would have done. The live set kept kept_traces - would_add + would_lose of the same traces.
  struct Shadow {
    std::uint64_t traces = 0;  // that it judged
    std::uint64_t kept_traces = 0, kept_spans = 0, kept_bytes = 0;
    std::uint64_t would_add = 0, would_lose = 0;  // traces: kept by it and not by the live set; the other way about
    std::vector<TraceId> lost_errors;             // the last few traces with errors among those it would lose
    std::size_t next_lost = 0;                    // where the next one goes, once the list is full
  };
  static constexpr std::size_t kLostErrorsMax = 10;

  std::vector<Row> rows;
  std::vector<Shadow> shadows;

  Row& row(std::uint16_t policy) {
    if (rows.size() <= policy) rows.resize(policy + 1u);
    return rows[policy];
  }
  Shadow& shadow(std::uint16_t policy) {
    if (shadows.size() <= policy) shadows.resize(policy + 1u);
    return shadows[policy];
  }
};

// Keeps traces whose sender asked for it; ours, not of the configuration. A drop policy still drops them.
inline constexpr std::string_view kDebugPolicy = "_debug";

struct PolicySetOptions {
  std::uint32_t epoch = 1;
  bool use_tracestate = false;
  bool sample_on_first_match = false;
  bool keep_marked = false;  // the policy `_debug`: a receiver is there that can mark spans (otlp::span::kKeepMark)
  // What others than policies read of each span (SpanWatcher): attributes of spans and of resources, and
  // of resources only.
  std::vector<std::string> watched = {}, watched_of_resources = {};
};

class PolicySet {
 public:
  // Compiles `policies` and `shadows` (the entries of the main file's lists and of the policy files). Errors are
  // recorded at the nodes; look at the document's issues before using the result. `routes[i].policies` must all exist.
  // `tables` must outlive the set.
  static std::shared_ptr<const PolicySet> build(const std::vector<ConfigNode>& policies,
                                                const std::vector<ConfigNode>& shadows,
                                                const std::vector<RouteRule>& routes, PolicyTables& tables,
                                                const PolicySetOptions& options);

  const ScanPlan& plan() const { return plan_; }
  std::uint32_t epoch() const { return plan_.epoch; }
  bool empty() const { return policies_.empty(); }
  bool use_tracestate() const { return options_.use_tracestate; }

  // In the order they are asked: drop policies first. Shadows come after the others.
  std::size_t size() const { return policies_.size(); }
  std::size_t shadow_size() const { return shadows_.size(); }
  std::uint16_t number_of(std::size_t i) const { return policies_[i].number; }
  std::uint16_t shadow_number_of(std::size_t i) const { return shadows_[i].number; }
  const Policy& policy(std::size_t i) const { return *policies_[i].policy; }
  // The attribute a predicate looks at.
  const std::string& attribute_of(std::size_t bit) const { return plan_.attribute_of(bit); }

  // This set goes live: limits take its rates. Call once, before it judges.
  void activate() const;

  // Dropped > sampled > not sampled; the first that sampled gives the name. Counts votes in `tally`. The verdict's
  // reason and `complete` are left to the caller. `ballots` gets a vote per policy. Empty: ask again when the interval
  // is over (JudgedTrace::interval); nothing was counted. Cost: some nanoseconds per policy; no allocation once
  // `ballots` has grown.
  std::optional<Verdict> decide(const JudgedTrace& trace, PolicyTally& tally, std::vector<Ballot>& ballots) const;

 private:
  struct Entry {
    PolicyPtr policy;
    std::uint16_t number;
    std::uint64_t exporters;  // those that named this policy
  };

  std::optional<Verdict> combine(const JudgedTrace& trace, std::vector<Ballot>& ballots) const;
  void judge_shadows(const JudgedTrace& trace, bool kept, PolicyTally& tally) const;

  PolicySetOptions options_;
  std::vector<Entry> policies_;  // drop policies first, otherwise in order
  std::vector<Entry> shadows_;
  // Exporters with conditions beyond `policies`: what must all be true of a trace for them.
  struct Filter {
    std::uint64_t exporter = 0;  // its bit
    std::vector<std::size_t> bits;
  };
  std::vector<Filter> filters_;
  std::uint64_t always_ = 0;  // exporters that take every kept trace
  ScanPlan plan_;
  PolicyTables* tables_ = nullptr;
};

using PolicySetPtr = std::shared_ptr<const PolicySet>;

}  // namespace tailgate
