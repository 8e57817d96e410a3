// SPDX-License-Identifier: Apache-2.0
#include "wire/jaeger/json.h"

#include <fmt/format.h>

#include <iterator>

#include "base/hash.h"
#include "codec/calendar.h"
#include "codec/json_text.h"
#include "model/span_times.h"
#include "wire/jaeger/span_json.h"

namespace tailgate {
bool each_jaeger_document(ByteView otlp, const std::function<void(const JaegerDocument&)>& take, CutItems* cut,
                          SpanChoice* choice) {
  JaegerDocument doc;
  std::string process;
  std::uint64_t of = 0;  // the resource that `process` was made of
  const auto write = [&](const ResourceView& resource, const ScopeView& scope, const SpanView& span) {
    if (of != resource.number) process = jaeger_process(resource, doc.service, JaegerJson::kDocument);
    of = resource.number;
    std::string& out = doc.body;
    out.clear();
    out += R"({"traceID":)";
    append_quoted_hex(out, span.trace_id);
    out += R"(,"spanID":)";
    append_quoted_hex(out, span.span_id);
    if (span.flags != 0) fmt::format_to(std::back_inserter(out), R"(,"flags":{})", span.flags & INT32_MAX);
    out += R"(,"operationName":)";
    append_json_string(out, span.name);
    out += R"(,"references":)";
    append_jaeger_references(out, span, JaegerJson::kDocument);
    const std::uint64_t start_us = span.start_ns / 1000;
    const std::int64_t duration = std::max<std::int64_t>(duration_ns(span.start_ns, span.end_ns), 0);
    fmt::format_to(std::back_inserter(out), R"(,"startTime":{},"startTimeMillis":{},"duration":{},"tags":)", start_us,
                   start_us / 1000, duration / 1000);
    append_jaeger_tags(out, scope, span, JaegerJson::kDocument);
    out += R"(,"logs":)";
    append_jaeger_logs(out, span, JaegerJson::kDocument);
    out += R"(,"process":)";
    out += process;
    out += '}';
    doc.start_ns = span.start_ns;
    doc.operation = span.name;
    doc.id.clear();
    append_quoted_hex(doc.id, span.trace_id);
    append_quoted_hex(doc.id, span.span_id);
    std::erase(doc.id, '"');
    doc.id.insert(2 * span.trace_id.size(), 1, '_');
    fmt::format_to(std::back_inserter(doc.id), "_{:x}", fnv1a(out));
    take(doc);
  };
  return each_span(otlp, write, cut, choice);
}

std::string jaeger_service_document(const std::string& service, const std::string& operation) {
  std::string out = R"({"serviceName":)";
  append_json_string(out, service);
  out += R"(,"operationName":)";
  append_json_string(out, operation);
  out += '}';
  return out;
}

std::string jaeger_service_id(const std::string& service, const std::string& operation) {
  return fmt::format("{:x}", fnv1a(operation, fnv1a(service)));
}

std::string utc_date(std::uint64_t unix_ns) {
  const UtcTime t = utc_time(static_cast<std::int64_t>(unix_ns / 1'000'000'000));
  return fmt::format("{:04}-{:02}-{:02}", t.year, t.month, t.day);
}

}  // namespace tailgate
