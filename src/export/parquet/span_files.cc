// SPDX-License-Identifier: Apache-2.0
#include "export/parquet/span_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <map>
#include <set>
#include <tuple>
#include <unordered_map>
#include <unordered_set>

#include "codec/calendar.h"
#include "codec/field_reader.h"
#include "wire/otlp/repeats.h"
#include "wire/otlp/schema.h"
#include "wire/otlp/span_view.h"

namespace tailgate {
namespace {

constexpr std::uint64_t kHour_ns = 3'600'000'000'000;
// How many decoded resources and scopes are kept: a service sends the same ones again and again.
constexpr std::size_t kViewsMax = 256, kViewsBytesMax = 16 << 20;
constexpr std::size_t kSmall = 1024;
// How many rows are written between two looks at the clock.
constexpr int kLookEvery = 64;
constexpr const char* kStopped = "stopped: the process ends";
// What an item takes in a writer's columns besides its texts: offsets and numbers.
constexpr std::size_t kAttributeColumns = 16, kEventColumns = 32, kLinkColumns = 48;
constexpr std::size_t kRepeatsFree = 16 << 20, kRepeatsPerByte = 8;

// False when the bytes are not a protobuf message.
bool read_times(ByteView span, std::uint64_t& start_ns, std::uint64_t& end_ns) {
  FieldReader r(span);
  while (r.next()) {
    if (r.is_fixed64(otlp::span::kStartTime)) start_ns = r.value;
    if (r.is_fixed64(otlp::span::kEndTime)) end_ns = r.value;
  }
  return r.ok();
}

std::int64_t hour_of(const FileSpan& span) { return static_cast<std::int64_t>(span.start_ns / kHour_ns); }

std::string service_of(ByteView resource) {
  const ResourceView view = read_resource_view(resource);
  const AttributeValue* const name = find_attribute(view.attributes, "service.name");
  return name == nullptr ? "" : std::string(name->bytes);
}

std::size_t column_bytes(const AttributeViews& attributes) { return attributes.size() * kAttributeColumns; }

std::size_t column_bytes(const SpanView& span) {
  std::size_t out =
      column_bytes(span.attributes) + span.events.size() * kEventColumns + span.links.size() * kLinkColumns;
  for (const EventView& event : span.events) out += column_bytes(event.attributes);
  for (const LinkView& link : span.links) out += column_bytes(link.attributes);
  return out;
}

const AttributeViews& attributes_of(const ResourceColumns& resource) { return resource.view.attributes; }
const AttributeViews& attributes_of(const ScopeView& scope) { return scope.attributes; }
const CutItems& cut_of(const ResourceColumns& resource) { return resource.view.cut; }
const CutItems& cut_of(const ScopeView& scope) { return scope.cut; }

// The decoded resources or scopes. Small ones are found by their content. Large ones are found by their address,
// because a look-up by content would read all of the bytes for each span.
template <class View>
class ViewCache {
 public:
  // What is left out of a view is added to `cut` when it is read.
  ViewCache(View (*read)(ByteView), CutItems& cut) : read_(read), cut_(cut) {}

  const View& at(ByteView prefix) {
    if (last_ != nullptr && last_place_ == prefix.data()) return *last_;
    last_place_ = prefix.data();
    last_ = prefix.size() > kSmall ? &find(by_place_, prefix.data(), prefix) : &find(by_content_, prefix, prefix);
    return *last_;
  }

 private:
  template <class Key>
  View& find(std::unordered_map<Key, View>& views, Key key, ByteView prefix) {
    const auto known = views.find(key);
    if (known != views.end()) return known->second;
    if (views.size() >= kViewsMax || bytes_ >= kViewsBytesMax) {
      by_content_.clear();
      by_place_.clear();
      bytes_ = 0;
    }
    View& view = views.emplace(key, read_(prefix)).first->second;
    bytes_ += attributes_of(view).capacity() * sizeof(AttributeView);
    cut_ += cut_of(view);
    return view;
  }

  View (*const read_)(ByteView);
  CutItems& cut_;
  std::size_t bytes_ = 0;
  std::unordered_map<ByteView, View> by_content_;  // whose nodes stay where they are
  std::unordered_map<const char*, View> by_place_;
  const char* last_place_ = nullptr;
  const View* last_ = nullptr;
};

// The hours that get a file of their own, in order.
std::vector<std::int64_t> own_hours(const std::vector<FileSpan>& spans, std::uint64_t now_unix_ns,
                                    const TimeRange& range) {
  const auto now = static_cast<std::int64_t>(now_unix_ns / kHour_ns);
  std::set<std::int64_t> all;
  for (const FileSpan& span : spans) {
    all.insert(range.contains(span.start_ns, now_unix_ns) ? hour_of(span) : now);
  }
  std::vector<std::int64_t> out(all.begin(), all.end());
  if (out.size() <= SpanFiles::kHoursMax) return out;
  std::stable_sort(out.begin(), out.end(), [&](auto a, auto b) { return std::abs(a - now) < std::abs(b - now); });
  out.resize(SpanFiles::kHoursMax - 1);  // and that of now, which may not be among them
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace

SpanFiles::SpanFiles(const Batch& batch, std::uint64_t now_unix_ns, const TimeRange& range) {
  spans_.reserve(batch.spans);
  parsed_.reserve(batch.traces.size());
  for (std::uint32_t i = 0; i < batch.traces.size(); ++i) add(*batch.traces[i], i);

  std::vector<std::uint32_t> rank(services_.size());
  std::uint32_t next = 0;
  for (const auto& [name, number] : services_) rank[number] = next++;
  for (FileSpan& span : spans_) span.service = rank[span.service];

  const std::vector<std::int64_t> hours = own_hours(spans_, now_unix_ns, range);
  const auto now_hour = static_cast<std::int64_t>(now_unix_ns / kHour_ns);
  const auto file_of = [&](const FileSpan& span) {
    const std::int64_t hour = hour_of(span);
    return std::binary_search(hours.begin(), hours.end(), hour) ? hour : now_hour;
  };
  for (const FileSpan& span : spans_) misdated_ += file_of(span) != hour_of(span);
  // What is equal stays in the order of the batch: within a trace that is the order of its bytes. So a sort in place
  // will do.
  std::sort(spans_.begin(), spans_.end(), [&](const FileSpan& a, const FileSpan& b) {
    const std::int64_t hour_a = file_of(a), hour_b = file_of(b);
    const char *const place_a = a.bytes.span.data(), *const place_b = b.bytes.span.data();
    return std::tie(hour_a, a.service, a.start_ns, a.trace, place_a) <
           std::tie(hour_b, b.service, b.start_ns, b.trace, place_b);
  });
  for (auto from = spans_.cbegin(); from != spans_.cend();) {
    const std::int64_t hour = file_of(*from);
    const auto to = std::find_if(from, spans_.cend(), [&](const FileSpan& span) { return file_of(span) != hour; });
    files_.push_back({hour, {from, to}});
    from = to;
  }
}

void SpanFiles::add(const KeptTrace& trace, std::uint32_t number) {
  OtlpSpans& parsed = parsed_.emplace_back();
  if (!read_otlp_spans(trace.otlp, parsed)) {
    parsed = {};
    unreadable_.push_back({number, trace.spans, "not to be read as OTLP"});
    return;
  }
  const char* resource = nullptr;
  std::uint32_t service = 0;
  std::uint64_t bad = 0;
  for (const FrameSpan& span : parsed.spans) {
    if (resource != span.resource.data()) {
      resource = span.resource.data();
      service =
          services_.try_emplace(service_of(span.resource), static_cast<std::uint32_t>(services_.size())).first->second;
    }
    FileSpan out{span, 0, service, number};
    std::uint64_t end_ns = 0;
    if (!read_times(span.span, out.start_ns, end_ns)) {
      ++bad;
      continue;
    }
    if (out.start_ns == 0) out.start_ns = end_ns;
    spans_.push_back(out);
  }
  if (bad != 0) unreadable_.push_back({number, bad, "a span is not to be read as OTLP"});
  parsed.spans.clear();
  parsed.spans.shrink_to_fit();
}

std::string hour_folder(std::int64_t hour) {
  const UtcTime t = utc_time(hour * 3600);
  return fmt::format("dt={:04}-{:02}-{:02}/hour={:02}/", t.year, t.month, t.day, t.hour);
}

Result<FilePieces> write_span_file(SpanTableWriter& table, const Batch& batch, const HourFile& file,
                                   const RowGroupLimits& limits, CutItems& cut, const std::function<bool()>& stop) {
  ViewCache<ResourceColumns> resources(ResourceColumns::of, cut);
  ViewCache<ScopeView> scopes(read_scope_view, cut);
  Repeats repeats(kRepeatsFree + kRepeatsPerByte * batch.bytes);
  std::int64_t rows = 0;
  std::size_t bytes = 0, columns = 0;  // of OTLP; of the writer's columns
  int look = 0;
  const FileSpan* last = nullptr;
  SpanView span;
  for (const FileSpan& one : file.spans) {
    const bool other = last != nullptr && last->service != one.service;
    if (rows >= limits.rows || bytes >= limits.bytes || bytes + columns >= limits.column_bytes ||
        (other && (rows >= limits.rows / 4 || bytes >= limits.bytes / 4))) {
      if (Result<void> ended = table.end_row_group(); !ended) return tl::unexpected(std::move(ended.error()));
      rows = 0;
      bytes = 0;
      columns = 0;
      look = 0;
    }
    if (look-- == 0) {
      if (stop()) return fail(ErrorKind::kUnavailable, kStopped);
      look = kLookEvery;
    }
    last = &one;
    read_span_view(one.bytes.span, span);  // that it can be read is known
    cut += span.cut;
    const KeptTrace& trace = *batch.traces[one.trace];
    SpanRow row;
    row.span = &span;
    row.resource = &resources.at(one.bytes.resource);
    row.scope = &scopes.at(one.bytes.scope);
    row.resource_elsewhere = !repeats.may_write(one.bytes.resource);
    row.scope_elsewhere = !repeats.may_write(one.bytes.scope);
    row.policy = trace.policy;
    row.by_chance = trace.verdict.by_chance();
    row.late = trace.late;
    table.add(row);
    ++rows;
    bytes += one.bytes.size();
    columns += column_bytes(span);
    if (!row.resource_elsewhere) {
      bytes += one.bytes.resource.size();
      columns += column_bytes(row.resource->view.attributes);
    }
    if (!row.scope_elsewhere) {
      bytes += one.bytes.scope.size();
      columns += column_bytes(row.scope->attributes);
    }
  }
  if (stop()) return fail(ErrorKind::kUnavailable, kStopped);
  return table.finish();
}

}  // namespace tailgate
