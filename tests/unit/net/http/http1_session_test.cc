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

TEST_CASE("the heads of all chunks of a body have a limit together, 16 KiB", "[net]") {
  const std::string head = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
  const auto body = [](int chunks, const std::string& size_and_extension) {
    std::string out;
    for (int i = 0; i < chunks; ++i) out += size_and_extension + "\r\nx\r\n";
    return out + "0\r\n\r\n";
  };
  for (const std::size_t piece : {1u, 1000u, 1u << 20}) {
    CAPTURE(piece);
    CHECK(answer_to(head + body(100, "1;" + std::string(160, 'e')), piece).starts_with("HTTP/1.1 200"));
    CHECK(answer_to(head + body(200, "1;" + std::string(160, 'e')), piece).starts_with("HTTP/1.1 400"));
    CHECK(answer_to(head + body(2000, std::string(160, '0') + "1"), piece).starts_with("HTTP/1.1 400"));
    CHECK(answer_to(head + body(10'000, "1"), piece).starts_with("HTTP/1.1 200"));  // many small chunks are only odd
  }
}

TEST_CASE("a few empty lines may come before a request, and no more", "[net]") {
  const std::string get = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
  const auto lines = [](int count) {
    std::string out;
    while (count-- > 0) out += "\r\n";
    return out;
  };
  for (const std::size_t piece : {1u, 2u, 3u, 1000u}) {
    CAPTURE(piece);
    CHECK(answer_to(lines(8) + get, piece).starts_with("HTTP/1.1 200"));
    CHECK(answer_to(lines(9), piece).starts_with("HTTP/1.1 400"));
    CHECK(answer_to(get + lines(8) + get, piece).ends_with("200 OK\r\ncontent-length: 0\r\n\r\n"));
    CHECK(answer_to(get + lines(9) + get, piece).find("HTTP/1.1 400") != std::string::npos);
  }
}

TEST_CASE("a line without CR and LF gets 400 at once, not when the time is up", "[net]") {
  const std::string chunked = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
  const std::string wrong[] = {
      "\n",
      "\rGET",
      "GET / HTTP/1.1\n",
      "GET / HTTP/1.1\nhost: a\n\n",
      "GET / HTTP/1.1\nhost: a\r\n\r\n",
      "GET / HTTP/1.1\r\nhost: a\n\n",
      "GET / HTTP/1.1\rhost: a\r\r",
      chunked + "1\n",
      chunked + "5\nhello\n0\n\n",
      chunked + "5\r\nhello\n0",
      chunked + "0\r\nx: y\n",
  };
  for (const std::string& request : wrong) {
    for (const std::size_t piece : {1u, 2u, 1000u}) {
      CAPTURE(request, piece);
      CHECK(answer_to(request, piece).starts_with("HTTP/1.1 400"));
    }
  }
  for (const std::size_t piece : {1u, 2u, 3u, 4u, 1000u}) {  // in a body they are content
    CAPTURE(piece);
    CHECK(answer_to(chunked + "7\r\n\n\n\r\r\na\n\r\n2\r\n\n\r\r\n0\r\n\r\n", piece).ends_with("\n\n\r\r\na\n\n\r"));
  }
}

TEST_CASE("a TLS handshake in plaintext is told what it looks like", "[net]") {
  const std::string hello("\x16\x03\x01\0\x05\1\0\0\1\0\r\n\r\n", 14);
  CHECK(answer_to(hello, 100).find("it looks like TLS") != std::string::npos);
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
