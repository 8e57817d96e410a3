// SPDX-License-Identifier: Apache-2.0
// Generated spans in any order over many requests and parts, against a count of the same spans that decodes each of
// them and keeps a map. Every line of the page must be equal.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <map>

#include "support/otlp_builder.h"
#include "support/random_otlp.h"
#include "support/span_metrics_fixture.h"

using namespace tailgate;
using namespace tailgate::test;

namespace {

constexpr const char* kConfig =
    "{names: jaeger, sizes: true, series_max: 1000000, dimensions: [route, {name: zone, default: nowhere}], "
    "histogram: {explicit: {buckets: [1ms, 5ms, 20ms, 1s]}}}";
constexpr std::array<std::uint64_t, 4> kSpanBoundsMs = {1, 5, 20, 1000};

struct Count {
  std::uint64_t calls = 0, bytes = 0, ns = 0;
  std::array<std::uint64_t, 5> up_to{};  // as `le`
};

std::string value_of(const twin::AnyValue& value) {
  if (value.has_int_value()) return std::to_string(value.int_value());
  if (value.has_bool_value()) return value.bool_value() ? "true" : "false";
  return value.string_value();
}

const twin::AnyValue* find(const google::protobuf::RepeatedPtrField<twin::KeyValue>& attributes, const char* key) {
  for (const auto& one : attributes) {
    if (one.key() == key) return &one.value();
  }
  return nullptr;
}

class OfflineCount {
 public:
  void add(const std::string& request) {
    twin::TracesData data;
    REQUIRE(data.ParseFromString(request));
    for (const auto& rs : data.resource_spans()) {
      for (const auto& ss : rs.scope_spans()) {
        for (const auto& span : ss.spans()) add(rs.resource(), span);
      }
    }
  }

  std::vector<std::string> lines() const {
    const std::string name = "traces_span_metrics_";
    std::vector<std::string> out;
    const auto line = [&](const std::string& of, const std::string& labels, const std::string& value) {
      out.push_back(name + of + "{" + labels + "} " + value);
    };
    for (const auto& [labels, count] : counts_) {
      line("calls_total", labels, std::to_string(count.calls));
      line("size_total", labels, std::to_string(count.bytes));
      for (std::size_t b = 0; b < 5; ++b) {
        const std::string le = b < 4 ? std::to_string(kSpanBoundsMs[b]) : "+Inf";
        line("duration_milliseconds_bucket", labels + ",le=\"" + le + "\"", std::to_string(count.up_to[b]));
      }
      line("duration_milliseconds_count", labels, std::to_string(count.calls));
      line("duration_milliseconds_sum", labels, number_text(static_cast<double>(count.ns) / 1e6, false));
    }
    std::sort(out.begin(), out.end());
    return out;
  }

 private:
  void add(const twin::Resource& resource, const twin::Span& span) {
    static const char* const kKinds[] = {"UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"};
    static const char* const kStatus[] = {"UNSET", "OK", "ERROR"};
    const twin::AnyValue* const service = find(resource.attributes(), "service.name");
    std::string labels = "service_name=\"" + (service ? service->string_value() : "") + "\",span_name=\"" +
                         span.name() + "\",span_kind=\"SPAN_KIND_" + kKinds[span.kind()] +
                         "\",status_code=\"STATUS_CODE_" + kStatus[span.status().code()] + "\"";
    for (const char* key : {"route", "zone"}) {
      const twin::AnyValue* value = find(span.attributes(), key);
      if (value == nullptr) value = find(resource.attributes(), key);
      if (value != nullptr) labels += std::string(",") + key + "=\"" + value_of(*value) + "\"";
      if (value == nullptr && key == std::string("zone")) labels += ",zone=\"nowhere\"";
    }
    Count& count = counts_[labels];
    const std::uint64_t start = span.start_time_unix_nano(), end = span.end_time_unix_nano();
    const std::uint64_t ns = end > start ? end - start : 0;
    ++count.calls;
    count.bytes += span.ByteSizeLong();
    count.ns += ns;
    for (std::size_t b = 0; b < 5; ++b) count.up_to[b] += b == 4 || ns <= kSpanBoundsMs[b] * 1'000'000;
  }

  std::map<std::string, Count> counts_;
};

class RandomSpans {
 public:
  explicit RandomSpans(std::uint64_t seed) : r_(seed) {}

  std::string request(std::size_t spans) {
    twin::TracesData data;
    while (spans != 0) {
      auto* rs = data.add_resource_spans();
      if (!r_.one_in(20)) put(*rs->mutable_resource()->mutable_attributes(), "service.name", service());
      if (r_.one_in(3)) put_any(*rs->mutable_resource()->mutable_attributes(), "zone");
      for (std::uint64_t scopes = 1 + r_.below(2); scopes != 0; --scopes) {
        auto* ss = rs->add_scope_spans();
        for (std::uint64_t n = std::min<std::uint64_t>(spans, 1 + r_.below(20)); n != 0; --n, --spans)
          fill(*ss->add_spans());
      }
    }
    return data.SerializeAsString();
  }

 private:
  using Attributes = google::protobuf::RepeatedPtrField<twin::KeyValue>;

  std::string service() { return "service-" + std::to_string(r_.below(7)); }
  static void put(Attributes& to, const char* key, const std::string& value) {
    auto* one = to.Add();
    one->set_key(key);
    one->mutable_value()->set_string_value(value);
  }
  void put_any(Attributes& to, const char* key) {
    auto* one = to.Add();
    one->set_key(key);
    switch (r_.below(3)) {
      case 0:
        one->mutable_value()->set_int_value(static_cast<std::int64_t>(r_.below(3)) - 1);
        break;
      case 1:
        one->mutable_value()->set_bool_value(r_.one_in(2));
        break;
      default:
        one->mutable_value()->set_string_value(std::to_string(r_.below(3)));
    }
  }
  void fill(twin::Span& span) {
    span.set_trace_id(trace_id(1 + r_.below(1000)));
    span.set_span_id(span_id(1 + r_.below(1'000'000)));
    span.set_name("op " + std::to_string(r_.below(25)));
    span.set_kind(static_cast<int>(r_.below(6)));
    if (r_.one_in(4)) span.mutable_status()->set_code(static_cast<int>(r_.below(3)));
    const std::uint64_t start = 1'700'000'000'000'000'000ULL + r_.below(1'000'000'000);
    span.set_start_time_unix_nano(start);
    // About the bounds as well, and backwards.
    const std::uint64_t bound = kSpanBoundsMs[r_.below(4)] * 1'000'000;
    span.set_end_time_unix_nano(start + (r_.one_in(2) ? bound + r_.below(3) - 1 : r_.below(bound)) - 10);
    if (r_.one_in(3)) put_any(*span.mutable_attributes(), "route");
    if (r_.one_in(5)) put_any(*span.mutable_attributes(), "zone");
    if (r_.one_in(5)) put_any(*span.mutable_attributes(), "route");  // the first of one key counts
    if (r_.one_in(2)) put(*span.mutable_attributes(), "other", "text");
  }

  Random r_;
};

}  // namespace

TEST_CASE("100,000 spans in any order are counted as an offline count counts them", "[signals]") {
  const char* const wanted = std::getenv("SPANS");
  const std::size_t spans = wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : 100'000;
  constexpr std::size_t kParts = 3;
  RandomSpans random(17);
  Random r(18);
  CountedSpans counted(kConfig, kParts);
  OfflineCount offline;
  for (std::size_t done = 0; done < spans;) {
    // Some in one slice, and now and then one of several.
    const std::size_t n = std::min(spans - done, r.one_in(200) ? 20'000 : 1 + r.below(300));
    const std::string request = random.request(n);
    if (r.one_in(10)) {
      counted.refuse(request);
      continue;
    }
    counted.count(request, r.below(kParts));
    offline.add(request);
    done += n;
  }
  const std::vector<std::string> lines = counted.lines(), expected = offline.lines();
  REQUIRE(expected.size() > 10'000);
  CHECK(lines == expected);
}
