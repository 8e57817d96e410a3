// SPDX-License-Identifier: Apache-2.0
// POST /api/try: what a set of policies would do with the stored traces, or with all that came in the time that a
// journal has, for the page's box. The live policies are not touched. docs/web.md has the limits.
#pragma once

#include <array>
#include <boost/json.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/ids.h"
#include "store/reader.h"
#include "web/pages.h"
#include "web/query_pool.h"
#include "web/trace_search.h"

namespace tailgate {

struct TriedTrace {
  TraceId id;
  bool kept = false;
  std::string policy;  // that decided, "" when none did
  std::string why;     // of its vote
};

struct TriedPolicy {
  std::string name;
  std::uint64_t decided = 0;                                // traces kept or dropped in its name
  std::uint64_t sampled = 0, not_sampled = 0, dropped = 0;  // votes
};

// One trial: traces are added, then judged together. One thread.
class PolicyTrial {
 public:
  virtual ~PolicyTrial() = default;
  // A trace's `resource_spans` fields. False: it cannot be read, and is left out.
  virtual bool add(std::string otlp) = 0;
  struct Outcome {
    std::vector<TriedTrace> traces;  // in the order in which they were added
    std::vector<TriedPolicy> policies;
  };
  // Once. Traces that come after `stop` has said yes are not judged, and are not in the outcome.
  virtual Outcome finish(const std::function<bool()>& stop) = 0;
};

// `form` says what `text` is: one of kTrialForms. Errors are for the person who wrote the text. Any thread.
inline constexpr std::array<std::string_view, 3> kTrialForms = {"policy", "span", "trace"};
using MakeTrial = std::function<Result<std::unique_ptr<PolicyTrial>>(std::string_view form, const std::string& text)>;

// What came in a time, judged by other policies, and what was kept of it then.
struct PastTried {
  struct Row {
    std::uint64_t traces = 0, spans = 0, bytes = 0;
  };
  using Rows = std::map<std::string, Row>;            // by policy
  std::uint64_t first_unix_ns = 0, last_unix_ns = 0;  // of arrival
  std::uint64_t requests = 0, bytes = 0, traces = 0, spans = 0;
  std::uint64_t damaged = 0;       // places
  std::uint64_t left_out = 0;      // requests without room
  std::uint64_t judged_early = 0;  // traces, for want of room
  bool cut = false;                // there is more of the time
  bool kept_cut = false;           // `kept` is not all
  Rows would_keep, kept;
  static constexpr std::size_t kNewMax = 100;
  std::vector<std::pair<TraceId, std::string>> newly_kept;  // the first that were not kept then, and by which policy
};
// As /api/try and `tailgate replay` say it.
boost::json::object json_of(const PastTried& tried);

struct PastQuestion {
  std::string_view form;
  const std::string& text;         // as for MakeTrial
  std::uint64_t from_unix_ns = 0;  // of arrival
  std::function<bool()> stop;
};
using TryPast = std::function<Result<PastTried>(const PastQuestion&)>;

struct TryPageOptions {
  std::shared_ptr<StoreReader> store;  // null: nothing is stored
  TryPast past = {};                   // empty: there is no journal that retains anything
  Duration time_max = std::chrono::seconds(10);
  std::uint64_t bytes_max = 64 << 20;  // of OTLP that one trial holds in memory
};

// `pool` outlives the pages.
void add_try_page(Pages& pages, QueryPool& pool, TryPageOptions options, MakeTrial make);

}  // namespace tailgate
