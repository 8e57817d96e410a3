// SPDX-License-Identifier: Apache-2.0
// A server with a handler that gives back what it got, for the tests of this folder.
#pragma once

#include <sys/resource.h>

#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <memory>
#include <string>

#include "net/server/server.h"
#include "support/raw_client.h"
#include "support/sanitized.h"

namespace tailgate::test {

class Echo : public Handler {
 public:
  Admission admit(const RequestHead& head) override {
    Admission out;
    out.body_bytes_max = body_max;
    out.grpc = head.path() == "/grpc";
    if (head.path() == "/throw-early") throw std::bad_alloc();
    if (head.path() == "/none") out.refusal = plain_response(404, "nothing here");
    return out;
  }
  void handle(const RequestHead& head, BodyBuffer& body, Response& response) override {
    ++handled;
    if (head.path() == "/throw") throw std::bad_alloc();
    if (head.path() == "/big") {
      response.body.assign(3 << 20, 'b');
      return;
    }
    response.headers.emplace_back("x-method", head.method);
    response.headers.emplace_back("x-query", std::string(head.query()));
    response.body = body.view();
    if (head.is_http2) response.trailers.emplace_back("x-trailer", "end");
  }
  Response refuse(const RequestHead&, const Refusal& refusal) override {
    ++refused;
    ++refused_by[static_cast<std::size_t>(refusal.why)];
    return plain_response(refusal_answer(refusal).http, "no");
  }

  std::size_t body_max = 16 << 20;
  std::atomic<int> handled{0};
  std::atomic<int> refused{0};
  std::array<std::atomic<int>, kRefuseWhyNames.size()> refused_by{};
  int refused_for(RefuseWhy why) const { return refused_by[static_cast<std::size_t>(why)]; }
};

struct EchoServer {
  explicit EchoServer(ServerLimits limits = {}, std::size_t budget_bytes = 64 << 20) : budget({budget_bytes, 0, 0, 0}) {
    threads.start();
    auto opened = Server::open(threads, {"echo", "localhost:0", limits, &budget}, handler);
    REQUIRE(opened);
    server = std::move(*opened);
  }
  std::uint16_t port() const { return server->port(); }
  std::uint64_t closed(CloseWhy why) const { return server->stats().closed[static_cast<std::size_t>(why)]; }

  // A well-behaved client of either kind is served within a second.
  bool serves() const {
    RawClient one(port());
    one.send("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\nping");
    if (one.receive_responses(1, 1000).find("ping") == std::string::npos) return false;
    H2Client two(port());
    return two.wait(two.request(H2Client::post("/echo"), "pong"), 1000).body == "pong";
  }
  template <class Until>
  static bool within(int timeout_ms, Until until) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
    while (!until()) {
      if (milliseconds_left(deadline) == 0) return false;
      ::usleep(5000);
    }
    return true;
  }

  ByteBudget budget;
  Echo handler;
  IoThreads threads{2};
  std::unique_ptr<Server> server;
};

// While it lives nothing can be opened; what is open stays.
class NoDescriptors {
 public:
  NoDescriptors() {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit none{0, before_.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &none);
  }
  ~NoDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }
  NoDescriptors(const NoDescriptors&) = delete;
  NoDescriptors& operator=(const NoDescriptors&) = delete;

 private:
  rlimit before_{};
};

}  // namespace tailgate::test
