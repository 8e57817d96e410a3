// SPDX-License-Identifier: Apache-2.0
// The server as an honest client meets it, over real sockets.
#include <boost/asio/io_context.hpp>

#include "component/net/echo_server.h"
#include "net/client/http_client.h"

using namespace tailgate;
using namespace tailgate::test;
using namespace std::chrono_literals;

TEST_CASE("HTTP/1.1: methods, bodies, keep-alive and pipelining", "[net]") {
  EchoServer s;
  RawClient c(s.port());
  REQUIRE(c.connected());

  SECTION("a body with Content-Length, then another request on the same connection") {
    for (int i = 0; i < 3; ++i) {
      c.send("PUT /a?x=1 HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhe");
      c.send("llo");
      const auto reply = c.receive_responses(1);
      CHECK(reply.find("HTTP/1.1 200 OK\r\n") == 0);
      CHECK(reply.find("x-method: PUT\r\n") != std::string::npos);
      CHECK(reply.find("x-query: x=1\r\n") != std::string::npos);
      CHECK(reply.ends_with("\r\n\r\nhello"));
    }
    CHECK(s.server->stats().accepted == 1);
  }
  SECTION("chunked bodies, one byte at a time") {
    for (const char b : std::string(
             "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")) {
      c.send(std::string(1, b));
    }
    CHECK(c.receive_responses(1).ends_with("abcde"));
  }
  SECTION("pipelined requests are answered in order") {
    std::string many;
    for (int i = 0; i < 500; ++i) {
      const std::string n = std::to_string(1000 + i);
      many += "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\n" + n;
    }
    c.send(many);
    const auto replies = c.receive_responses(500);
    std::size_t at = 0;
    for (int i = 0; i < 500; ++i) {
      at = replies.find("\r\n\r\n" + std::to_string(1000 + i), at);
      REQUIRE(at != std::string::npos);
    }
  }
  SECTION("pipelined requests with large answers wait until the answers are read") {
    std::string many;
    for (int i = 0; i < 20; ++i) many += "GET /big HTTP/1.1\r\nHost: t\r\n\r\n";
    c.send(many);
    // What was handled is at most eight answers, which the buffers of both sockets hold, before what was read.
    std::size_t read = 0;
    int ahead_max = 0;
    while (read < 20U * (3 << 20)) {
      const std::string more = c.receive(20'000);
      REQUIRE_FALSE(more.empty());
      ahead_max = std::max(ahead_max, s.handler.handled - static_cast<int>(read / (3 << 20)));
      read += more.size();
    }
    CHECK(ahead_max <= 8);
  }
  SECTION("Expect: 100-continue") {
    c.send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    CHECK(c.receive(1000) == "HTTP/1.1 100 Continue\r\n\r\n");
    c.send("ok");
    CHECK(c.receive_responses(1).ends_with("ok"));
  }
  SECTION("HEAD has no body, HTTP/1.0 closes, a handler that throws is a 500") {
    c.send("HEAD /big HTTP/1.1\r\nHost: t\r\n\r\nGET /throw HTTP/1.1\r\nHost: t\r\n\r\nGET / HTTP/1.0\r\n\r\n");
    const auto all = c.receive_all();
    CHECK(c.closed());
    CHECK(all.size() < 1000);
    CHECK(all.find("500 Internal") != std::string::npos);
    CHECK(s.handler.refused_for(RefuseWhy::kInternal) == 1);
    CHECK(all.find("connection: close") != std::string::npos);
  }
  SECTION("refused at the headers: 404 with the body unread closes the connection") {
    c.send("POST /none HTTP/1.1\r\nHost: t\r\nContent-Length: 100000\r\n\r\n");
    const auto all = c.receive_all();
    CHECK(all.find("HTTP/1.1 404") == 0);
    CHECK(c.closed());
    RawClient d(s.port());
    d.send("GET /none HTTP/1.1\r\nHost: t\r\n\r\nGET / HTTP/1.1\r\nHost: t\r\n\r\n");
    CHECK(d.receive_responses(2).find("200 OK") != std::string::npos);
  }
  CHECK(EchoServer::within(20'000, [&] { return s.budget.used(Holder::kRequests) == 0; }));
}

TEST_CASE("HTTP/2: bodies, trailers, many streams", "[net]") {
  EchoServer s;
  H2Client c(s.port());
  SECTION("a body and trailers") {
    const auto reply = c.call(H2Client::post("/echo?q"), "hello");
    CHECK(reply.fields.at(":status") == "200");
    CHECK(reply.fields.at("x-query") == "q");
    CHECK(reply.fields.at("x-trailer") == "end");
    CHECK(reply.body == "hello");
  }
  SECTION("a large body comes whole") {
    std::string body(6 << 20, 'x');
    for (std::size_t i = 0; i < body.size(); i += 7) body[i] = static_cast<char>(i);
    s.handler.body_max = 5 << 20;
    CHECK(c.call(H2Client::post("/echo"), body).fields.at(":status") == "413");
    H2Client d(s.port());
    s.handler.body_max = 7 << 20;
    const auto id = d.request(H2Client::post("/echo"), body);
    d.send(frame(8, 0, 0, u32(100 << 20)) + frame(8, 0, id, u32(100 << 20)));
    CHECK((d.wait(id, 20'000).body == body));
  }
  SECTION("a hundred streams at a time, interleaved") {
    std::vector<std::uint32_t> ids;
    for (int i = 0; i < 100; ++i) ids.push_back(c.open(H2Client::post("/echo")));
    for (const char* part : {"a", "b", "c"}) {
      for (const auto id : ids) c.data(id, part + std::to_string(id), *part == 'c');
    }
    for (const auto id : ids) {
      const std::string n = std::to_string(id);
      CHECK(c.wait(id).body == "a" + n + "b" + n + "c" + n);
    }
  }
  SECTION("refused at the headers: the answer comes, then the rest is declined without an error") {
    const auto id = c.open(H2Client::post("/none"));
    auto reply = c.wait(id);
    CHECK(reply.fields.at(":status") == "404");
    c.run(1000, [&] { return c.replies[id].reset; });
    CHECK(c.replies[id].reset_code == 0);
    CHECK(c.call(H2Client::post("/echo"), "on").body == "on");
  }
  SECTION("a gRPC length over the cap is refused at its fifth byte") {
    s.handler.body_max = 1000;
    const auto id = c.open(H2Client::post("/grpc"));
    c.data(id, std::string("\0\0", 2), false);
    c.data(id, std::string("\0\3\xe9", 3), false);
    CHECK(c.wait(id).fields.at(":status") == "413");
    CHECK(c.call(H2Client::post("/grpc"), std::string("\0\0\0\3\xe8", 5) + std::string(1000, 'y')).body.size() == 1005);
  }
}

TEST_CASE("a port in use is an error, localhost is both families", "[net]") {
  EchoServer s;
  const auto again = Server::open(s.threads, {"twice", s.server->endpoint(), {}, nullptr}, s.handler);
  REQUIRE(!again);
  CHECK(again.error().kind == ErrorKind::kIo);
  CHECK(again.error().text.find("in use") != std::string::npos);
  CHECK(s.server->endpoint() == "localhost:" + std::to_string(s.port()));
}

TEST_CASE("drain finishes what is in flight and closes the rest", "[net]") {
  EchoServer s;
  RawClient idle(s.port());
  idle.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
  idle.receive_responses(1);
  RawClient busy(s.port());
  busy.send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
  REQUIRE(busy.receive(20'000) == "HTTP/1.1 100 Continue\r\n\r\n");  // the server has read the headers
  busy.send("ab");
  H2Client h2(s.port());
  const auto id = h2.open(H2Client::post("/echo"));
  h2.data(id, "first", false);
  H2Client stuck(s.port());
  stuck.open(H2Client::post("/echo"));
  for (H2Client* client : {&h2, &stuck}) {  // a ping is answered after all that was sent before it
    client->send(frame(6, 0, 0, "12345678"));
    client->run(20'000, [&] { return client->pings == 1; });
    REQUIRE(client->pings == 1);
  }

  s.server->drain();
  CHECK(idle.receive_all(2000).empty());
  CHECK(idle.closed());
  busy.send("cd");
  CHECK(busy.receive_all(2000).find("connection: close\r\n") != std::string::npos);
  h2.run(2000, [&] { return h2.goaway; });
  CHECK(h2.goaway_code == 0);
  h2.data(id, "last", true);
  CHECK(h2.wait(id).body == "firstlast");
  CHECK(RawClient(s.port()).connected() == false);

  s.server->stop(100ms);
  CHECK(s.server->stats().connections == 0);
  CHECK(s.closed(CloseWhy::kDrained) == 1);
}

TEST_CASE("the HTTP client keeps its connection, opens it again, and knows timeouts", "[net]") {
  EchoServer s;
  boost::asio::io_context io;
  HttpClient client(io, *parse_http_url("http://localhost:" + std::to_string(s.port()) + "/x?y=2"));
  const auto post = [&](std::string body, Duration timeout = 2s) {
    std::optional<Result<HttpReply>> got;
    client.post({{"content-type", "text/plain"}}, std::make_shared<std::string>(std::move(body)), timeout,
                [&](Result<HttpReply> r) { got = std::move(r); });
    CHECK(!got);
    io.restart();
    while (!got && io.run_one() > 0) {
    }
    REQUIRE(got);
    return *got;
  };
  for (int i = 0; i < 3; ++i) {
    const auto reply = post("hello");
    REQUIRE(reply);
    CHECK(reply->status == 200);
    CHECK(reply->body == "hello");
  }
  CHECK(s.server->stats().accepted == 1);

  const auto endpoint = s.server->endpoint();
  s.server->stop(0ms);
  const auto refused = post("hello");
  REQUIRE(!refused);
  CHECK(refused.error().kind == ErrorKind::kUnavailable);

  auto again = Server::open(s.threads, {"again", endpoint, {}, nullptr}, s.handler);
  REQUIRE(again);
  CHECK(post("back")->body == "back");
  CHECK(post(std::string(5 << 20, 'z')).error().kind == ErrorKind::kBadInput);  // the answer is over 4 MiB

  // A server that takes the request and never answers.
  const int hole = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  REQUIRE(::bind(hole, reinterpret_cast<sockaddr*>(&at), size) == 0);
  REQUIRE(::listen(hole, 1) == 0);
  ::getsockname(hole, reinterpret_cast<sockaddr*>(&at), &size);
  {
    HttpClient waits(io, *parse_http_url("http://127.0.0.1:" + std::to_string(ntohs(at.sin_port))));
    std::optional<Result<HttpReply>> got;
    waits.post({}, nullptr, 100ms, [&](Result<HttpReply> r) { got = std::move(r); });
    io.restart();
    while (!got && io.run_one() > 0) {
    }
    CHECK(got->error().kind == ErrorKind::kUnavailable);
    waits.post({}, nullptr, 10s, [&](Result<HttpReply> r) { got = std::move(r); });
    got.reset();
    waits.cancel();
    while (!got && io.run_one() > 0) {
    }
    CHECK(got->error().text == "cancelled");
    waits.post({}, nullptr, 10s, [&](Result<HttpReply>) { FAIL("called after the client was gone"); });
  }
  io.restart();
  io.run();
  ::close(hole);
}
