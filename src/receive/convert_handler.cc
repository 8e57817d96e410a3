#include "receive/convert_handler.h"

#include <fmt/format.h>

#include "net/http/inflate.h"

namespace tailgate {
namespace {

constexpr std::uint32_t kRetrySeconds = 1;

std::string_view media_type(std::string_view content_type) {
  content_type = content_type.substr(0, content_type.find(';'));
  while (!content_type.empty() && content_type.back() == ' ') content_type.remove_suffix(1);
  return content_type;
}

bool is_grpc_call(const RequestHead& head) { return head.is_http2 && is_grpc(head.header("content-type")); }

}  // namespace

ConvertHandler::ConvertHandler(ConvertEndpointConfig config, const ReceiverContext& context,
                               std::vector<ConvertRoute> routes)
    : config_(std::move(config)), context_(context), routes_(std::move(routes)) {}

const ConvertRoute* ConvertHandler::route_of(const RequestHead& head) const {
  for (const ConvertRoute& route : routes_) {
    if (route.path == head.path()) return &route;
  }
  return nullptr;
}

const ConvertForm* ConvertHandler::form_of(const ConvertRoute* route, const RequestHead& head) {
  if (route == nullptr) return nullptr;
  if (route->grpc) return is_grpc_call(head) ? &route->forms.front() : nullptr;
  const std::string_view media = media_type(head.header("content-type"));
  for (const ConvertForm& form : route->forms) {
    if (form.media_type == media) return &form;
  }
  return nullptr;
}

Response ConvertHandler::refusal(const RequestHead& head, std::string_view reason, int http_status,
                                 RpcStatus status) const {
  const ConvertForm* const form = form_of(route_of(head), head);
  if (context_.refused) context_.refused((form != nullptr ? *form : routes_.front().forms.front()).source, reason);
  if (is_grpc_call(head)) return grpc_response(status);
  Response r = plain_response(http_status, status.message);
  if (status.retry_seconds != 0) r.headers.emplace_back("retry-after", std::to_string(status.retry_seconds));
  return r;
}

Admission ConvertHandler::admit(const RequestHead& head) {
  Admission out;
  if (route_of(head) != nullptr) out.refusal = preflight(config_.cors, head);
  if (out.refusal) return out;
  out = admit_request(head);
  if (out.refusal) add_cors_headers(config_.cors, head, *out.refusal);
  return out;
}

Admission ConvertHandler::admit_request(const RequestHead& head) {
  Admission out;
  out.body_bytes_max = config_.message_max;
  const auto refuse_with = [&](std::string_view reason, int http, RpcCode code, std::string text,
                               std::uint32_t retry = 0) {
    out.refusal = refusal(head, reason, http, {code, std::move(text), retry});
    return out;
  };
  const ConvertRoute* const route = route_of(head);
  const ConvertForm* const form = form_of(route, head);
  if (route == nullptr || (is_grpc_call(head) && !route->grpc)) {
    if (is_grpc_call(head)) {
      return refuse_with("unsupported", 404, RpcCode::kUnimplemented, fmt::format("unknown method {}", head.path()));
    }
    return refuse_with("unsupported", 404, RpcCode::kNotFound,
                       fmt::format("nothing here; spans go to {}", routes_.front().path));
  }
  if (head.method != "POST") {
    refuse_with("unsupported", 405, RpcCode::kUnimplemented, fmt::format("want POST, got {}", head.method));
    out.refusal->headers.emplace_back("allow", "POST");
    return out;
  }
  if (form == nullptr) return refuse_with("unsupported", 415, RpcCode::kUnimplemented, std::string(route->text));
  if (draining_.load(std::memory_order_relaxed)) {
    return refuse_with("shutdown", 503, RpcCode::kUnavailable, "shutting down, try again", kRetrySeconds);
  }
  out.grpc = route->grpc;
  const std::string_view header = route->grpc ? "grpc-encoding" : "content-encoding";
  if (!coding_of(head.header(header))) {
    return refuse_with(
        "unsupported", 415, RpcCode::kUnimplemented,
        fmt::format("{} '{}' is not supported, want one of {}", header, head.header(header), kCodingNames));
  }
  return out;
}

Response ConvertHandler::refuse(const RequestHead& head, const Refusal& why) {
  RefusalAnswer out = refusal_answer(why);
  if (why.why == RefuseWhy::kTooLarge) {
    out.status.message = fmt::format("the request is larger than {} bytes", config_.message_max);
  }
  Response response = refusal(head, out.reason, out.http, std::move(out.status));
  add_cors_headers(config_.cors, head, response);
  return response;
}

void ConvertHandler::handle(const RequestHead& head, BodyBuffer& body, Response& response) {
  const ConvertRoute* const route = route_of(head);  // admit() has found both
  const ConvertForm& form = *form_of(route, head);
  response = route->grpc ? handle_grpc(head, form, body.view()) : handle_http(head, form, body.view());
  add_cors_headers(config_.cors, head, response);
}

Response ConvertHandler::handle_grpc(const RequestHead& head, const ConvertForm& form, ByteView body) const {
  BodyBuffer scratch(context_.budget);
  const GrpcMessage message = read_grpc_message(head, body, config_.limits, config_.message_max, scratch);
  switch (message.status.code) {
    case RpcCode::kOk:
      return ingest(head, form, message.bytes);
    case RpcCode::kResourceExhausted:
      return refusal(head, "limit", 200, message.status);
    case RpcCode::kUnavailable:
      return refusal(head, "no_memory", 200, message.status);
    case RpcCode::kUnimplemented:
      return refusal(head, "unsupported", 200, message.status);
    default:
      return refusal(head, "malformed", 200, message.status);
  }
}

Response ConvertHandler::handle_http(const RequestHead& head, const ConvertForm& form, ByteView body) const {
  const Coding coding = *coding_of(head.header("content-encoding"));  // admit() has seen it
  if (coding == Coding::kIdentity) return ingest(head, form, body);
  BodyBuffer inflated(context_.budget);
  switch (inflate_body(coding, body, config_.limits, config_.message_max, inflated)) {
    case InflateResult::kOk:
      return ingest(head, form, inflated.view());
    case InflateResult::kTooLarge:
      return refusal(head, "limit", 413,
                     {RpcCode::kResourceExhausted,
                      fmt::format("the request inflates to more than {} bytes, or by more than {}:1",
                                  config_.message_max, config_.limits.inflate_ratio),
                      0});
    case InflateResult::kNoMemory:
      return refusal(head, "no_memory", 503,
                     {RpcCode::kUnavailable, "no room to inflate the request, try again", kRetrySeconds});
    case InflateResult::kCorrupt:
      break;
  }
  return refusal(
      head, "malformed", 400,
      {RpcCode::kInvalidArgument, fmt::format("the body is no whole {}", head.header("content-encoding")), 0});
}

Response ConvertHandler::ingest(const RequestHead& head, const ConvertForm& form, ByteView body) const {
  BudgetRoom room(context_.budget);
  thread_local ByteSink otlp;
  otlp.set_room(&room);
  otlp.clear();
  const Result<void> converted = form.convert(head, body, otlp);
  if (!converted) {
    otlp.clear();
    if (converted.error().kind == ErrorKind::kRefused) {
      return refusal(head, "no_memory", 503, {RpcCode::kUnavailable, converted.error().text, kRetrySeconds});
    }
    return refusal(head, "malformed", 400, {RpcCode::kInvalidArgument, converted.error().text, 0});
  }
  const IngestResult result = context_.ingest(form.source, otlp.view(), head.client.get());
  otlp.clear();  // before its charge is given back
  switch (result.kind) {
    case IngestResult::Kind::kAccepted:
      break;  // spans with bad ids are counted; these protocols cannot tell the sender
    case IngestResult::Kind::kMalformed:
      return refusal(head, "malformed", 400, {RpcCode::kInvalidArgument, result.message, 0});
    case IngestResult::Kind::kNoMemory:
      return refusal(head, "no_memory", 503, {RpcCode::kUnavailable, result.message, kRetrySeconds});
    case IngestResult::Kind::kClientSpans: {
      RefusalAnswer out = refusal_answer({RefuseWhy::kClientSpans, result.retry_seconds});
      return refusal(head, out.reason, out.http, std::move(out.status));
    }
    case IngestResult::Kind::kShuttingDown:
      return refusal(head, "shutdown", 503, {RpcCode::kUnavailable, result.message, kRetrySeconds});
  }
  return is_grpc_call(head) ? grpc_response({}, "") : plain_response(202);
}

}  // namespace tailgate
