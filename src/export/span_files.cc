#include "export/span_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <map>
#include <set>
#include <tuple>
#include <unordered_map>
#include <unordered_set>

#include "wire/field_reader.h"
#include "wire/otlp_span_view.h"

namespace tailgate {
namespace {

constexpr std::uint64_t kHour_ns = 3'600'000'000'000;
// Decoded resources and scopes that are kept at hand; a service sends the same ones again and again.
constexpr std::size_t kViewsMax = 256;
constexpr std::size_t kSmall = 1024;
constexpr std::size_t kRepeatsFree = 16 << 20, kRepeatsPerByte = 8;

// False when it is no message of protobuf.
bool read_times(ByteView span, std::uint64_t& start_ns, std::uint64_t& end_ns) {
  FieldReader r(span);
  while (r.next()) {
    if (r.type != WireType::kFixed64) continue;
    if (r.number == 7) start_ns = r.value;
    if (r.number == 8) end_ns = r.value;
  }
  return r.ok();
}

std::int64_t hour_of(const FileSpan& span) { return static_cast<std::int64_t>(span.start_ns / kHour_ns); }

std::string service_of(ByteView resource) {
  const ResourceView view = read_resource_view(resource);
  const AttributeValue* const name = find_attribute(view.attributes, "service.name");
  return name == nullptr ? "" : std::string(name->bytes);
}

// What was read of resources or scopes. Small ones are found by their content, large ones by their place, since it
// would be read through for each span.
template <class View>
class ViewCache {
 public:
  explicit ViewCache(View (*read)(ByteView)) : read_(read) {}

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
    if (views.size() >= kViewsMax) views.clear();
    return views.emplace(key, read_(prefix)).first->second;
  }

  View (*const read_)(ByteView);
  std::unordered_map<ByteView, View> by_content_;  // whose nodes stay where they are
  std::unordered_map<const char*, View> by_place_;
  const char* last_place_ = nullptr;
  const View* last_ = nullptr;
};

// What of a file is said again for each span.
class Repeats {
 public:
  explicit Repeats(std::size_t room) : room_(room) {}

  // True: say it; false: it has been said, and there is no room to say it again.
  bool say(ByteView prefix) {
    if (prefix.size() <= kSmall || said_.insert(prefix.data()).second) return true;
    if (prefix.size() > room_) return false;
    room_ -= prefix.size();
    return true;
  }

 private:
  std::size_t room_;
  std::unordered_set<const char*> said_;
};

// The hours that get a file of their own, in order.
std::vector<std::int64_t> own_hours(const std::vector<FileSpan>& spans, std::int64_t now) {
  std::set<std::int64_t> all;
  for (const FileSpan& span : spans) all.insert(hour_of(span));
  std::vector<std::int64_t> out(all.begin(), all.end());
  if (out.size() <= SpanFiles::kHoursMax) return out;
  std::stable_sort(out.begin(), out.end(), [&](auto a, auto b) { return std::abs(a - now) < std::abs(b - now); });
  out.resize(SpanFiles::kHoursMax - 1);  // and one for the rest
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace

SpanFiles::SpanFiles(const Batch& batch, std::uint64_t now_unix_ns) {
  std::vector<FileSpan> all;
  all.reserve(batch.spans);
  parsed_.reserve(batch.traces.size());
  for (std::uint32_t i = 0; i < batch.traces.size(); ++i) add(*batch.traces[i], i, all);

  std::vector<std::uint32_t> rank(services_.size());
  std::uint32_t next = 0;
  for (const auto& [name, number] : services_) rank[number] = next++;
  for (FileSpan& span : all) span.service = rank[span.service];

  const std::vector<std::int64_t> hours = own_hours(all, static_cast<std::int64_t>(now_unix_ns / kHour_ns));
  std::map<std::int64_t, std::vector<FileSpan>> by_hour;
  for (FileSpan& span : all) {
    const std::int64_t hour = hour_of(span);
    by_hour[std::binary_search(hours.begin(), hours.end(), hour) ? hour : 0].push_back(span);
  }
  for (auto& [hour, spans] : by_hour) {
    // What is equal stays in the order of the batch.
    std::stable_sort(spans.begin(), spans.end(), [](const FileSpan& a, const FileSpan& b) {
      return std::tie(a.service, a.start_ns) < std::tie(b.service, b.start_ns);
    });
    files_.push_back({hour, std::move(spans)});
  }
}

void SpanFiles::add(const KeptTrace& trace, std::uint32_t number, std::vector<FileSpan>& all) {
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
    all.push_back(out);
  }
  if (bad != 0) unreadable_.push_back({number, bad, "a span is not to be read as OTLP"});
  parsed.spans.clear();
  parsed.spans.shrink_to_fit();
}

std::string hour_folder(std::int64_t hour) {
  const std::chrono::sys_days day(std::chrono::days(hour / 24));
  const std::chrono::year_month_day date(day);
  return fmt::format("dt={:04}-{:02}-{:02}/hour={:02}/", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), hour % 24);
}

Result<std::string> write_span_file(SpanTableWriter& table, const Batch& batch, const HourFile& file,
                                    const RowGroupLimits& limits) {
  ViewCache<ResourceColumns> resources(ResourceColumns::of);
  ViewCache<ScopeView> scopes(read_scope_view);
  Repeats repeats(kRepeatsFree + kRepeatsPerByte * batch.bytes);
  std::int64_t rows = 0;
  std::size_t bytes = 0;
  const FileSpan* last = nullptr;
  for (const FileSpan& one : file.spans) {
    const bool other = last != nullptr && last->service != one.service;
    if (rows >= limits.rows || bytes >= limits.bytes ||
        (other && (rows >= limits.rows / 4 || bytes >= limits.bytes / 4))) {
      if (Result<void> ended = table.end_row_group(); !ended) return tl::unexpected(std::move(ended.error()));
      rows = 0;
      bytes = 0;
    }
    last = &one;
    SpanView span;
    read_span_view(one.bytes.span, span);  // that it can be read is known
    const KeptTrace& trace = *batch.traces[one.trace];
    SpanRow row;
    row.span = &span;
    row.resource = &resources.at(one.bytes.resource);
    row.scope = &scopes.at(one.bytes.scope);
    row.resource_elsewhere = !repeats.say(one.bytes.resource);
    row.scope_elsewhere = !repeats.say(one.bytes.scope);
    row.policy = trace.policy;
    row.by_chance = trace.verdict.by_chance();
    row.late = trace.late;
    table.add(row);
    ++rows;
    bytes += one.bytes.size() + (row.resource_elsewhere ? 0 : one.bytes.resource.size()) +
             (row.scope_elsewhere ? 0 : one.bytes.scope.size());
  }
  return table.finish();
}

}  // namespace tailgate
