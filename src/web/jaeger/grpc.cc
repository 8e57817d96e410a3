// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "codec/percent.h"
#include "net/http/grpc.h"
#include "net/http/grpc_health.h"
#include "web/jaeger/answer.h"
#include "web/jaeger/proto.h"

namespace tailgate {
namespace {

constexpr std::size_t kGrpcRequestMax = 1 << 20;

RpcStatus status_of(const Error& error) {
  const RpcCode code = error.kind == ErrorKind::kBadInput      ? RpcCode::kInvalidArgument
                       : error.kind == ErrorKind::kUnavailable ? RpcCode::kUnavailable
                                                               : RpcCode::kInternal;
  return {code, error.text, 0};
}

// Of an answer that may lack traces. Jaeger does not show them.
LaterAnswer::Fields trailers_of(const std::string& cut, const std::string& damage) {
  LaterAnswer::Fields trailers = grpc_trailers({});
  for (const auto& [name, text] :
       {std::pair("tailgate-search-cut", &cut), std::pair("tailgate-search-damage", &damage)}) {
    if (!text->empty()) trailers.emplace_back(name, percent_encoded(*text, PercentKeep::kPrintable));
  }
  return trailers;
}

void end(PieceAnswer& answer, const Result<SearchOutcome>& outcome) {
  if (!outcome) {
    if (!answer.begun()) return answer.whole().answer(grpc_response(status_of(outcome.error())));
    return answer.end(grpc_trailers(status_of(outcome.error())));
  }
  answer.end(trailers_of(outcome->cut, outcome->damage()));
}

bool write_trace(PieceAnswer& answer, const std::string& otlp) {
  answer.be_patient();
  return each_jaeger_message(otlp, kJaegerMessageMax,
                             [&](ByteView message) { return answer.write(grpc_frame(message)); });
}

void get_traces(const JaegerShared& shared, const std::vector<TraceId>& ids, PieceAnswer& answer) {
  std::string damage;
  for (const TraceId& id : ids) {
    if (answer.cancelled()) return;
    const Result<StoredTrace> found = one_of_traces(shared, id, answer);
    if (!found) return end(answer, tl::unexpected(found.error()));
    if (!found->otlp.empty() && !write_trace(answer, found->otlp)) return;
    if (found->parts_lost != 0) damage = parts_lost_text(*found);
  }
  answer.end(trailers_of({}, damage));
}

void find_whole_traces(const JaegerShared& shared, const TraceQuestion& question, PieceAnswer& answer) {
  end(answer, find_for_jaeger(shared, question, answer,
                              [&](const FoundTrace& found) { return write_trace(answer, found.stored.otlp); }));
}

void find_summaries(const JaegerShared& shared, const TraceQuestion& question, PieceAnswer& answer) {
  end(answer, find_for_jaeger(shared, question, answer, [&](const FoundTrace& found) {
        answer.be_patient();
        return answer.write(grpc_frame(jaeger_summary(found.stored.id, found.view)));
      }));
}

void find_ids(const JaegerShared& shared, TraceQuestion question, PieceAnswer& answer) {
  question.limit = std::min(question.limit, kJaegerFoundIdsMax);
  std::vector<JaegerFoundId> ids;
  const Result<SearchOutcome> outcome = find_for_jaeger(shared, question, answer, [&](const FoundTrace& found) {
    ids.push_back({found.stored.id, found.view.start_ns(), found.view.end_ns()});
    return true;
  });
  if (outcome) answer.write(grpc_frame(jaeger_found_ids(ids)));
  end(answer, outcome);
}

// Answers with one message.
template <class T, class Write>
void answer_once(PieceAnswer& answer, const Result<T>& found, Write write) {
  if (!found) return answer.whole().answer(grpc_response(status_of(found.error())));
  answer.whole().answer(grpc_response({}, write(*found)));
}

Result<JaegerTimes> read_nothing(ByteView) { return JaegerTimes{}; }

// A method that reads its request with `read` and answers with `work` in the pool.
template <class Read, class Work>
void add_method(Pages& pages, const JaegerSharedPtr& shared, std::string_view method, Read read, Work work,
                bool needs_store = true) {
  pages.add_call(
      fmt::format("/jaeger.storage.v2.{}", method), kGrpcRequestMax,
      [shared, read, work, needs_store](const RequestHead&, ByteView message) {
        auto request = read(message);
        if (!request) return grpc_response(status_of(request.error()));
        return answer_later(
            shared,
            [](int, std::string_view text) {
              return grpc_response({RpcCode::kUnavailable, std::string(text), text == kTooManyQueries ? 1U : 0U});
            },
            grpc_head(),
            [shared, work, request = std::move(*request)](PieceAnswer& answer) { work(*shared, request, answer); },
            needs_store);
      });
}

void add_health(Pages& pages) {
  static const std::vector<std::string_view> kServices = {
      "jaeger.storage.v2.TraceReader", "jaeger.storage.v2.DependencyReader", "jaeger.storage.v2.Capabilities"};
  for (const auto& [path, method] : {std::pair("/grpc.health.v1.Health/Check", HealthMethod::kCheck),
                                     std::pair("/grpc.health.v1.Health/Watch", HealthMethod::kWatch)}) {
    const auto answer = [of = method](const RequestHead&, ByteView message) {
      return health_answer(of, message, kServices, true);
    };
    pages.add_call(path, kHealthRequestMax, answer, true);
  }
}

// What Jaegers ask for that is not here, for which UNIMPLEMENTED alone would not say what to do.
void add_refusals(Pages& pages) {
  constexpr std::string_view kOld =
      "expected jaeger.storage.v2, which Jaeger speaks since 2.6, got jaeger.storage.v1: take a newer Jaeger";
  constexpr std::string_view kWrite = "this endpoint shows traces: send spans to one of Tailgate's receivers";
  for (const auto& [service, text] : {std::pair("jaeger.storage.v1.SpanReaderPlugin", kOld),
                                      std::pair("jaeger.storage.v1.DependenciesReaderPlugin", kOld),
                                      std::pair("jaeger.storage.v1.PluginCapabilities", kOld),
                                      std::pair("jaeger.storage.v1.SpanWriterPlugin", kWrite),
                                      std::pair("opentelemetry.proto.collector.trace.v1.TraceService", kWrite)}) {
    pages.add_call(fmt::format("/{}/", service), kGrpcRequestMax,
                   [told = std::string(text)](const RequestHead&, ByteView) {
                     return grpc_response({RpcCode::kUnimplemented, told, 0});
                   });
  }
}

}  // namespace

void add_jaeger_grpc(Pages& pages, const JaegerSharedPtr& shared) {
  add_method(pages, shared, "TraceReader/GetTraces", read_jaeger_ids, get_traces);
  add_method(pages, shared, "TraceReader/FindTraces", read_jaeger_question, find_whole_traces);
  add_method(pages, shared, "TraceReader/FindTraceSummaries", read_jaeger_question, find_summaries);
  add_method(pages, shared, "TraceReader/FindTraceIDs", read_jaeger_question, find_ids);
  add_method(pages, shared, "TraceReader/GetServices", read_nothing,
             [](const JaegerShared& in, const JaegerTimes&, PieceAnswer& answer) {
               answer_once(answer, services_for_jaeger(*in.options.store), jaeger_services);
             });
  add_method(pages, shared, "TraceReader/GetOperations", read_jaeger_operations,
             [](const JaegerShared& in, const JaegerOperationsRequest& request, PieceAnswer& answer) {
               answer_once(answer, operations_for_jaeger(*in.options.store, request), jaeger_operations);
             });
  add_method(
      pages, shared, "DependencyReader/GetDependencies", read_jaeger_times,
      [](const JaegerShared& in, const JaegerTimes& times, PieceAnswer& answer) {
        const auto found = dependencies_for_jaeger(in, times, [&] { return answer.cancelled(); });
        if (!found) return answer.whole().answer(grpc_response(status_of(found.error())));
        answer.write(grpc_frame(jaeger_dependencies(found->most)));
        answer.end(trailers_of(cut_text(*found), {}));
      },
      !shared->calls);
  // Not asked of the store, so it is answered where there is none too.
  pages.add_call("/jaeger.storage.v2.Capabilities/GetCapabilities", kGrpcRequestMax,
                 [](const RequestHead&, ByteView) { return grpc_response({}, jaeger_capabilities()); });
  add_health(pages);
  add_refusals(pages);
}

}  // namespace tailgate
