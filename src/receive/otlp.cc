#include "receive/otlp.h"

#include <fmt/format.h>

#include "codec/json_text.h"
#include "codec/protobuf.h"
#include "net/http/inflate.h"
#include "wire/otlp/json_read.h"
#include "wire/otlp/schema.h"

namespace tailgate {
namespace {

constexpr std::string_view kProtobufType = "application/x-protobuf";
constexpr std::string_view kJsonType = "application/json";
constexpr std::uint32_t kRetrySeconds = 1;

std::string_view media_type(std::string_view content_type) {
  content_type = content_type.substr(0, content_type.find(';'));
  while (!content_type.empty() && content_type.back() == ' ') content_type.remove_suffix(1);
  return content_type;
}

// ExportTraceServiceResponse; empty unless there is something to say.
std::string response_proto(const IngestResult& result) {
  if (result.rejected_spans == 0 && result.message.empty()) return {};
  std::string partial;
  if (result.rejected_spans != 0) {
    pb::append_varint(partial, pb::tag_of(otlp::partial_success::kRejectedSpans, pb::kVarint));
    pb::append_varint(partial, result.rejected_spans);
  }
  if (!result.message.empty()) pb::append_len(partial, otlp::partial_success::kErrorMessage, result.message);
  std::string out;
  pb::append_len(out, otlp::response::kPartialSuccess, partial);
  return out;
}

std::string response_json(const IngestResult& result) {
  if (result.rejected_spans == 0 && result.message.empty()) return "{}";
  return fmt::format("{{\"partialSuccess\":{{\"rejectedSpans\":\"{}\",\"errorMessage\":{}}}}}", result.rejected_spans,
                     json_quoted(result.message));
}

}  // namespace

OtlpHandler::Form OtlpHandler::form_of(const RequestHead& head) {
  const std::string_view type = head.header("content-type");
  if (head.is_http2 && is_grpc(type)) return Form::kGrpc;
  const std::string_view media = media_type(type);
  if (media == kProtobufType) return Form::kProtobuf;
  if (media == kJsonType) return Form::kJson;
  return Form::kOther;
}

// The one place that gives a status its form: gRPC trailers, or google.rpc.Status in the request's encoding.
Response OtlpHandler::answer(Form form, int http_status, const RpcStatus& status) const {
  Response r;
  switch (form) {
    case Form::kGrpc:
      return grpc_response(status);
    case Form::kProtobuf:
      r.headers.emplace_back("content-type", kProtobufType);
      r.body = rpc_status_proto(status);
      break;
    case Form::kJson:
      r.headers.emplace_back("content-type", kJsonType);
      r.body = rpc_status_json(status);
      break;
    case Form::kOther:
      r = plain_response(http_status, status.message);
      break;
  }
  r.status = http_status;
  if (status.retry_seconds != 0) r.headers.emplace_back("retry-after", std::to_string(status.retry_seconds));
  return r;
}

Response OtlpHandler::refusal(Form form, std::string_view reason, int http_status, RpcStatus status) const {
  if (context_.refused) context_.refused(source_of(form), reason);
  return answer(form, http_status, status);
}

// Metrics and logs are another program's business; said once per process, since senders repeat themselves for ever.
std::optional<Response> OtlpHandler::other_signal(Form form, std::string_view path) const {
  constexpr std::string_view kPrefix = "/opentelemetry.proto.collector.";
  const bool grpc = path.starts_with(kPrefix) && path != kOtlpTraceExport;
  if (!grpc && path != "/v1/metrics" && path != "/v1/logs") return std::nullopt;
  static std::atomic<bool> said{false};
  const bool known = !grpc || path.find("MetricsService") != std::string_view::npos ||
                     path.find("LogsService") != std::string_view::npos;
  if (known && context_.notice && !said.exchange(true)) {
    context_.notice(
        fmt::format("something sends metrics or logs ({}); this daemon takes traces only and refuses them", path));
  }
  return refusal(form, "unsupported", 404,
                 {form == Form::kGrpc ? RpcCode::kUnimplemented : RpcCode::kNotFound,
                  fmt::format("only traces are taken here, not {}", path), 0});
}

Admission OtlpHandler::admit(const RequestHead& head) {
  if (head.path() == config_.traces_path) {
    if (auto answer = preflight(config_.cors, head)) {
      Admission out;
      out.refusal = std::move(*answer);
      return out;
    }
  }
  Admission out = admit_request(head);
  if (out.refusal) add_cors_headers(config_.cors, head, *out.refusal);
  return out;
}

Admission OtlpHandler::admit_request(const RequestHead& head) {
  const Form form = form_of(head);
  const std::string_view path = head.path();
  Admission out;
  out.body_bytes_max = config_.message_max;
  const auto refuse_with = [&](std::string_view reason, int http, RpcCode code, std::string text,
                               std::uint32_t retry = 0) {
    out.refusal = refusal(form, reason, http, {code, std::move(text), retry});
    return out;
  };
  if (auto other = other_signal(form, path)) {
    out.refusal = std::move(*other);
    return out;
  }
  const bool grpc_path = path == kOtlpTraceExport;
  if (form == Form::kGrpc && !grpc_path) {
    return refuse_with("unsupported", 404, RpcCode::kUnimplemented, fmt::format("unknown method {}", path));
  }
  if (form != Form::kGrpc && grpc_path) {
    return refuse_with("unsupported", 415, RpcCode::kUnimplemented, "want content-type application/grpc over HTTP/2");
  }
  if (!grpc_path && path != config_.traces_path) {
    return refuse_with("unsupported", 404, RpcCode::kNotFound,
                       fmt::format("nothing here; traces go to {}", config_.traces_path));
  }
  if (head.method != "POST") {
    refuse_with("unsupported", 405, RpcCode::kUnimplemented, fmt::format("want POST, got {}", head.method));
    out.refusal->headers.emplace_back("allow", "POST");
    return out;
  }
  if (form == Form::kOther) {
    return refuse_with(
        "unsupported", 415, RpcCode::kUnimplemented,
        fmt::format("want content-type {} or {}, got '{}'", kProtobufType, kJsonType, head.header("content-type")));
  }
  if (draining_.load(std::memory_order_relaxed)) {
    return refuse_with("shutdown", 503, RpcCode::kUnavailable, "shutting down, try again", kRetrySeconds);
  }
  out.grpc = form == Form::kGrpc;
  const std::string_view header = out.grpc ? "grpc-encoding" : "content-encoding";
  if (!coding_of(head.header(header))) {
    return refuse_with(
        "unsupported", 415, RpcCode::kUnimplemented,
        fmt::format("{} '{}' is not supported, want one of {}", header, head.header(header), kCodingNames));
  }
  return out;
}

Response OtlpHandler::refuse(const RequestHead& head, const Refusal& why) {
  RefusalAnswer out = refusal_answer(why);
  if (why.why == RefuseWhy::kTooLarge) {
    out.status.message = fmt::format("the request is larger than {} bytes", config_.message_max);
  }
  Response response = refusal(form_of(head), out.reason, out.http, std::move(out.status));
  add_cors_headers(config_.cors, head, response);
  return response;
}

void OtlpHandler::handle(const RequestHead& head, BodyBuffer& body, Response& response) {
  handle_request(head, body, response);
  add_cors_headers(config_.cors, head, response);
}

void OtlpHandler::handle_request(const RequestHead& head, BodyBuffer& body, Response& response) {
  const Form form = form_of(head);
  if (form != Form::kGrpc) {
    response = handle_http(form, head, body.view());
    return;
  }
  BodyBuffer scratch(context_.budget);
  const GrpcMessage message = read_grpc_message(head, body.view(), config_.limits, config_.message_max, scratch);
  switch (message.status.code) {
    case RpcCode::kOk:
      response = ingest(form, head, message.bytes);
      return;
    case RpcCode::kResourceExhausted:
      response = refusal(form, "limit", 200, message.status);
      return;
    case RpcCode::kUnavailable:
      response = refusal(form, "no_memory", 200, message.status);
      return;
    case RpcCode::kUnimplemented:
      response = refusal(form, "unsupported", 200, message.status);
      return;
    default:
      response = refusal(form, "malformed", 200, message.status);
      return;
  }
}

Response OtlpHandler::handle_http(Form form, const RequestHead& head, ByteView body) const {
  BodyBuffer inflated(context_.budget);
  const Coding coding = *coding_of(head.header("content-encoding"));  // admit() has seen it
  if (coding != Coding::kIdentity) {
    switch (inflate_body(coding, body, config_.limits, config_.message_max, inflated)) {
      case InflateResult::kOk:
        break;
      case InflateResult::kTooLarge:
        return refusal(form, "limit", 413,
                       {RpcCode::kResourceExhausted,
                        fmt::format("the request inflates to more than {} bytes, or by more than {}:1",
                                    config_.message_max, config_.limits.inflate_ratio),
                        0});
      case InflateResult::kNoMemory:
        return refusal(form, "no_memory", 503,
                       {RpcCode::kUnavailable, "no room to inflate the request, try again", kRetrySeconds});
      case InflateResult::kCorrupt:
        return refusal(
            form, "malformed", 400,
            {RpcCode::kInvalidArgument, fmt::format("the body is no whole {}", head.header("content-encoding")), 0});
    }
    body = inflated.view();
  }
  if (form == Form::kProtobuf) return ingest(form, head, body);

  Charge charge = context_.budget != nullptr ? Charge(*context_.budget, Holder::kRequests) : Charge();
  if (!charge.try_grow(body.size(), body.size() > kLargeBody
                                        ? kReserveParts
                                        : 0)) {  // the protobuf bytes are never more than the JSON's
    return refusal(form, "no_memory", 503,
                   {RpcCode::kUnavailable, "no room to convert the request, try again", kRetrySeconds});
  }
  const auto otlp = otlp_json_to_proto(body);
  if (!otlp) return refusal(form, "malformed", 400, {RpcCode::kInvalidArgument, otlp.error().text, 0});
  return ingest(form, head, *otlp);
}

Response OtlpHandler::ingest(Form form, const RequestHead& head, ByteView otlp) const {
  const IngestResult result = context_.ingest(source_of(form), otlp, head.client.get());
  switch (result.kind) {
    case IngestResult::Kind::kAccepted:
      break;
    case IngestResult::Kind::kMalformed:
      return refusal(form, "malformed", 400, {RpcCode::kInvalidArgument, result.message, 0});
    case IngestResult::Kind::kNoMemory:
      return refusal(form, "no_memory", 503, {RpcCode::kUnavailable, result.message, kRetrySeconds});
    case IngestResult::Kind::kClientSpans: {
      RefusalAnswer out = refusal_answer({RefuseWhy::kClientSpans, result.retry_seconds});
      return refusal(form, out.reason, out.http, std::move(out.status));
    }
    case IngestResult::Kind::kShuttingDown:
      return refusal(form, "shutdown", 503, {RpcCode::kUnavailable, result.message, kRetrySeconds});
  }
  return accepted(form, result);
}

Response OtlpHandler::accepted(Form form, const IngestResult& result) const {
  if (form == Form::kGrpc) return grpc_response({}, response_proto(result));
  Response r;
  r.headers.emplace_back("content-type", form == Form::kJson ? kJsonType : kProtobufType);
  r.body = form == Form::kJson ? response_json(result) : response_proto(result);
  return r;
}

namespace {

class OtlpReceiver final : public Receiver {
 public:
  OtlpReceiver(OtlpConfig config, std::string name) : config_(std::move(config)), name_(std::move(name)) {}
  ~OtlpReceiver() override { stop(Duration::zero()); }

  const std::string& name() const override { return name_; }

  std::size_t tls_connections() const override {
    std::size_t out = 0;
    for (const auto* endpoint : {config_.grpc ? &*config_.grpc : nullptr, config_.http ? &*config_.http : nullptr})
      if (endpoint != nullptr && endpoint->tls) out += endpoint->limits.connections;
    return out;
  }
  std::vector<std::string> wanted_endpoints() const override {
    std::vector<std::string> out;
    if (config_.grpc) out.push_back(config_.grpc->endpoint);
    if (config_.http) out.push_back(config_.http->endpoint);
    return out;
  }

  Result<void> start(const ReceiverContext& context) override {
    const SourceId proto = context.source ? context.source(name_, "otlp_proto") : SourceId{0};
    const SourceId json = context.source ? context.source(name_, "otlp_json") : SourceId{0};
    for (const auto* endpoint : {config_.grpc ? &*config_.grpc : nullptr, config_.http ? &*config_.http : nullptr}) {
      if (endpoint == nullptr) continue;
      handlers_.push_back(std::make_unique<OtlpHandler>(*endpoint, context, proto, json));
      ServerOptions options;
      options.name = name_;
      options.endpoint = endpoint->endpoint;
      options.socket_mode = endpoint->socket_mode;
      options.limits = endpoint->limits;
      options.budget = context.budget;
      options.tls_connections = context.tls_connections;
      options.tls = endpoint->tls;
      options.auth = endpoint->auth;
      options.config_path = endpoint->config_path;
      options.notice = context.notice;
      auto server = Server::open(*context.threads, std::move(options), *handlers_.back());
      if (!server) {
        stop(Duration::zero());
        return tl::unexpected<Error>(server.error());
      }
      servers_.push_back(std::move(*server));
    }
    return {};
  }

  std::vector<std::string> endpoints() const override {
    std::vector<std::string> out;
    for (const auto& server : servers_) out.push_back(server->endpoint());
    return out;
  }

  void drain() override {
    for (const auto& handler : handlers_) handler->drain();
    for (const auto& server : servers_) server->drain();
  }

  void stop(Duration grace) override {
    drain();
    const TimePoint deadline = monotonic_now() + grace;
    for (const auto& server : servers_) server->stop(std::max(Duration::zero(), Duration(deadline - monotonic_now())));
  }

  ReceiverStats stats() const override {
    ReceiverStats out;
    for (const auto& server : servers_) {
      const ServerStats s = server->stats();
      out.connections += s.connections;
      for (std::size_t i = 0; i < out.closed.size(); ++i) out.closed[i] += s.closed[i];
    }
    return out;
  }

 private:
  const OtlpConfig config_;
  const std::string name_;
  std::vector<std::unique_ptr<OtlpHandler>> handlers_;  // outlive the servers
  std::vector<std::unique_ptr<Server>> servers_;
};

}  // namespace

std::unique_ptr<Receiver> make_otlp_receiver(OtlpConfig config, std::string name) {
  return std::make_unique<OtlpReceiver>(std::move(config), std::move(name));
}

}  // namespace tailgate
