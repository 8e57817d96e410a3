// SPDX-License-Identifier: Apache-2.0
// ReceiveHandler: the one way from a request to the spans in it, for every protocol over HTTP and gRPC. It admits,
// inflates, converts, ingests, counts what it refuses and answers; docs/receivers.md has the reasons and codes. A
// protocol is data: its paths, the forms a body can have there, and the words of its answers.
//
// Cost: a body that is OTLP protobuf already is neither copied nor converted. Threads: shared by the I/O threads;
// immutable but for `draining` and the limit of one notice.
#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "codec/byte_sink.h"
#include "net/http/grpc.h"
#include "net/http/grpc_health.h"
#include "net/http/http.h"
#include "receive/budget_room.h"
#include "receive/endpoint_config.h"
#include "receive/receiver.h"
#include "telemetry/log.h"

namespace tailgate {

// What a conversion may write to. All of it lives until the bytes are ingested.
struct ConversionOutput {
  BudgetRoom& room;  // asked before `text` takes memory; `sink` asks by itself
  ByteSink& sink;    // empty; keeps its memory from request to request. Counts repaired texts
  std::string text;
  std::string unknown_field;  // the first one of the request, if the format has names
};

// One form that a body can have.
struct ReceiveForm {
  std::string_view media_type = {};  // "application/json"; "" is a request without a content type. Unused for gRPC
  SourceId source = 0;
  // Returns OTLP bytes in `out`. Errors: kBadInput, kRefused (no room). Empty: the body is OTLP protobuf.
  std::function<Result<ByteView>(const RequestHead& head, ByteView body, ConversionOutput& out)> convert = {};
  // The answer to a request whose spans were taken. Null: 202, and over gRPC an empty message.
  Response (*accepted)(const IngestResult& result) = nullptr;
  // The answer over HTTP to one that is refused; the handler adds status and retry-after. Null: a line of text.
  Response (*refused)(const RpcStatus& status) = nullptr;
};

struct ReceiveRoute {
  std::string path;
  bool grpc = false;
  std::vector<ReceiveForm> forms;  // gRPC has one. None: the path is known, and every request to it gets 415
  std::string wrong_type;          // for people, with 415: what to send here
  bool quotes_type = false;        // `wrong_type` ends in the content type that came
  // Of a gRPC method, or of a path over HTTP, that takes no spans: the message that answers, as protobuf; or, over
  // HTTP, `later`. Errors: kBadInput. Empty: it takes spans.
  std::function<Result<Response>(ByteView message)> answer = {};
  std::size_t question_max = 64 << 10;  // bytes of such a message
};

struct ReceiveProtocol {
  struct Unsupported {
    int http_status;
    RpcCode code;
    std::string text;
  };

  std::vector<ReceiveRoute> routes;  // not empty, and the first one has a form
  std::string nothing_here;          // for people, with 404
  // A refusal that belongs to no form of a route is counted and answered as the form here with the request's media
  // type, or as the last one. Empty: as the first form of the first route.
  std::vector<ReceiveForm> elsewhere = {};
  // What the protocol refuses before every other check except preflights. May be empty.
  std::function<std::optional<Unsupported>(const RequestHead& head)> unsupported = {};
};

class ReceiveHandler final : public Handler {
 public:
  ReceiveHandler(EndpointConfig config, const ReceiverContext& context, ReceiveProtocol protocol);

  Admission admit(const RequestHead& head) override;
  void handle(const RequestHead& head, BodyBuffer& body, Response& response) override;
  Response refuse(const RequestHead& head, const Refusal& refusal) override;

  // From now on every request is answered "unavailable, try again".
  void drain() { draining_.store(true, std::memory_order_relaxed); }

 private:
  Admission admit_request(const RequestHead& head, const ReceiveRoute* route) const;
  const ReceiveRoute* route_of(const RequestHead& head) const;
  static const ReceiveForm* form_of(const ReceiveRoute* route, const RequestHead& head);
  const ReceiveForm& form_of_refusal(const RequestHead& head) const;
  Response refusal(const RequestHead& head, RefusalReason reason, int http_status, const RpcStatus& status) const;
  std::optional<HealthMethod> health_method(const RequestHead& head) const;
  Response handle_health(const RequestHead& head, HealthMethod method, ByteView body) const;
  std::size_t message_max(const ReceiveRoute* route) const;
  Response answer(const RequestHead& head, const ReceiveRoute& route, ByteView message) const;
  // Set by ingest(), when the answer has to wait for it.
  using ReceiptPtr = std::shared_ptr<Receipt>;
  Response handle_grpc(const RequestHead& head, const ReceiveRoute& route, ByteView body, ReceiptPtr& receipt) const;
  Response handle_http(const RequestHead& head, const ReceiveForm& form, ByteView body, ReceiptPtr& receipt) const;
  Response convert(const RequestHead& head, const ReceiveForm& form, ByteView body, ReceiptPtr& receipt) const;
  IngestResult hand_in(const RequestHead& head, const ReceiveForm& form, ByteView otlp) const;
  Response ingest(const RequestHead& head, const ReceiveForm& form, ByteView otlp, const std::string& unknown_field,
                  ReceiptPtr& receipt) const;
  void answer_later(const RequestHead& head, const ReceiveForm& form, const ReceiptPtr& receipt,
                    Response& response) const;
  Response not_safe(const ReceiveForm& form, bool grpc, const Response& accepted) const;
  std::string note_without_spans(SourceId source, const std::string& unknown_field, TimePoint now) const;

  const EndpointConfig config_;
  const ReceiverContext context_;
  const ReceiveProtocol protocol_;
  const std::vector<std::string_view> services_;  // of gRPC
  std::atomic<bool> draining_{false};
  mutable LogLimiter without_spans_log_{std::chrono::minutes(1)};
};

}  // namespace tailgate
