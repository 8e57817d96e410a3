#include "export/span_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <map>
#include <set>
#include <tuple>
#include <unordered_map>

#include "wire/field_reader.h"
#include "wire/otlp_span_view.h"

namespace tailgate {
namespace {

constexpr std::uint64_t kHour_ns = 3'600'000'000'000;
// Decoded resources and scopes that are kept at hand; a service sends the same ones again and again.
constexpr std::size_t kViewsMax = 256;

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

template <class View>
class ViewCache {
 public:
  explicit ViewCache(View (*read)(ByteView)) : read_(read) {}

  const View& at(ByteView prefix) {
    if (last_ != nullptr && last_bytes_.data() == prefix.data() && last_bytes_.size() == prefix.size()) return *last_;
    if (views_.size() >= kViewsMax && !views_.contains(prefix)) views_.clear();
    last_bytes_ = prefix;
    const auto [it, fresh] = views_.try_emplace(prefix);
    if (fresh) it->second = read_(prefix);
    last_ = &it->second;
    return *last_;
  }

 private:
  View (*const read_)(ByteView);
  std::unordered_map<ByteView, View> views_;  // whose nodes stay where they are
  ByteView last_bytes_;
  const View* last_ = nullptr;
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
  ViewCache<ResourceView> resources(read_resource_view);
  ViewCache<ScopeView> scopes(read_scope_view);
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
    table.add({&span, &resources.at(one.bytes.resource), &scopes.at(one.bytes.scope), trace.policy,
               trace.verdict.by_chance(), trace.late});
    ++rows;
    bytes += one.bytes.size() + one.bytes.resource.size() + one.bytes.scope.size();
  }
  return table.finish();
}

}  // namespace tailgate
