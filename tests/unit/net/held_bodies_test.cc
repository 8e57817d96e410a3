// SPDX-License-Identifier: Apache-2.0
#include "net/held_bodies.h"

#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "net/body_buffer.h"
#include "net/http/body_pace.h"
#include "net/http/clients.h"
#include "net/http/session.h"

using namespace tailgate;
using namespace std::chrono_literals;

namespace {

// Takes every body and says 200.
struct AnyHandler final : Handler {
  Admission admit(const RequestHead&) override {
    Admission admission;
    admission.body_bytes_max = 64 << 20;
    return admission;
  }
  void handle(const RequestHead&, BodyBuffer&, Response& response) override { response = plain_response(200, "taken"); }
  Response refuse(const RequestHead&, const Refusal& refusal) override {
    return plain_response(refusal.why == RefuseWhy::kNoMemory ? 503 : 413, "refused");
  }
};

constexpr const char* kHead = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n";

std::string output(Session& session) {
  std::string out;
  session.take_output(out);
  return out;
}

}  // namespace

TEST_CASE("held bodies are refused past the room there is, but for one", "[net]") {
  HeldBodies bodies(1000);
  HeldBodies::Share a, b, c, d;
  CHECK(a.hold(bodies, 600));
  CHECK(bodies.pressed());
  CHECK(b.hold(bodies, 400));
  CHECK(c.hold(bodies, 5000));  // the one
  CHECK(c.pressed());
  CHECK_FALSE(d.hold(bodies, 1));
  CHECK_FALSE(b.hold(bodies, 401));
  a.release();
  CHECK(d.hold(bodies, 100));
  c.release();
  CHECK(b.hold(bodies, 100'000));
  b.release();
  d.release();
  CHECK_FALSE(bodies.pressed());
}

TEST_CASE("a held body has to grow by a quarter when room is short", "[net]") {
  const ServerLimits limits;
  BodyPace pace;
  pace.start(TimePoint{});
  pace.bytes = 10'000;  // in 5 s: above 1 KiB/s
  CHECK_FALSE(BodyPace(pace).slow(TimePoint{} + 5s, limits, 1 << 20, false));
  CHECK(BodyPace(pace).slow(TimePoint{} + 5s, limits, 1 << 20, true));
  CHECK_FALSE(BodyPace(pace).slow(TimePoint{} + 5s, limits, 40'000, true));
}

TEST_CASE("senders that hold bodies do not keep out requests that come whole", "[net]") {
  AnyHandler handler;
  const ServerLimits limits;
  ByteBudget budget({1 << 20, 0, 0, 0});
  HeldBodies held(3000);
  const SessionContext context{handler, limits, &budget, &held};
  std::vector<std::unique_ptr<Session>> sessions;
  for (int i = 0; i < 4; ++i) sessions.push_back(make_http1_session(context, "192.0.2.1", TimePoint{}));
  for (int i = 0; i < 3; ++i) {
    sessions[static_cast<std::size_t>(i)]->feed(std::string(kHead) + std::string(2000, 'x'), TimePoint{});
  }
  CHECK(output(*sessions[0]).empty());
  CHECK(output(*sessions[1]).empty());  // the one that may be larger than the room
  CHECK(output(*sessions[2]).starts_with("HTTP/1.1 503"));
  CHECK(sessions[2]->closing());
  sessions[3]->feed(std::string(kHead) + std::string(5000, 'x'), TimePoint{});
  CHECK(output(*sessions[3]).starts_with("HTTP/1.1 200"));
  sessions[0].reset();
  sessions[3]->feed(std::string(kHead) + std::string(2000, 'x'), TimePoint{});
  CHECK(output(*sessions[3]).empty());
  sessions[3]->feed(std::string(3000, 'x'), TimePoint{});
  CHECK(output(*sessions[3]).starts_with("HTTP/1.1 200"));
}

TEST_CASE("requests behind unread answers give their room back as they are answered", "[net]") {
  AnyHandler handler;
  const ServerLimits limits;
  HeldBodies held(600'000);
  const SessionContext context{handler, limits, nullptr, &held};
  const auto session = make_http1_session(context, "192.0.2.1", TimePoint{});
  std::string many;
  for (int i = 0; i < 20'000; ++i) many += "GET / HTTP/1.1\r\nHost: x\r\n\r\n";  // 540,000 bytes
  session->feed(many, TimePoint{});
  CHECK(held.pressed());
  const auto answers = [&] {
    const std::string out = output(*session);
    std::size_t n = 0;
    for (std::size_t at = 0; (at = out.find("HTTP/1.1 200", at)) != std::string::npos; ++at) ++n;
    session->feed({}, TimePoint{});
    return n;
  };
  std::size_t all = 0;
  while (held.pressed()) all += answers();
  CHECK(all > 8'000);
  CHECK(all < 16'000);
  while (const std::size_t n = answers()) all += n;
  CHECK(all == 20'000);
}

TEST_CASE("many requests behind unread answers are a slow reader's", "[net]") {
  AnyHandler handler;
  const ServerLimits limits;
  HeldBodies held(100'000);
  const SessionContext context{handler, limits, nullptr, &held};
  std::string many;
  for (int i = 0; i < 10'000; ++i) many += "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
  const auto first = make_http1_session(context, "192.0.2.1", TimePoint{});
  const auto second = make_http1_session(context, "192.0.2.1", TimePoint{});
  first->feed(many, TimePoint{});  // the one that may be larger than the room
  CHECK_FALSE(first->closing());
  second->feed(many, TimePoint{});
  CHECK(second->close_why() == CloseWhy::kSlowReader);
}

TEST_CASE("a body keeps its bytes while it grows from block to mapping", "[net]") {
  ByteBudget budget({64 << 20, 0, 0, 0});
  BodyBuffer body(&budget);
  std::string expected;
  for (int i = 0; i < 50; ++i) {
    const std::string piece(100'003, static_cast<char>('a' + i % 26));
    expected += piece;
    REQUIRE(body.append(piece));
  }
  CHECK(body.view() == expected);
  body.reset();
  CHECK(budget.used(Holder::kRequests) == 0);
}

TEST_CASE("large bodies leave room for small requests", "[net]") {
  ByteBudget budget({16 << 20, 0, 0, 0});
  BodyBuffer large(&budget), small(&budget);
  const std::string mib(1 << 20, 'x');
  int taken = 0;
  while (large.append(mib)) ++taken;
  CHECK(taken == 15);
  CHECK(small.append(std::string(500'000, 'x')));
}

TEST_CASE("a body that rests keeps its bytes, and grows by less", "[net]") {
  ByteBudget budget({64 << 20, 0, 0, 0});
  BodyBuffer body(&budget);
  std::string expected;
  const auto more = [&](std::size_t bytes) {
    expected += std::string(bytes, static_cast<char>('a' + expected.size() % 26));
    REQUIRE(body.append(std::string_view(expected).substr(expected.size() - bytes)));
    CHECK(body.view() == expected);
  };
  more(100'000);
  more(100'000);  // has grown to twice that
  body.trim();
  more(10);  // and goes on
  body.trim();
  const std::size_t before = body.room_bytes();
  CHECK(before >= 400'000);
  body.trim();
  CHECK(body.view() == expected);
  CHECK(body.room_bytes() < 205'000);
  more(10'000);
  CHECK(body.room_bytes() < 270'000);
  more(2'000'000);  // a mapping
  body.trim();
  body.trim();
  more(10);
}

TEST_CASE("a small body is charged for a small block, which doubles", "[net]") {
  ByteBudget budget({64 << 20, 0, 0, 0});
  BodyBuffer body(&budget);
  const std::pair<std::size_t, std::size_t> steps[] = {
      {6, 512}, {513, 2048}, {2048, 2048}, {2049, 8192}, {10'000, 20'480}};
  for (const auto& [size, charged] : steps) {
    REQUIRE(body.append(std::string(size - body.size(), 'x')));
    INFO(size);
    CHECK(body.room_bytes() == charged);
    CHECK(budget.used(Holder::kRequests) == charged);
  }
}

TEST_CASE("a body grows by what it needs when the budget has no room for twice as much", "[net]") {
  ByteBudget budget({80 << 10, 0, 0, 0});
  BodyBuffer body(&budget);
  REQUIRE(body.append(std::string(40'000, 'x')));
  REQUIRE(body.append(std::string(40'000, 'x')));
  CHECK(budget.used(Holder::kRequests) == 80 << 10);
  CHECK_FALSE(body.append(std::string(2'000, 'x')));
  CHECK(body.size() == 80'000);
  CHECK(budget.used(Holder::kRequests) == 80 << 10);
}

TEST_CASE("a mapping is charged for what came, not for its size", "[net]") {
  ByteBudget budget({64 << 20, 0, 0, 0});
  BodyBuffer body(&budget);
  body.expect(50 << 20);
  for (int i = 0; i < 20; ++i) REQUIRE(body.append(std::string(100'000, 'x')));
  CHECK(body.room_bytes() > 2'031'616);
  CHECK(budget.used(Holder::kRequests) == 2'031'616);  // 2,000,000 in steps of 64 KiB
}

TEST_CASE("a body that waits in a recycled block far too large moves out of it", "[net]") {
  ByteBudget budget({64 << 20, 0, 0, 0});
  {
    BodyBuffer large(&budget);
    REQUIRE(large.append(std::string(200'000, 'x')));
  }
  BodyBuffer body(&budget);
  body.expect(150'000);
  REQUIRE(body.append("a few"));
  CHECK(budget.used(Holder::kRequests) == body.room_bytes());
  CHECK(body.room_bytes() >= 150'000);
  body.fit();
  CHECK(body.view() == "a few");
  CHECK(body.room_bytes() == 512);
  CHECK(budget.used(Holder::kRequests) == 512);
  // It may have such a block again when it goes on, and keeps it once enough of it is used.
  REQUIRE(body.append(std::string(100'000, 'x')));
  const std::size_t room = body.room_bytes();
  CHECK(room >= 150'000);
  body.fit();
  CHECK(body.room_bytes() == room);
  CHECK(body.view() == "a few" + std::string(100'000, 'x'));
}

TEST_CASE("input behind unread answers counts for its client", "[net]") {
  AnyHandler handler;
  const ServerLimits limits;
  ClientLimits of_client;
  of_client.held_bytes = 400'000;
  ClientTable clients(of_client, 1);
  HeldBodies held(10 << 20);
  const SessionContext context{handler, limits, nullptr, &held, nullptr, nullptr, &clients};
  std::string many;
  for (int i = 0; i < 12'000; ++i) many += "GET / HTTP/1.1\r\nHost: x\r\n\r\n";  // 324,000 bytes
  const auto first = make_http1_session(context, "192.0.2.1", TimePoint{});
  const auto second = make_http1_session(context, "192.0.2.1", TimePoint{});
  const auto other = make_http1_session(context, "192.0.2.2", TimePoint{});
  first->feed(many, TimePoint{});
  second->feed(many, TimePoint{});
  other->feed(many, TimePoint{});
  CHECK_FALSE(first->closing());
  CHECK(second->close_why() == CloseWhy::kSlowReader);
  CHECK_FALSE(other->closing());
}

TEST_CASE("blocks are recycled when the recycler is full", "[net]") {
  ByteBudget budget({64 << 20, 0, 0, 0});
  std::vector<BodyBuffer> bodies;
  for (int i = 0; i < 100; ++i) {
    bodies.emplace_back(&budget);
    REQUIRE(bodies.back().append("body"));
  }
  bodies.clear();
  for (int i = 0; i < 100; ++i) {
    bodies.emplace_back(&budget);
    REQUIRE(bodies.back().append("body"));
  }
}
