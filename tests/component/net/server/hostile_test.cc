// SPDX-License-Identifier: Apache-2.0
// Hostile peers in short form: each holds or floods something, and honest clients keep being served.
// Sources: CVE-2023-44487 (rapid reset), CVE-2024-27316 (CONTINUATION flood), RFC 9113 section 10.5, RFC 7541
// section 7.
#include <fcntl.h>
#include <sys/resource.h>

#include "component/net/echo_server.h"

using namespace tailgate;
using namespace tailgate::test;
using namespace std::chrono_literals;

namespace {

ServerLimits quick() {
  ServerLimits limits;
  limits.header_timeout = 300ms;
  limits.body_grace = 300ms;
  limits.idle_timeout = 500ms;
  return limits;
}

// Sends until the server has had enough.
template <class Send>
bool refused_within(H2Client& c, int rounds, Send send) {
  for (int i = 0; i < rounds; ++i) {
    if (!send()) break;
    c.run(5, [] { return false; });
    if (c.closed()) return true;
  }
  c.run_until_closed(3000);
  return c.closed();
}

constexpr std::size_t kRssRise = 32 << 20;

}  // namespace

TEST_CASE("HTTP/1.1: requests whose length can be read two ways are refused and the connection closed",
          "[net][hostile]") {
  EchoServer s;
  const std::string smuggled = "GET /smuggled HTTP/1.1\r\nHost: t\r\n\r\n";
  for (const std::string head : {
           "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
           "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
           "Transfer-Encoding: gzip\r\nContent-Length: 5\r\n",
           "Transfer-Encoding: gzip, chunked\r\n",
           "Transfer-Encoding: xchunked\r\n",
           "Content-Length: 5\r\nContent-Length: 6\r\n",
           "Content-Length: +5\r\n",
           "Content-Length: 5\r\nHost: u\r\n",
           "Bad Header: x\r\n",
       }) {
    CAPTURE(head);
    RawClient c(s.port());
    c.send("POST / HTTP/1.1\r\nHost: t\r\n" + head + "\r\n0\r\n\r\n" + smuggled);
    const auto all = c.receive_all(2000);
    CHECK(all.find("HTTP/1.1 400") == 0);
    CHECK(all.find("HTTP/1.1", 5) == std::string::npos);
    CHECK(c.closed());
  }
  CHECK(s.handler.handled == 0);
  CHECK(EchoServer::within(20'000, [&] { return s.closed(CloseWhy::kProtocol) == 9; }));
  CHECK(s.serves());
}

TEST_CASE("HTTP/1.1: what is no body has a limit in chunked ones too", "[net][hostile]") {
  EchoServer s;
  const std::string head = "POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n";
  const std::size_t before = rss_bytes();
  SECTION("the head of a chunk") {
    RawClient c(s.port());
    c.send(head + "5;");
    const std::string piece(1 << 20, 'a');
    for (int i = 0; i < 64 && c.send(piece); ++i) {
    }
    CHECK(c.receive_all(2000).find("HTTP/1.1 400") == 0);
  }
  SECTION("the heads of all chunks") {
    RawClient c(s.port());
    c.send(head);
    const std::string chunk = "1;" + std::string(4000, 'e') + "\r\nx\r\n";
    for (int i = 0; i < 1000 && c.send(chunk); ++i) {
    }
    CHECK(c.receive_all(2000).find("HTTP/1.1 400") == 0);
  }
  SECTION("trailers") {
    RawClient c(s.port());
    std::string trailers;
    for (int i = 0; i < 100'000; ++i) trailers += "a:\r\n";
    c.send(head + "0\r\n" + trailers + "\r\n");
    CHECK(c.receive_all(2000).find("HTTP/1.1 4") == 0);
  }
  SECTION("some are taken") {
    RawClient c(s.port());
    c.send(head + "4;name=value\r\nping\r\n0\r\nx-a: b\r\n\r\n");
    CHECK(c.receive_responses(1, 2000).find("ping") != std::string::npos);
  }
  CHECK(rss_bytes() < before + (8 << 20));
  CHECK(s.budget.used(Holder::kRequests) == 0);
  CHECK(s.serves());
}

TEST_CASE("HTTP/1.1: headers count by the field, and are charged", "[net][hostile]") {
  EchoServer s;
  std::string fields;
  for (int i = 0; i < 120; ++i) fields += "a: " + std::string(60, 'x') + "\r\n";
  RawClient few(s.port());
  few.send("GET /echo HTTP/1.1\r\nHost: t\r\n" + fields);
  CHECK(EchoServer::within(2000, [&] { return s.budget.used(Holder::kRequests) > 20'000; }));
  few.send("\r\n");
  CHECK(few.receive_responses(1, 2000).find("HTTP/1.1 200") == 0);
  CHECK(s.budget.used(Holder::kRequests) == 0);
  RawClient many(s.port());
  std::string small_ones;
  for (int i = 0; i < 128; ++i) small_ones += "a:\r\n";
  many.send("GET /echo HTTP/1.1\r\nHost: t\r\n" + small_ones + "\r\n");  // 129 of them
  CHECK(many.receive_all(2000).find("HTTP/1.1 431") == 0);
  EchoServer small({}, 8 << 10);
  RawClient none(small.port());
  none.send("GET /echo HTTP/1.1\r\nHost: t\r\n" + fields + "\r\n");
  CHECK(none.receive_all(2000).find("HTTP/1.1 503") == 0);
}

TEST_CASE("HTTP/1.1: headers and bodies have their limits", "[net][hostile]") {
  EchoServer s;
  SECTION("a header list over 16 KiB") {
    RawClient c(s.port());
    c.send("GET / HTTP/1.1\r\nHost: t\r\nX: " + std::string(20'000, 'x') + "\r\n\r\n");
    CHECK(c.receive_all(2000).find("HTTP/1.1 431") == 0);
  }
  SECTION("a Content-Length over the cap is refused before a byte of the body") {
    RawClient c(s.port());
    c.send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1073741824\r\n\r\n");
    CHECK(c.receive_all(2000).find("HTTP/1.1 413") == 0);
    CHECK(s.budget.used(Holder::kRequests) == 0);
  }
  SECTION("a chunked body over the cap, its sender still sending") {
    s.handler.body_max = 1 << 20;
    RawClient c(s.port());
    c.send("POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n");
    const std::string chunk = "10000\r\n" + std::string(65536, 'x') + "\r\n";
    for (int i = 0; i < 40; ++i) c.send(chunk);
    CHECK(c.receive_responses(1).find("HTTP/1.1 413") == 0);
  }
  CHECK(s.serves());
}

TEST_CASE("bodies held open are charged for what came, and refused when there is no room", "[net][hostile]") {
  ServerLimits limits;
  limits.held_body_bytes = 64 << 20;  // the budget is what is tested
  EchoServer s(limits, 400 << 10);
  std::vector<std::unique_ptr<RawClient>> held;
  for (int i = 0; i < 20; ++i) {
    held.push_back(std::make_unique<RawClient>(s.port()));
    held.back()->send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 16000000\r\n\r\n" + std::string(10'000, 'x'));
  }
  CHECK(EchoServer::within(20'000, [&] { return s.budget.used(Holder::kRequests) == 20U * 12'288; }));
  CHECK(s.serves());
  for (int i = 0; i < 20; ++i) {
    held.push_back(std::make_unique<RawClient>(s.port()));
    held.back()->send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 16000000\r\n\r\n" + std::string(10'000, 'x'));
  }
  CHECK(EchoServer::within(20'000, [&] { return s.handler.refused == 7; }));
  int told = 0;
  for (std::size_t i = 20; i < held.size(); ++i) told += held[i]->receive(50).find("HTTP/1.1 503") == 0 ? 1 : 0;
  CHECK(told == 7);
  held.clear();
  CHECK(EchoServer::within(20'000, [&] { return s.budget.used(Holder::kRequests) == 0; }));
  CHECK(s.serves());
}

TEST_CASE("bodies that are not complete have room of their own, and others are served beside them", "[net][hostile]") {
  ServerLimits limits;
  limits.held_body_bytes = 100'000;
  limits.client.held_bytes = 0;  // all of them come from one address
  EchoServer s(limits);
  std::vector<std::unique_ptr<RawClient>> held;
  for (int i = 0; i < 20; ++i) {  // 8 have room, 12,288 bytes each, and one may be larger than the room there is
    held.push_back(std::make_unique<RawClient>(s.port()));
    held.back()->send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 16000000\r\n\r\n" + std::string(10'000, 'x'));
  }
  CHECK(EchoServer::within(1000, [&] { return s.handler.refused == 11; }));
  CHECK(s.serves());

  H2Client streams(s.port());
  for (std::uint32_t id = 1; id < 11; id += 2) {
    streams.send(frame(1, 4, id, hpack(H2Client::post("/echo"))) + frame(0, 0, id, std::string(10'000, 'x')));
  }
  CHECK(EchoServer::within(1000, [&] { return s.handler.refused == 16; }));
  held.clear();
  CHECK(s.serves());
}

TEST_CASE("slow and silent clients are let go", "[net][hostile]") {
  EchoServer s(quick());
  RawClient silent(s.port());
  RawClient slow_headers(s.port());
  slow_headers.send("GET / HTTP/1.1\r\nHo");
  RawClient half_preface(s.port());
  half_preface.send("PRI * HTTP/2.0\r\n");
  RawClient idle(s.port());
  idle.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
  RawClient slow_body(s.port());
  slow_body.send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1000\r\n\r\nxx");
  H2Client h2_silent(s.port());
  H2Client h2_idle(s.port());
  CHECK(h2_idle.call(H2Client::post("/echo"), "x").done);
  H2Client h2_open_block(s.port());
  h2_open_block.send(frame(1, 0, 1, hpack(H2Client::post("/echo"))));  // no END_HEADERS
  H2Client h2_held(s.port());
  for (int i = 0; i < 20; ++i) h2_held.data(h2_held.open(H2Client::post("/echo")), "x", false);

  CHECK(silent.receive_all(3000).empty());
  CHECK(silent.closed());
  CHECK(slow_headers.receive_all(3000).find("HTTP/1.1 408") == 0);
  CHECK(half_preface.receive_all(3000).empty());
  CHECK(half_preface.closed());
  idle.receive_all(3000);
  CHECK(idle.closed());
  CHECK(slow_body.receive_all(3000).find("HTTP/1.1 408") == 0);
  h2_silent.run_until_closed(3000);
  CHECK(h2_silent.goaway);
  CHECK(h2_silent.goaway_code == 0);
  CHECK(h2_silent.closed());
  h2_idle.run_until_closed(3000);
  CHECK(h2_idle.goaway);
  CHECK(h2_idle.closed());
  h2_open_block.run_until_closed(3000);
  CHECK(h2_open_block.closed());
  h2_held.run(3000, [&] { return h2_held.replies[39].reset; });
  for (std::uint32_t id = 1; id < 40; id += 2) CHECK(h2_held.replies[id].reset);
  CHECK(EchoServer::within(20'000, [&] { return s.budget.used(Holder::kRequests) == 0; }));
  CHECK(EchoServer::within(20'000, [&] { return s.server->stats().connections <= 1; }));
  CHECK(s.closed(CloseWhy::kHeaderTimeout) == 5);
  CHECK(s.closed(CloseWhy::kSlowBody) == 1);
  CHECK(s.closed(CloseWhy::kIdle) >= 2);
  CHECK(s.serves());
}

TEST_CASE("rapid reset, received and provoked", "[net][hostile]") {
  EchoServer s;
  const std::size_t before = rss_bytes();
  std::uint32_t id = 0;
  SECTION("HEADERS and RST_STREAM") {
    H2Client c(s.port());
    CHECK(refused_within(c, 100, [&] {
      std::string many;
      for (int i = 0; i < 100; ++i) {
        id = c.open(H2Client::post("/echo"));
        many += frame(3, 0, id, u32(8));
      }
      return c.send(many);
    }));
    CHECK(c.next_id() < 3000);
  }
  SECTION("frames that make the server reset") {
    H2Client c(s.port());
    id = 1;
    CHECK(refused_within(c, 1000, [&] {
      std::string many;
      for (int i = 0; i < 20; ++i, id += 2) {
        many += frame(1, 4, id, hpack(H2Client::post("/echo", {{"content-length", "1"}}))) + frame(0, 0, id, "xx");
      }
      return c.send(many);
    }));
    CHECK(id < 4000);
  }
  CHECK(EchoServer::within(20'000, [&] { return s.server->stats().connections == 0; }));
  CAPTURE(id);
  for (std::size_t i = 0; i < kCloseWhyNames.size(); ++i) {
    CAPTURE(kCloseWhyNames[i]);
    CHECK(s.server->stats().closed[i] == (i == static_cast<std::size_t>(CloseWhy::kResets) ? 1 : 0));
  }
  CHECK(s.serves());
  if (!kSanitized) CHECK(rss_bytes() < before + kRssRise);
}

TEST_CASE("frames without progress", "[net][hostile]") {
  EchoServer s;
  H2Client c(s.port());
  const auto id = c.open(H2Client::post("/echo"));
  std::string many;
  SECTION("PING") {
    for (int i = 0; i < 500; ++i) many += frame(6, 0, 0, "12345678");
  }
  SECTION("SETTINGS") {
    for (int i = 0; i < 500; ++i) many += frame(4, 0, 0, {});
  }
  SECTION("empty DATA") {
    for (int i = 0; i < 500; ++i) many += frame(0, 0, id, {});
  }
  SECTION("DATA of padding only") {
    for (int i = 0; i < 500; ++i) many += frame(0, 8, id, std::string("\x04\0\0\0\0", 5));
  }
  SECTION("WINDOW_UPDATE") {
    for (int i = 0; i < 500; ++i) many += frame(8, 0, 0, u32(1));
  }
  SECTION("PRIORITY") {
    for (int i = 0; i < 500; ++i) many += frame(2, 0, 101, u32(0) + "x");
  }
  SECTION("frames of an unknown type") {
    for (int i = 0; i < 500; ++i) many += frame(99, 0, 0, "x");
  }
  CHECK(refused_within(c, 1000, [&] { return c.send(many); }));
  CHECK(s.serves());
  CHECK(EchoServer::within(20'000, [&] { return s.closed(CloseWhy::kNoProgress) == 1; }));
}

TEST_CASE("header lists", "[net][hostile]") {
  EchoServer s;
  const std::size_t before = rss_bytes();
  SECTION("CONTINUATION flood") {
    H2Client c(s.port());
    c.send(frame(1, 0, 1, hpack(H2Client::post("/echo"))));
    CHECK(refused_within(c, 10'000, [&] { return c.send(frame(9, 0, 1, hpack({{"x-y", "z"}}))); }));
  }
  SECTION("one entry of 4 KB, referred to again and again") {
    H2Client c(s.port());
    std::string block = hpack(H2Client::post("/echo"));
    block.push_back('\x40');  // literal with incremental indexing (RFC 7541 section 6.2.1)
    hpack_length(block, 1, 127, 0);
    block += "a";
    hpack_length(block, 3900, 127, 0);
    block += std::string(3900, 'v');
    c.send(frame(1, 5, 1, block));
    std::uint32_t id = 3;
    CHECK(refused_within(c, 10'000, [&] {
      const std::string refs = hpack(H2Client::post("/echo")) + std::string(16'000, '\xBE');  // index 62, 16,000 times
      const bool sent = c.send(frame(1, 5, id, refs));
      id += 2;
      return sent;
    }));
    CHECK(EchoServer::within(20'000, [&] { return s.closed(CloseWhy::kHeaders) == 1; }));
  }
  SECTION("a header list of 1 MB") {
    H2Client c(s.port());
    std::string block = hpack(H2Client::post("/echo", {{"x", std::string(12'000, 'x')}}));
    c.send(frame(1, 0, 1, block));
    CHECK(refused_within(c, 100, [&] { return c.send(frame(9, 0, 1, hpack({{"x", std::string(12'000, 'x')}}))); }));
  }
  CHECK(s.serves());
  if (!kSanitized) CHECK(rss_bytes() < before + kRssRise);
}

TEST_CASE("streams opened and never ended are capped", "[net][hostile]") {
  EchoServer s;
  const std::size_t before = rss_bytes();
  H2Client c(s.port());
  for (int i = 0; i < 128; ++i) c.open(H2Client::post("/echo"));
  CHECK(s.serves());
  c.open(H2Client::post("/echo"));  // against what SETTINGS said and the client acknowledged
  c.run_until_closed(2000);
  CHECK(c.goaway_code == 1);  // PROTOCOL_ERROR
  CHECK(c.closed());
  CHECK(s.serves());
  if (!kSanitized) CHECK(rss_bytes() < before + kRssRise);
}

TEST_CASE("answers that a peer's windows hold up are few, and their peer is let go", "[net][hostile]") {
  const auto window = [](std::uint32_t bytes) { return frame(4, 0, 0, std::string("\0\4", 2) + u32(bytes)); };
  EchoServer s(quick());
  H2Client c(s.port());
  const std::size_t before = rss_bytes();
  SECTION("no window at all: one large answer is made, and the connection closed") {
    c.send(window(0));
    for (int i = 0; i < 100; ++i) c.open(H2Client::post("/big"), true);
    c.run(150, [] { return false; });
    CHECK(s.handler.handled == 1);
    if (!kSanitized) CHECK(rss_bytes() < before + kRssRise);
    c.run_until_closed(3000);
    CHECK(c.goaway);
    CHECK(EchoServer::within(5000, [&] { return s.closed(CloseWhy::kSlowReader) == 1; }));
    CHECK(s.handler.handled == 1);
  }
  SECTION("the connection's window used up") {
    c.send(window(1 << 20));
    for (int i = 0; i < 100; ++i) c.open(H2Client::post("/big"), true);
    c.run_until_closed(3000);
    CHECK(EchoServer::within(5000, [&] { return s.closed(CloseWhy::kSlowReader) == 1; }));
    CHECK(s.handler.handled == 1);
  }
  SECTION("one stream stands still while others go on") {
    c.send(window(0));
    const std::uint32_t stuck = c.request(H2Client::post("/echo"), "never taken");
    for (int i = 0; i < 100 && !c.replies[stuck].reset; ++i) {
      const std::uint32_t id = c.open(H2Client::post("/echo"));
      c.send(frame(8, 0, id, u32(100)));
      c.data(id, "taken", true);
      CHECK(c.wait(id).body == "taken");
      c.run(20, [] { return false; });
    }
    CHECK(c.replies[stuck].reset);
    CHECK(s.handler.refused == 0);  // the request was taken
    CHECK_FALSE(c.goaway);
  }
  CHECK(s.serves());
}

// With time to spare: a request that waits for longer than header_timeout is refused.
TEST_CASE("windows that open give all answers, one after the other", "[net][hostile]") {
  EchoServer s;
  H2Client c(s.port());
  c.send(frame(4, 0, 0, std::string("\0\4", 2) + u32(4 << 20)));
  std::vector<std::uint32_t> ids;
  for (int i = 0; i < 20; ++i) ids.push_back(c.open(H2Client::post("/big"), true));
  for (const std::uint32_t id : ids) {
    c.send(frame(8, 0, 0, u32(3 << 20)));
    CHECK(c.wait(id).body.size() == 3U << 20);
    c.replies.erase(id);
  }
  CHECK(s.handler.handled == 20);
  CHECK(s.serves());
}

TEST_CASE("HTTP/2: streams that are reset and handlers that fail are counted as refused", "[net][hostile]") {
  EchoServer s(quick());
  H2Client c(s.port());
  const Fields large = H2Client::post("/echo", {{"x", std::string(12'000, 'x')}, {"y", std::string(12'000, 'y')}});
  CHECK(c.wait(c.open(large, true)).reset);
  CHECK(s.handler.refused_for(RefuseWhy::kHeaders) == 1);
  const std::uint32_t slow = c.open(H2Client::post("/echo"));
  c.data(slow, "x", false);
  CHECK(c.wait(slow).reset);
  CHECK(s.handler.refused_for(RefuseWhy::kSlowBody) == 1);
  CHECK(c.call(H2Client::post("/throw"), "x").fields[":status"] == "500");
  CHECK(s.handler.refused_for(RefuseWhy::kInternal) == 1);
  CHECK(c.call(H2Client::post("/throw-early"), "x").fields[":status"] == "500");
  CHECK(s.handler.refused_for(RefuseWhy::kInternal) == 2);
  CHECK(s.handler.refused == 4);
}

TEST_CASE("HTTP/2: headers that find no room are counted as refused", "[net][hostile]") {
  EchoServer s({}, 1 << 10);
  H2Client c(s.port());
  CHECK(c.wait(c.open(H2Client::post("/echo", {{"x", std::string(12'000, 'x')}}), true)).reset);
  CHECK(s.handler.refused_for(RefuseWhy::kNoMemory) == 1);
}

TEST_CASE("HTTP/2: a field is charged for all of its bytes", "[net][hostile]") {
  EchoServer s({}, 8 << 10);
  H2Client c(s.port());
  CHECK(c.wait(c.open(H2Client::post("/echo", {{"x", std::string(12'000, 'x')}}), true)).reset);
  CHECK(s.handler.refused_for(RefuseWhy::kNoMemory) == 1);
  CHECK(s.handler.handled == 0);
}

TEST_CASE("requests that wait too long behind answers not taken are refused", "[net][hostile]") {
  EchoServer s(quick());
  H2Client c(s.port());
  c.send(frame(4, 0, 0, std::string("\0\4", 2) + u32(0)));
  const std::uint32_t large = c.open(H2Client::post("/big"), true);
  c.wait(c.open(H2Client::post("/none"), true), 50);
  const std::uint32_t behind = c.request(H2Client::post("/echo"), "waits");
  for (int i = 0; i < 100 && c.replies[behind].fields.empty(); ++i) {
    c.send(frame(8, 0, large, u32(1)));
    c.run(20, [] { return false; });
  }
  CHECK(c.replies[behind].fields[":status"] == "503");
  CHECK(s.handler.handled == 1);
  CHECK(s.handler.refused_for(RefuseWhy::kNoMemory) == 1);
  CHECK(s.handler.refused == 1);  // and once: /none was handled, only its answer not taken
}

TEST_CASE("connections are capped in number and per address", "[net][hostile]") {
  ServerLimits limits;
  limits.connections_per_address = 10;
  EchoServer s(limits);
  std::vector<std::unique_ptr<RawClient>> many;
  for (int i = 0; i < 30; ++i) many.push_back(std::make_unique<RawClient>(s.port()));
  CHECK(EchoServer::within(20'000, [&] { return s.closed(CloseWhy::kAddress) == 20; }));
  CHECK(s.server->stats().connections == 10);
  many.clear();
  CHECK(EchoServer::within(20'000, [&] { return s.server->stats().connections == 0; }));
  CHECK(s.serves());
}

TEST_CASE("accepting goes on after the descriptors ran out", "[net][hostile]") {
  EchoServer s;
  rlimit old{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &old) == 0);
  const int probe = ::open("/dev/null", O_RDONLY);
  ::close(probe);
  // Room for 30 more on both sides together, and 29 go to clients. No assertions meanwhile: the sanitizers' checks want
  // descriptors of their own.
  const rlimit low{static_cast<rlim_t>(probe) + 30, old.rlim_max};
  const bool lowered = ::setrlimit(RLIMIT_NOFILE, &low) == 0;
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 29; ++i) clients.push_back(std::make_unique<RawClient>(s.port()));
  const bool ran_out = EchoServer::within(20'000, [&] { return s.closed(CloseWhy::kDescriptors) > 0; });
  // A loop that does not pause tries to accept at least once between two requests of the same thread.
  const std::uint64_t tried = s.closed(CloseWhy::kDescriptors);
  int answered = 0;
  for (int i = 0; i < 400; ++i) {
    clients[0]->send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    answered += clients[0]->receive_responses(1).empty() ? 0 : 1;
  }
  const std::uint64_t tried_since = s.closed(CloseWhy::kDescriptors) - tried;
  clients.clear();
  const bool restored = ::setrlimit(RLIMIT_NOFILE, &old) == 0;
  REQUIRE(lowered);
  REQUIRE(restored);
  CHECK(ran_out);
  CHECK(answered == 400);
  CHECK(tried_since < 100);
  CHECK(EchoServer::within(20'000, [&] { return s.serves(); }));
}
