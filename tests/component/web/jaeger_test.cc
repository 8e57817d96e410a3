// SPDX-License-Identifier: Apache-2.0
// The doors for Jaeger over a store in a folder, without servers: requests go in by the pages, and answers come from
// the pool.
#include "web/jaeger/doors.h"
#include "web/jaeger/proto.h"

#include <catch2/catch.hpp>
#include <thread>

#include "jaeger_storage_twin.pb.h"
#include "net/http/grpc.h"
#include "simdjson.h"
#include "support/stored_fixture.h"

using namespace tailgate;
using namespace tailgate::test;

namespace {

struct Answer {
  int status = 0;
  std::string body, code, message, cut, type;
  std::vector<std::string> messages() const {  // of gRPC
    std::vector<std::string> out;
    for (std::size_t at = 0; at < body.size();) {
      const std::size_t size = __builtin_bswap32(load_le<std::uint32_t>(body.data() + at + 1));
      out.push_back(body.substr(at + 5, size));
      at += 5 + size;
    }
    return out;
  }
};

class Doors {
 public:
  explicit Doors(SearchLimits limits = {}, bool stored = true, std::size_t waiting_max = 64, AllCalls calls = {})
      : pool_({.threads = waiting_max == 0 ? 0U : 1U, .waiting_max = waiting_max}) {
    if (stored) store_ = std::make_unique<StoredFixture>();
    limits.ended = [this](const SearchOutcome& outcome) {
      pool_.count_search(!outcome.cut.empty(), !outcome.damaged_files.empty());
    };
    add_jaeger_doors(pages_, pool_, {.store = store_ ? store_->reader() : nullptr, .limits = std::move(limits)},
                     std::move(calls));
  }

  void keep(const std::string& otlp) { store_->add(otlp); }

  Answer get(const std::string& target) {
    RequestHead head;
    head.method = "GET";
    head.target = target;
    return ask(head, {});
  }
  Answer call(const std::string& method, const std::string& message) {
    RequestHead head;
    head.method = "POST";
    head.target = method.starts_with('/') ? method : "/jaeger.storage.v2." + method;
    head.is_http2 = true;
    head.headers.add("content-type", "application/grpc");
    return ask(head, grpc_frame(message));
  }
  QueryPool::Stats stats() const { return pool_.stats(); }
  Response raw(const RequestHead& head, const std::string& body) {
    const Admission admission = pages_.admit(head);
    if (admission.refusal) return *admission.refusal;
    BodyBuffer buffer;
    REQUIRE(buffer.append(body));
    Response response;
    pages_.handle(head, buffer, response);
    return response;
  }

 private:
  Answer ask(const RequestHead& head, const std::string& body) {
    Response response = raw(head, body);
    Answer out;
    LaterAnswer::Fields trailers = response.trailers;
    if (response.later != nullptr) {
      const std::shared_ptr<LaterAnswer> later = response.later;
      std::optional<LaterAnswer::Head> answered;
      while (!(answered = later->take_head())) std::this_thread::yield();
      response = std::move(answered->response);
      char piece[64 << 10];
      LaterAnswer::Piece got;
      while (!answered->whole && (got = later->take(piece, sizeof piece)).state == LaterAnswer::State::kMore) {
        response.body.append(piece, got.size);
        if (got.size == 0) std::this_thread::yield();
      }
      response.body.append(piece, got.size);
      trailers = answered->whole ? response.trailers : later->trailers();
    }
    out.status = response.status;
    out.body = std::move(response.body);
    for (const auto& [name, value] : response.headers) {
      if (name == "content-type") out.type = value;
    }
    for (const auto& [name, value] : trailers) {
      if (name == "grpc-status") out.code = value;
      if (name == "grpc-message") out.message = value;
      if (name == "tailgate-search-cut") out.cut = value;
    }
    return out;
  }

  std::unique_ptr<StoredFixture> store_;
  QueryPool pool_;
  Pages pages_;
};

// The ids of the traces, each as its last digit.
std::string traces_in(const Answer& answer) {
  std::string out;
  for (const std::string& message : answer.messages()) {
    twin::TracesData data;
    REQUIRE(data.ParseFromString(message));
    for (const auto& resource : data.resource_spans()) {
      for (const auto& scope : resource.scope_spans()) {
        for (const auto& span : scope.spans()) {
          const char last = to_hex(span.trace_id()).back();
          if (out.empty() || out.back() != last) out += last;
        }
      }
    }
  }
  return out;
}

std::string id_request(std::initializer_list<int> ids) {
  twin::storage::GetTracesRequest request;
  for (const int n : ids) request.add_query()->set_trace_id(fixture_trace_id(n));
  return request.SerializeAsString();
}

}  // namespace

TEST_CASE("traces are found by id, and ids that are not there are left out", "[web]") {
  Doors doors;
  const Answer both = doors.call("TraceReader/GetTraces", id_request({3, 9, 1}));
  CHECK(both.code == "0");
  CHECK(traces_in(both) == "31");
  const Answer none = doors.call("TraceReader/GetTraces", id_request({9}));
  CHECK(none.status == 200);
  CHECK(none.type == "application/grpc");
  CHECK(none.code == "0");
  CHECK(none.body.empty());
}

TEST_CASE("traces are found by one span that meets all, the newest first", "[web]") {
  Doors doors;
  twin::storage::FindTracesRequest request;
  auto& query = *request.mutable_query();
  const auto find = [&] { return traces_in(doors.call("TraceReader/FindTraces", request.SerializeAsString())); };
  CHECK(find() == "321");  // they begin together: the largest id first
  query.set_search_depth(2);
  CHECK(find() == "32");
  query.set_service_name("payment");
  CHECK(find() == "1");
  set_attributes(*query.mutable_attributes(), {{"peer.service", "payment"}});
  CHECK(find().empty());  // a span of another service has it
  query.set_service_name("frontend");
  CHECK(find() == "1");
  query.mutable_start_time_min()->set_seconds(1'700'000'000);
  query.mutable_start_time_min()->set_nanos(100'000'001);
  CHECK(find().empty());
  query.mutable_start_time_min()->set_nanos(100'000'000);
  CHECK(find() == "1");
}

TEST_CASE("ids, summaries, services, operations, dependencies and capabilities are told", "[web]") {
  Doors doors;
  twin::storage::FindTracesRequest request;
  request.mutable_query()->set_service_name("batch");
  twin::storage::FindTraceIDsResponse ids;
  REQUIRE(ids.ParseFromString(doors.call("TraceReader/FindTraceIDs", request.SerializeAsString()).messages().at(0)));
  REQUIRE(ids.trace_ids_size() == 1);
  CHECK(ids.trace_ids(0).trace_id() == fixture_trace_id(2));
  CHECK(doors.call("TraceReader/FindTraceSummaries", "").messages().size() == 3);
  twin::storage::GetServicesResponse services;
  REQUIRE(services.ParseFromString(doors.call("TraceReader/GetServices", "").messages().at(0)));
  CHECK(services.services_size() == 4);
  twin::storage::GetOperationsRequest of;
  of.set_service("payment");
  of.set_span_kind("client");
  twin::storage::GetOperationsResponse operations;
  REQUIRE(operations.ParseFromString(doors.call("TraceReader/GetOperations", of.SerializeAsString()).messages().at(0)));
  REQUIRE(operations.operations_size() == 1);
  CHECK(operations.operations(0).name() == "SELECT");
  of.set_span_kind("robot");
  CHECK(doors.call("TraceReader/GetOperations", of.SerializeAsString()).messages().at(0).empty());
  twin::storage::GetDependenciesResponse calls;
  REQUIRE(calls.ParseFromString(doors.call("DependencyReader/GetDependencies", "").messages().at(0)));
  std::string all;
  for (const auto& one : calls.dependencies())
    all += one.parent() + ">" + one.child() + "=" + std::to_string(one.call_count()) + " ";
  CHECK(all == "frontend>frontend=1 frontend>payment=1 payment>payment=2 ");
  twin::storage::GetDependenciesRequest until;
  until.mutable_end_time()->set_seconds(1'700'000'001);  // the trace ends later
  CHECK(doors.call("DependencyReader/GetDependencies", until.SerializeAsString()).messages().at(0).empty());
  CHECK_FALSE(doors.call("Capabilities/GetCapabilities", "").messages().at(0).empty());
}

TEST_CASE("health tells that the services of the storage are there", "[web]") {
  Doors doors;
  const auto check = [&](const std::string& service) {
    twin::storage::Call request;  // HealthCheckRequest has the same form
    request.set_name(service);
    return doors.call("/grpc.health.v1.Health/Check", request.SerializeAsString());
  };
  CHECK(check("").messages().at(0) == "\x08\x01");
  CHECK(check("jaeger.storage.v2.TraceReader").messages().at(0) == "\x08\x01");
  CHECK(check("jaeger.storage.v2.TraceWriter").code == "5");
}

TEST_CASE("wrong requests, and those that cannot be answered now, say why", "[web]") {
  Doors doors;
  for (const char* method :
       {"TraceReader/GetTraces", "TraceReader/FindTraces", "TraceReader/FindTraceIDs", "TraceReader/FindTraceSummaries",
        "TraceReader/GetOperations", "DependencyReader/GetDependencies"}) {
    const Answer answer = doors.call(method, "\x0a\x7f");
    CHECK(answer.code == "3");
    CHECK(answer.message == "the request does not parse");
  }
  CHECK(doors.call("TraceReader/WriteTraces", "").code == "12");
  const Answer old = doors.call("/jaeger.storage.v1.SpanReaderPlugin/GetServices", "");
  CHECK(old.code == "12");
  CHECK(old.message ==
        "expected jaeger.storage.v2, which Jaeger speaks since 2.6, got jaeger.storage.v1: take a newer Jaeger");
  const Answer write = doors.call("/opentelemetry.proto.collector.trace.v1.TraceService/Export", "");
  CHECK(write.code == "12");
  CHECK(write.message == "this endpoint shows traces: send spans to one of Tailgate's receivers");
  Doors empty({}, false);
  const Answer none = empty.call("TraceReader/GetServices", "");
  CHECK(none.code == "14");
  CHECK(none.message == "no store exporter is configured, so Tailgate keeps no traces that could be shown");
  CHECK(empty.call("Capabilities/GetCapabilities", "").code == "0");
  Doors busy({}, true, 0);
  const Answer refused = busy.call("TraceReader/FindTraces", "");
  CHECK(refused.code == "14");
  CHECK(refused.message == "too many queries wait; try again in a moment");
}

TEST_CASE("a query ends when nobody waits for it any more", "[web]") {
  Doors doors;
  twin::TracesData data;
  auto& scope = add_fixture_scope(data, "large", "");
  set_attributes(*add_fixture_span(scope, 4, 1, 0, "x", 1, 0, 1).mutable_attributes(),
                 {{"body", std::string(1'000'000, 'b').c_str()}});
  doors.keep(data.SerializeAsString());
  RequestHead head;
  head.method = "GET";
  head.target = "/jaeger/api/traces/" + to_hex(fixture_trace_id(4));
  const Response response = doors.raw(head, "");
  REQUIRE(response.later != nullptr);
  while (!response.later->take_head()) std::this_thread::yield();
  CHECK(doors.stats().cancelled == 0);  // more than the answer holds waits to be taken
  response.later->cancel();
  while (doors.stats().cancelled == 0) std::this_thread::yield();
  CHECK(doors.get("/jaeger/api/services").status == 200);
}

TEST_CASE("a search that its budget cuts says so in a trailer and in a metric", "[web]") {
  Doors doors({.bytes_max = 1});
  const Answer answer = doors.call("TraceReader/FindTraces", "");
  CHECK(answer.code == "0");
  CHECK_FALSE(answer.cut.empty());
  CHECK(doors.stats().cut == 1);
  // Then there are the counts of the store.
  CHECK_FALSE(doors.call("DependencyReader/GetDependencies", "").messages().at(0).empty());
  CHECK(Doors().call("TraceReader/FindTraces", "").cut.empty());
}

namespace {

constexpr const char* kTimes =
    "query.start_time_min=2023-11-14T22:00:00Z&query.start_time_max=2023-11-15T00:00:00+01:00";
constexpr const char* kMicros = "&start=1699999000000000&end=1700001000000000";

std::string ids_in(const Answer& answer, std::string_view name) {
  std::string out;
  for (std::size_t at = 0; (at = answer.body.find(name, at)) != std::string::npos; ++at)
    out += answer.body[answer.body.find('"', at + name.size()) - 1];
  return out;
}

// Answers of `{"traceID":"...","spans"` and the like, each trace as the last digit of its id.
std::string v1_found(const Answer& answer) { return ids_in(answer, R"({"traceID":")"); }

bool is_json(const std::string& text) {
  simdjson::dom::parser parser;
  return parser.parse(text).error() == simdjson::SUCCESS;
}

}  // namespace

TEST_CASE("Jaeger's first HTTP API answers in its envelope", "[web]") {
  Doors doors;
  const auto body = [&](const std::string& target) {
    const Answer answer = doors.get("/jaeger/api/" + target);
    CHECK(answer.status == 200);
    CHECK(answer.type == "application/json");
    CHECK(is_json(answer.body));
    return answer.body;
  };
  const std::string end = R"(,"limit":0,"offset":0,"errors":null})"
                          "\n";
  CHECK(body("services") == R"({"data":["batch","frontend","payment","worker"],"total":4)" + end);
  CHECK(body("services/payment/operations") == R"({"data":["POST /pay","SELECT","cache get"],"total":3)" + end);
  CHECK(body("services/pay%256Dent/operations") == body("services/payment/operations"));  // escaped twice
  CHECK(body("services/nobody/operations") == R"({"data":[],"total":0)" + end);
  CHECK(body("operations?service=frontend") ==
        R"({"data":[{"name":"GET /checkout","spanKind":"server"},{"name":"POST /pay","spanKind":"client"}],"total":2)" +
            end);
  CHECK(body("operations?service=frontend&spanKind=CLIENT") ==
        R"({"data":[{"name":"POST /pay","spanKind":"client"}],"total":1)" + end);
  CHECK(
      body("dependencies?endTs=1700000100000&lookback=200000") ==
      R"({"data":[{"parent":"frontend","child":"frontend","callCount":1},)"
      R"({"parent":"frontend","child":"payment","callCount":1},{"parent":"payment","child":"payment","callCount":2}],)"
      R"("total":0)" +
          end);
  CHECK(body("dependencies") == R"({"data":[],"total":0)" + end);  // of the last day
  CHECK(body(std::string("traces?service=nobody") + kMicros) == R"({"data":[],"total":0)" + end);
  const std::string one = body("traces/" + to_hex(fixture_trace_id(2)));
  CHECK(one.starts_with(R"({"data":[{"traceID":"a0000000000000000000000000000002","spans":[)"));
  CHECK(one.ends_with(R"("warnings":null}],"total":0)" + end));
  CHECK(body(std::string("traces?service=batch") + kMicros) == one);
}

TEST_CASE("traces are found over HTTP by each condition", "[web]") {
  Doors doors;
  const auto v1 = [&](const std::string& query) {
    const Answer answer = doors.get("/jaeger/api/traces?" + query + kMicros);
    CHECK(answer.status == 200);
    return answer.body.find("a0000000000000000000000000000001") != std::string::npos;
  };
  CHECK(v1("service=payment"));
  CHECK(v1("service=payment&operation=SELECT"));
  CHECK_FALSE(v1("service=payment&operation=select"));
  CHECK(v1("service=payment&tag=hit:true&tag=db.system:redis"));
  CHECK_FALSE(v1("service=payment&tag=hit:true&tag=db.system:mysql"));
  CHECK(v1(R"(service=payment&tags={"error":"true","exception.message":"card%20declined"})"));
  CHECK(v1("service=frontend&minDuration=1.2s"));
  CHECK_FALSE(v1("service=frontend&minDuration=1201ms"));
  CHECK(v1("service=payment&maxDuration=2ms"));
  CHECK_FALSE(v1("service=payment&maxDuration=1ms"));
  const Answer three = doors.get("/jaeger/api/v3/traces?" + std::string(kTimes));
  CHECK(three.status == 200);
  CHECK(is_json(three.body));
  CHECK(ids_in(three, R"("traceId":")") == "32112111");  // with the trace of a link
  const Answer two = doors.get("/jaeger/api/v3/traces?query.num_traces=2&" + std::string(kTimes));
  CHECK(ids_in(two, R"("traceId":")") == "32");
}

TEST_CASE("traces by several ids name those that are not there", "[web]") {
  Doors doors;
  const Answer both = doors.get("/jaeger/api/traces?traceID=a0000000000000000000000000000003&traceID=9");
  CHECK(both.status == 200);
  CHECK(is_json(both.body));
  CHECK(v1_found(both).front() == '3');
  CHECK(both.body.ends_with(R"("errors":[{"msg":"trace not found","traceID":"00000000000000000000000000000009"}]})"
                            "\n"));
  CHECK(is_json(doors.get("/jaeger/api/traces?traceID=9").body));
}

TEST_CASE("Jaeger's third HTTP API", "[web]") {
  Doors doors;
  const auto body = [&](const std::string& target) {
    const Answer answer = doors.get("/jaeger/api/v3/" + target);
    CHECK(answer.status == 200);
    CHECK(answer.type == "application/json");
    CHECK(is_json(answer.body));
    return answer.body;
  };
  CHECK(body("services") == "{\"services\":[\"batch\",\"frontend\",\"payment\",\"worker\"]}\n");
  CHECK(body("operations?service=worker") == "{\"operations\":[{\"name\":\"orphan\",\"spanKind\":\"internal\"}]}\n");
  CHECK(body("operations?service=payment&span_kind=client") == body("operations?service=payment&spanKind=client"));
  CHECK(body("operations?service=nobody") == "{\"operations\":[]}\n");
  CHECK(body("trace-summaries?query.serviceName=payment&" + std::string(kTimes)) ==
        R"({"summaries":[{"traceId":"a0000000000000000000000000000001","rootServiceName":"frontend",)"
        R"("rootOperationName":"GET /checkout","minStartTimeUnixNano":"1700000000000000000",)"
        R"("maxEndTimeUnixNano":"1700000001200000000","spanCount":5,"errorSpanCount":2,"orphanSpanCount":0,)"
        R"("services":[{"name":"frontend","spanCount":2,"errorSpanCount":1},)"
        R"({"name":"payment","spanCount":3,"errorSpanCount":1}]}]})"
        "\n");
  CHECK(body("trace-summaries?query.serviceName=nobody&" + std::string(kTimes)) == "{\"summaries\":[]}\n");
  const std::string one = body("traces/A0000000000000000000000000000002?startTime=2023-11-14T22:00:00Z");
  CHECK(one.starts_with(R"({"result":{"resourceSpans":[{)"));
  CHECK(one.ends_with("]}}\n"));
}

TEST_CASE("errors over HTTP have each API's own form", "[web]") {
  Doors doors;
  const auto v1 = [&](const std::string& target, int status, const std::string& text) {
    const Answer answer = doors.get("/jaeger/api/" + target);
    INFO(target);
    CHECK(answer.status == status);
    CHECK(answer.body == R"({"data":null,"total":0,"limit":0,"offset":0,"errors":[{"code":)" + std::to_string(status) +
                             R"(,"msg":")" + text + "\"}]}\n");
  };
  const auto v3 = [&](const std::string& target, int status, const std::string& text) {
    const Answer answer = doors.get("/jaeger/api/v3/" + target);
    INFO(target);
    CHECK(answer.status == status);
    CHECK(answer.type == "text/plain; charset=utf-8");
    CHECK(answer.body == R"({"error":{"httpCode":)" + std::to_string(status) + R"(,"message":")" + text + "\"}}\n");
  };
  v1("traces/9", 404, "trace not found");
  v1("traces/xyz", 400, "expected a trace id of 1 to 32 hex digits, not zero, got 'xyz'");
  v1("traces/", 400, "expected a trace id of 1 to 32 hex digits, not zero, got ''");
  v1("traces", 400, "service: expected the name of a service, or traceID, got ''");
  v1("operations", 400, "service: expected the name of a service, got ''");
  v1("dependencies?endTs=x", 400, "endTs: expected 0 to 18446744073709551615, got 'x'");
  for (const char* metric : {"latencies", "calls", "errors", "minstep"}) {
    v1(std::string("metrics/") + metric, 501,
       "Tailgate answers no questions about metrics: let a Prometheus read /metrics/spans and configure it as the "
       "metrics storage of a Jaeger");
  }
  for (const char* other : {"", "transform", "services/a/b", "services//operations"}) {
    v1(other, 404,
       "expected one of services, services/{service}/operations, operations, traces, traces/{id}, dependencies and "
       "v3/... under /jaeger/api/");
  }
  v3("traces/9", 404, "No traces found");
  v3("traces/xyz", 400, "expected a trace id of 1 to 32 hex digits, not zero, got 'xyz'");
  v3("traces?query.service_name=nobody&" + std::string(kTimes), 404, "No traces found");
  v3("traces", 400, "query.startTimeMin: expected a time like 2026-11-29T09:31:03Z, got ''");
  v3("trace-summaries", 400, "query.startTimeMin: expected a time like 2026-11-29T09:31:03Z, got ''");
  v3("operations", 400, "service: expected the name of a service, got ''");
  v3("dependencies", 404,
     "expected one of services, operations, traces, traces/{id} and trace-summaries under /jaeger/api/v3/");
  Doors empty({}, false), busy({}, true, 0);
  for (Doors* some : {&empty, &busy}) {
    CHECK(some->get("/jaeger/api/services").status == 503);
    CHECK(some->get("/jaeger/api/v3/services").status == 503);
  }
}

TEST_CASE("a search over HTTP that its budget cuts says so among the errors", "[web]") {
  Doors doors({.bytes_max = 1});
  const Answer answer = doors.get(std::string("/jaeger/api/traces?service=payment") + kMicros);
  CHECK(answer.status == 200);
  CHECK(is_json(answer.body));
  CHECK(answer.body.find(R"("errors":[{"msg":"The search ended)") != std::string::npos);
  CHECK(doors.stats().cut == 1);
}

TEST_CASE("with a service graph dependencies come from it, with a store or without", "[web]") {
  for (const bool stored : {true, false}) {
    std::pair<std::uint64_t, std::uint64_t> asked;
    Doors doors({}, stored, 64, [&](std::uint64_t from_ns, std::uint64_t to_ns, std::size_t) {
      asked = {from_ns, to_ns};
      return Dependencies{{{"web", "shop", 7}}};
    });
    const Answer http = doors.get("/jaeger/api/dependencies?endTs=5000&lookback=2000");
    CHECK(http.status == 200);
    CHECK(http.body.starts_with(R"({"data":[{"parent":"web","child":"shop","callCount":7}],"total":0)"));
    CHECK(asked == std::pair<std::uint64_t, std::uint64_t>(3'000'000'000, 5'000'000'000));
    CHECK(doors.call("DependencyReader/GetDependencies", "").messages().at(0) ==
          jaeger_dependencies({{"web", "shop", 7}}));
    if (!stored) CHECK(doors.get("/jaeger/api/services").status == 503);
  }
}

TEST_CASE("dependencies that an answer has no room for are left out, and it says so", "[web]") {
  std::size_t asked = 0;
  const auto calls = [&](std::uint64_t, std::uint64_t, std::size_t max) {
    asked = max;
    return Dependencies{{{"web", "shop", 7}}, 5};
  };
  const auto kept = [](Doors& doors, std::uint64_t left_out) {
    const std::string text = std::to_string(left_out) + " calls are left out";
    const Answer http = doors.get("/jaeger/api/dependencies?endTs=1700000100000&lookback=200000");
    CHECK(is_json(http.body));
    CHECK(http.body.find(R"("errors":[{"msg":")" + text) != std::string::npos);
    const Answer rpc = doors.call("DependencyReader/GetDependencies", "");
    CHECK(rpc.code == "0");
    CHECK(rpc.cut.starts_with(text));
    CHECK(doors.stats().cut == 2);
    return http.body.substr(0, http.body.find(']'));
  };
  Doors graph({.dependencies_max = 1}, false, 64, calls);
  CHECK(kept(graph, 5) == R"({"data":[{"parent":"web","child":"shop","callCount":7})");
  CHECK(asked == 1);
  Doors stored({.dependencies_max = 1});
  CHECK(kept(stored, 2) == R"({"data":[{"parent":"payment","child":"payment","callCount":2})");
}

TEST_CASE("very many dependencies come in pieces", "[web]") {
  Dependencies many;
  for (int i = 0; i < 20'000; ++i) many.most.push_back({"service-" + std::to_string(i), "\"", 1});
  Doors doors({}, false, 64, [&](std::uint64_t, std::uint64_t, std::size_t) { return many; });
  const Answer http = doors.get("/jaeger/api/dependencies");
  CHECK(is_json(http.body));
  CHECK(http.body.find(R"({"parent":"service-19999","child":"\"","callCount":1}],"total":0)") != std::string::npos);
}
