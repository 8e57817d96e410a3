// SPDX-License-Identifier: Apache-2.0
// /jaeger/api/v3/...: what Jaeger's own UI asks since 2.15, in part, and since 2.19.
#include "web/jaeger/answer.h"
#include "web/jaeger/http_params.h"
#include "web/json_page.h"
#include "wire/otlp/json_write.h"

namespace tailgate {
namespace {

namespace json = boost::json;

constexpr std::string_view kV3Prefix = "/jaeger/api/v3/";

Response v3_error(int status, std::string_view text) {
  Response response =
      json_response(status, json::object{{"error", json::object{{"httpCode", status}, {"message", text}}}});
  response.headers.front().second = "text/plain; charset=utf-8";
  return response;
}

Response v3_error(const Error& error) { return v3_error(http_status_of(error), error.text); }

Response v3_later(const JaegerSharedPtr& shared, std::function<void(PieceAnswer&)> work) {
  return answer_later(shared, v3_error, json_head(), std::move(work));
}

// {"result":{"resourceSpans":[...]}} of any number of traces.
class ResultWriter {
 public:
  explicit ResultWriter(PieceAnswer& answer) : answer_(answer), list_(piece_) {}

  bool add(const StoredTrace& trace) {
    list_.add(trace.otlp, nullptr);
    answer_.be_patient();
    const bool wanted = answer_.write(piece_);
    piece_.clear();
    return wanted;
  }
  // Without a trace the answer is 404, in Jaeger's words. `limits`: why there may be more.
  void end(const std::string& limits = {}) {
    if (!answer_.begun()) {
      return answer_.whole().answer(v3_error(404, limits.empty() ? "No traces found" : "No traces found. " + limits));
    }
    list_.close();
    piece_ += "}\n";
    if (answer_.write(piece_)) answer_.end();
  }

 private:
  PieceAnswer& answer_;
  std::string piece_ = R"({"result":)";
  OtlpJsonList list_;
};

Response v3_trace(const JaegerSharedPtr& shared, std::string_view text) {
  const Result<TraceId> id = read_trace_id(text);
  if (!id) return v3_error(id.error());
  return v3_later(shared, [shared, id = *id](PieceAnswer& answer) {
    const Result<StoredTrace> found = shared->options.store->trace(id);
    if (!found) return answer.whole().answer(v3_error(found.error()));
    ResultWriter result(answer);
    if (found->otlp.empty() || result.add(*found)) result.end();
  });
}

Response v3_traces(const JaegerSharedPtr& shared, std::string_view query) {
  Result<TraceQuestion> question = read_jaeger_v3_search(query);
  if (!question) return v3_error(question.error());
  return v3_later(shared, [shared, question = std::move(*question)](PieceAnswer& answer) {
    ResultWriter result(answer);
    const auto outcome =
        find_for_jaeger(*shared, question, answer, [&](const FoundTrace& found) { return result.add(found.stored); });
    if (outcome) return result.end(outcome->cut.empty() ? outcome->damage() : outcome->cut);
    if (!answer.begun()) answer.whole().answer(v3_error(outcome.error()));
  });
}

json::object v3_summary(const FoundTrace& found) {
  const TraceView& trace = found.view;
  json::array services;
  for (const TraceView::Service& one : trace.services())
    services.push_back(json::object{{"name", one.name}, {"spanCount", one.spans}, {"errorSpanCount", one.errors}});
  return json::object{{"traceId", found.stored.id.hex()},
                      {"rootServiceName", trace.root_service()},
                      {"rootOperationName", trace.root_name()},
                      {"minStartTimeUnixNano", std::to_string(trace.start_ns())},
                      {"maxEndTimeUnixNano", std::to_string(trace.end_ns())},
                      {"spanCount", trace.spans().size()},
                      {"errorSpanCount", trace.errors()},
                      {"orphanSpanCount", trace.orphans()},
                      {"services", std::move(services)}};
}

Response v3_summaries(const JaegerSharedPtr& shared, std::string_view query) {
  Result<TraceQuestion> question = read_jaeger_v3_search(query);
  if (!question) return v3_error(question.error());
  return v3_later(shared, [shared, question = std::move(*question)](PieceAnswer& answer) {
    constexpr std::string_view kBegin = R"({"summaries":[)";
    const auto outcome = find_for_jaeger(*shared, question, answer, [&](const FoundTrace& found) {
      std::string piece(answer.begun() ? "," : kBegin);
      append_json(piece, v3_summary(found), JsonForm::kCompact);
      answer.be_patient();
      return answer.write(piece);
    });
    if (!outcome) {
      if (!answer.begun()) answer.whole().answer(v3_error(outcome.error()));
      return;
    }
    if (answer.write(std::string(answer.begun() ? "" : kBegin) + "]}\n")) answer.end();
  });
}

template <class Found>
void answer_list(PieceAnswer& answer, std::string_view key, const Found& found,
                 const std::function<json::value(const typename Found::value_type::value_type&)>& entry) {
  if (!found) return answer.whole().answer(v3_error(found.error()));
  json::array list;
  for (const auto& one : *found) list.push_back(entry(one));
  answer.whole().answer(json_response(200, json::object{{key, std::move(list)}}));
}

Response v3_services(const JaegerSharedPtr& shared) {
  return v3_later(shared, [shared](PieceAnswer& answer) {
    answer_list(answer, "services", services_for_jaeger(*shared->options.store),
                [](const std::string& one) { return json::value(one); });
  });
}

Response v3_operations(const JaegerSharedPtr& shared, std::string_view query) {
  Params params(query);
  JaegerOperationsRequest request{params.text("service"), params.text("spanKind")};
  if (request.span_kind.empty()) request.span_kind = params.text("span_kind");
  if (request.service.empty()) params.fail("service", "the name of a service", "");
  if (!params.good()) return v3_error(400, params.error());
  return v3_later(shared, [shared, request](PieceAnswer& answer) {
    answer_list(answer, "operations", operations_for_jaeger(*shared->options.store, request),
                [](const StoredOperation& one) {
                  const std::string_view kind = jaeger_kind(one.kind);
                  return json::object{{"name", one.name}, {"spanKind", kind.empty() ? "internal" : kind}};
                });
  });
}

Response v3_route(const JaegerSharedPtr& shared, const RequestHead& head) {
  const std::string_view path = head.path().substr(kV3Prefix.size());
  if (path == "services") return v3_services(shared);
  if (path == "operations") return v3_operations(shared, head.query());
  if (path == "traces") return v3_traces(shared, head.query());
  if (path == "trace-summaries") return v3_summaries(shared, head.query());
  if (path.starts_with("traces/")) return v3_trace(shared, path.substr(7));
  return v3_error(
      404, "expected one of services, operations, traces, traces/{id} and trace-summaries under /jaeger/api/v3/");
}

}  // namespace

void add_jaeger_v3(Pages& pages, const JaegerSharedPtr& shared) {
  pages.add(std::string(kV3Prefix), [shared](const RequestHead& head) { return v3_route(shared, head); });
}

}  // namespace tailgate
