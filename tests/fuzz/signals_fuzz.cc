// SPDX-License-Identifier: Apache-2.0
// Any OTLP bytes counted as span metrics and a service graph: each span is in one series, and the page is one that a
// scraper takes, whatever the names and attributes are.
#include <cstddef>
#include <cstdint>
#include <string>

#include "codec/utf8.h"
#include "signals/signals.h"
#include "support/demand.h"
#include "wire/otlp/scan.h"

using namespace tailgate;
using tailgate::test::demand;

namespace {

SignalsConfig config() {
  SignalsConfig out;
  out.span_metrics.emplace();
  out.span_metrics->series_max = 20;
  out.span_metrics->life.start_at_zero = Duration::zero();
  out.span_metrics->bounds_ns = {1'000'000, 1'000'000'000};
  for (const char* attribute : {"k", "key", "http.route"})
    out.span_metrics->dimensions.push_back({attribute, label_name(attribute), std::nullopt});
  out.service_graph.emplace();
  out.service_graph->bounds_ns = {1'000'000'000};
  out.service_graph->waiting_max = 16;
  out.service_graph->edges_max = 5;
  out.service_graph->database_attributes = {"key"};
  out.service_graph->peer_attributes = {"k"};
  return out;
}

// NAME{LABEL="VALUE",...} NUMBER: the number, or -1 for what is not such a line.
double value_of(std::string_view line) {
  const auto word = [&](bool label) {
    std::size_t n = 0;
    while (n < line.size() && (std::isalnum(static_cast<unsigned char>(line[n])) != 0 || line[n] == '_')) ++n;
    const bool good = n != 0 && std::isdigit(static_cast<unsigned char>(line[0])) == 0;
    line.remove_prefix(n);
    return good && line.starts_with(label ? "=\"" : "{");
  };
  if (!word(false)) return -1;
  do {
    line.remove_prefix(1);
    if (!word(true)) return -1;
    line.remove_prefix(2);
    while (!line.empty() && line[0] != '"') {
      const std::size_t n = line[0] == '\\' ? 2 : 1;
      if (line.size() < n || (n == 2 && line[1] != '\\' && line[1] != '"' && line[1] != 'n')) return -1;
      line.remove_prefix(n);
    }
    if (line.empty()) return -1;
    line.remove_prefix(1);
  } while (line.starts_with(','));
  if (!line.starts_with("} ")) return -1;
  return std::stod(std::string(line.substr(2)));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  const SignalsConfig with = config();
  ScanPlan plan;
  for (const std::string& key : with.attributes()) plan.attribute_slot(key);
  for (const std::string& key : with.resource_attributes()) plan.attribute_slot(key, Attributes::kOfResources);
  Signals signals(with, 1, TimePoint{});
  SpanBatch batch;
  std::uint64_t taken = 0;
  SpanWatcher& watcher = signals.begin(plan);
  const auto take = [&](SpanBatch& slice) {
    taken += slice.spans.size();
    signals.taken(TimePoint{});
    return true;
  };
  if (!scan_request(bytes, plan, batch, take, &watcher).ok) {
    signals.refused();
    return 0;
  }
  take(batch);
  Exposition out(OpenMetrics::kNo);
  signals.write(out, TimePoint{} + std::chrono::hours(1));
  const std::string page = out.take();
  demand(is_utf8(page) && page.find('\0') == std::string::npos, "the page is no text");
  double calls = 0;
  for (std::size_t at = 0; at < page.size();) {
    const std::size_t end = page.find('\n', at);
    demand(end != std::string::npos, "a line has no end");
    const std::string_view line = std::string_view(page).substr(at, end - at);
    at = end + 1;
    if (line.starts_with("# ")) continue;
    const double value = value_of(line);
    demand(value >= 0, "a line is no sample");
    if (line.starts_with("traces_spanmetrics_calls_total{")) calls += value;
  }
  demand(calls == static_cast<double>(taken), "the calls are not the spans");
  return 0;
}
