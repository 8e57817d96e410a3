// SPDX-License-Identifier: Apache-2.0
// Builders of OTLP requests and of batches for tests.
#pragma once

#include <string>
#include <vector>

#include "model/span_batch.h"
#include "otlp_twin.pb.h"
#include "wire/otlp/scan.h"
#include "wire/otlp/scan_plan.h"

namespace tailgate::test {

inline std::string trace_id(std::uint64_t n) {
  std::string id(16, '\0');
  for (int i = 0; i < 8; ++i) id[static_cast<std::size_t>(15 - i)] = static_cast<char>(n >> (8 * i));
  id[0] = 1;
  return id;
}
inline TraceId id_of_trace(std::uint64_t n) { return TraceId::from(trace_id(n).data()); }
inline std::string span_id(std::uint64_t n) { return trace_id(n).substr(8); }

struct SpanSpec {
  std::uint64_t trace = 1;
  std::uint64_t id = 1;
  std::uint64_t parent = 0;  // 0: root
  std::uint64_t start_ms = 0;
  std::uint64_t end_ms = 1;
  int status = 0;
  std::string name = "op";
  std::vector<std::pair<std::string, std::string>> attributes = {};
  std::string trace_state = "";
};

inline void fill(twin::Span& span, const SpanSpec& spec) {
  span.set_trace_id(trace_id(spec.trace));
  span.set_span_id(span_id(spec.id));
  if (spec.parent != 0) span.set_parent_span_id(span_id(spec.parent));
  span.set_name(spec.name);
  span.set_trace_state(spec.trace_state);
  span.set_kind(2);
  span.set_start_time_unix_nano(1'700'000'000'000'000'000ULL + spec.start_ms * 1'000'000);
  span.set_end_time_unix_nano(1'700'000'000'000'000'000ULL + spec.end_ms * 1'000'000);
  for (const auto& [key, value] : spec.attributes) {
    auto* attribute = span.add_attributes();
    attribute->set_key(key);
    attribute->mutable_value()->set_string_value(value);
  }
  if (spec.status != 0) span.mutable_status()->set_code(spec.status);
}

// One ResourceSpans of one service with one scope.
inline twin::TracesData traces(const std::vector<SpanSpec>& spans, const std::string& service = "web") {
  twin::TracesData data;
  auto* resource_spans = data.add_resource_spans();
  auto* name = resource_spans->mutable_resource()->add_attributes();
  name->set_key("service.name");
  name->mutable_value()->set_string_value(service);
  auto* scope_spans = resource_spans->add_scope_spans();
  scope_spans->mutable_scope()->set_name("test");
  for (const SpanSpec& spec : spans) fill(*scope_spans->add_spans(), spec);
  return data;
}

inline std::string request(const std::vector<SpanSpec>& spans, const std::string& service = "web") {
  return traces(spans, service).SerializeAsString();
}

// A scanned request; owns its bytes.
struct Scanned {
  Scanned(std::string request_bytes, const ScanPlan& plan) : bytes(std::move(request_bytes)) {
    batch.hash_seed = 7;
    result = scan_request(bytes, plan, batch, [](SpanBatch&) { return true; });
  }
  std::string bytes;
  SpanBatch batch;
  ScanResult result;
};

}  // namespace tailgate::test
