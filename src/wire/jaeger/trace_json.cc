// SPDX-License-Identifier: Apache-2.0
#include "wire/jaeger/trace_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>

#include "codec/json_text.h"
#include "model/span_times.h"
#include "wire/jaeger/span_json.h"

namespace tailgate {
namespace {

constexpr JaegerJson kForm = JaegerJson::kAnswer;

// Processes by their JSON: equal ones have one name.
class Processes {
 public:
  std::size_t number_of(const ResourceView& resource) {
    if (resource.number == resource_) return number_;
    resource_ = resource.number;
    std::string service;
    return number_ = numbers_.try_emplace(jaeger_process(resource, service, kForm), numbers_.size() + 1).first->second;
  }
  void append_to(std::string& out) const {
    out += '{';
    for (const auto& [process, number] : numbers_) {
      if (out.back() != '{') out += ',';
      fmt::format_to(std::back_inserter(out), R"("p{}":{})", number, process);
    }
    out += '}';
  }

 private:
  std::map<std::string, std::size_t> numbers_;
  std::uint64_t resource_ = 0;
  std::size_t number_ = 0;
};

void append_span(std::string& out, std::size_t process, const ScopeView& scope, const SpanView& span) {
  out += R"({"traceID":)";
  append_jaeger_trace_id(out, span.trace_id, kForm);
  out += R"(,"spanID":)";
  append_quoted_hex(out, span.span_id);
  out += R"(,"operationName":)";
  append_json_string(out, span.name);
  out += R"(,"references":)";
  append_jaeger_references(out, span, kForm);
  const std::int64_t duration = std::max<std::int64_t>(duration_ns(span.start_ns, span.end_ns), 0);
  fmt::format_to(std::back_inserter(out), R"(,"startTime":{},"duration":{},"tags":)", span.start_ns / 1000,
                 duration / 1000);
  append_jaeger_tags(out, scope, span, kForm);
  out += R"(,"logs":)";
  append_jaeger_logs(out, span, kForm);
  fmt::format_to(std::back_inserter(out), R"(,"processID":"p{}","warnings":null}})", process);
}

}  // namespace

bool append_jaeger_trace(std::string& out, ByteView otlp) {
  Processes processes;
  bool any = false;
  const bool whole = each_span(otlp, [&](const ResourceView& resource, const ScopeView& scope, const SpanView& span) {
    if (!any) {
      out += R"({"traceID":)";
      append_jaeger_trace_id(out, span.trace_id, kForm);
    }
    out += any ? "," : R"(,"spans":[)";
    any = true;
    append_span(out, processes.number_of(resource), scope, span);
  });
  if (!any) out += R"({"traceID":"","spans":[)";
  out += R"(],"processes":)";
  processes.append_to(out);
  out += R"(,"warnings":null})";
  return whole;
}

}  // namespace tailgate
