// SPDX-License-Identifier: Apache-2.0
#include "signals/signals.h"

#include <atomic>

namespace tailgate {
namespace {

// What this thread notes of the request that it works on.
SpanNotes& notes() {
  thread_local SpanNotes of_this_thread;
  return of_this_thread;
}

// Threads that receive, in the order of their first request.
std::size_t number_of_this_thread() {
  static std::atomic<std::size_t> next{0};
  thread_local const std::size_t number = next.fetch_add(1, std::memory_order_relaxed);
  return number;
}

}  // namespace

std::vector<std::string> SignalsConfig::attributes() const {
  std::vector<std::string> out;
  if (span_metrics) {
    for (const Dimension& one : span_metrics->dimensions) out.push_back(one.attribute);
  }
  return out;
}

std::vector<std::string> SignalsConfig::resource_attributes() const {
  if (!any()) return {};
  return {"service.name"};
}

std::size_t SignalsConfig::bytes_max() const { return span_metrics ? span_metrics->bytes_max(parts) : 0; }

Signals::Signals(const SignalsConfig& config, std::uint64_t seed) {
  if (config.span_metrics) span_metrics_ = std::make_unique<SpanMetrics>(*config.span_metrics, config.parts, seed);
}

SpanWatcher& Signals::begin(const ScanPlan& plan) {
  SpanNotes& mine = notes();
  if (span_metrics_ != nullptr) span_metrics_->begin(mine, number_of_this_thread() % span_metrics_->parts(), plan);
  return mine;
}

void Signals::taken(TimePoint) {
  SpanNotes& mine = notes();
  if (span_metrics_ != nullptr) span_metrics_->count(mine, number_of_this_thread() % span_metrics_->parts());
  mine.clear();
}

void Signals::refused() { notes().clear(); }

std::string Signals::page(OpenMetrics format, TimePoint now, std::string_view& content_type) {
  Exposition out(format);
  content_type = out.content_type();
  if (span_metrics_ != nullptr) span_metrics_->write(out, now);
  return out.take();
}

}  // namespace tailgate
