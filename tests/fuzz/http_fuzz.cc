// SPDX-License-Identifier: Apache-2.0
// The HTTP sessions as state machines: bytes of strangers in, in pieces, with time going by. The first byte chooses the
// size of the pieces; with its high bit the connection preface and an empty SETTINGS are put in front.
#include <cstddef>
#include <cstdint>
#include <string>

#include "net/http/clients.h"
#include "net/http/detect_session.h"
#include "net/http/grpc.h"

namespace {

using namespace tailgate;

class Taker final : public Handler {
 public:
  explicit Taker(const ServerLimits& limits) : limits_(limits) {}
  Admission admit(const RequestHead& head) override {
    Admission out;
    out.body_bytes_max = 64 << 10;
    out.grpc = is_grpc(head.header("content-type"));
    if (head.path() == "/no") out.refusal = plain_response(404, "no");
    return out;
  }
  void handle(const RequestHead& head, BodyBuffer& body, Response& response) override {
    if (!is_grpc(head.header("content-type"))) {
      response.body = body.view();
      return;
    }
    BodyBuffer scratch;
    const GrpcMessage message = read_grpc_message(head, body.view(), limits_, 64 << 10, scratch);
    response = grpc_response(message.status, message.bytes);
  }
  Response refuse(const RequestHead&, const Refusal& refusal) override {
    return plain_response(refusal.why == RefuseWhy::kTooLarge ? 413 : 503);
  }

 private:
  const ServerLimits& limits_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tailgate;
  if (size == 0) return 0;
  const std::size_t piece = (data[0] & 0x7F) == 0 ? size : (data[0] & 0x7F);
  std::string input;
  if ((data[0] & 0x80) != 0) input = std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", 33);
  input.append(reinterpret_cast<const char*>(data) + 1, size - 1);

  const ServerLimits limits;
  Taker handler(limits);
  ByteBudget budget({1 << 20, 0, 0, 0});
  HeldBodies held(32 << 10);
  ClientLimits of_client;
  of_client.held_bytes = 8 << 10;
  of_client.bytes_per_second = 1 << 20;
  ClientTable clients(of_client, 1);
  {
    const SessionContext context{handler, limits, &budget, &held, nullptr, nullptr, &clients};
    TimePoint now{};
    const auto session = make_http_session(context, "127.0.0.1", now);
    std::string out;
    for (std::size_t at = 0; at < input.size() && !session->closing(); at += piece) {
      session->feed(ByteView(input).substr(at, piece), now);
      session->take_output(out);
      out.clear();
      now += std::chrono::milliseconds(20);
      if (at % 7 == 0) session->tick(now);
    }
    session->drain();
    session->take_output(out);
  }
  if (budget.used(Holder::kRequests) != 0 || held.pressed()) __builtin_trap();
  // What the client held is given back too: one more may hold all of it.
  ClientShare first, second;
  first.begin(clients.find(ClientTable::Kind::kAddress, "127.0.0.1"), SIZE_MAX);
  second.begin(clients.find(ClientTable::Kind::kAddress, "127.0.0.1"), SIZE_MAX);
  if (first.hold(4 << 10, 4 << 10, TimePoint{}) || second.hold(4 << 10, 4 << 10, TimePoint{})) __builtin_trap();
  return 0;
}
