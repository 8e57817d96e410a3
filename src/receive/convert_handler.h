// ConvertHandler: what an endpoint answers whose protocols are not OTLP. Bodies are inflated, turned into OTLP bytes
// and ingested whole; refusals have the reasons and codes of docs/receivers.md.
//
// Threads: shared by the I/O threads; immutable but for `draining`.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "codec/byte_sink.h"
#include "net/auth/auth.h"
#include "net/http/cors.h"
#include "net/http/grpc.h"
#include "net/http/http.h"
#include "net/limits.h"
#include "net/tls/tls.h"
#include "receive/receiver.h"

namespace tailgate {

// The memory a conversion takes, charged to the budget's `requests` and given back with this object.
class BudgetRoom final : public ConversionRoom {
 public:
  explicit BudgetRoom(ByteBudget* budget)
      : charge_(budget != nullptr ? Charge(*budget, Holder::kRequests) : Charge()) {}
  bool grow(std::size_t bytes) override { return charge_.try_grow(bytes, bytes > kLargeBody ? kReserveParts : 0); }

 private:
  Charge charge_;
};

struct ConvertEndpointConfig {
  std::string endpoint;  // HOST:PORT or unix:///PATH
  unsigned socket_mode = kSocketModeDefault;
  std::size_t message_max = 64 << 20;  // bytes of a request, on the wire and inflated
  ServerLimits limits;
  std::optional<TlsOptions> tls = {};
  std::optional<AuthOptions> auth = {};
  CorsOptions cors = {};
  std::string config_path = {};  // where these keys stand

  std::size_t tls_connections() const { return tls ? limits.connections : 0; }
};

// One kind of body a path takes.
struct ConvertForm {
  std::string_view media_type;  // "application/json"; "" is a request without a content type. Unused for gRPC
  SourceId source = 0;
  // Appends OTLP bytes. Errors: kBadInput, kRefused (no room).
  std::function<Result<void>(const RequestHead& head, ByteView body, ByteSink& out)> convert;
};

struct ConvertRoute {
  std::string_view path;
  bool grpc = false;
  std::vector<ConvertForm> forms;  // gRPC: one. None: the path is known and not taken, 415 with `text`
  std::string_view text;           // for people: what to send here
};

class ConvertHandler final : public Handler {
 public:
  // `routes` is not empty; refusals that belong to no form are counted under the first form's source.
  ConvertHandler(ConvertEndpointConfig config, const ReceiverContext& context, std::vector<ConvertRoute> routes);

  Admission admit(const RequestHead& head) override;
  void handle(const RequestHead& head, BodyBuffer& body, Response& response) override;
  Response refuse(const RequestHead& head, const Refusal& refusal) override;

  // From now on every request is answered "unavailable, try again".
  void drain() { draining_.store(true, std::memory_order_relaxed); }

 private:
  Admission admit_request(const RequestHead& head);
  const ConvertRoute* route_of(const RequestHead& head) const;
  static const ConvertForm* form_of(const ConvertRoute* route, const RequestHead& head);
  Response refusal(const RequestHead& head, std::string_view reason, int http_status, RpcStatus status) const;
  Response ingest(const RequestHead& head, const ConvertForm& form, ByteView body) const;
  Response handle_grpc(const RequestHead& head, const ConvertForm& form, ByteView body) const;
  Response handle_http(const RequestHead& head, const ConvertForm& form, ByteView body) const;

  const ConvertEndpointConfig config_;
  const ReceiverContext context_;
  const std::vector<ConvertRoute> routes_;
  std::atomic<bool> draining_{false};
};

// The Collector's keys of an HTTP or gRPC endpoint. Report problems to the node; call finish().
ConvertEndpointConfig read_grpc_endpoint(const ConfigNode& node, std::string_view default_endpoint,
                                         const ServerLimits& limits);
ConvertEndpointConfig read_http_endpoint(const ConfigNode& node, std::string_view default_endpoint,
                                         const ServerLimits& limits);

}  // namespace tailgate
