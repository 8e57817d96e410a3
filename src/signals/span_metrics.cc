// SPDX-License-Identifier: Apache-2.0
#include "signals/span_metrics.h"

#include <algorithm>
#include <array>

#include "base/hash.h"
#include "codec/utf8.h"
#include "signals/names.h"
#include "wire/otlp/attribute_text.h"
#include "wire/otlp/attribute_value.h"
#include "wire/otlp/scan.h"

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

// Unknown spans that are looked up at a time; fewer, when their labels take so many bytes. What these are reserved with
// has room for the last set of labels, which are at most 18 of 2 KiB, and for how strings grow.
constexpr std::size_t kWantedSpans = 64, kWantedBytes = 64 << 10, kWantedBytesMax = 4 * kWantedBytes;

// Of one kept trace.
constexpr std::size_t kExemplarSpansMax = 200;

constexpr std::size_t kSum = 0, kBytes = 2, kBuckets = 3;  // words of a block

constexpr std::string_view service_label(SpanMetricNames family) {
  return family == SpanMetricNames::kJaeger ? "service_name" : "service";
}

// As much as a label holds, before rules run on it.
ByteView start_of_name(const SpanNote& span) {
  return start_of_text(ByteView(span.name, span.name_size), kLabelValueMax);
}

// The label of a dimension whose attribute this is; data() is null where there is none.
void append_dimension(std::string& out, const Dimension& dimension, ByteView attribute) {
  if (attribute.data() == nullptr) {
    if (dimension.otherwise) append_label(out, dimension.label, *dimension.otherwise);
    return;
  }
  const AttributeValue value = attribute_value(attribute);
  std::string text;
  const bool is_text = value.kind == AttributeValue::Kind::kString;
  if (!is_text) append_attribute_text(text, value);
  const ByteView words = is_text ? value.bytes : ByteView(text);
  if (!words.empty()) append_label(out, dimension.label, words);  // to Prometheus an empty label is none
}

}  // namespace

BlockShape SpanMetrics::shape_of(const SpanMetricsConfig& config) {
  return {.sums = 1, .counts = 1 + config.bounds_ns.size() + 1};
}

std::size_t SpanMetricsConfig::bytes_max(std::size_t parts) const {
  return SeriesTable::bytes_max({.series_max = series_max, .shape = SpanMetrics::shape_of(*this), .parts = parts}) +
         parts * kWantedBytesMax + Exemplars::bytes_max(exemplars);
}

SpanMetrics::SpanMetrics(SpanMetricsConfig config, std::size_t parts, std::uint64_t seed)
    : config_(std::move(config)),
      seed_(seed),
      table_({.series_max = config_.series_max, .shape = shape_of(config_), .parts = parts, .life = config_.life}),
      exemplars_(config_.exemplars) {
  kept_plan_.attribute_slot("service.name", Attributes::kOfResources);
  for (const Dimension& dimension : config_.dimensions) kept_plan_.attribute_slot(dimension.attribute);
}

void SpanMetrics::begin(SpanNotes& notes, std::size_t part, const ScanPlan& plan) {
  notes.begin(config_, plan, seed_, &table_.part(part).counts);
}

void SpanMetrics::add(SeriesTable::Part& part, SeriesId series, const SpanNote& span) {
  std::uint64_t* const block = part.counts.block(series);
  add_sum(block + kSum, span.duration_ns);
  block[kBytes] += span.bytes;
  ++block[kBuckets + bucket_of(config_.bounds_ns, span.duration_ns)];
}

void SpanMetrics::count(SpanNotes& notes, std::size_t part_index) {
  thread_local std::vector<std::uint32_t> unknown;
  unknown.clear();
  SeriesTable::Part& part = table_.part(part_index);
  const MutexLock lock(part.mutex);
  const std::vector<SpanNote>& spans = notes.spans();
  for (std::size_t i = 0; i < spans.size(); ++i) {
    const SeriesId series = part.counts.find(spans[i].hash);
    if (series == SeriesCounts::kUnknown) {
      unknown.push_back(static_cast<std::uint32_t>(i));
    } else {
      add(part, series, spans[i]);
    }
  }
  if (!unknown.empty()) count_unknown(notes, part, unknown);
}

void SpanMetrics::count_unknown(SpanNotes& notes, SeriesTable::Part& part, const std::vector<std::uint32_t>& spans) {
  std::vector<SeriesTable::Wanted> wanted;
  for (std::size_t done = 0; done < spans.size(); done += wanted.size()) {
    wanted.clear();
    std::size_t bytes = 0;
    while (done + wanted.size() < spans.size() && wanted.size() < kWantedSpans && bytes < kWantedBytes) {
      const SpanNote& span = notes.spans()[spans[done + wanted.size()]];
      wanted.push_back({span.hash, labels_of(notes, span)});
      bytes += wanted.back().labels.size();
    }
    table_.resolve(part, wanted);
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      const SpanNote& span = notes.spans()[spans[done + i]];
      add(part, wanted[i].series, span);
      if (wanted[i].fresh && config_.span_name) note_id_name(span);
    }
  }
}

void SpanMetrics::note_id_name(const SpanNote& span) {
  std::string name = apply_rules(config_.name_rules, start_of_name(span));
  if (!looks_like_id(name)) return;
  const MutexLock lock(id_mutex_);
  ++id_names_;
  last_id_name_ = std::move(name);
}

const ResourceLabels& SpanMetrics::resource_labels_of(SpanNotes& notes, const SpanNote& span) const {
  const ResourceNote& resource = notes.resource_of(span);
  ResourceLabels& out = notes.labels;
  if (out.number == resource.number) return out;
  out.number = resource.number;
  out.service.clear();
  if (config_.service) append_label(out.service, service_label(config_.names.front()), resource.service);
  out.dimensions.assign(config_.dimensions.size(), "");
  for (std::size_t i = 0; i < config_.dimensions.size(); ++i)
    append_dimension(out.dimensions[i], config_.dimensions[i], notes.resource_dimensions_of(span)[i]);
  return out;
}

std::string SpanMetrics::labels_of(SpanNotes& notes, const SpanNote& span) const {
  const ResourceLabels& of_resource = resource_labels_of(notes, span);
  std::string out = of_resource.service;
  const ByteView name = start_of_name(span);
  if (config_.span_name) {
    append_label(out, "span_name", config_.name_rules.empty() ? name : apply_rules(config_.name_rules, name));
  }
  if (config_.span_kind) append_label(out, "span_kind", kKindNames[span.kind]);
  if (config_.status_code) append_label(out, "status_code", kStatusNames[span.status]);
  for (std::size_t i = 0; i < config_.dimensions.size(); ++i) {
    const ByteView own = notes.dimensions_of(span)[i];
    if (own.data() != nullptr) {
      append_dimension(out, config_.dimensions[i], own);
    } else {
      append_labels(out, of_resource.dimensions[i]);
    }
  }
  return out;
}

void SpanMetrics::kept(const KeptTrace& trace, TimePoint now, std::uint64_t unix_ns) {
  if (!config_.exemplars.enabled || trace.own || trace.exporters == 0 || !exemplars_.wants(now)) return;
  // The same notes as are taken when spans come, so that an exemplar is found under its series' labels.
  struct Watcher final : SpanWatcher {
    void on_resource(const ByteView* attributes) override { notes.on_resource(attributes); }
    void on_span(const SpanFields& span, std::uint64_t /*trace_hash*/) override {
      notes.on_span(span);
      ids.push_back(load_le<std::uint64_t>(span.span_id.data()));
    }
    SpanNotes notes;
    std::vector<std::uint64_t> ids;
  } watcher;
  SpanBatch batch;
  watcher.notes.begin(config_, kept_plan_, seed_, nullptr);
  scan_request(
      trace.otlp, kept_plan_, batch, [](SpanBatch&) { return false; }, &watcher);
  const std::vector<SpanNote>& spans = watcher.notes.spans();
  for (std::size_t i = 0; i < std::min(spans.size(), kExemplarSpansMax); ++i) {
    const std::string labels = labels_of(watcher.notes, spans[i]);
    if (!table_.has(labels)) continue;  // it was one too many; no line would show it
    exemplars_.put(hash_bytes(labels, seed_), bucket_of(config_.bounds_ns, spans[i].duration_ns),
                   {trace.id, watcher.ids[i], spans[i].duration_ns, unix_ns, now});
  }
}

struct SpanMetrics::Page {
  std::span<const SeriesTable::Row> rows;
  Exemplars::BySeries exemplars;
};

void SpanMetrics::write(Exposition& out, TimePoint now) {
  const SeriesTable::Snapshot all = table_.page(now, [](std::span<const SeriesTable::Row>) {});
  Page page{all.rows, {}};
  if (calls_of(page.rows[0].block) == 0) page.rows = page.rows.subspan(1);  // nothing had no room
  if (config_.exemplars.enabled && out.open_metrics()) page.exemplars = exemplars_.all(now);
  for (const SpanMetricNames family : config_.names) write_family(family, page, out);
}

std::uint64_t SpanMetrics::calls_of(const std::uint64_t* block) const {
  std::uint64_t calls = 0;
  for (std::size_t i = 0; i <= config_.bounds_ns.size(); ++i) calls += block[kBuckets + i];
  return calls;
}

// A series has its labels as the first family has them; the service, where there is one, comes first.
std::string_view SpanMetrics::labels_in(SpanMetricNames family, const SeriesTable::Row& row,
                                        std::string& scratch) const {
  if (row.series == kOverflowSeries) return kOverflowLabels;
  if (!config_.service || family == config_.names.front()) return row.labels;
  scratch = service_label(family);
  scratch += std::string_view(row.labels).substr(service_label(config_.names.front()).size());
  return scratch;
}

void SpanMetrics::write_family(SpanMetricNames family, const Page& page, Exposition& out) const {
  const bool jaeger = family == SpanMetricNames::kJaeger;
  const std::string prefix = jaeger ? "traces_span_metrics_" : "traces_spanmetrics_";
  std::string scratch;
  out.family(prefix + "calls", MetricType::kCounter, "Spans received.");
  for (const SeriesTable::Row& row : page.rows) out.counter(labels_in(family, row, scratch), calls_of(row.shown));
  if (config_.durations) {
    out.family(prefix + (!jaeger                ? "latency"
                         : config_.milliseconds ? "duration_milliseconds"
                                                : "duration_seconds"),
               MetricType::kHistogram, "Durations of the spans received.");
    write_durations(family, page, out);
  }
  if (config_.sizes) {
    out.family(prefix + "size", MetricType::kCounter, "OTLP bytes of the spans received.");
    for (const SeriesTable::Row& row : page.rows) out.counter(labels_in(family, row, scratch), row.shown[kBytes]);
  }
}

void SpanMetrics::write_durations(SpanMetricNames family, const Page& page, Exposition& out) const {
  const double unit_ns = family == SpanMetricNames::kJaeger && config_.milliseconds ? 1e6 : 1e9;
  std::vector<double> bounds;
  for (const std::uint64_t bound : config_.bounds_ns) bounds.push_back(static_cast<double>(bound) / unit_ns);
  std::string scratch;
  for (const SeriesTable::Row& row : page.rows) {
    std::map<std::size_t, std::string> texts;
    const bool counts = row.series != kOverflowSeries && row.shown == row.block;
    const auto found = counts ? page.exemplars.find(hash_bytes(row.labels, seed_)) : page.exemplars.end();
    if (found != page.exemplars.end()) {
      for (const auto& [bucket, one] : found->second) texts.emplace(bucket, one.text(unit_ns));
    }
    out.histogram(labels_in(family, row, scratch), bounds, {row.shown + kBuckets, bounds.size() + 1},
                  sum_of(row.shown + kSum) / unit_ns, &texts);
  }
}

SpanMetrics::Stats SpanMetrics::stats() const {
  const SeriesTable::Stats table = table_.stats();
  Stats out;
  out.series = table.series;
  out.expired_series = table.expired;
  out.overflow_spans = table_.overflow(kBuckets, config_.bounds_ns.size() + 1);
  out.exemplars = exemplars_.stats();
  const MutexLock lock(id_mutex_);
  out.id_names = id_names_;
  return out;
}

std::optional<SpanMetrics::IdNames> SpanMetrics::take_id_names() {
  const MutexLock lock(id_mutex_);
  const std::uint64_t fresh = id_names_ - id_names_taken_;
  if (fresh == 0) return std::nullopt;
  id_names_taken_ = id_names_;
  return IdNames{fresh, last_id_name_};
}

}  // namespace tailgate
