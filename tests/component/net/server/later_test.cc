// SPDX-License-Identifier: Apache-2.0
// Answers that another thread makes, over real sockets and both protocols.
#include <mutex>
#include <thread>

#include "component/net/echo_server.h"
#include "net/http/later_answer.h"

using namespace tailgate;
using namespace tailgate::test;
using namespace std::chrono_literals;

namespace {

// /N: an answer of N pieces of 10,000 bytes, made by a thread; /wait: one that ends only when it is cancelled.
class Later final : public Handler {
 public:
  ~Later() override {
    for (std::thread& t : threads_) t.join();
  }
  Admission admit(const RequestHead&) override { return {}; }
  void handle(const RequestHead& head, BodyBuffer&, Response& response) override {
    auto answer = std::make_shared<LaterAnswer>();
    response.later = answer;
    const std::string what = head.target.substr(1);
    const std::lock_guard lock(mutex_);
    may_wait_ = head.answer_by == TimePoint::max();
    threads_.emplace_back([this, answer, what] { work(*answer, what); });
  }
  Response refuse(const RequestHead&, const Refusal&) override { return plain_response(413); }

  std::atomic<int> cancelled{0};
  // Whether the last request's answer may wait for others' requests without an end.
  bool may_wait() {
    const std::lock_guard lock(mutex_);
    return may_wait_;
  }

 private:
  void work(LaterAnswer& answer, const std::string& what) {
    if (what == "wait") {
      answer.begin({});
      while (answer.write("x", monotonic_now() + 10s)) ::usleep(1000);
      ++cancelled;
      return;
    }
    answer.begin({});
    for (int i = 0; i < std::stoi(what); ++i) {
      if (!answer.write(std::string(10'000, static_cast<char>('a' + i % 26)), monotonic_now() + 10s)) {
        ++cancelled;
        return;
      }
    }
    answer.end({{"x-trailer", "end"}});
  }

  std::mutex mutex_;
  std::vector<std::thread> threads_;
  bool may_wait_ = false;
};

struct LaterServer {
  LaterServer() {
    threads.start();
    auto opened = Server::open(threads, {"later", "localhost:0", ServerLimits{}, nullptr}, handler);
    REQUIRE(opened);
    server = std::move(*opened);
  }
  IoThreads threads{1};
  Later handler;
  std::unique_ptr<Server> server;
};

std::string pieces(int count) {
  std::string all;
  for (int i = 0; i < count; ++i) all += std::string(10'000, static_cast<char>('a' + i % 26));
  return all;
}

}  // namespace

TEST_CASE("answers in pieces come whole over HTTP/2, many at a time", "[net]") {
  LaterServer s;
  H2Client c(s.server->port());
  c.send(frame(8, 0, 0, std::string("\x3f\xff\x00\xff", 4)));  // room for all of them
  std::vector<std::uint32_t> ids;
  for (int i = 0; i < 40; ++i)
    ids.push_back(c.open(
        {{":method", "GET"}, {":scheme", "http"}, {":path", "/" + std::to_string(i % 4)}, {":authority", "t"}}, true));
  for (int i = 0; i < 40; ++i) {
    const H2Reply reply = c.wait(ids[static_cast<std::size_t>(i)]);
    REQUIRE(reply.done);
    CHECK(reply.body == pieces(i % 4));
  }
}

TEST_CASE("an answer in pieces comes whole over HTTP/1.1", "[net]") {
  LaterServer s;
  RawClient c(s.server->port());
  c.send("GET /100 HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
  const std::string all = c.receive_all();
  std::string body;
  for (std::size_t at = all.find("\r\n\r\n") + 4; at < all.size();) {
    const std::size_t size = std::stoul(all.substr(at), nullptr, 16);
    at = all.find("\r\n", at) + 2;
    body += all.substr(at, size);
    at += size + 2;
    if (size == 0) break;
  }
  CHECK(body == pieces(100));
}

TEST_CASE("of a peer that waits for each answer none may wait for other requests", "[net]") {
  LaterServer s;
  H2Client h2(s.server->port());
  RawClient h1(s.server->port());
  const auto ask = [&] {
    return h2.open({{":method", "GET"}, {":scheme", "http"}, {":path", "/0"}, {":authority", "t"}}, true);
  };
  const auto one_by_one = [&](const std::function<void()>& once) {
    for (int i = 0; i < 16; ++i) {
      once();
      CHECK(s.handler.may_wait() == (i < 15));
    }
  };
  one_by_one([&] { REQUIRE(h2.wait(ask()).done); });
  const std::uint32_t waits =
      h2.open({{":method", "GET"}, {":scheme", "http"}, {":path", "/wait"}, {":authority", "t"}}, true);
  h2.run(2000, [&] { return !h2.replies[waits].body.empty(); });
  REQUIRE(h2.wait(ask()).done);
  CHECK(s.handler.may_wait());  // it is not the only one
  h2.send(frame(3, 0, waits, std::string("\0\0\0\x08", 4)));
  one_by_one([&] { REQUIRE(h2.wait(ask()).done); });
  one_by_one([&] {
    h1.send("GET /0 HTTP/1.1\r\nHost: t\r\n\r\n");
    std::string in;
    for (std::string piece = "-"; !piece.empty() && !in.ends_with("0\r\n\r\n"); in += piece) piece = h1.receive(2000);
    REQUIRE(in.ends_with("0\r\n\r\n"));
  });
}

TEST_CASE("an answer is cancelled when its stream is reset or its connection ends", "[net]") {
  LaterServer s;
  H2Client c(s.server->port());
  const auto id = c.open({{":method", "GET"}, {":scheme", "http"}, {":path", "/wait"}, {":authority", "t"}}, true);
  c.run(2000, [&] { return !c.replies[id].body.empty(); });
  c.send(frame(3, 0, id, std::string("\0\0\0\x08", 4)));
  CHECK(EchoServer::within(2000, [&] { return s.handler.cancelled == 1; }));
  {
    RawClient one(s.server->port());
    one.send("GET /wait HTTP/1.1\r\nHost: t\r\n\r\n");
    CHECK_FALSE(one.receive(2000).empty());
  }
  CHECK(EchoServer::within(2000, [&] { return s.handler.cancelled == 2; }));
  RawClient last(s.server->port());
  last.send("GET /wait HTTP/1.1\r\nHost: t\r\n\r\n");
  CHECK_FALSE(last.receive(2000).empty());
  s.server->stop(100ms);
  CHECK(EchoServer::within(2000, [&] { return s.handler.cancelled == 3; }));
}

TEST_CASE("a peer that reads too slowly loses the rest of its answer, a steady one does not", "[net]") {
  LaterAnswer idle;
  idle.begin({});
  CHECK_FALSE(idle.write(std::string(LaterAnswer::kHeldMax + 1, 'x'), monotonic_now() + 1h));

  LaterAnswer steady;
  steady.begin({});
  std::atomic<bool> done{false};
  std::thread reader([&] {
    std::string to(64 << 10, '\0');
    while (!done) {
      (void)steady.take(to.data(), to.size());
      ::usleep(10'000);  // some 6 MB a second: the writer always waits for it
    }
  });
  CHECK(steady.write(std::string(16 << 20, 'x'), monotonic_now() + 1h));
  done = true;
  reader.join();
}
