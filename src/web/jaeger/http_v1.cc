// SPDX-License-Identifier: Apache-2.0
// /jaeger/api/...: what Jaeger's own UI before 2.19 and Grafana's Jaeger source ask.
#include <fmt/format.h>

#include "codec/json_text.h"
#include "codec/percent.h"
#include "web/jaeger/answer.h"
#include "web/jaeger/http_params.h"
#include "web/json_page.h"
#include "wire/jaeger/trace_json.h"

namespace tailgate {
namespace {

namespace json = boost::json;

constexpr std::string_view kV1Prefix = "/jaeger/api/";
constexpr std::size_t kPieceBytes = 64 << 10;
constexpr std::string_view kEnvelopeEnd = R"(],"total":0,"limit":0,"offset":0,"errors":)";

Response v1_response(int status, json::value data, std::size_t total, json::value errors) {
  return json_response(
      status,
      json::object{
          {"data", std::move(data)}, {"total", total}, {"limit", 0}, {"offset", 0}, {"errors", std::move(errors)}});
}

Response v1_error(int status, std::string_view text) {
  return v1_response(status, nullptr, 0, json::array{json::object{{"code", status}, {"msg", text}}});
}

Response v1_error(const Error& error) { return v1_error(http_status_of(error), error.text); }

Response v1_later(const JaegerSharedPtr& shared, std::function<void(PieceAnswer&)> work, bool needs_store = true) {
  return answer_later(shared, v1_error, json_head(), std::move(work), needs_store);
}

// The last piece, with what is to be said of the answer.
void write_end(PieceAnswer& answer, std::string&& piece, json::array errors) {
  piece += kEnvelopeEnd;
  append_json(piece, errors.empty() ? json::value() : std::move(errors), JsonForm::kCompact);
  piece += "}\n";
  if (answer.write(piece)) answer.end();
}

// The traces of `ids`, then what is not there, wholly or in part.
void write_by_ids(const JaegerShared& shared, const std::vector<TraceId>& ids, PieceAnswer& answer, bool alone) {
  json::array missing;
  bool first = true;
  for (const TraceId& id : ids) {
    if (answer.cancelled()) return;
    const Result<StoredTrace> found = one_of_traces(shared, id, answer);
    if (!found) {
      if (!answer.begun()) answer.whole().answer(v1_error(found.error()));
      return;
    }
    if (found->otlp.empty()) {
      if (alone) return answer.whole().answer(v1_error(404, "trace not found"));
      missing.push_back(json::object{{"msg", "trace not found"}, {"traceID", id.hex()}});
      continue;
    }
    std::string piece = first ? R"({"data":[)" : ",";
    first = false;
    append_jaeger_trace(piece, found->otlp);
    if (found->parts_lost != 0)
      missing.push_back(json::object{{"msg", parts_lost_text(*found)}, {"traceID", id.hex()}});
    answer.be_patient();
    if (!answer.write(piece)) return;
  }
  write_end(answer, first ? R"({"data":[)" : "", std::move(missing));
}

json::array messages_of(std::initializer_list<std::string> texts) {
  json::array out;
  for (const std::string& text : texts) {
    if (!text.empty()) out.push_back(json::object{{"msg", text}});
  }
  return out;
}

void write_search(const JaegerShared& shared, const TraceQuestion& question, PieceAnswer& answer) {
  const Result<SearchOutcome> outcome = find_for_jaeger(shared, question, answer, [&](const FoundTrace& found) {
    std::string piece = answer.begun() ? "," : R"({"data":[)";
    append_jaeger_trace(piece, found.stored.otlp);
    answer.be_patient();
    return answer.write(piece);
  });
  if (!outcome) {
    if (!answer.begun()) answer.whole().answer(v1_error(outcome.error()));
    return;
  }
  write_end(answer, answer.begun() ? "" : R"({"data":[)", messages_of({outcome->cut, outcome->damage()}));
}

// In pieces: there may be very many.
void write_dependencies(const Dependencies& found, PieceAnswer& answer) {
  std::string piece = R"({"data":[)";
  bool first = true;
  for (const StoredDependency& one : found.most) {
    piece += std::exchange(first, false) ? R"({"parent":)" : R"(,{"parent":)";
    append_json_string(piece, one.parent);
    piece += R"(,"child":)";
    append_json_string(piece, one.child);
    append_member(piece, "callCount", one.calls);
    piece += '}';
    if (piece.size() < kPieceBytes) continue;
    answer.be_patient();
    if (!answer.write(piece)) return;
    piece.clear();
  }
  write_end(answer, std::move(piece), messages_of({cut_text(found)}));
}

Response v1_traces(const JaegerSharedPtr& shared, std::string_view query) {
  Result<JaegerSearch> search = read_jaeger_v1_search(query, wall_now_ns());
  if (!search) return v1_error(search.error());
  return v1_later(shared, [shared, search = std::move(*search)](PieceAnswer& answer) {
    if (!search.ids.empty()) return write_by_ids(*shared, search.ids, answer, false);
    write_search(*shared, search.question, answer);
  });
}

Response v1_trace(const JaegerSharedPtr& shared, std::string_view text) {
  const Result<TraceId> id = read_trace_id(text);
  if (!id) return v1_error(id.error());
  return v1_later(shared, [shared, id = *id](PieceAnswer& answer) { write_by_ids(*shared, {id}, answer, true); });
}

// A list that `ask` gives.
template <class Ask>
Response list(const JaegerSharedPtr& shared, Ask ask) {
  return v1_later(shared, [shared, ask](PieceAnswer& answer) {
    Result<json::array> found = ask(*shared->options.store, answer);
    if (!found) return answer.whole().answer(v1_error(found.error()));
    const std::size_t total = found->size();
    answer.whole().answer(v1_response(200, std::move(*found), total, nullptr));
  });
}

Response v1_services(const JaegerSharedPtr& shared) {
  return list(shared, [](StoreReader& store, const PieceAnswer&) -> Result<json::array> {
    const auto found = services_for_jaeger(store);
    if (!found) return tl::unexpected(found.error());
    return json::array(found->begin(), found->end());
  });
}

Response operation_names(const JaegerSharedPtr& shared, const std::string& service) {
  return list(shared, [service](StoreReader& store, const PieceAnswer&) -> Result<json::array> {
    const auto found = operations_for_jaeger(store, {service, {}});
    if (!found) return tl::unexpected(found.error());
    json::array out;
    for (const StoredOperation& one : *found) {  // sorted
      if (out.empty() || out.back() != json::value(one.name)) out.emplace_back(one.name);
    }
    return out;
  });
}

Response v1_operations(const JaegerSharedPtr& shared, std::string_view query) {
  Params params(query);
  const JaegerOperationsRequest request{params.text("service"), params.text("spanKind")};
  if (request.service.empty()) params.fail("service", "the name of a service", "");
  if (!params.good()) return v1_error(400, params.error());
  return list(shared, [request](StoreReader& store, const PieceAnswer&) -> Result<json::array> {
    const auto found = operations_for_jaeger(store, request);
    if (!found) return tl::unexpected(found.error());
    json::array out;
    for (const StoredOperation& one : *found)
      out.push_back(json::object{{"name", one.name}, {"spanKind", jaeger_kind(one.kind)}});
    return out;
  });
}

Response dependencies(const JaegerSharedPtr& shared, std::string_view query) {
  const Result<JaegerTimes> times = read_jaeger_v1_times(query, wall_now_ns());
  if (!times) return v1_error(times.error());
  return v1_later(
      shared,
      [shared, times = *times](PieceAnswer& answer) {
        const auto found = dependencies_for_jaeger(*shared, times, [&] { return answer.cancelled(); });
        if (!found) return answer.whole().answer(v1_error(found.error()));
        write_dependencies(*found, answer);
      },
      !shared->calls);
}

Response v1_route(const JaegerSharedPtr& shared, const RequestHead& head) {
  std::string_view path = head.path().substr(kV1Prefix.size());
  if (path == "services") return v1_services(shared);
  if (path == "operations") return v1_operations(shared, head.query());
  if (path == "traces") return v1_traces(shared, head.query());
  if (path == "dependencies") return dependencies(shared, head.query());
  if (path.starts_with("traces/")) return v1_trace(shared, path.substr(7));
  if (path.starts_with("metrics/")) {
    return v1_error(
        501,
        "Tailgate answers no questions about metrics: let a Prometheus read /metrics/spans and configure it as the "
        "metrics storage of a Jaeger");
  }
  constexpr std::string_view kServices = "services/", kOperations = "/operations";
  if (path.starts_with(kServices) && path.ends_with(kOperations) &&
      path.size() > kServices.size() + kOperations.size()) {
    path = path.substr(kServices.size(), path.size() - kServices.size() - kOperations.size());
    // Grafana escapes it twice.
    return operation_names(shared, percent_decoded_leniently(percent_decoded_leniently(path)));
  }
  return v1_error(404,
                  "expected one of services, services/{service}/operations, operations, traces, traces/{id}, "
                  "dependencies and v3/... under /jaeger/api/");
}

}  // namespace

void add_jaeger_v1(Pages& pages, const JaegerSharedPtr& shared) {
  pages.add(std::string(kV1Prefix), [shared](const RequestHead& head) { return v1_route(shared, head); });
}

}  // namespace tailgate
