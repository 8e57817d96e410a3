// SPDX-License-Identifier: Apache-2.0
// Converters of times and durations. A time has a zone, which Hour and similar converters use. The times of spans are
// in UTC; those from Now and Unix are in the daemon's zone.
#include <algorithm>

#include "base/units.h"
#include "decide/condition/convert/converters.h"
#include "decide/condition/convert/layout.h"

namespace tailgate::condition {
namespace {

bool duration(Evaluation& e, const Arguments& a, Value& out) {
  const std::optional<Duration> d = parse_duration(a[0].text);
  if (!d) return e.fail("expected a duration such as \"300ms\", \"2s\" or \"1h30m\"");
  out = Value::of_duration(std::chrono::nanoseconds(*d).count());
  return true;
}

template <std::int64_t unit>
bool whole_units(Evaluation&, const Arguments& a, Value& out) {
  out = Value::of_int(a[0].integer / unit);
  return true;
}

// As Go's Duration.Seconds: whole units and the rest apart, which keeps digits.
template <std::int64_t unit>
bool units(Evaluation&, const Arguments& a, Value& out) {
  const std::int64_t whole = a[0].integer / unit, rest = a[0].integer % unit;
  out = Value::of_double(static_cast<double>(whole) + static_cast<double>(rest) / static_cast<double>(unit));
  return true;
}

template <std::int64_t unit>
bool unix_units(Evaluation&, const Arguments& a, Value& out) {
  const std::int64_t ns = a[0].integer;
  out = Value::of_int(ns / unit - (ns % unit < 0 ? 1 : 0));
  return true;
}

bool now(Evaluation& e, const Arguments&, Value& out) {
  const SpanContext* const context = e.in.span.context;
  const auto ns = static_cast<std::int64_t>(context == nullptr ? 0 : context->now_unix_ns);
  out = Value::of_time(ns, local_zone(ns));
  return true;
}

bool unix_time(Evaluation& e, const Arguments& a, Value& out) {
  std::int64_t ns = 0;
  if (__builtin_mul_overflow(a[0].integer, 1'000'000'000, &ns) ||
      __builtin_add_overflow(ns, a.has(1) ? a[1].integer : 0, &ns)) {
    return e.fail("expected a time between 1678 and 2262");
  }
  out = Value::of_time(ns, local_zone(ns));
  return true;
}

template <class Part>
bool part(const Arguments& a, Value& out, Part part_of) {
  out = Value::of_int(part_of(civil_time(a[0].integer, a[0].zone)));
  return true;
}
bool year(Evaluation&, const Arguments& a, Value& out) {
  return part(a, out, [](const CivilTime& t) { return t.year; });
}
bool month(Evaluation&, const Arguments& a, Value& out) {
  return part(a, out, [](const CivilTime& t) { return t.month; });
}
bool day(Evaluation&, const Arguments& a, Value& out) {
  return part(a, out, [](const CivilTime& t) { return t.day; });
}
bool hour(Evaluation&, const Arguments& a, Value& out) {
  return part(a, out, [](const CivilTime& t) { return t.hour; });
}
bool minute(Evaluation&, const Arguments& a, Value& out) {
  return part(a, out, [](const CivilTime& t) { return t.minute; });
}
bool second(Evaluation&, const Arguments& a, Value& out) {
  return part(a, out, [](const CivilTime& t) { return t.second; });
}
bool nano(Evaluation&, const Arguments& a, Value& out) {
  return part(a, out, [](const CivilTime& t) { return t.nanosecond; });
}
bool weekday(Evaluation&, const Arguments& a, Value& out) {
  return part(a, out, [](const CivilTime& t) { return t.weekday; });
}

class Layout final : public Prepared {
 public:
  explicit Layout(std::string layout) : text(std::move(layout)) {}
  std::string text;
};

tl::expected<std::unique_ptr<const Prepared>, PrepareError> prepare_time(std::span<const Value* const> constants) {
  if (constants[1] == nullptr) return tl::unexpected(PrepareError{1, "expected the format as a string in quotes"});
  if (constants[1]->text.empty())
    return tl::unexpected(PrepareError{1, "expected a format such as \"%Y-%m-%d %H:%M:%S\""});
  Result<std::string> layout = layout_of_time_format(constants[1]->text);
  if (!layout) return tl::unexpected(PrepareError{1, layout.error().text});
  if (constants[2] != nullptr && !is_time_zone(constants[2]->text)) {
    return tl::unexpected(PrepareError{2, "expected a time zone such as \"America/New_York\""});
  }
  if (constants[3] != nullptr && constants[3]->text != "en" && !constants[3]->text.starts_with("en-") &&
      !constants[3]->text.empty()) {
    return tl::unexpected(PrepareError{3, "expected \"en\": names of months and days are read in English alone"});
  }
  return std::make_unique<Layout>(std::move(*layout));
}

bool time_of_text(Evaluation& e, const Arguments& a, Value& out) {
  const std::string& layout = static_cast<const Layout*>(a.prepared)->text;
  // The Collector takes a format that ends in Z for one in UTC.
  const std::string_view location = a.has(2) && !a[2].text.empty() ? a[2].text : a[1].text.ends_with('Z') ? "UTC" : "";
  const std::uint64_t now_ns = e.in.span.context == nullptr ? 0 : e.in.span.context->now_unix_ns;
  const std::optional<ParsedTime> parsed = parse_time(layout, a[0].text, location, now_ns);
  if (!parsed) return e.fail("the text is no time of that format");
  out = Value::of_time(parsed->unix_ns, parsed->zone);
  return true;
}

constexpr std::int64_t kMicro = 1000, kMilli = 1'000'000, kSecond = 1'000'000'000;

constexpr std::array kTimeConverters = {
    Converter{"Duration", {{{"duration", Want::kString}}}, duration},
    Converter{"Nanoseconds", {{{"duration", Want::kDuration}}}, whole_units<1>},
    Converter{"Microseconds", {{{"duration", Want::kDuration}}}, whole_units<kMicro>},
    Converter{"Milliseconds", {{{"duration", Want::kDuration}}}, whole_units<kMilli>},
    Converter{"Seconds", {{{"duration", Want::kDuration}}}, units<kSecond>},
    Converter{"Minutes", {{{"duration", Want::kDuration}}}, units<60 * kSecond>},
    Converter{"Hours", {{{"duration", Want::kDuration}}}, units<3600 * kSecond>},
    Converter{"Time",
              {{{"time", Want::kString},
                {"format", Want::kString},
                {"location", Want::kString, true},
                {"locale", Want::kString, true}}},
              time_of_text,
              prepare_time,
              false},
    Converter{"Now", {}, now, nullptr, false},
    Converter{"Unix", {{{"seconds", Want::kInt}, {"nanoseconds", Want::kInt, true}}}, unix_time},
    Converter{"UnixNano", {{{"time", Want::kTime}}}, unix_units<1>},
    Converter{"UnixMicro", {{{"time", Want::kTime}}}, unix_units<kMicro>},
    Converter{"UnixMilli", {{{"time", Want::kTime}}}, unix_units<kMilli>},
    Converter{"UnixSeconds", {{{"time", Want::kTime}}}, unix_units<kSecond>},
    Converter{"Year", {{{"time", Want::kTime}}}, year},
    Converter{"Month", {{{"time", Want::kTime}}}, month},
    Converter{"Day", {{{"time", Want::kTime}}}, day},
    Converter{"Weekday", {{{"time", Want::kTime}}}, weekday},
    Converter{"Hour", {{{"time", Want::kTime}}}, hour},
    Converter{"Minute", {{{"time", Want::kTime}}}, minute},
    Converter{"Second", {{{"time", Want::kTime}}}, second},
    Converter{"Nanosecond", {{{"time", Want::kTime}}}, nano},
};

}  // namespace

std::span<const Converter> time_converters() { return kTimeConverters; }

}  // namespace tailgate::condition
