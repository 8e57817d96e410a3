// SPDX-License-Identifier: Apache-2.0
// The pages /explain and /shadow. They say in JSON what became of traces, and what other policies would have decided.
// Threads: any; ExplainSource is called from any.
#pragma once

#include <boost/json.hpp>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/explanation.h"
#include "net/http/http.h"
#include "web/cluster.h"
#include "web/pages.h"

namespace tailgate {

struct ShadowReport {
  struct Policy {
    std::string name;
    std::uint64_t traces = 0;  // that it judged
    std::uint64_t kept_traces = 0, kept_spans = 0, kept_bytes = 0;
    std::uint64_t would_add = 0, would_lose = 0;  // traces
    std::vector<TraceId> lost_errors;
  };
  std::vector<Policy> policies;
  std::uint64_t traces = 0;  // judged by the live set, and of them kept
  std::uint64_t kept_traces = 0, kept_spans = 0, kept_bytes = 0;
};

// Who knows what became of traces.
class ExplainSource {
 public:
  virtual ~ExplainSource() = default;
  virtual std::optional<Explanation> explain(const TraceId& id) const = 0;
  // Fails (kBadInput) when it asks for what is not there.
  virtual Result<std::vector<Explanation>> recent(const ExplainQuery& query) const = 0;
  virtual ShadowReport shadow() const = 0;
};

struct ExplainPageOptions {
  std::vector<std::string> exporters;  // names by index
  bool remembers = true;               // explain.max_bytes is not 0
  // In a cluster: about a trace that is not known here, or of which only the verdict is, the others are asked; lists,
  // but for people, and /shadow are of all members.
  std::optional<OtherMembers> others = {};
};

// As /explain/{trace_id} answers it.
boost::json::object explanation_json(const Explanation& e, const std::vector<std::string>& exporter_names);

// Adds /explain, /explain/{trace_id} and /shadow. `source` outlives the pages.
void add_explain_pages(Pages& pages, const ExplainSource& source, ExplainPageOptions options);

}  // namespace tailgate
