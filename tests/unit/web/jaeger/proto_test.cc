// SPDX-License-Identifier: Apache-2.0
// The messages of jaeger.storage.v2 against those of libprotobuf.
#include "web/jaeger/proto.h"

#include <catch2/catch.hpp>
#include <string>

#include "jaeger_storage_twin.pb.h"
#include "support/query_fixture.h"

using namespace tailgate;
using namespace tailgate::test;

namespace {

constexpr std::uint64_t kLast = std::numeric_limits<std::uint64_t>::max();

template <class Twin>
Twin parsed(const std::string& bytes) {
  Twin out;
  REQUIRE(out.ParseFromString(bytes));
  return out;
}

TraceQuestion question(const twin::storage::FindTracesRequest& request) {
  const Result<TraceQuestion> out = read_jaeger_question(request.SerializeAsString());
  REQUIRE(out);
  return *out;
}

std::string error_of(const twin::storage::FindTracesRequest& request) {
  const Result<TraceQuestion> out = read_jaeger_question(request.SerializeAsString());
  REQUIRE_FALSE(out);
  CHECK(out.error().kind == ErrorKind::kBadInput);
  return out.error().text;
}

}  // namespace

TEST_CASE("a question of Jaeger has all its conditions", "[web]") {
  twin::storage::FindTracesRequest request;
  auto& query = *request.mutable_query();
  query.set_service_name("shop");
  query.set_operation_name("GET /");
  set_attributes(*query.mutable_attributes(),
                 {{"http.status_code", "500"}, {"retries", 3}, {"ratio", 1.5}, {"hit", true}});
  query.mutable_start_time_min()->set_seconds(1'700'000'000);
  query.mutable_start_time_min()->set_nanos(5);
  query.mutable_start_time_max()->set_seconds(1'700'000'001);
  query.mutable_duration_min()->set_nanos(1'000'000);
  query.mutable_duration_max()->set_seconds(2);
  query.set_search_depth(20);
  const TraceQuestion q = question(request);
  CHECK(q.span.service == "shop");
  CHECK(q.span.operation == "GET /");
  using Pairs = std::vector<std::pair<std::string, std::string>>;
  CHECK(q.span.attributes == Pairs{{"http.status_code", "500"}, {"retries", "3"}, {"ratio", "1.5"}, {"hit", "true"}});
  CHECK(q.from_ns == 1'700'000'000'000'000'005);
  CHECK(q.span.start_min_ns == q.from_ns);
  CHECK(q.to_ns == 1'700'000'001'000'000'000);
  CHECK(q.span.start_max_ns == q.to_ns);
  CHECK(q.span.duration_min_ns == 1'000'000);
  CHECK(q.span.duration_max_ns == 2'000'000'000);
  CHECK(q.limit == 20);
}

TEST_CASE("times of the year 1 and fields that are absent are no bounds", "[web]") {
  twin::storage::FindTracesRequest request;
  auto& query = *request.mutable_query();
  query.mutable_start_time_min()->set_seconds(-62'135'596'800);
  query.mutable_start_time_max()->set_seconds(-62'135'596'800);
  query.mutable_duration_max();
  query.set_search_depth(-5);
  for (const TraceQuestion& q : {question(request), question({})}) {
    CHECK(q.from_ns == 0);
    CHECK(q.to_ns == kLast);
    CHECK_FALSE(q.span.any());
    CHECK(q.limit == 100);
  }
  query.mutable_start_time_max()->set_seconds(std::numeric_limits<std::int64_t>::max());
  CHECK(question(request).to_ns == kLast);
}

TEST_CASE("a question that cannot be answered says what was expected", "[web]") {
  twin::storage::FindTracesRequest request;
  request.mutable_query()->mutable_filter()->set_name("and");
  CHECK(error_of(request) == "query.filter: expected the plain fields, since structured filters are not supported");
  request.Clear();
  request.mutable_query()->mutable_duration_min()->set_seconds(-1);
  CHECK(error_of(request) == "query.duration_min: expected no negative duration, got -1 s and 0 ns");
  request.Clear();
  request.mutable_query()->mutable_duration_min()->set_seconds(2);
  request.mutable_query()->mutable_duration_max()->set_seconds(1);
  CHECK(error_of(request) ==
        "query.duration_max: expected no less than duration_min, got 1000000000 ns and 2000000000 ns");
  CHECK(read_jaeger_question("\x0a\x05\x01").error().text == "the request does not parse");
  CHECK(read_jaeger_question("\x0a\x02\x22\x05").error().text == "query does not parse");
}

TEST_CASE("ids of traces have 16 bytes, and there are not too many", "[web]") {
  twin::storage::GetTracesRequest request;
  for (int n = 1; n <= 2; ++n) request.add_query()->set_trace_id(fixture_trace_id(n));
  const auto ids = read_jaeger_ids(request.SerializeAsString());
  REQUIRE(ids);
  REQUIRE(ids->size() == 2);
  CHECK((*ids)[1].view() == fixture_trace_id(2));
  request.mutable_query(0)->set_trace_id("short");
  CHECK(read_jaeger_ids(request.SerializeAsString()).error().text == "query.trace_id: expected 16 bytes, got 5");
  request.Clear();
  for (std::size_t i = 0; i <= kJaegerIdsMax; ++i) request.add_query()->set_trace_id(fixture_trace_id(1));
  CHECK(read_jaeger_ids(request.SerializeAsString()).error().text == "query: expected at most 1000 traces");
  CHECK(read_jaeger_ids("\x0a\x02\x0a\x05").error().text == "query does not parse");
}

TEST_CASE("the other requests are read", "[web]") {
  twin::storage::GetOperationsRequest operations;
  operations.set_service("shop");
  operations.set_span_kind("server");
  const auto asked = read_jaeger_operations(operations.SerializeAsString());
  REQUIRE(asked);
  CHECK(asked->service == "shop");
  CHECK(asked->span_kind == "server");
  CHECK_FALSE(read_jaeger_operations("\x0a\x05"));
  twin::storage::GetDependenciesRequest dependencies;
  dependencies.mutable_start_time()->set_seconds(5);
  dependencies.mutable_end_time()->set_seconds(-62'135'596'800);
  const auto times = read_jaeger_times(dependencies.SerializeAsString());
  REQUIRE(times);
  CHECK(times->from_ns == 5'000'000'000);
  CHECK(times->to_ns == kLast);
  CHECK(read_jaeger_times("\x0a\x01\xff").error().text == "start_time does not parse");
}

TEST_CASE("lists are the messages that libprotobuf reads", "[web]") {
  const auto services = parsed<twin::storage::GetServicesResponse>(jaeger_services({"", "a", "b\xff"}));
  REQUIRE(services.services_size() == 2);  // an empty name is left out
  CHECK(services.services(1) == "b\xEF\xBF\xBD");
  const auto operations = parsed<twin::storage::GetOperationsResponse>(
      jaeger_operations({{"none", 0}, {"in", 1}, {"get", 2}, {"call", 3}, {"put", 4}, {"take", 5}}));
  std::string kinds;
  for (const auto& one : operations.operations()) kinds += one.name() + "=" + one.span_kind() + " ";
  CHECK(kinds == "none= in=internal get=server call=client put=producer take=consumer ");
  const auto calls =
      parsed<twin::storage::GetDependenciesResponse>(jaeger_dependencies({{"a", "b", 3}, {"b", "b", 1}}));
  REQUIRE(calls.dependencies_size() == 2);
  CHECK(calls.dependencies(0).parent() == "a");
  CHECK(calls.dependencies(0).child() == "b");
  CHECK(calls.dependencies(0).call_count() == 3);
  const auto capabilities = parsed<twin::storage::GetCapabilitiesResponse>(jaeger_capabilities());
  CHECK(capabilities.search().without_service_name());
  CHECK(capabilities.search().same_span_conjunction());
  const auto found = parsed<twin::storage::FindTraceIDsResponse>(
      jaeger_found_ids({{TraceId::from(fixture_trace_id(1).data()), 1'000'000'002, 3'000'000'000}}));
  REQUIRE(found.trace_ids_size() == 1);
  CHECK(found.trace_ids(0).trace_id() == fixture_trace_id(1));
  CHECK(found.trace_ids(0).start().seconds() == 1);
  CHECK(found.trace_ids(0).start().nanos() == 2);
  CHECK(found.trace_ids(0).end().seconds() == 3);
}

TEST_CASE("a list that is too long for a message ends early", "[web]") {
  std::vector<std::string> services(5, std::string(1'000'000, 's'));
  CHECK(parsed<twin::storage::GetServicesResponse>(jaeger_services(services)).services_size() == 3);
  std::vector<StoredOperation> operations(5, {std::string(1'000'000, 'o'), 1});
  CHECK(parsed<twin::storage::GetOperationsResponse>(jaeger_operations(operations)).operations_size() == 3);
  std::vector<JaegerFoundId> found(kJaegerFoundIdsMax, {{}, 1'700'000'000'999'999'999, 1'700'000'001'999'999'999});
  const std::string ids = jaeger_found_ids(found);
  CHECK(parsed<twin::storage::FindTraceIDsResponse>(ids).trace_ids_size() == kJaegerFoundIdsMax);
}

TEST_CASE("a summary counts spans, errors, orphans and services", "[web]") {
  const auto traces = fixture_traces();
  const auto summary = [&](std::size_t n) {
    const Result<TraceView> view = TraceView::read(traces[n - 1]);
    REQUIRE(view);
    const auto out = parsed<twin::storage::FindTraceSummariesResponse>(
        jaeger_summary(TraceId::from(fixture_trace_id(static_cast<int>(n)).data()), *view));
    REQUIRE(out.summaries_size() == 1);
    return out.summaries(0);
  };
  const auto first = summary(1);
  CHECK(first.trace_id() == fixture_trace_id(1));
  CHECK(first.root_service_name() == "frontend");
  CHECK(first.root_operation_name() == "GET /checkout");
  CHECK(first.min_start_time_unix_nano() == 1'700'000'000'000'000'000);
  CHECK(first.max_end_time_unix_nano() == 1'700'000'001'200'000'000);
  CHECK(first.span_count() == 5);
  CHECK(first.error_span_count() == 2);
  CHECK(first.orphan_span_count() == 0);
  REQUIRE(first.services_size() == 2);
  CHECK(first.services(1).name() == "payment");
  CHECK(first.services(1).span_count() == 3);
  CHECK(first.services(1).error_span_count() == 1);
  const auto orphan = summary(3);
  CHECK(orphan.root_service_name().empty());
  CHECK(orphan.root_operation_name().empty());
  CHECK(orphan.orphan_span_count() == 1);
}

TEST_CASE("a large trace comes in several messages, and a span that is too large without what makes it so", "[web]") {
  twin::TracesData data;
  auto& scope = add_fixture_scope(data, "shop", "prod");
  add_fixture_span(scope, 1, 1, 0, "root", 2, 0, 10);
  auto& large = add_fixture_span(scope, 1, 2, 1, std::string(5'000, 'n').c_str(), 3, 1, 9, 2);
  large.mutable_status()->set_message("broken");
  const std::string body(5'000, 'b');
  set_attributes(*large.mutable_attributes(), {{"body", body.c_str()}});
  for (int n = 3; n <= 9; ++n) {
    set_attributes(*add_fixture_span(scope, 1, n, 1, "step", 1, n, n + 1).mutable_attributes(),
                   {{"filler", std::string(400, 'f').c_str()}});
  }
  std::vector<twin::TracesData> messages;
  const bool all = each_jaeger_message(data.SerializeAsString(), 2'000, [&](ByteView message) {
    CHECK(message.size() <= 2'000);
    messages.push_back(parsed<twin::TracesData>(std::string(message)));
    return true;
  });
  CHECK(all);
  CHECK(messages.size() > 3);
  std::vector<twin::Span> spans;
  for (const twin::TracesData& message : messages) {
    REQUIRE(message.resource_spans_size() == 1);
    CHECK(message.resource_spans(0).resource().attributes(0).value().string_value() == "shop");
    for (const auto& one : message.resource_spans(0).scope_spans(0).spans()) spans.push_back(one);
  }
  REQUIRE(spans.size() == 9);
  CHECK(spans[1].span_id() == fixture_span_id(2));
  CHECK(spans[1].parent_span_id() == fixture_span_id(1));
  CHECK(spans[1].name() == std::string(1'000, 'n'));
  CHECK(spans[1].kind() == 3);
  CHECK(spans[1].status().code() == 2);
  CHECK(spans[1].status().message() == "broken");
  REQUIRE(spans[1].attributes_size() == 1);
  CHECK(spans[1].attributes(0).key() == kJaegerCutKey);
  int taken = 0;
  CHECK_FALSE(each_jaeger_message(data.SerializeAsString(), 2'000, [&](ByteView) { return ++taken < 2; }));
  CHECK(taken == 2);
}
