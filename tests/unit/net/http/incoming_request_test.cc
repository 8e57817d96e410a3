// SPDX-License-Identifier: Apache-2.0
#include "net/http/incoming_request.h"

#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <vector>

using namespace tailgate;
using namespace std::chrono_literals;

namespace {

constexpr TimePoint kBegin = TimePoint{} + 1000s;
constexpr std::size_t kHeldMax = 1 << 20;

// Never called: a request does not know its handler.
struct NoHandler final : Handler {
  Admission admit(const RequestHead&) override { return {}; }
  void handle(const RequestHead&, BodyBuffer&, Response&) override {}
  Response refuse(const RequestHead&, const Refusal&) override { return {}; }
};

// An endpoint of one client, and whether anything is taken of it.
struct ClientEndpoint {
  ClientEndpoint() {
    client_limits.held_bytes = 1000;
    head.client = std::make_shared<Client>(client_limits);
  }

  std::size_t charged() const { return budget.used(Holder::kRequests); }
  // Room for exactly as many bytes as may be held, and for one body past that.
  bool held_bodies_are_free() {
    HeldBodies::Share all, large, more;
    return all.hold(held, kHeldMax) && large.hold(held, 1) && !more.hold(held, 1);
  }
  // Two bodies that fill the client's account together.
  bool client_is_free() {
    ClientShare a, b;
    a.begin(head.client, 1000);
    b.begin(head.client, 1000);
    return !a.hold(400, 400, kBegin) && !b.hold(600, 600, kBegin);
  }
  bool is_free() { return charged() == 0 && held_bodies_are_free() && client_is_free(); }

  std::unique_ptr<IncomingRequest> with_body(std::size_t bytes) {
    auto request = std::make_unique<IncomingRequest>(context);
    request->start(kBegin);
    request->admit(head, {}, kBegin);
    REQUIRE_FALSE(request->take(std::string(bytes, 'b')));
    REQUIRE_FALSE(request->hold(kBegin));
    return request;
  }

  NoHandler handler;
  ServerLimits limits;
  ClientLimits client_limits;
  ByteBudget budget{{10 << 20, 0, 0, 0, 0}};
  HeldBodies held{kHeldMax};
  SessionContext context{handler, limits, &budget, &held};
  RequestHead head;
};

}  // namespace

TEST_CASE("a request that goes on holds memory, held bodies and its client's share", "[net]") {
  ClientEndpoint endpoint;
  const auto request = endpoint.with_body(700);
  CHECK(request->body().size() == 700);
  CHECK(endpoint.charged() == 1024);
  CHECK_FALSE(endpoint.held_bodies_are_free());
  CHECK_FALSE(endpoint.client_is_free());
}

TEST_CASE("what a body is charged is what counts for its client and for held bodies", "[net]") {
  ClientEndpoint endpoint;
  const auto first = endpoint.with_body(6);
  CHECK(endpoint.charged() == 512);
  IncomingRequest second(endpoint.context);
  second.admit(endpoint.head, {}, kBegin);
  CHECK_FALSE(second.take("6 bytes"));
  CHECK(second.hold(kBegin)->why == RefuseWhy::kClientHeldBytes);  // the two take 1,024 bytes, 1,000 are allowed
  second.end();
  endpoint.head.client.reset();
  std::vector<std::unique_ptr<IncomingRequest>> many;
  for (std::size_t i = 1; i < kHeldMax / 512; ++i) many.push_back(endpoint.with_body(6));
  CHECK(endpoint.charged() == kHeldMax);
  const auto large = endpoint.with_body(6);  // one may be larger than the room
  IncomingRequest late(endpoint.context);
  late.admit(endpoint.head, {}, kBegin);
  CHECK_FALSE(late.take("6 bytes"));
  CHECK(late.hold(kBegin)->why == RefuseWhy::kNoMemory);
}

TEST_CASE("streams of six bytes each do not fill the room for requests", "[net]") {
  ClientEndpoint endpoint;
  endpoint.client_limits.held_bytes = 0;
  std::vector<std::unique_ptr<IncomingRequest>> many;
  for (int i = 0; i < 1280; ++i) many.push_back(endpoint.with_body(6));
  CHECK(endpoint.charged() == 1280 * 512);  // it was 80 MiB
}

TEST_CASE("whatever way a request goes, it leaves nothing behind", "[net]") {
  ClientEndpoint endpoint;
  SECTION("answered") {
    const auto request = endpoint.with_body(700);
    request->complete(kBegin);
    CHECK(request->body().size() == 700);  // for the handler
    CHECK(endpoint.held_bodies_are_free());
    CHECK(endpoint.client_is_free());
    request->end();
    CHECK(endpoint.is_free());
  }
  SECTION("refused as too large") {
    const auto request = std::make_unique<IncomingRequest>(endpoint.context);
    Admission admission;
    admission.body_bytes_max = 1000;
    request->admit(endpoint.head, admission, kBegin);
    CHECK_FALSE(request->take(std::string(1000, 'b')));
    CHECK(request->take("b") == RefuseWhy::kTooLarge);
    request->end();
    CHECK(endpoint.is_free());
  }
  SECTION("refused as a gRPC message whose prefix says too much") {
    const auto request = std::make_unique<IncomingRequest>(endpoint.context);
    Admission admission;
    admission.body_bytes_max = 1000;
    admission.grpc = true;
    request->admit(endpoint.head, admission, kBegin);
    CHECK_FALSE(request->take({"\0\0\0", 3}));
    CHECK(request->take({"\x03\xe9", 2}) == RefuseWhy::kTooLarge);
    request->end();
    CHECK(endpoint.is_free());
  }
  SECTION("refused for want of memory") {
    const auto request = endpoint.with_body(700);
    CHECK(request->take(std::string(10 << 20, 'b')) == RefuseWhy::kNoMemory);
    request->end();
    CHECK(endpoint.is_free());
  }
  SECTION("refused for want of room for held bodies") {
    HeldBodies::Share large;
    const auto request = endpoint.with_body(700);
    REQUIRE(large.hold(endpoint.held, 2 * kHeldMax));
    CHECK_FALSE(request->take(std::string(kHeldMax, 'b')));
    const auto refusal = request->hold(kBegin);
    REQUIRE(refusal);
    CHECK(refusal->why == RefuseWhy::kNoMemory);
    request->end();
    large.release();
    CHECK(endpoint.is_free());
  }
  SECTION("refused for its client's other requests") {
    const auto first = endpoint.with_body(700);
    const auto request = std::make_unique<IncomingRequest>(endpoint.context);
    request->admit(endpoint.head, {}, kBegin);
    CHECK_FALSE(request->take(std::string(301, 'b')));
    const auto refusal = request->hold(kBegin);
    REQUIRE(refusal);
    CHECK(refusal->why == RefuseWhy::kClientHeldBytes);
    request->end();
    first->end();
    CHECK(endpoint.is_free());
  }
  SECTION("cut off for its pace") {
    const auto request = endpoint.with_body(700);
    CHECK_FALSE(request->slow(kBegin + 4s));
    CHECK(request->slow(kBegin + 5s));
    request->end();
    CHECK(endpoint.is_free());
  }
  SECTION("destroyed in the middle") {
    { const auto request = endpoint.with_body(700); }
    CHECK(endpoint.is_free());
  }
  SECTION("destroyed with a body larger than the room for held bodies") {
    {
      endpoint.head.client.reset();
      const auto request = endpoint.with_body(2 * kHeldMax);
      HeldBodies::Share large;
      CHECK_FALSE(large.hold(endpoint.held, kHeldMax + 1));
    }
    endpoint.head.client = std::make_shared<Client>(endpoint.client_limits);
    CHECK(endpoint.is_free());
  }
  SECTION("ended twice") {
    const auto request = endpoint.with_body(700);
    request->end();
    request->end();
    request->complete(kBegin);
    CHECK(endpoint.is_free());
  }
}

TEST_CASE("the pace begins anew when the credentials are checked, and stands still while nothing is read", "[net]") {
  ClientEndpoint endpoint;
  IncomingRequest request(endpoint.context);
  request.start(kBegin);
  Admission wait;
  wait.wait = true;
  request.admit(endpoint.head, wait, kBegin + 1s);
  CHECK(request.waiting());
  CHECK_FALSE(request.take("came with the headers"));
  request.admit(endpoint.head, wait, kBegin + 3s);
  CHECK_FALSE(request.waited_too_long(kBegin + 4s));
  CHECK(request.waited_too_long(kBegin + 1s + kPasswordWaitMax));
  request.admit(endpoint.head, {}, kBegin + 4s);
  CHECK_FALSE(request.waiting());
  CHECK(request.body().view() == "came with the headers");
  CHECK_FALSE(request.slow(kBegin + 8s));
  request.pause(1s);
  CHECK_FALSE(request.slow(kBegin + 9s));
  CHECK(request.slow(kBegin + 10s));
}
