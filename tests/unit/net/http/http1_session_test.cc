// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>
#include <string>

#include "net/http/session.h"

using namespace tailgate;

namespace {

// Answers every request with its body.
class Echo final : public Handler {
 public:
  Admission admit(const RequestHead&) override { return {}; }
  void handle(const RequestHead&, BodyBuffer& body, Response& response) override { response.body = body.view(); }
  Response refuse(const RequestHead&, const Refusal& refusal) override {
    refused += std::string(kRefuseWhyNames[static_cast<std::size_t>(refusal.why)]) + " ";
    return plain_response(413);
  }
  std::string refused;
};

std::string answer_to(std::string_view request, std::size_t piece) {
  Echo echo;
  const ServerLimits limits;
  const SessionContext context{echo, limits, nullptr};
  const auto session = make_http1_session(context, "127.0.0.1", TimePoint{});
  std::string out;
  for (std::size_t at = 0; at < request.size(); at += piece) session->feed(request.substr(at, piece), TimePoint{});
  session->take_output(out);
  return out;
}

}  // namespace

// Beast's own assertion ended the process of a debug build when the first chunk was the last and came in single bytes.
TEST_CASE("a chunked body may come in pieces of any size", "[net]") {
  const std::string head = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
  for (const std::size_t piece : {1u, 2u, 3u, 4u, 5u, 7u, 1000u}) {
    CAPTURE(piece);
    CHECK(answer_to(head + "0\r\n\r\n", piece).starts_with("HTTP/1.1 200"));
    CHECK(answer_to(head + "0\r\nx: y\r\n\r\n", piece).starts_with("HTTP/1.1 200"));
    CHECK(answer_to(head + "2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", piece).ends_with("\r\n\r\nabc"));
    CHECK(answer_to(head + "0\r\n{}\r\n0\r\n\r\n\r\n", piece).starts_with("HTTP/1.1 400"));
  }
}

TEST_CASE("what HTTP/1.1 itself refuses is counted by the handler, and answered with its own status", "[net]") {
  struct Row {
    const char* request;
    Duration waits;
    const char* status;
    const char* counted;
  };
  const ServerLimits limits;
  const std::string large = "GET / HTTP/1.1\r\nhost: a\r\nx: " + std::string(limits.header_bytes, 'x') + "\r\n\r\n";
  const Row rows[] = {
      {"GET / HTTP/1.1\r\n\r\n", {}, "400", "protocol "},  // no Host
      {"GET\r\n\r\n", {}, "400", "protocol "},
      {"GET / HTTP/3.0\r\n\r\n", {}, "505", "protocol "},
      {"POST / HTTP/1.1\r\nhost: a\r\nexpect: more\r\ncontent-length: 1\r\n\r\n", {}, "417", "protocol "},
      {large.c_str(), {}, "431", "headers "},
      {"GET / HT", limits.header_timeout, "408", "slow_headers "},
      {"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nx", std::chrono::hours(1), "408", "slow_body "},
      {"GET / HTTP/1.1\r\nhost: a\r\n\r\n", {}, "200", ""},
      {"", limits.header_timeout, "", ""},  // asked for nothing
  };
  for (const Row& row : rows) {
    CAPTURE(row.request);
    Echo echo;
    const SessionContext context{echo, limits, nullptr};
    const auto session = make_http1_session(context, "127.0.0.1", TimePoint{});
    session->feed(row.request, TimePoint{});
    if (row.waits != Duration{}) session->tick(TimePoint{} + row.waits);
    std::string out;
    session->take_output(out);
    CHECK((out.empty() ? "" : out.substr(9, 3)) == row.status);
    CHECK(echo.refused == row.counted);
  }
}
