// SPDX-License-Identifier: Apache-2.0
// StoreReader: finds traces in a store and reads them. It reads beside the one who writes: the daemon's exporter hands
// out a reader of its live store, and open_store() makes one for a second process, which never writes.
//
//   auto reader = open_store("/var/lib/tailgate/store");
//   auto found = (*reader)->search(request, [](const StoredTrace& trace) { return --wanted > 0; });
//
// Threads: any, several at once. A call takes a connection to each catalogue that it needs and holds no lock while it
// reads, so the writer never waits for it. What is in the answers was synced before.
// Failures: kIo when a file cannot be read or a catalogue is damaged, kUnavailable while there is no store. A damaged
// block is left out, a damaged index is not used; the answer says so.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "model/ids.h"
#include "model/trace_needs.h"
#include "model/verdict.h"

namespace tailgate {

// A trace with all that came of it.
struct StoredTrace {
  TraceId id;
  std::uint64_t start_ns = 0, end_ns = 0;  // over all parts, Unix nanoseconds by the senders' clocks
  std::uint64_t spans = 0, errors = 0;
  std::string root_service, root_name;  // of the first part that had the root, else of the first part
  std::string policy;                   // of the first part, likewise the reason
  CloseReason close_reason = CloseReason::kTimeout;
  // `resource_spans` fields of all parts in the order of their arrival; a part that was sent twice is here once, and
  // so is a span. Empty: the store does not have the trace.
  std::string otlp;
  std::uint64_t parts_lost = 0;  // that are in damaged blocks
  bool kept = true;              // false: it comes from a journal, whatever its verdict was
};

// Of spans that several parts of it have, one stays.
void drop_same_spans(StoredTrace& trace);

// Of a trace that lacks spans, as a sentence.
std::string parts_lost_text(const StoredTrace& trace);

// What a search may take. It is looked at between two traces.
struct SearchBudget {
  std::uint64_t bytes_max = std::numeric_limits<std::uint64_t>::max();   // of OTLP, read and unpacked
  std::uint64_t traces_max = std::numeric_limits<std::uint64_t>::max();  // rows of the catalogue looked at
  TimePoint deadline = TimePoint::max();
  std::function<TimePoint()> clock = {};  // needed with a deadline
  std::function<bool()> cancelled = {};   // may be empty
};

struct SearchRequest {
  // A trace is in when it overlaps this time, both ends included.
  std::uint64_t from_ns = 0, to_ns = std::numeric_limits<std::uint64_t>::max();
  std::string service = {};  // service.name of the resource of one of its spans; empty: any
  TraceNeeds needs = {};
  SearchBudget budget = {};
};

struct SearchOutcome {
  std::uint64_t traces = 0;             // rows of the catalogue looked at
  std::uint64_t bytes = 0;              // of OTLP handed out
  std::uint64_t damaged = 0;            // traces that are left out or lack spans, since a block of them is damaged
  std::set<std::string> damaged_files;  // of blocks and of the index
  std::string cut;  // why the search ended before all was looked at, as a sentence; empty when it did not

  // What the damage means for the answer, in sentences; empty when none was met.
  std::string damage() const;
};

struct StoredOperation {
  std::string name;
  std::uint32_t kind = 0;  // as in OTLP
  friend auto operator<=>(const StoredOperation&, const StoredOperation&) = default;
};

// Where an attribute stands.
enum class AttributeScope : std::uint8_t { kResource, kScope, kSpan, kEvent, kLink };
inline constexpr std::size_t kAttributeScopes = 5;

struct StoredDependency {
  std::string parent, child;  // services
  std::uint64_t calls = 0;    // spans of `child` whose parent is a span of `parent`, `child` itself included
};

struct StoreStatus {
  std::uint64_t bytes = 0;   // of all its files
  std::uint64_t traces = 0;  // a trace in two partitions counts twice
  std::uint64_t spans = 0;
  std::uint64_t partitions = 0;
  std::uint64_t start_ns = 0, end_ns = 0;  // first start and last end; 0 when it is empty
};

class PartitionSource;

// Of a store without a directory.
std::shared_ptr<PartitionSource> no_partitions();

class StoreReader {
 public:
  explicit StoreReader(std::shared_ptr<PartitionSource> source);
  virtual ~StoreReader();
  StoreReader(const StoreReader&) = delete;
  StoreReader& operator=(const StoreReader&) = delete;

  virtual Result<StoredTrace> trace(const TraceId& id);
  Result<StoredTrace> stored_trace(const TraceId& id);  // asks nobody else
  // Before the first question: who is asked for a trace that the store does not have.
  void also_ask(std::function<Result<StoredTrace>(const TraceId&)> other) { other_ = std::move(other); }

  // Hands each trace that may be in the answer to `take`, newest start first, of the same start the largest id first,
  // until `take` returns false or the budget is used up. Time, service and durations are exact. Of needs.all the index
  // knows hashes, and of a trace with very many values only that it has them: `take` must look itself. No trace that
  // meets the needs is missing, also when only several parts of it meet them together. A trace comes once.
  virtual Result<SearchOutcome> search(const SearchRequest& request,
                                       const std::function<bool(const StoredTrace&)>& take);

  // Sorted, each once. Times are those of a partition and of a service in it: they may name a few too many.
  virtual Result<std::vector<std::string>> services(std::uint64_t from_ns, std::uint64_t to_ns);
  // Of one service, or of all when it is empty; of one kind, or of all.
  virtual Result<std::vector<StoredOperation>> operations(const std::string& service,
                                                          std::optional<std::uint32_t> kind);
  // Nothing as scope: all of them. Sorted; at most `limit`. The store remembers a bounded number of names and of values
  // of each name (docs/exporters/store.md).
  virtual Result<std::vector<std::string>> attribute_names(std::optional<AttributeScope> scope,
                                                           const std::string& prefix, std::size_t limit);
  virtual Result<std::vector<std::string>> attribute_values(std::optional<AttributeScope> scope,
                                                            const std::string& name, const std::string& prefix,
                                                            std::size_t limit);
  // Of traces that began in this time, to ten minutes.
  virtual Result<std::vector<StoredDependency>> dependencies(std::uint64_t from_ns, std::uint64_t to_ns);

  virtual Result<StoreStatus> status();

 private:
  std::shared_ptr<PartitionSource> source_;
  std::function<Result<StoredTrace>(const TraceId&)> other_;
};

// For a second process: opens the directory for reading only. Partitions that come and go later are seen.
Result<std::unique_ptr<StoreReader>> open_store(const std::string& directory);

}  // namespace tailgate
