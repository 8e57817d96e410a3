// SPDX-License-Identifier: Apache-2.0
// The doors for Jaeger over a store in a folder, without servers: requests go in by the pages, and answers come from
// the pool.
#include "web/jaeger/doors.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <thread>

#include "jaeger_storage_twin.pb.h"
#include "net/http/grpc.h"
#include "simdjson.h"
#include "store/store.h"
#include "support/query_fixture.h"

using namespace tailgate;
using namespace tailgate::test;
namespace fs = std::filesystem;

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
  explicit Doors(SearchLimits limits = {}, bool stored = true, std::size_t waiting_max = 64)
      : pool_({.threads = waiting_max == 0 ? 0U : 1U, .waiting_max = waiting_max}) {
    folder_ = fs::temp_directory_path() / ("tailgate_jaeger_" + std::to_string(::getpid()));
    fs::remove_all(folder_);
    if (stored) {
      std::vector<std::string> notices;
      auto store = Store::open({.directory = folder_}, 1, notices);
      REQUIRE(store);
      store_ = std::move(*store);
      keep_fixture();
      reader_ = std::make_shared<StoreReader>(store_->source());
    }
    add_jaeger_doors(pages_, pool_, {.store = reader_, .limits = limits});
  }
  ~Doors() { fs::remove_all(folder_); }

  void keep(const std::string& id, const std::string& otlp, std::uint32_t spans) {
    auto trace = std::make_shared<KeptTrace>();
    trace->id = TraceId::from(id.data());
    trace->otlp = otlp;
    trace->spans = spans;
    const Result<TraceView> view = TraceView::read(otlp);
    REQUIRE(view);
    trace->start_ns = view->start_ns();
    trace->end_ns = view->end_ns();
    REQUIRE(store_->append(std::vector<KeptTracePtr>{trace}, 1));
  }

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
  std::uint64_t cut() const { return pool_.stats().cut; }
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
  void keep_fixture() {
    const auto traces = fixture_traces();
    keep(fixture_trace_id(1), traces[0], 5);
    keep(fixture_trace_id(2), traces[1], 1);
    keep(fixture_trace_id(3), traces[2], 1);
  }

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

  fs::path folder_;
  std::unique_ptr<Store> store_;
  std::shared_ptr<StoreReader> reader_;
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

TEST_CASE("a search that its budget cuts says so in a trailer and in a metric", "[web]") {
  Doors doors({.bytes_max = 1});
  const Answer answer = doors.call("TraceReader/FindTraces", "");
  CHECK(answer.code == "0");
  CHECK_FALSE(answer.cut.empty());
  CHECK(doors.cut() == 1);
  // Then there are the counts of the store.
  CHECK_FALSE(doors.call("DependencyReader/GetDependencies", "").messages().at(0).empty());
  CHECK(Doors().call("TraceReader/FindTraces", "").cut.empty());
}
