// SPDX-License-Identifier: Apache-2.0
#include "net/http/clients.h"

#include <catch2/catch.hpp>

#include "net/http/detect_session.h"

using namespace tailgate;
using namespace std::chrono_literals;

namespace {

constexpr TimePoint kStart = TimePoint{} + 1000s;
constexpr auto kAddress = ClientTable::Kind::kAddress;
constexpr auto kIdentity = ClientTable::Kind::kIdentity;

struct CountingHandler final : Handler {
  Admission admit(const RequestHead&) override { return {}; }
  void handle(const RequestHead& head, BodyBuffer&, Response& response) override {
    if (head.client != nullptr) head.client->took_spans(spans, kStart);
    response = plain_response(200, "taken");
  }
  Response refuse(const RequestHead&, const Refusal& refusal) override {
    const RefusalAnswer answer = refusal_answer(refusal);
    Response out = plain_response(answer.http, std::string(answer.reason));
    out.headers.emplace_back("retry-after", std::to_string(answer.status.retry_seconds));
    return out;
  }
  std::size_t spans = 0;
};

std::string answer(Session& session, std::string_view request, TimePoint now) {
  session.feed(request, now);
  std::string out;
  session.take_output(out);
  return out;
}

std::string post(std::size_t body) {
  return "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(body) + "\r\n\r\n" + std::string(body, 'b');
}

}  // namespace

TEST_CASE("an address counts as itself, of IPv6 as its /64", "[net][clients]") {
  CHECK(client_of_address("192.0.2.7") == "192.0.2.7");
  CHECK(client_of_address("::ffff:192.0.2.7") == "192.0.2.7");
  CHECK(client_of_address("2001:db8:1:2:3:4:5:6") == "2001:db8:1:2::/64");
  CHECK(client_of_address("2001:db8:1:2::") == "2001:db8:1:2::/64");
  CHECK(client_of_address("2001:db8:1:3::1") != client_of_address("2001:db8:1:2::1"));
  CHECK(client_of_address("unix:1000") == "unix:1000");
}

TEST_CASE("a rate is paid afterwards, with a burst before it bites", "[net][clients]") {
  ClientLimits limits;
  limits.spans_per_second = 100;
  limits.burst = 2s;
  Client client(limits);
  CHECK(client.refuse_spans(kStart) == 0);
  client.took_spans(200, kStart);  // the burst
  CHECK(client.refuse_spans(kStart) == 0);
  client.took_spans(1000, kStart);        // one request is taken whole, however large
  CHECK(client.spans_wait(kStart) == 0);  // nothing was refused yet
  CHECK(client.refuse_spans(kStart) == 10);
  CHECK(client.spans_wait(kStart) == 10);
  CHECK(client.refuse_spans(kStart + 9s) == 1);
  CHECK(client.refuse_spans(kStart + 10s) == 0);
  client.took_spans(1, kStart + 10s);
  CHECK(client.refuse_spans(kStart + 10s) == 1);
  CHECK(client.refuse_spans(kStart + 100s) == 0);
  client.took_spans(std::size_t{1} << 60, kStart + 100s);  // more than can be counted
  CHECK(client.refuse_spans(kStart + 100s) == 30);         // what is told at most
  client.took_bytes(1'000'000'000, kStart);
  CHECK(client.bytes_wait(kStart) == 0);  // off
}

TEST_CASE("over an hour at the limit what is taken is the rate", "[net][clients]") {
  ClientLimits limits;
  limits.bytes_per_second = 1000;
  Client client(limits);
  std::size_t taken = 0;
  for (auto at = 0ms; at < 3600s; at += 10ms) {
    if (client.bytes_wait(kStart + at) != 0) continue;
    client.took_bytes(777, kStart + at);
    taken += 777;
  }
  CHECK(taken > 3'600'000);
  CHECK(taken < 3'603'000);
}

TEST_CASE("the table of clients is bounded, and those at work stay", "[net][clients]") {
  const ClientLimits limits;
  ClientTable table(limits, 1);
  const ClientPtr busy = table.find(kAddress, "192.0.2.1");
  CHECK(table.find(kAddress, "192.0.2.1") == busy);
  CHECK(table.find(kIdentity, "192.0.2.1") != busy);
  std::weak_ptr<Client> quiet = table.find(kAddress, "192.0.2.2");
  for (int i = 0; i < 100'000; ++i) table.find(kAddress, "10." + std::to_string(i));
  CHECK(table.find(kAddress, "192.0.2.1") == busy);
  CHECK(quiet.expired());
  // With every place taken by clients at work, the rest shares accounts.
  std::vector<ClientPtr> held;
  for (int i = 0; i < 20'000; ++i) held.push_back(table.find(kAddress, "11." + std::to_string(i)));
  std::sort(held.begin(), held.end());
  held.erase(std::unique(held.begin(), held.end()), held.end());
  CHECK(held.size() > 4000);
  CHECK(held.size() <= 4096 + 512);
}

TEST_CASE("one request may hold what it likes, several of a client only the limit", "[net][clients]") {
  ClientLimits limits;
  limits.held_bytes = 1000;
  const auto client = std::make_shared<Client>(limits);
  ClientShare a, b, other;
  a.begin(client, 1 << 20);
  b.begin(client, 1 << 20);
  other.begin(std::make_shared<Client>(limits), 1 << 20);
  CHECK_FALSE(a.hold(5000, 5000, kStart));
  CHECK(b.hold(1, 1, kStart));
  CHECK_FALSE(other.hold(900, 900, kStart));
  b.release();
  a.complete(6000, kStart);
  b.begin(client, 1 << 20);
  CHECK_FALSE(b.hold(800, 800, kStart));
  a.begin(client, 1 << 20);
  CHECK_FALSE(a.hold(200, 200, kStart));
  CHECK(a.hold(201, 201, kStart));
}

TEST_CASE("of bodies that arrive together one goes on, once more is owed than the largest costs", "[net][clients]") {
  ClientLimits limits;
  limits.held_bytes = 0;
  limits.bytes_per_second = 1000;
  const auto client = std::make_shared<Client>(limits);
  ClientShare a, b;
  a.begin(client, 5000);
  b.begin(client, 5000);
  CHECK_FALSE(a.hold(2999, 2999, kStart));
  CHECK_FALSE(b.hold(3001, 3001, kStart));  // 1,000 are the burst: 5,000 are owed
  CHECK_FALSE(a.hold(3000, 3000, kStart));  // passes it, and goes on
  const std::optional<Refusal> over = b.hold(3001, 3001, kStart);
  REQUIRE(over);
  CHECK(over->why == RefuseWhy::kClientBytes);
  CHECK(over->retry_seconds == 6);
  CHECK_FALSE(b.hold(3001, 3001, kStart + 1ms));  // which pays for a byte
  CHECK_FALSE(a.hold(5000, 5000, kStart + 1ms));
  CHECK(b.hold(3001, 3001, kStart + 1ms));
  a.complete(5000, kStart + 1ms);
  CHECK_FALSE(b.hold(3001, 3001, kStart + 1ms));  // now it is the one
}

TEST_CASE("connections of an identity are counted, and leave", "[net][clients]") {
  ClientLimits limits;
  limits.connections = 2;
  const auto one = std::make_shared<Client>(limits);
  const auto two = std::make_shared<Client>(limits);
  ClientConnection a, b;
  CHECK(a.take(one));
  CHECK(a.take(one));
  {
    ClientConnection c, d;
    CHECK(b.take(one));
    CHECK_FALSE(c.take(one));
    CHECK(c.take(two));
    CHECK(b.take(two));  // another identity on the same connection
    CHECK(d.take(one));
  }
  ClientConnection e;
  CHECK(e.take(one));
}

TEST_CASE("a client over its bytes or spans a second is told when to come back, others are served", "[net][clients]") {
  CountingHandler handler;
  const ServerLimits limits;
  ClientLimits of_client;
  of_client.bytes_per_second = 1000;
  of_client.spans_per_second = 10;
  ClientTable clients(of_client, 1);
  const SessionContext context{handler, limits, nullptr, nullptr, nullptr, nullptr, &clients};
  const auto flooding = make_http1_session(context, "192.0.2.1", kStart);
  const auto same_net = make_http1_session(context, "2001:db8::1", kStart);
  const auto neighbour = make_http1_session(context, "2001:db8::2", kStart);
  const auto good = make_http1_session(context, "192.0.2.2", kStart);
  CHECK(answer(*flooding, post(5000), kStart).starts_with("HTTP/1.1 200"));
  const std::string refused = answer(*flooding, post(10), kStart);
  CHECK(refused.starts_with("HTTP/1.1 429"));
  CHECK(refused.find("client_bytes") != std::string::npos);
  CHECK(refused.find("retry-after: 4\r\n") != std::string::npos);
  CHECK(answer(*good, post(10), kStart).starts_with("HTTP/1.1 200"));
  CHECK(answer(*same_net, post(5000), kStart).starts_with("HTTP/1.1 200"));
  CHECK(answer(*neighbour, post(10), kStart).starts_with("HTTP/1.1 429"));
  const auto again = make_http1_session(context, "192.0.2.1", kStart);
  CHECK(answer(*again, post(10), kStart + 4s).starts_with("HTTP/1.1 200"));
}

TEST_CASE("a certificate's name is the client, whatever the address", "[net][clients]") {
  CountingHandler handler;
  const ServerLimits limits;
  ClientLimits of_client;
  of_client.connections = 1;
  ClientTable clients(of_client, 1);
  const SessionContext context{handler, limits, nullptr, nullptr, nullptr, nullptr, &clients};
  auto first = make_http_session(context, "192.0.2.1", kStart);
  const auto second = make_http_session(context, "192.0.2.2", kStart);
  const auto third = make_http_session(context, "192.0.2.1", kStart);
  first->set_certificate_name("agent");
  second->set_certificate_name("agent");
  third->set_certificate_name("another");
  CHECK(answer(*first, post(1), kStart).starts_with("HTTP/1.1 200"));
  CHECK(answer(*second, post(1), kStart).find("client_connections") != std::string::npos);
  CHECK(answer(*third, post(1), kStart).starts_with("HTTP/1.1 200"));
  first.reset();
  const auto fourth = make_http_session(context, "192.0.2.3", kStart);
  fourth->set_certificate_name("agent");
  CHECK(answer(*fourth, post(1), kStart).starts_with("HTTP/1.1 200"));
}

TEST_CASE("many large bodies put a client ahead by three and a read each, together or in turn", "[net][clients]") {
  for (const bool in_turn : {false, true}) {
    CountingHandler handler;
    ServerLimits limits;
    limits.body_bytes = 10'000;
    ClientLimits of_client;
    of_client.held_bytes = 0;
    of_client.bytes_per_second = 1000;
    ClientTable clients(of_client, 1);
    const SessionContext context{handler, limits, nullptr, nullptr, nullptr, nullptr, &clients};
    constexpr std::size_t kSessions = 20, kReads = 20, kRead = 500;
    std::vector<std::unique_ptr<Session>> sessions;
    for (std::size_t i = 0; i < kSessions; ++i) {
      sessions.push_back(make_http1_session(context, "192.0.2.1", kStart));
      const std::string request = post(kReads * kRead);
      sessions.back()->feed(request.substr(0, request.size() - kReads * kRead), kStart);  // let in: nothing is owed
    }
    std::size_t taken = 0, refused = 0, whole = 0;
    for (std::size_t i = 0; i < kSessions * kReads; ++i) {
      Session& session = *sessions[in_turn ? i / kReads : i % kSessions];
      if (session.closing()) continue;
      taken += kRead;
      const std::string said = answer(session, std::string(kRead, 'b'), kStart);
      if (said.find("client_bytes") != std::string::npos) ++refused;
      if (said.starts_with("HTTP/1.1 200")) ++whole;
    }
    INFO(in_turn);
    CHECK(refused + whole == kSessions);
    CHECK(whole >= 1);
    CHECK(taken <= 1000 + 3 * 10'000 + kSessions * kRead);
  }
}
