// SPDX-License-Identifier: Apache-2.0
#include "receive/handler.h"

#include <fmt/format.h>

#include "net/http/inflate.h"
#include "net/http/later_answer.h"

namespace tailgate {
namespace {

constexpr std::uint32_t kRetrySeconds = 1;

bool is_grpc_call(const RequestHead& head) { return head.is_http2 && is_grpc(head.header("content-type")); }

const ReceiveForm* find_form(const std::vector<ReceiveForm>& forms, const RequestHead& head) {
  const std::string_view media = media_type_of(head.header("content-type"));
  for (const ReceiveForm& form : forms) {
    if (equal_ignoring_case(form.media_type, media)) return &form;
  }
  return nullptr;
}

ReceiveProtocol complete(ReceiveProtocol protocol) {
  if (protocol.elsewhere.empty()) protocol.elsewhere.push_back(protocol.routes.front().forms.front());
  return protocol;
}

// The names of the gRPC services, of paths /SERVICE/METHOD.
std::vector<std::string_view> services_of(const std::vector<ReceiveRoute>& routes) {
  std::vector<std::string_view> out;
  for (const ReceiveRoute& route : routes) {
    const std::string_view path = route.path;
    if (route.grpc) out.push_back(path.substr(1, path.rfind('/') - 1));
  }
  return out;
}

}  // namespace

ReceiveHandler::ReceiveHandler(EndpointConfig config, const ReceiverContext& context, ReceiveProtocol protocol)
    : config_(std::move(config)),
      context_(context),
      protocol_(complete(std::move(protocol))),
      services_(services_of(protocol_.routes)) {}

const ReceiveRoute* ReceiveHandler::route_of(const RequestHead& head) const {
  const std::string_view path = head.path();
  for (const ReceiveRoute& route : protocol_.routes) {
    if (route.path == path) return &route;
  }
  return nullptr;
}

std::size_t ReceiveHandler::message_max(const ReceiveRoute* route) const {
  return route != nullptr && route->answer ? route->question_max : config_.message_max;
}

const ReceiveForm* ReceiveHandler::form_of(const ReceiveRoute* route, const RequestHead& head) {
  if (route == nullptr) return nullptr;
  if (route->grpc) return is_grpc_call(head) ? &route->forms.front() : nullptr;
  return find_form(route->forms, head);
}

const ReceiveForm& ReceiveHandler::form_of_refusal(const RequestHead& head) const {
  if (const ReceiveForm* const form = form_of(route_of(head), head)) return *form;
  const ReceiveForm* const form = find_form(protocol_.elsewhere, head);
  return form != nullptr ? *form : protocol_.elsewhere.back();
}

Response ReceiveHandler::refusal(const RequestHead& head, RefusalReason reason, int http_status,
                                 const RpcStatus& status) const {
  const ReceiveForm& form = form_of_refusal(head);
  if (context_.refused) context_.refused(form.source, reason);
  if (context_.log_refused) context_.log_refused(form.source, reason, head.remote, status.message);
  if (is_grpc_call(head)) return grpc_response(status);
  Response r = form.refused != nullptr ? form.refused(status) : plain_response(http_status, status.message);
  r.status = http_status;
  if (status.retry_seconds != 0) r.headers.emplace_back("retry-after", std::to_string(status.retry_seconds));
  return r;
}

Admission ReceiveHandler::admit(const RequestHead& head) {
  const ReceiveRoute* const route = route_of(head);
  if (route != nullptr && !route->grpc) {
    if (auto answer = preflight(config_.cors, head)) {
      Admission out;
      out.refusal = std::move(*answer);
      return out;
    }
  }
  Admission out = admit_request(head, route);
  if (out.refusal) add_cors_headers(config_.cors, head, *out.refusal);
  return out;
}

Admission ReceiveHandler::admit_request(const RequestHead& head, const ReceiveRoute* route) const {
  Admission out;
  out.body_bytes_max = message_max(route);
  const auto refuse_with = [&](RefusalReason reason, int http, RpcCode code, std::string text,
                               std::uint32_t retry = 0) {
    out.refusal = refusal(head, reason, http, {code, std::move(text), retry});
    return out;
  };
  if (protocol_.unsupported) {
    if (auto why = protocol_.unsupported(head)) {
      return refuse_with(RequestRefusal::kUnsupported, why->http_status, why->code, std::move(why->text));
    }
  }
  if (health_method(head)) {
    out.grpc = out.open = true;
    out.body_bytes_max = kHealthRequestMax;
    return out;
  }
  if (is_grpc_call(head) && (route == nullptr || !route->grpc)) {
    return refuse_with(RequestRefusal::kUnsupported, 404, RpcCode::kUnimplemented,
                       fmt::format("unknown method {}", head.path()));
  }
  if (route == nullptr)
    return refuse_with(RequestRefusal::kUnsupported, 404, RpcCode::kNotFound, protocol_.nothing_here);
  if (head.method != "POST") {
    refuse_with(RequestRefusal::kUnsupported, 405, RpcCode::kUnimplemented,
                fmt::format("expected POST, got {}", head.method));
    out.refusal->headers.emplace_back("allow", "POST");
    return out;
  }
  if (form_of(route, head) == nullptr) {
    std::string text = route->wrong_type;
    if (route->quotes_type) text += fmt::format(", got '{}'", head.header("content-type"));
    return refuse_with(RequestRefusal::kUnsupported, 415, RpcCode::kUnimplemented, std::move(text));
  }
  if (draining_.load(std::memory_order_relaxed)) {
    return refuse_with(RequestRefusal::kShutdown, 503, RpcCode::kUnavailable, "shutting down, try again",
                       kRetrySeconds);
  }
  out.grpc = route->grpc;
  const std::string_view header = route->grpc ? "grpc-encoding" : "content-encoding";
  if (!coding_of(head.header(header))) {
    return refuse_with(
        RequestRefusal::kUnsupported, 415, RpcCode::kUnimplemented,
        fmt::format("{} '{}' is not supported, expected one of {}", header, head.header(header), kCodingNames));
  }
  return out;
}

Response ReceiveHandler::refuse(const RequestHead& head, const Refusal& why) {
  RefusalAnswer out = refusal_answer(why);
  if (why.why == RefuseWhy::kTooLarge) {
    out.status.message = fmt::format("the request is larger than {} bytes", message_max(route_of(head)));
  }
  if (!why.text.empty()) out.status.message = why.text;
  Response response = refusal(head, why.why, out.http, out.status);
  add_cors_headers(config_.cors, head, response);
  return response;
}

std::optional<HealthMethod> ReceiveHandler::health_method(const RequestHead& head) const {
  if (services_.empty() || !is_grpc_call(head) || head.method != "POST") return std::nullopt;
  return health_method_of(head.path());
}

Response ReceiveHandler::handle_health(const RequestHead& head, HealthMethod method, ByteView body) const {
  BodyBuffer scratch(context_.budget);
  const GrpcMessage message = read_grpc_message(head, body, config_.limits, kHealthRequestMax, scratch);
  if (message.status.code != RpcCode::kOk) return grpc_response(message.status);
  return health_answer(method, message.bytes, services_, !draining_.load(std::memory_order_relaxed));
}

void ReceiveHandler::handle(const RequestHead& head, BodyBuffer& body, Response& response) {
  if (const auto method = health_method(head)) {
    response = handle_health(head, *method, body.view());
    return;
  }
  const ReceiveRoute* const route = route_of(head);  // admit() has found both
  const ReceiveForm& form = *form_of(route, head);
  ReceiptPtr receipt;
  response = route->grpc     ? handle_grpc(head, *route, body.view(), receipt)
             : route->answer ? answer(head, *route, body.view())
                             : handle_http(head, form, body.view(), receipt);
  add_cors_headers(config_.cors, head, response);
  if (receipt != nullptr) answer_later(head, form, receipt, response);
}

Response ReceiveHandler::handle_grpc(const RequestHead& head, const ReceiveRoute& route, ByteView body,
                                     ReceiptPtr& receipt) const {
  BodyBuffer scratch(context_.budget);
  const GrpcMessage message = read_grpc_message(head, body, config_.limits, message_max(&route), scratch);
  switch (message.status.code) {
    case RpcCode::kOk:
      return route.answer ? answer(head, route, message.bytes)
                          : convert(head, route.forms.front(), message.bytes, receipt);
    case RpcCode::kResourceExhausted:
      return refusal(head, RefuseWhy::kTooLarge, 200, message.status);
    case RpcCode::kUnavailable:
      return refusal(head, RefuseWhy::kNoMemory, 200, message.status);
    case RpcCode::kUnimplemented:
      return refusal(head, RequestRefusal::kUnsupported, 200, message.status);
    default:
      return refusal(head, RequestRefusal::kMalformed, 200, message.status);
  }
}

Response ReceiveHandler::answer(const RequestHead& head, const ReceiveRoute& route, ByteView message) const {
  Result<Response> answered = route.answer(message);
  if (!answered)
    return refusal(head, RequestRefusal::kMalformed, route.grpc ? 200 : 400,
                   {RpcCode::kInvalidArgument, answered.error().text, 0});
  if (route.grpc) return grpc_response({}, answered->body);
  if (answered->status == 200) answered->headers.emplace_back("content-type", "application/x-protobuf");
  return std::move(*answered);
}

Response ReceiveHandler::handle_http(const RequestHead& head, const ReceiveForm& form, ByteView body,
                                     ReceiptPtr& receipt) const {
  const Coding coding = *coding_of(head.header("content-encoding"));  // admit() has seen it
  if (coding == Coding::kIdentity) return convert(head, form, body, receipt);
  BodyBuffer inflated(context_.budget);
  switch (inflate_body(coding, body, config_.limits, config_.message_max, inflated)) {
    case InflateResult::kOk:
      return convert(head, form, inflated.view(), receipt);
    case InflateResult::kTooLarge:
      return refusal(head, RefuseWhy::kTooLarge, 413,
                     {RpcCode::kResourceExhausted,
                      fmt::format("the request inflates to more than {} bytes, or by more than {}:1",
                                  config_.message_max, config_.limits.inflate_ratio),
                      0});
    case InflateResult::kNoMemory:
      return refusal(head, RefuseWhy::kNoMemory, 503,
                     {RpcCode::kUnavailable, "no room to inflate the request, try again", kRetrySeconds});
    case InflateResult::kCorrupt:
      break;
  }
  return refusal(
      head, RequestRefusal::kMalformed, 400,
      {RpcCode::kInvalidArgument, fmt::format("the body is no whole {}", head.header("content-encoding")), 0});
}

Response ReceiveHandler::convert(const RequestHead& head, const ReceiveForm& form, ByteView body,
                                 ReceiptPtr& receipt) const {
  if (!form.convert) return ingest(head, form, body, {}, receipt);
  BudgetRoom room(context_.budget);
  thread_local ByteSink sink;
  sink.set_room(&room);
  sink.clear();
  ConversionOutput out{room, sink, {}, {}};
  const Result<ByteView> otlp = form.convert(head, body, out);
  Response response;
  if (otlp) {
    if (context_.odd) context_.odd(form.source, Oddity::kRepairedTexts, sink.repaired_texts());
    response = ingest(head, form, *otlp, out.unknown_field, receipt);
  } else if (otlp.error().kind == ErrorKind::kRefused) {
    response = refusal(head, RefuseWhy::kNoMemory, 503, {RpcCode::kUnavailable, otlp.error().text, kRetrySeconds});
  } else {
    response = refusal(head, RequestRefusal::kMalformed, 400, {RpcCode::kInvalidArgument, otlp.error().text, 0});
  }
  sink.clear();  // before its charge is given back
  return response;
}

std::string ReceiveHandler::note_without_spans(SourceId source, const std::string& unknown_field, TimePoint now) const {
  if (context_.odd) context_.odd(source, Oddity::kWithoutSpans, 1);
  std::string text = "the request holds no spans; only traces are taken here";
  if (!unknown_field.empty()) text += fmt::format(", and its field '{}' is not known", unknown_field);
  if (context_.notice && without_spans_log_.pass(now)) {
    context_.notice(fmt::format("{}: {}", config_.config_path, text));
  }
  return text;
}

IngestResult ReceiveHandler::hand_in(const RequestHead& head, const ReceiveForm& form, ByteView otlp) const {
  Client* const client = head.client.get();
  if (!context_.ingest_forwarded) return context_.ingest(form.source, otlp, client);
  const std::string_view hop = head.header(kHopHeader);
  if (hop.empty()) return context_.ingest(form.source, otlp, client);
  return context_.ingest_forwarded(form.source, otlp, client,
                                   {hop == "1"   ? Hop::kFirst
                                    : hop == "2" ? Hop::kSecond
                                                 : Hop::kLast,
                                    !head.header(kFromHeader).empty()});
}

Response ReceiveHandler::ingest(const RequestHead& head, const ReceiveForm& form, ByteView otlp,
                                const std::string& unknown_field, ReceiptPtr& receipt) const {
  IngestResult result = hand_in(head, form, otlp);
  switch (result.kind) {
    case IngestResult::Kind::kAccepted:
      // Protobuf bytes of the other signals read as spans without ids.
      if (result.all_bad_ids && !form.convert) {
        result.message += "; no span in the request has good ids, so it may hold metrics or logs";
      }
      if (result.rejected_spans != 0 && context_.log_refused)
        context_.log_refused(form.source, SpanRefusal::kBadId, head.remote, result.message);
      break;
    case IngestResult::Kind::kMalformed:
      return refusal(head, RequestRefusal::kMalformed, 400, {RpcCode::kInvalidArgument, result.message, 0});
    case IngestResult::Kind::kNoMemory:
      return refusal(head, RefuseWhy::kNoMemory, 503, {RpcCode::kUnavailable, result.message, kRetrySeconds});
    case IngestResult::Kind::kClientSpans: {
      const RefusalAnswer out = refusal_answer({RefuseWhy::kClientSpans, result.retry_seconds});
      return refusal(head, RefuseWhy::kClientSpans, out.http, out.status);
    }
    case IngestResult::Kind::kShuttingDown:
      return refusal(head, RequestRefusal::kShutdown, 503, {RpcCode::kUnavailable, result.message, kRetrySeconds});
    case IngestResult::Kind::kJournal:
      return refusal(head, RequestRefusal::kJournal, 503, {RpcCode::kUnavailable, result.message, kRetrySeconds});
  }
  receipt = std::move(result.receipt);
  if (result.no_spans || (otlp.empty() && !unknown_field.empty())) {
    result.message = note_without_spans(form.source, unknown_field, result.now);
  }
  // Without words of its own a protocol cannot tell the sender that spans with bad ids were left out; they are counted.
  if (form.accepted != nullptr) return form.accepted(result);
  return is_grpc_call(head) ? grpc_response({}, "") : plain_response(202);
}

// The session waits, and the I/O thread goes on. The handler outlives the journal's thread, which calls back.
void ReceiveHandler::answer_later(const RequestHead& head, const ReceiveForm& form, const ReceiptPtr& receipt,
                                  Response& response) const {
  const auto later = std::make_shared<LaterAnswer>();
  auto accepted = std::make_shared<Response>(std::move(response));
  response = {};
  response.later = later;
  receipt->then([this, &form, later, accepted = std::move(accepted), grpc = is_grpc_call(head)](
                    bool safe) { later->answer(safe ? std::move(*accepted) : not_safe(form, grpc, *accepted)); },
                head.answer_by);
}

// The journal could not be written: the spans are in memory, and the sender is to send them again.
Response ReceiveHandler::not_safe(const ReceiveForm& form, bool grpc, const Response& accepted) const {
  const RpcStatus status{RpcCode::kUnavailable, "the journal could not be written; try again", kRetrySeconds};
  if (context_.refused) context_.refused(form.source, RequestRefusal::kJournal);
  if (context_.log_refused) context_.log_refused(form.source, RequestRefusal::kJournal, "", status.message);
  if (grpc) return grpc_response(status);
  Response r = form.refused != nullptr ? form.refused(status) : plain_response(503, status.message);
  r.status = 503;
  r.headers.emplace_back("retry-after", std::to_string(status.retry_seconds));
  for (const auto& header : accepted.headers) {
    if (header.first.starts_with("access-control-") || header.first == "vary") r.headers.push_back(header);
  }
  return r;
}

}  // namespace tailgate
