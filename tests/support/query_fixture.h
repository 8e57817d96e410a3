// SPDX-License-Identifier: Apache-2.0
// Three traces, T1 to T3, whose answers to many queries are known: seven spans with everything a query can ask for.
// Span n has the id b1000000000000NN, and times are milliseconds after 1,700,000,000 s.
#pragma once

#include <array>
#include <initializer_list>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "codec/hex.h"
#include "otlp_twin.pb.h"

namespace tailgate::test {

inline std::string bytes_of_hex(const std::string& hex) {
  std::string out(hex.size() / 2, '\0');
  read_hex(hex, out.data());
  return out;
}
inline std::string fixture_trace_id(int n) {
  return bytes_of_hex("a000000000000000000000000000000" + std::to_string(n));
}
inline std::string fixture_span_id(int n) { return bytes_of_hex("b10000000000000" + std::to_string(n)); }

using FixtureValue = std::variant<const char*, int, double, bool, std::vector<std::string>>;
template <class List>
void set_attributes(List& list, std::initializer_list<std::pair<const char*, FixtureValue>> attributes) {
  for (const auto& [key, value] : attributes) {
    auto& added = *list.Add();
    added.set_key(key);
    auto& any = *added.mutable_value();
    if (const auto* text = std::get_if<const char*>(&value)) any.set_string_value(*text);
    if (const auto* number = std::get_if<int>(&value)) any.set_int_value(*number);
    if (const auto* real = std::get_if<double>(&value)) any.set_double_value(*real);
    if (const auto* yes = std::get_if<bool>(&value)) any.set_bool_value(*yes);
    if (const auto* items = std::get_if<std::vector<std::string>>(&value)) {
      for (const std::string& item : *items) any.mutable_array_value()->add_values()->set_string_value(item);
    }
  }
}

inline twin::ScopeSpans& add_fixture_scope(twin::TracesData& data, const char* service, const char* environment) {
  auto& resource_spans = *data.add_resource_spans();
  auto& attributes = *resource_spans.mutable_resource()->mutable_attributes();
  set_attributes(attributes, {{"service.name", service}});
  if (*environment != '\0') set_attributes(attributes, {{"deployment.environment", environment}});
  return *resource_spans.add_scope_spans();
}

inline twin::Span& add_fixture_span(twin::ScopeSpans& scope, int trace, int id, int parent, const char* name, int kind,
                                    int start_ms, int end_ms, int status = 0) {
  constexpr std::uint64_t kStart = 1'700'000'000'000'000'000ULL;
  twin::Span& span = *scope.add_spans();
  span.set_trace_id(fixture_trace_id(trace));
  span.set_span_id(fixture_span_id(id));
  if (parent != 0) span.set_parent_span_id(fixture_span_id(parent));
  span.set_name(name);
  span.set_kind(kind);
  span.set_start_time_unix_nano(kStart + static_cast<std::uint64_t>(start_ms) * 1'000'000);
  span.set_end_time_unix_nano(kStart + static_cast<std::uint64_t>(end_ms) * 1'000'000);
  if (status != 0) span.mutable_status()->set_code(status);
  return span;
}

// OTLP bytes of T1, T2 and T3.
inline std::array<std::string, 3> fixture_traces() {
  enum { kInternal = 1, kServer, kClient, kProducer, kConsumer };
  enum { kOk = 1, kError };
  std::array<twin::TracesData, 3> data;

  auto& frontend = add_fixture_scope(data[0], "frontend", "prod");
  frontend.mutable_scope()->set_name("http");
  frontend.mutable_scope()->set_version("1.0.0");
  set_attributes(*frontend.mutable_scope()->mutable_attributes(), {{"lang", "go"}});
  set_attributes(*add_fixture_span(frontend, 1, 1, 0, "GET /checkout", kServer, 0, 1200).mutable_attributes(),
                 {{"http.method", "GET"}, {"http.status_code", 200}});
  auto& pay = add_fixture_span(frontend, 1, 2, 1, "POST /pay", kClient, 100, 900, kError);
  pay.mutable_status()->set_message("boom");
  set_attributes(*pay.mutable_attributes(), {{"http.status_code", 500}, {"peer.service", "payment"}});
  auto& link = *pay.add_links();
  link.set_trace_id(fixture_trace_id(2));
  link.set_span_id(fixture_span_id(6));
  set_attributes(*link.mutable_attributes(), {{"why", "retry"}});

  auto& payment = add_fixture_scope(data[0], "payment", "prod");
  payment.mutable_scope()->set_name("grpc");
  payment.mutable_scope()->set_version("2.0.0");
  auto& paid = add_fixture_span(payment, 1, 3, 2, "POST /pay", kServer, 150, 850, kError);
  set_attributes(*paid.mutable_attributes(), {{"http.status_code", 500}});
  auto& event = *paid.add_events();
  event.set_name("exception");
  event.set_time_unix_nano(1'700'000'000'160'000'000ULL);
  set_attributes(*event.mutable_attributes(), {{"exception.message", "card declined"}});
  set_attributes(*add_fixture_span(payment, 1, 4, 3, "SELECT", kClient, 200, 300, kOk).mutable_attributes(),
                 {{"db.system", "postgresql"}, {"ratio", 1.5}, {"tags", std::vector<std::string>{"a", "b"}}});
  set_attributes(*add_fixture_span(payment, 1, 5, 3, "cache get", kInternal, 310, 312).mutable_attributes(),
                 {{"db.system", "redis"}, {"hit", true}});

  auto& batch = add_fixture_scope(data[1], "batch", "staging");
  batch.mutable_scope()->set_name("kafka");
  set_attributes(*add_fixture_span(batch, 2, 6, 0, "job", kConsumer, 0, 5000).mutable_attributes(),
                 {{"http.status_code", "500"}, {"service.name", "shadow"}});

  auto& worker = add_fixture_scope(data[2], "worker", "");
  set_attributes(*add_fixture_span(worker, 3, 7, 9, "orphan", kInternal, 0, 10).mutable_attributes(),
                 {{"foo", "bar"}, {"my attr", "x"}});
  return {data[0].SerializeAsString(), data[1].SerializeAsString(), data[2].SerializeAsString()};
}

}  // namespace tailgate::test
