// SPDX-License-Identifier: Apache-2.0
// What a stranger can make a receiver's thread do: values of megabytes that a resource says once, and thousands of
// spans of it.
#include <catch2/catch.hpp>

#include "signals/signals.h"
#include "support/service_graph_fixture.h"
#include "support/thread_time.h"

using namespace tailgate;
using namespace tailgate::test;

namespace {

std::string request_with(const std::string& value) {
  std::vector<SpanSpec> specs;
  for (std::uint64_t i = 1; i <= 8000; ++i) specs.push_back({.id = i, .name = "name-" + std::to_string(i)});
  twin::TracesData data = traces(specs, value);
  for (const char* key : {"version", "db.name"}) {
    auto* attribute = data.mutable_resource_spans(0)->mutable_resource()->add_attributes();
    attribute->set_key(key);
    attribute->mutable_value()->set_string_value(value);
  }
  for (auto& span : *data.mutable_resource_spans(0)->mutable_scope_spans(0)->mutable_spans()) span.set_kind(kClient);
  return data.SerializeAsString();
}

double seconds_for(const std::string& bytes) {
  const SignalsConfig config{.span_metrics = ReadSpanMetrics("{dimensions: [version]}").config,
                             .service_graph = ReadServiceGraph("{edges_max: 1}").config};  // no room for the database
  Signals signals(config, 7, TimePoint{});
  const ScanPlan plan = plan_of(config);
  return cpu_seconds_of([&] {
    for (int i = 0; i < 2; ++i) {  // once new to it, and once known
      SpanBatch batch;
      scan_request(
          bytes, plan, batch, [](SpanBatch&) { return true; }, &signals.begin(plan));
      signals.taken(TimePoint{});
    }
  });
}

}  // namespace

TEST_CASE("a resource's values of megabytes cost its thousands of spans next to nothing", "[signals]") {
  const double usual = seconds_for(request_with("web")),
               hostile = seconds_for(request_with(std::string(8u << 20, 'x') + "\xFF"));
  INFO(usual << " s with short values, " << hostile << " s with long ones");
  CHECK(hostile < 5 * usual + 1);
}
