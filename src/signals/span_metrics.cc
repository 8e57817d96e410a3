// SPDX-License-Identifier: Apache-2.0
#include "signals/span_metrics.h"

#include <algorithm>
#include <array>

#include "signals/names.h"
#include "wire/otlp/attribute_text.h"
#include "wire/otlp/attribute_value.h"

namespace tailgate {
namespace {

constexpr std::array<std::string_view, SpanNote::kOtherKind + 1> kKindNames = {"SPAN_KIND_UNSPECIFIED",
                                                                               "SPAN_KIND_INTERNAL",
                                                                               "SPAN_KIND_SERVER",
                                                                               "SPAN_KIND_CLIENT",
                                                                               "SPAN_KIND_PRODUCER",
                                                                               "SPAN_KIND_CONSUMER",
                                                                               ""};
constexpr std::array<std::string_view, SpanNote::kOtherStatus + 1> kStatusNames = {
    "STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR", ""};
constexpr std::string_view kOverflowLabels = R"(otel_metric_overflow="true")";

// A thread that counts waits for a scrape no longer than this many series take, some microseconds.
constexpr std::size_t kRowsPerLock = 256;

}  // namespace

SpanMetrics::SpanMetrics(SpanMetricsConfig config, std::size_t parts, std::uint64_t seed)
    : config_(std::move(config)),
      words_(SeriesCounts::words_of(config_.bounds_ns.size())),
      seed_(seed),
      names_(config_.series_max) {
  for (std::size_t i = 0; i < std::max<std::size_t>(1, parts); ++i) {
    parts_.push_back(std::make_unique<Part>(config_.series_max, config_.bounds_ns));
  }
}

void SpanMetrics::begin(SpanNotes& notes, std::size_t part, const ScanPlan& plan) const {
  notes.begin(config_, plan, seed_, &parts_[part]->counts);
}

void SpanMetrics::count(const SpanNotes& notes, std::size_t part_index) {
  Part& part = *parts_[part_index];
  const MutexLock lock(part.mutex);
  part.missed.clear();
  const std::vector<SpanNote>& spans = notes.spans();
  for (std::size_t i = 0; i < spans.size(); ++i) {
    const SeriesId series = part.counts.find(spans[i].hash);
    if (series == SeriesCounts::kUnknown) {
      part.missed.push_back(static_cast<std::uint32_t>(i));
    } else {
      part.counts.add(series, spans[i].duration_ns, spans[i].bytes);
    }
  }
  if (!part.missed.empty()) count_missed(notes, part);
}

void SpanMetrics::count_missed(const SpanNotes& notes, Part& part) {
  part.labels.clear();
  for (const std::uint32_t i : part.missed) part.labels.push_back(labels_of(notes, notes.spans()[i]));
  const MutexLock lock(names_mutex_);
  for (std::size_t n = 0; n < part.missed.size(); ++n) {
    const SpanNote& span = notes.spans()[part.missed[n]];
    bool fresh = false;
    const SeriesId series = names_.find_or_add(part.labels[n], fresh);
    if (fresh && config_.span_name) {
      std::string name = apply_rules(config_.name_rules, {span.name, span.name_size});
      if (looks_like_id(name)) {
        ++id_names_;
        last_id_name_ = std::move(name);
      }
    }
    if (part.held.size() <= series) part.held.resize(series + 1u);
    if (!part.held[series]) {
      part.held[series] = true;
      ++names_.of(series).holders;
    }
    part.counts.remember(span.hash, series);
    part.counts.add(series, span.duration_ns, span.bytes);
  }
}

std::string SpanMetrics::labels_of(const SpanNotes& notes, const SpanNote& span) const {
  std::string out;
  if (config_.service) {
    append_label(out, config_.names == SpanMetricNames::kJaeger ? "service_name" : "service",
                 notes.resource_of(span).service);
  }
  const ByteView name(span.name, span.name_size);
  if (config_.span_name) {
    append_label(out, "span_name", config_.name_rules.empty() ? name : apply_rules(config_.name_rules, name));
  }
  if (config_.span_kind) append_label(out, "span_kind", kKindNames[span.kind]);
  if (config_.status_code) append_label(out, "status_code", kStatusNames[span.status]);
  const ByteView* attribute = notes.dimensions_of(span);
  for (const Dimension& dimension : config_.dimensions) {
    if (attribute->data() != nullptr) {
      std::string text;
      append_attribute_text(text, attribute_value(*attribute));
      append_label(out, dimension.label, text);
    } else if (dimension.otherwise) {
      append_label(out, dimension.label, *dimension.otherwise);
    }
    ++attribute;
  }
  return out;
}

void SpanMetrics::write(Exposition& out, TimePoint now) {
  const MutexLock lock(scrape_mutex_);
  std::vector<std::uint64_t> blocks;
  const std::vector<Row> all = rows(blocks);
  add_parts(all, blocks);
  write_families(all, blocks, out);
  expire(silent(all, blocks, now));
}

// All series there are, with what threads have given back.
std::vector<SpanMetrics::Row> SpanMetrics::rows(std::vector<std::uint64_t>& blocks) {
  const MutexLock lock(names_mutex_);
  std::vector<Row> out;
  out.reserve(names_.size() + 1);
  blocks.assign((names_.size() + 1) * words_, 0);
  for (SeriesId series = 0; series < names_.end(); ++series) {
    const SeriesNames::Series& one = names_.of(series);
    if (series != kOverflowSeries && one.labels.empty()) continue;
    if (!one.given_back.empty()) add_block(one.given_back, {blocks.data() + out.size() * words_, words_});
    out.push_back({series, &one.labels});
  }
  return out;
}

void SpanMetrics::add_parts(const std::vector<Row>& rows, std::vector<std::uint64_t>& blocks) {
  for (const std::unique_ptr<Part>& part : parts_) {
    for (std::size_t from = 0; from < rows.size(); from += kRowsPerLock) {
      const std::size_t to = std::min(rows.size(), from + kRowsPerLock);
      const MutexLock lock(part->mutex);
      for (std::size_t i = from; i < to; ++i) {
        const std::uint64_t* const block = part->counts.block(rows[i].series);
        if (block != nullptr) add_block({block, words_}, {blocks.data() + i * words_, words_});
      }
    }
  }
}

std::uint64_t SpanMetrics::calls_of(const std::uint64_t* block) const {
  std::uint64_t calls = 0;
  for (std::size_t i = 0; i <= config_.bounds_ns.size(); ++i) calls += block[SeriesCounts::kBuckets + i];
  return calls;
}

void SpanMetrics::write_families(const std::vector<Row>& rows, const std::vector<std::uint64_t>& blocks,
                                 Exposition& out) const {
  const bool jaeger = config_.names == SpanMetricNames::kJaeger;
  const std::string prefix = jaeger ? "traces_span_metrics_" : "traces_spanmetrics_";
  const auto each = [&](auto&& write) {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const std::uint64_t* const block = blocks.data() + i * words_;
      if (rows[i].series == kOverflowSeries && calls_of(block) == 0) continue;
      write(rows[i].series == kOverflowSeries ? kOverflowLabels : std::string_view(*rows[i].labels), block);
    }
  };
  out.family(prefix + "calls", MetricType::kCounter, "Spans received.");
  each([&](std::string_view labels, const std::uint64_t* block) { out.counter(labels, calls_of(block)); });
  if (config_.durations) {
    const double unit = config_.milliseconds ? 1e6 : 1e9;
    out.family(prefix + (!jaeger                ? "latency"
                         : config_.milliseconds ? "duration_milliseconds"
                                                : "duration_seconds"),
               MetricType::kHistogram, "Durations of the spans received.");
    std::vector<double> bounds;
    for (const std::uint64_t bound : config_.bounds_ns) bounds.push_back(static_cast<double>(bound) / unit);
    each([&](std::string_view labels, const std::uint64_t* block) {
      const double sum = static_cast<double>(block[SeriesCounts::kSumHigh]) * 0x1p64 +
                         static_cast<double>(block[SeriesCounts::kSumLow]);
      out.histogram(labels, bounds, {block + SeriesCounts::kBuckets, bounds.size() + 1}, sum / unit);
    });
  }
  if (config_.sizes) {
    out.family(prefix + "size", MetricType::kCounter, "OTLP bytes of the spans received.");
    each(
        [&](std::string_view labels, const std::uint64_t* block) { out.counter(labels, block[SeriesCounts::kBytes]); });
  }
}

std::vector<SeriesId> SpanMetrics::silent(const std::vector<Row>& rows, const std::vector<std::uint64_t>& blocks,
                                          TimePoint now) {
  std::vector<SeriesId> out;
  if (config_.series_expiration == Duration::zero()) return out;
  ages_.resize(std::max<std::size_t>(ages_.size(), rows.back().series + 1u));
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].series == kOverflowSeries) continue;
    Age& age = ages_[rows[i].series];
    const std::uint64_t calls = calls_of(blocks.data() + i * words_);
    if (calls != age.calls) {
      age = {calls, now};
    } else if (now - age.changed >= config_.series_expiration) {
      out.push_back(rows[i].series);
    }
  }
  return out;
}

// Each part gives back what it has counted and forgets the way to the series. A span that comes meanwhile finds the
// series by its labels again and makes its part a holder again; then the series stays.
void SpanMetrics::expire(const std::vector<SeriesId>& series) {
  if (series.empty()) return;
  std::vector<bool> gone(series.back() + 1u);
  for (const SeriesId one : series) gone[one] = true;
  gone[kOverflowSeries] = true;  // there will be room for spans that had none
  for (const std::unique_ptr<Part>& part : parts_) {
    const MutexLock lock(part->mutex);
    part->counts.forget(gone);
    const MutexLock names_lock(names_mutex_);
    for (const SeriesId one : series) {
      if (part->held.size() <= one || !part->held[one]) continue;
      part->held[one] = false;
      SeriesNames::Series& of = names_.of(one);
      --of.holders;
      of.given_back.resize(words_);
      std::uint64_t* const block = part->counts.block(one);
      add_block({block, words_}, of.given_back);
      std::fill_n(block, words_, 0);
    }
  }
  const MutexLock lock(names_mutex_);
  for (const SeriesId one : series) {
    const SeriesNames::Series& of = names_.of(one);
    if (of.holders != 0 || calls_of(of.given_back.data()) != ages_[one].calls) continue;
    names_.remove(one);
    ages_[one] = Age();
    ++expired_;
  }
}

SpanMetrics::Stats SpanMetrics::stats() const {
  Stats out;
  for (const std::unique_ptr<Part>& part : parts_) {
    const MutexLock lock(part->mutex);
    if (const std::uint64_t* const block = part->counts.block(kOverflowSeries)) out.overflow_spans += calls_of(block);
  }
  const MutexLock lock(names_mutex_);
  out.series = names_.size();
  out.expired_series = expired_;
  out.id_names = id_names_;
  return out;
}

std::optional<SpanMetrics::IdNames> SpanMetrics::take_id_names() {
  const MutexLock lock(names_mutex_);
  const std::uint64_t fresh = id_names_ - id_names_taken_;
  if (fresh == 0) return std::nullopt;
  id_names_taken_ = id_names_;
  return IdNames{fresh, last_id_name_};
}

}  // namespace tailgate
