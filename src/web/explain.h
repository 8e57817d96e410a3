// /explain and /shadow: answers in JSON about what became of traces, and what would become of them under other
// policies. Threads: any; the functions given must be safe to call from any.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "model/explanation.h"
#include "net/http/http.h"
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

struct ExplainHooks {
  std::function<std::optional<Explanation>(const TraceId&)> explain;
  std::function<std::vector<Explanation>(const ExplainQuery&)> recent;
  std::function<ShadowReport()> shadow;
  std::vector<std::string> exporters;  // names by index
  bool remembers = true;               // explain.max_bytes is not 0
};

// Adds /explain, /explain/{trace_id} and /shadow.
void add_explain_pages(Pages& pages, ExplainHooks hooks);

}  // namespace tailgate
