// SPDX-License-Identifier: Apache-2.0
// LaterAnswer, and how an HTTP/1.1 session sends one. HTTP/2 and threads: component/net/server/later_test.cc.
#include "net/http/later_answer.h"

#include <catch2/catch.hpp>
#include <string>

#include "net/http/session.h"

using namespace tailgate;

namespace {

class Later final : public Handler {
 public:
  Admission admit(const RequestHead&) override { return {}; }
  void handle(const RequestHead&, BodyBuffer&, Response& response) override {
    answers.push_back(std::make_shared<LaterAnswer>());
    response.later = answers.back();
  }
  Response refuse(const RequestHead&, const Refusal&) override { return plain_response(413); }
  std::vector<std::shared_ptr<LaterAnswer>> answers;
};

struct Peer final : SessionOwner {
  std::function<void()> waker() override {
    return [this] { ++woken; };
  }
  explicit Peer(std::string_view request) {
    session->set_owner(this);
    session->feed(request, TimePoint{});
  }
  std::string take() {
    std::string all;
    for (std::string out; session->take_output(out), !out.empty(); out.clear()) all += out;
    return all;
  }
  Later handler;
  const ServerLimits limits;
  const SessionContext context{handler, limits, nullptr};
  std::unique_ptr<Session> session = make_http1_session(context, "127.0.0.1", TimePoint{});
  int woken = 0;
};

constexpr std::string_view kGet = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
constexpr TimePoint kPast{};

}  // namespace

TEST_CASE("an answer that is whole when it is taken has a content-length", "[net]") {
  Peer peer(kGet);
  CHECK(peer.take().empty());
  CHECK(peer.woken == 0);
  Response response = plain_response(404, "nothing");
  peer.handler.answers.at(0)->answer(std::move(response));
  CHECK(peer.woken == 1);
  const std::string out = peer.take();
  CHECK(out.starts_with("HTTP/1.1 404 Not Found\r\n"));
  CHECK(out.find("content-length: ") != std::string::npos);
  CHECK(out.find("\r\n\r\nnothing") != std::string::npos);
  CHECK_FALSE(peer.handler.answers.at(0)->cancelled());  // it ended
}

TEST_CASE("a later answer in pieces goes out in chunks, and then the next request is answered", "[net]") {
  Peer peer(std::string(kGet) + std::string(kGet));
  REQUIRE(peer.handler.answers.size() == 1);  // one at a time
  LaterAnswer& answer = *peer.handler.answers.at(0);
  answer.begin({});
  CHECK(peer.take() == "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
  CHECK(answer.write("abc", kPast));
  CHECK(answer.write("de", kPast));
  CHECK(peer.take() == "5\r\nabcde\r\n");
  CHECK(peer.take().empty());
  answer.end();
  CHECK(peer.take() == "0\r\n\r\n");
  CHECK_FALSE(peer.session->closing());
  peer.session->feed({}, TimePoint{});
  REQUIRE(peer.handler.answers.size() == 2);
  peer.handler.answers.at(1)->answer({});
  CHECK(peer.take().starts_with("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n"));
}

TEST_CASE("HTTP/1.0 gets the body without chunks and then the end of the connection; HEAD gets no body", "[net]") {
  Peer old("GET / HTTP/1.0\r\n\r\n");
  old.handler.answers.at(0)->begin({});
  CHECK(old.handler.answers.at(0)->write("abc", kPast));
  CHECK(old.take() == "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nabc");
  old.handler.answers.at(0)->end();
  CHECK(old.take().empty());
  CHECK(old.session->closing());

  Peer head("HEAD / HTTP/1.1\r\nhost: a\r\n\r\n");
  head.handler.answers.at(0)->begin({});
  CHECK(head.handler.answers.at(0)->write("abc", kPast));
  head.handler.answers.at(0)->end();
  CHECK(head.take() == "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n");
  CHECK_FALSE(head.session->closing());
}

TEST_CASE("an answer that is given up is a 500, or has no end", "[net]") {
  Peer early(kGet);
  early.handler.answers.at(0)->give_up();
  CHECK(early.take().starts_with("HTTP/1.1 500 "));

  Peer late(kGet);
  late.handler.answers.at(0)->begin({});
  CHECK(late.handler.answers.at(0)->write("abc", kPast));
  CHECK(late.take().ends_with("abc\r\n"));
  late.handler.answers.at(0)->give_up();
  CHECK(late.take().empty());
  CHECK(late.session->closing());
}

TEST_CASE("a peer that takes nothing holds a bounded number of bytes, and then the answer is over", "[net]") {
  Peer peer(kGet);
  LaterAnswer& answer = *peer.handler.answers.at(0);
  answer.begin({});
  CHECK(answer.write(std::string(LaterAnswer::kHeldMax, 'x'), kPast));
  CHECK_FALSE(answer.write("y", kPast));
  CHECK_FALSE(answer.write("z", kPast));
  const std::string out = peer.take();
  CHECK(out.size() > LaterAnswer::kHeldMax);
  CHECK(out.find('y') == std::string::npos);
  CHECK_FALSE(out.ends_with("0\r\n\r\n"));
  CHECK(peer.session->closing());
}

TEST_CASE("a session that ends cancels its answer and is woken no more", "[net]") {
  Peer peer(kGet);
  const auto answer = peer.handler.answers.at(0);
  CHECK_FALSE(answer->cancelled());
  peer.session.reset();
  CHECK(answer->cancelled());
  answer->begin({});
  CHECK_FALSE(answer->write("abc", kPast));
  answer->end();
  CHECK(peer.woken == 0);
}

TEST_CASE("one wake is enough until the session has asked", "[net]") {
  Peer peer(kGet);
  LaterAnswer& answer = *peer.handler.answers.at(0);
  answer.begin({});
  CHECK(answer.write("a", kPast));
  CHECK(answer.write("b", kPast));
  CHECK(peer.woken == 1);
  peer.take();
  CHECK(answer.write("c", kPast));
  CHECK(peer.woken == 2);
}
