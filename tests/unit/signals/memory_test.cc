// SPDX-License-Identifier: Apache-2.0
// What signals take of memory while they count: nothing that grows with long values, with names that never end, or with
// how many spans of a request are new.
#include <catch2/catch.hpp>

#include "support/counted_memory.h"
#include "support/service_graph_fixture.h"

using namespace tailgate;
using namespace tailgate::test;

namespace {

constexpr std::int64_t kKiB = 1024, kMiB = 1024 * kKiB;

std::vector<SpanSpec> spans_with_names(std::uint64_t count) {
  std::vector<SpanSpec> out;
  for (std::uint64_t i = 1; i <= count; ++i) out.push_back({.id = i, .name = "name-" + std::to_string(i)});
  return out;
}

}  // namespace

TEST_CASE("a long value of a resource is written once, and not for each span of a new name", "[signals]") {
  constexpr std::uint64_t kSpans = 1000;
  twin::TracesData data = traces(spans_with_names(kSpans), std::string(static_cast<std::size_t>(kMiB), 'x') + "\xFF");
  auto* version = data.mutable_resource_spans(0)->mutable_resource()->add_attributes();
  version->set_key("version");
  auto* list = version->mutable_value()->mutable_array_value();
  for (int i = 0; i < 100'000; ++i) list->add_values()->set_int_value(i);
  const std::string bytes = data.SerializeAsString();
  CountedSpans spans("{dimensions: [version]}");
  const CountedMemory used = memory_of([&] { spans.count(bytes); });
  INFO(used.bytes << " bytes");
  CHECK(spans.metrics().stats().series == kSpans);
  CHECK(used.bytes < 100u * kMiB);  // labels are 2 KiB a series; the list is read once
}

TEST_CASE("labels of many new spans are not held all at once", "[signals]") {
  const std::string quotes(1024, '"');
  std::vector<SpanSpec> specs = spans_with_names(2000);
  for (SpanSpec& spec : specs) {
    for (char c = 'a'; c < 'q'; ++c) spec.attributes.push_back({std::string(1, c), quotes});
  }
  const std::string bytes = request(specs);
  CountedSpans spans("{series_max: 1, dimensions: [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]}");
  spans.count(bytes);  // vectors have grown
  const CountedMemory used = memory_of([&] { spans.count(bytes); });
  INFO(used.most << " bytes at a time");
  CHECK(spans.metrics().stats().overflow_spans == 4000);
  CHECK(used.most < 512 * kKiB);
}

TEST_CASE("when there is no room for names, one that is new costs no memory", "[signals]") {
  CountedGraph graph("{edges_max: 1}");
  const auto calls = [](const std::string& peer) {
    std::vector<SpanSpec> specs;
    for (std::uint64_t i = 1; i <= 1000; ++i)
      specs.push_back({.id = i, .attributes = {{"peer.service", peer + std::to_string(i) + std::string(50, '.')}}});
    twin::TracesData data = traces(specs);
    for (auto& span : *data.mutable_resource_spans(0)->mutable_scope_spans(0)->mutable_spans()) span.set_kind(kClient);
    return data.SerializeAsString();
  };
  graph.count(calls("a-"));  // vectors have grown, and `user` and `web` have the names
  const std::string bytes = calls("b-");
  const CountedMemory used = memory_of([&] { graph.count(bytes); });
  CHECK(graph.graph().stats().waiting == 1000);
  CHECK(used.calls < 100);  // the request's own
}

TEST_CASE("a question who calls whom costs no more for a day of ever new pairs of services", "[signals]") {
  CountedGraph graph("{edges_max: 1000, edge_expiration: 1m, database_name_attributes: [db.name]}");
  Duration now{};
  std::uint64_t all = 0;
  for (std::uint64_t half_hour = 0; half_hour < 40; ++half_hour) {
    for (int service = 0; service < 30; ++service) {
      std::vector<SpanSpec> specs;
      for (std::uint64_t db = 0; db < 30; ++db, ++all)
        specs.push_back({.id = 1 + db, .attributes = {{"db.name", "db-" + std::to_string(db + 20 * half_hour)}}});
      twin::TracesData data = traces(specs, "service-" + std::to_string(service));
      for (auto& span : *data.mutable_resource_spans(0)->mutable_scope_spans(0)->mutable_spans())
        span.set_kind(kClient);
      graph.count(data.SerializeAsString(), TimePoint{} + now);
    }
    graph.lines(TimePoint{} + now);
    now += std::chrono::minutes(2);
    graph.lines(TimePoint{} + now);
    now += std::chrono::minutes(29);
    graph.graph().tick(TimePoint{} + now);
  }
  ServiceGraph::Calls calls;
  const CountedMemory used =
      memory_of([&] { calls = graph.graph().calls(TimePoint{}, TimePoint{} + now, TimePoint{} + now, 10); });
  INFO(used.most << " bytes at a time");
  CHECK(used.most < 128 * kKiB);  // of some 25,000 pairs, in 36,000 places
  CHECK(calls.most.size() == 10);
  std::uint64_t told = 0;
  for (const ServiceCalls& one : calls.most) told += one.calls;
  const ServiceGraph::Stats stats = graph.graph().stats();
  CHECK(told + calls.left_out + stats.overflow_requests + stats.unlisted == all);
  CHECK(calls.left_out > all / 2);
}
