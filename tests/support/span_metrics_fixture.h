// SPDX-License-Identifier: Apache-2.0
// Span metrics as a test uses them: a configuration from YAML, requests counted as a receiver counts them, and the page
// as lines.
#pragma once

#include <algorithm>
#include <catch2/catch.hpp>
#include <iterator>
#include <string>
#include <vector>

#include "config/config_file.h"
#include "signals/signals.h"
#include "wire/otlp/scan.h"

namespace tailgate::test {

// The fixtures begin at TimePoint{}.
inline TimePoint after_start(Duration d) { return TimePoint{} + d; }

// Without start_at_zero series begin with their value.
struct ReadSpanMetrics {
  explicit ReadSpanMetrics(const std::string& yaml) {
    auto loaded = load_config_text("span_metrics: " + yaml + "\n", "test.yaml");
    REQUIRE(loaded);
    config = read_span_metrics(loaded->root.child("span_metrics"));
    if (yaml.find("start_at_zero") == std::string::npos) config->life.start_at_zero = Duration::zero();
    loaded->root.finish();
    errors = messages(loaded->issues->errors);
    notices = messages(loaded->issues->notices);
  }
  std::optional<SpanMetricsConfig> config;
  std::vector<std::string> errors, notices;
};

// The lines of a page without comments, sorted.
inline std::vector<std::string> sample_lines(const std::string& page) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at < page.size();) {
    const std::size_t end = page.find('\n', at);
    if (page[at] != '#') out.push_back(page.substr(at, end - at));
    at = end + 1;
  }
  std::sort(out.begin(), out.end());
  return out;
}
// Those that begin so.
inline std::vector<std::string> lines_with(const std::vector<std::string>& lines, const std::string& begin) {
  std::vector<std::string> out;
  std::copy_if(lines.begin(), lines.end(), std::back_inserter(out),
               [&](const std::string& line) { return line.starts_with(begin); });
  return out;
}

inline ScanPlan plan_of(const SignalsConfig& config) {
  ScanPlan plan;
  for (const std::string& key : config.attributes()) plan.attribute_slot(key);
  for (const std::string& key : config.resource_attributes()) plan.attribute_slot(key, Attributes::kOfResources);
  return plan;
}

class CountedSpans {
 public:
  explicit CountedSpans(const std::string& yaml, std::size_t parts = 1)
      : config_{.span_metrics = ReadSpanMetrics(yaml).config},
        plan_(plan_of(config_)),
        metrics_(*config_.span_metrics, parts, 7) {}

  void count(const std::string& request, std::size_t part = 0) { scan(request, part, true); }
  void refuse(const std::string& request) { scan(request, 0, false); }

  std::string page(TimePoint now = TimePoint{}, OpenMetrics format = OpenMetrics::kNo) {
    Exposition out(format);
    metrics_.write(out, now);
    return out.take();
  }
  std::vector<std::string> lines(TimePoint now = TimePoint{}) { return sample_lines(page(now)); }
  std::vector<std::string> lines(const std::string& begin) { return lines_with(lines(), begin); }
  SpanMetrics& metrics() { return metrics_; }

 private:
  void scan(const std::string& request, std::size_t part, bool take) {
    SpanBatch batch;
    metrics_.begin(notes_, part, plan_);
    const auto slice = [&](SpanBatch&) {
      if (take) metrics_.count(notes_, part);
      notes_.clear();
      return true;
    };
    struct Watcher final : SpanWatcher {
      explicit Watcher(SpanNotes& to) : notes(to) {}
      void on_resource(const ByteView* attributes) override { notes.on_resource(attributes); }
      void on_span(const SpanFields& span, std::uint64_t) override { notes.on_span(span); }
      SpanNotes& notes;
    } watcher(notes_);
    REQUIRE(scan_request(request, plan_, batch, slice, &watcher).ok);
    slice(batch);
  }

  const SignalsConfig config_;
  const ScanPlan plan_;
  SpanMetrics metrics_;
  SpanNotes notes_;
};

}  // namespace tailgate::test
