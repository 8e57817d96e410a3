// The OTLP receiver: traces over gRPC and over HTTP with protobuf or JSON bodies, gzip on all of them. Either endpoint
// answers every one of these, over HTTP/1.1 and HTTP/2 (gRPC over HTTP/2 only).
//
// Sources: OTLP specification 1.11 (sections OTLP/gRPC, OTLP/HTTP); docs/architecture.md 5.5 for what bad input gets.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/auth/auth.h"
#include "net/http/cors.h"
#include "net/http/grpc.h"
#include "net/http/http.h"
#include "net/limits.h"
#include "net/tls/tls.h"
#include "receive/receiver.h"

namespace tailgate {

class ConfigNode;

inline constexpr std::string_view kOtlpTraceExport = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

struct OtlpEndpointConfig {
  std::string endpoint;  // HOST:PORT or unix:///PATH
  unsigned socket_mode = kSocketModeDefault;
  std::size_t message_max = 64 << 20;  // bytes of a request, on the wire and inflated
  std::string traces_path = "/v1/traces";
  ServerLimits limits;
  std::optional<TlsOptions> tls;
  std::optional<AuthOptions> auth;
  CorsOptions cors;
  std::string config_path = {};  // where these keys stand
};

struct OtlpConfig {
  std::optional<OtlpEndpointConfig> grpc;
  std::optional<OtlpEndpointConfig> http;
};

// The Collector's keys and our `limits:`. Reports problems to the node; calls finish().
OtlpConfig read_otlp_receiver(const ConfigNode& node);

// What one endpoint answers. Shared by the I/O threads, immutable but for `draining`.
class OtlpHandler final : public Handler {
 public:
  OtlpHandler(OtlpEndpointConfig config, const ReceiverContext& context, SourceId proto, SourceId json)
      : config_(std::move(config)), context_(context), proto_(proto), json_(json) {}

  Admission admit(const RequestHead& head) override;
  void handle(const RequestHead& head, BodyBuffer& body, Response& response) override;
  Response refuse(const RequestHead& head, const Refusal& refusal) override;

  // From now on every request is answered "unavailable, try again".
  void drain() { draining_.store(true, std::memory_order_relaxed); }

 private:
  enum class Form { kGrpc, kProtobuf, kJson, kOther };
  static Form form_of(const RequestHead& head);
  SourceId source_of(Form form) const { return form == Form::kJson ? json_ : proto_; }

  Admission admit_request(const RequestHead& head);
  void handle_request(const RequestHead& head, BodyBuffer& body, Response& response);
  Response answer(Form form, int http_status, const RpcStatus& status) const;
  Response refusal(Form form, std::string_view reason, int http_status, RpcStatus status) const;
  Response accepted(Form form, const IngestResult& result) const;
  Response ingest(Form form, const RequestHead& head, ByteView otlp) const;
  Response handle_http(Form form, const RequestHead& head, ByteView body) const;
  std::optional<Response> other_signal(Form form, std::string_view path) const;

  const OtlpEndpointConfig config_;
  const ReceiverContext context_;
  const SourceId proto_;
  const SourceId json_;
  std::atomic<bool> draining_{false};
};

std::unique_ptr<Receiver> make_otlp_receiver(OtlpConfig config, std::string name);

}  // namespace tailgate
