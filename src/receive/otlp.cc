// SPDX-License-Identifier: Apache-2.0
#include "receive/otlp.h"

#include <fmt/format.h>

#include <atomic>

#include "codec/json_text.h"
#include "codec/protobuf.h"
#include "receive/servers.h"
#include "wire/otlp/json_read.h"
#include "wire/otlp/schema.h"

namespace tailgate {
namespace {

constexpr std::string_view kProtobufType = "application/x-protobuf";
constexpr std::string_view kJsonType = "application/json";

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

Response typed_response(std::string_view type, std::string body) {
  Response r;
  r.headers.emplace_back("content-type", type);
  r.body = std::move(body);
  return r;
}

Response accepted_grpc(const IngestResult& result) { return grpc_response({}, response_proto(result)); }
Response accepted_proto(const IngestResult& result) { return typed_response(kProtobufType, response_proto(result)); }
Response accepted_json(const IngestResult& result) { return typed_response(kJsonType, response_json(result)); }
Response refused_proto(const RpcStatus& status) { return typed_response(kProtobufType, rpc_status_proto(status)); }
Response refused_json(const RpcStatus& status) { return typed_response(kJsonType, rpc_status_json(status)); }

Result<ByteView> convert_json(const RequestHead&, ByteView body, ConversionOutput& out) {
  Result<OtlpFromJson> otlp = otlp_json_to_proto(body, &out.room);
  if (!otlp) return tl::unexpected<Error>(otlp.error());
  out.sink.count_repaired(otlp->repaired_texts);
  out.unknown_field = std::move(otlp->unknown_field);
  out.text = std::move(otlp->bytes);
  return ByteView(out.text);
}

// Senders of metrics and logs try again for ever, so the log says it once per process.
void note_other_signal(const ReceiverContext& context, std::string_view path) {
  static std::atomic<bool> noted{false};
  if (!context.notice || noted.exchange(true)) return;
  context.notice(
      fmt::format("something sends metrics or logs ({}); this daemon takes traces only and refuses them", path));
}

std::optional<ReceiveProtocol::Unsupported> unsupported(const ReceiverContext& context, const RequestHead& head) {
  constexpr std::string_view kPrefix = "/opentelemetry.proto.collector.";
  const std::string_view path = head.path();
  const bool grpc_call = head.is_http2 && is_grpc(head.header("content-type"));
  if (path == kOtlpTraceExport) {
    if (grpc_call) return std::nullopt;
    return {{415, RpcCode::kUnimplemented, "expected content-type application/grpc over HTTP/2"}};
  }
  const bool grpc_path = path.starts_with(kPrefix);
  if (!grpc_path && path != "/v1/metrics" && path != "/v1/logs") return std::nullopt;
  if (!grpc_path || path.find("MetricsService") != std::string_view::npos ||
      path.find("LogsService") != std::string_view::npos) {
    note_other_signal(context, path);
  }
  return {{404, grpc_call ? RpcCode::kUnimplemented : RpcCode::kNotFound,
           fmt::format("only traces are taken here, not {}", path)}};
}

ReceiveProtocol otlp_protocol(std::string traces_path, SourceId proto, SourceId json, const ReceiverContext& context) {
  const ReceiveForm from_grpc{.source = proto, .accepted = accepted_grpc};
  const ReceiveForm from_proto{kProtobufType, proto, {}, accepted_proto, refused_proto};
  const ReceiveForm from_json{kJsonType, json, convert_json, accepted_json, refused_json};
  const ReceiveForm other{.source = proto};
  ReceiveProtocol out;
  out.nothing_here = fmt::format("nothing here; traces go to {}", traces_path);
  // `unsupported` refuses every other type on the path of gRPC.
  out.routes.push_back({.path = std::string(kOtlpTraceExport), .grpc = true, .forms = {from_grpc}, .wrong_type = {}});
  out.routes.push_back({.path = std::move(traces_path),
                        .forms = {from_proto, from_json},
                        .wrong_type = fmt::format("expected content-type {} or {}", kProtobufType, kJsonType),
                        .quotes_type = true});
  if (context.cluster_message) {
    out.routes.push_back({.path = std::string(kClusterMessages),
                          .forms = {from_proto},
                          .wrong_type = fmt::format("expected content-type {}", kProtobufType),
                          .answer = context.cluster_message,
                          .question_max = kClusterMessageMax});
  }
  out.elsewhere = {from_proto, from_json, other};
  out.unsupported = [context](const RequestHead& head) { return unsupported(context, head); };
  return out;
}

class OtlpReceiver final : public Receiver {
 public:
  OtlpReceiver(OtlpConfig config, std::string name) : config_(std::move(config)), name_(std::move(name)) {}
  ~OtlpReceiver() override { stop(Duration::zero()); }

  const std::string& name() const override { return name_; }

  std::size_t tls_connections() const override {
    return (config_.grpc ? config_.grpc->tls_connections() : 0) + (config_.http ? config_.http->tls_connections() : 0);
  }
  std::vector<std::string> wanted_endpoints() const override {
    std::vector<std::string> out;
    if (config_.grpc) out.push_back(config_.grpc->endpoint);
    if (config_.http) out.push_back(config_.http->endpoint);
    return out;
  }

  Result<void> start(const ReceiverContext& context) override {
    Result<void> started = start_all(context);
    if (!started) stop(Duration::zero());
    return started;
  }

  std::vector<std::string> endpoints() const override { return servers_.endpoints(); }
  void drain() override { servers_.drain(); }
  void stop(Duration grace) override {
    drain();
    servers_.stop(grace);
  }
  ReceiverStats stats() const override { return servers_.stats(); }

 private:
  Result<void> start_all(const ReceiverContext& context) {
    const SourceId proto = context.source ? context.source(name_, "otlp_proto") : SourceId{0};
    const SourceId json = context.source ? context.source(name_, "otlp_json") : SourceId{0};
    if (config_.grpc) {
      auto protocol = otlp_protocol(std::string(kOtlpTracesPath), proto, json, context);
      if (auto opened = servers_.open(name_, *config_.grpc, context, std::move(protocol)); !opened) return opened;
    }
    if (!config_.http) return {};
    return servers_.open(name_, *config_.http, context, otlp_protocol(config_.traces_path, proto, json, context));
  }

  const OtlpConfig config_;
  const std::string name_;
  ReceiverServers servers_;
};

}  // namespace

std::unique_ptr<Receiver> make_otlp_receiver(OtlpConfig config, std::string name) {
  return std::make_unique<OtlpReceiver>(std::move(config), std::move(name));
}

}  // namespace tailgate
